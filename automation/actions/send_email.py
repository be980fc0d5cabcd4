"""Send an e-mail to the customer (S-147)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from automation.actions.base import Action, Example, Job, Outcome, action
from automation.channels.base import DeliveryError, Email
from automation.engine import wording
from automation.engine.types import MessageClass, Reason
from automation.rendering import email


@action
class SendEmail(Action):
    """The template is filled for the customer and handed to the mail server."""

    label = "Send an e-mail"
    help = "A published template, filled with what is known of the customer and the event."
    icon = "✉"
    sentence = "send the e-mail {template_id}"
    examples = (
        Example("A cart reminder", {"type": "send_email", "template_id": "cart_recovery"}),
        Example(
            "A second one a day later, and nothing more when it cannot be sent",
            {
                "type": "send_email",
                "template_id": "cart_recovery_2",
                "delay_minutes": 1440,
                "on_failure": "stop",
            },
        ),
    )
    channel = "email"
    is_message = True

    type: Literal["send_email"]
    template_id: str = Field(
        title="Template",
        min_length=1,
        max_length=50,
        pattern=r"^[A-Za-z0-9_-]+$",
        json_schema_extra={"x-source": "templates"},
    )
    from_name: str = Field(
        default="", title="Sender name", max_length=100, description="Empty: the sender of the installation."
    )

    def describe(self) -> str:
        """Its template as a title, in quotation marks."""
        said = wording.name(self.template_id)
        title = f"“{said[:1].upper()}{said[1:]}”"
        return super().describe().replace(f"the e-mail {said}", f"the e-mail {title}", 1)

    def templates(self) -> tuple[str, ...]:
        """The one it sends."""
        return (self.template_id,)

    def perform(self, job: Job) -> Outcome:
        """Render and send; the result names the template and variables that were unknown."""
        source = job.templates.get(self.template_id)
        if source is None or not source.is_published:
            raise DeliveryError(
                f"The template “{self.template_id}” does not exist or is not published.",
                permanent=True,
                kind="template_missing",
                reason=Reason.TEMPLATE_ERROR,
            )
        rendered = email.render(source, job.context)
        is_marketing = job.message_class == MessageClass.MARKETING
        receipt = job.send(
            Email(
                delivery_id=job.delivery_id,
                to=job.address,
                subject=rendered.subject,
                html=rendered.html,
                text=rendered.text,
                from_name=self.from_name,
                unsubscribe_url=str(job.context["unsubscribe_url"]) if is_marketing else "",
                metadata=self._metadata(job),
            )
        )
        result: dict[str, Any] = {
            "action_type": "email_sent",
            "email_id": receipt.provider_id,
            "template_id": self.template_id,
        }
        if rendered.unknown:
            result["unknown_variables"] = list(rendered.unknown)
        return Outcome(receipt.provider_id, {**result, **receipt.details})

    def _metadata(self, job: Job) -> dict[str, str]:
        """What a provider and a receiver may know about the message (S-156)."""
        return {
            "delivery_id": str(job.delivery_id),
            "event_id": str(job.event.id),
            "customer_id": job.customer_id,
            "trigger_id": job.trigger.key,
            "trigger_type": job.trigger.type,
            "triggered_at": job.trigger.triggered_at.isoformat(),
            "template_id": self.template_id,
        }
