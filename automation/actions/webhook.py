"""Tell another server (S-151)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from django.conf import settings
from pydantic import AfterValidator, Field

from automation.actions.base import Action, Example, Job, Liquid, Outcome, action, refuse
from automation.channels import http_guard
from automation.channels.base import Call
from automation.rendering import liquid


def _callable(url: str) -> str:
    try:
        http_guard.check_url(url, ports=[int(port) for port in settings.WEBHOOK_PORTS])
    except http_guard.ForbiddenUrlError as error:
        raise refuse(str(error), "For example https://example.com/hooks/beckon") from None
    return url


@action
class CallWebhook(Action):
    """POST of JSON, signed as Standard Webhooks 1.0; the answer is `response` for the actions after it."""

    label = "Call a webhook"
    help = "A signed POST of JSON to a public address. Repeats carry the same webhook-id."
    icon = "↗"
    sentence = "call {url}"
    examples = (
        Example("The standard message", {"type": "webhook", "url": "https://example.com/hooks/beckon"}),
        Example(
            "A body of your own",
            {
                "type": "webhook",
                "url": "https://example.com/hooks/crm",
                "body": '{"customer": {{ customer_id | json }}, "items": {{ event.items | json }}}',
            },
        ),
    )
    channel = "webhook"

    type: Literal["webhook"]
    url: Annotated[str, AfterValidator(_callable)] = Field(title="Address", min_length=1, max_length=2000)
    body: Liquid = Field(
        default="",
        title="Body",
        max_length=20_000,
        description="JSON with Liquid; empty: event, customer and trigger. Use the filter json for values.",
    )

    def perform(self, job: Job) -> Outcome:
        """Call, and keep status and the first KB of the answer."""
        body = self._custom(job) if self.body.strip() else json.dumps(self._standard(job), ensure_ascii=False)
        receipt = job.send(Call(delivery_id=job.delivery_id, url=self.url, body=body))
        return Outcome(receipt.provider_id, {"response": dict(receipt.details)})

    def _custom(self, job: Job) -> str:
        text = liquid.render(liquid.compile(self.body), job.context).text
        try:
            json.loads(text)
        except ValueError as error:
            raise liquid.TemplateError(f"The body is not JSON: {error}") from error
        return text

    def _standard(self, job: Job) -> dict[str, Any]:
        """`type`, `timestamp` and `data`, as Standard Webhooks recommends."""
        context = job.context
        keys = ("customer_id", "behavior_segment", "engagement_score", "lifetime_value")
        return {
            "type": f"trigger.{job.trigger.key}",
            "timestamp": job.trigger.triggered_at.isoformat(),
            "data": {
                "delivery_id": str(job.delivery_id),
                "trigger": context["trigger"],
                "customer": {key: context[key] for key in keys},
                "event": {
                    "id": job.event.id,
                    "message_id": job.event.message_id,
                    "name": job.event.name,
                    "occurred_at": context["event_timestamp"],
                    "data": context["event"]["data"],
                },
            },
        }
