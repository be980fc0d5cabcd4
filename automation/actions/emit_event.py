"""Let something follow: an event of our own, which other triggers may answer."""

from __future__ import annotations

import json
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from automation.actions.base import (
    MAX_CHAIN,
    Action,
    Emit,
    Example,
    Job,
    Outcome,
    action,
    check_texts,
    filled,
    refuse,
)
from automation.channels.base import DeliveryError

_MAX_DATA = 16 * 1024  # Characters of JSON, well inside an event's 32 KB.


@action
class EmitEvent(Action):
    """The event belongs to the same customer; a chain of such events ends after five."""

    label = "Emit an event"
    help = "An event about this customer, for other triggers to answer. Texts may hold Liquid."
    icon = "⚡"
    sentence = "emit the event {name}"
    examples = (
        Example(
            "Announce a valuable customer",
            {"type": "emit_event", "name": "became_vip", "data": {"spent": "{{ customer.lifetime_value }}"}},
        ),
    )

    type: Literal["emit_event"]
    name: str = Field(
        title="Event",
        min_length=1,
        max_length=100,
        pattern=r"^[a-z0-9_]+$",
        json_schema_extra={"x-source": "event_types"},
    )
    data: dict[str, Any] = Field(default_factory=dict, title="Data", max_length=50)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_texts(self.data)
        if any(not 0 < len(key) <= 128 for key in self.data):
            raise refuse("Names of data have 1 to 128 characters.")
        return self

    def perform(self, job: Job) -> Outcome:
        """Hand the event to whoever records the result; refuse to feed an endless loop."""
        if job.depth >= MAX_CHAIN:
            raise DeliveryError(
                f"This event follows from {MAX_CHAIN} others already: probably a loop of triggers.",
                permanent=True,
                kind="chain_too_long",
            )
        data = filled(self.data, job.context)
        if len(json.dumps(data)) > _MAX_DATA:
            raise DeliveryError("The event's data are too large.", permanent=True, kind="event_too_large")
        return Outcome(result={"event": self.name}, emits=(Emit(self.name, data),))
