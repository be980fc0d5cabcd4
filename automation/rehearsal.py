"""A test of a trigger's actions with one person's data: messages go to a member of staff, nothing else happens.

The same actions and the same renderer as in production. No execution or delivery is stored, so nothing is
counted, no place under the caps is taken and no link of the message acts for the customer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse
from pydantic import ValidationError

from automation.actions import registry
from automation.actions.base import INTERNAL, Action, Job, filled
from automation.channels.base import CHANNELS, Call, DeliveryError, Email, Message, Receipt
from automation.engine.types import Event
from automation.ids import uuid7
from automation.models import Template, Trigger
from automation.pipeline.internal import names_of
from automation.rendering import context
from automation.rendering.context import TriggerFacts
from automation.rendering.email import Source
from automation.rendering.liquid import TemplateError
from profiles.services import Locked

MESSAGES, SECONDS = 5, 20.0  # Of one test, in all.
MARK = "[Test] "
NOWHERE = "this-is-a-test"  # No signed link: whoever follows it is told so.
_SILENT = ("django.core.mail.backends.dummy.EmailBackend",)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What one action did, or would have done."""

    sentence: str
    email: Email | None = None  # As it was sent, or would have been.
    shown: Mapping[str, Any] | None = None  # What an action that is not performed would have used.
    unknown: tuple[str, ...] = ()  # Variables that nobody knows.
    is_sent: bool = False
    error: str = ""


class _Outlet:
    """Hands the messages of one test to their channels: few, not for long, and nothing after silence.

    The circuit breaker knows nothing of tests.
    """

    def __init__(self) -> None:
        self._left, self._until, self._shut = MESSAGES, time.monotonic() + SECONDS, ""

    def send(self, name: str, message: Email) -> str:
        """The error, or nothing."""
        if not self._left:
            self._shut = f"Not sent: a test sends at most {MESSAGES} messages."
        elif time.monotonic() > self._until:
            self._shut = "Not sent: the messages before it took too long."
        if self._shut:
            return self._shut
        self._left -= 1
        channel = CHANNELS[name]()
        try:
            channel.send(message)
        except DeliveryError as error:
            if error.unanswered:
                self._shut = "Not sent: the mail server did not answer for the message before it."
            return _unconfigured(error) if not settings.EMAIL_URL else str(error)
        finally:
            channel.close()
        return ""


def obstacle(address: str) -> str:
    """Why nothing can be sent to this member of staff; empty when something can."""
    if not address:
        return "Your account has no e-mail address. Ask somebody who edits users to add it."
    if settings.EMAIL_BACKEND in _SILENT:
        return "Mail is switched off here: EMAIL_URL names a backend that sends nothing."
    return ""


def rehearse(trigger: Trigger, event: Event, person: Locked, *, to: str, now: datetime) -> list[Rehearsed]:
    """Every action of the stored document, in order; messages are sent to `to`."""
    parsed = [_parsed(document) for document in trigger.actions]
    keys = {key for one in parsed if isinstance(one, Action) for key in one.templates()}
    templates = _templates(keys)
    facts = TriggerFacts(trigger.pk, trigger.key, trigger.name, trigger.type, now)
    customer_id = person.customer_id or names_of([person.id]).get(person.id, (None, None))[1] or ""
    variables = context.build(
        event=event,
        profile=person.state,
        customer_id=customer_id,
        trigger=facts,
        now=now,
        unsubscribe_url=settings.PUBLIC_URL + reverse("unsubscribe", args=[NOWHERE]),
    )
    done, outlet = [], _Outlet()
    for action in parsed:
        if isinstance(action, str):
            done.append(Rehearsed(action, error="This action is unknown to this version."))
            continue
        outbox: list[Message] = []
        job = Job(
            delivery_id=uuid7(),
            execution_id=0,
            profile_id=person.id,
            customer_id=customer_id,
            address=to,
            channel=action.channel,
            message_class=trigger.message_class,
            topic=trigger.topic,
            now=now,
            event=event,
            trigger=facts,
            context=variables,
            templates=templates,
            send=_into(outbox),
        )
        done.append(_one(action, job, outbox, to, outlet))
    return done


def _one(action: Action, job: Job, outbox: Sequence[Message], to: str, outlet: _Outlet) -> Rehearsed:
    said = action.describe()
    try:
        if action.channel == INTERNAL:  # It would change our own data: it is shown, not performed.
            return Rehearsed(said, shown=filled(_fields(action), job.context))
        result = action.perform(job).result
        message = outbox[0]
        if isinstance(message, Call):
            return Rehearsed(said, shown={"url": message.url, "body": message.body})
        marked = replace(message, to=to, subject=MARK + message.subject, unsubscribe_url="", metadata={})
        sent = Rehearsed(said, email=marked, unknown=tuple(result.get("unknown_variables", ())))
        error = outlet.send(action.channel, marked)
        return replace(sent, is_sent=not error, error=error)
    except (TemplateError, DeliveryError) as error:
        return Rehearsed(said, error=str(error))


def _unconfigured(error: DeliveryError) -> str:
    return f"No mail server is configured (EMAIL_URL), and the local mailbox did not take it: {error}"


def _into(outbox: list[Message]) -> Any:
    def send(message: Message) -> Receipt:
        outbox.append(message)
        return Receipt("")

    return send


def _parsed(document: Any) -> Action | str:
    try:
        return registry.parse(document)
    except (ValidationError, ValueError, LookupError):
        return str(document.get("type", "nothing")) if isinstance(document, dict) else "nothing"


def _fields(action: Action) -> dict[str, Any]:
    return action.model_dump(
        mode="json", exclude_defaults=True, exclude={"type", "on_failure", "delay_minutes"}
    )


def _templates(keys: Iterable[str]) -> dict[str, Source]:
    return {
        row.key: Source(row.pk, row.updated_at, row.key, row.subject, row.html, row.text, row.is_published)
        for row in Template.objects.filter(key__in=list(keys))
    }
