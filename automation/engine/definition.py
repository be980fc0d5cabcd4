"""The frozen document of a trigger, as stored in every version (design: engine.md section 2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StringConstraints,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from automation.engine.comparison import DataConditions, FieldPath
from automation.engine.conditions import Node
from automation.engine.conditions.base import EventName
from automation.engine.timing import Immediate, Timing
from automation.engine.types import MessageClass, Priority, TriggerType
from automation.engine.values import instant

_LANES = {priority.lane: priority for priority in Priority}
_TEN_YEARS_MINUTES = 5_256_000


def _priority(value: Any) -> Any:
    if isinstance(value, Priority):
        return value
    if isinstance(value, str) and value in _LANES:
        return _LANES[value]
    if type(value) is int and 1 <= value <= 4:
        return Priority(value)
    message = "Priority: choose critical, high, medium or low."
    raise PydanticCustomError("beckon", "{message}", {"message": message, "hint": ""})


def _moment(value: Any) -> Any:
    moment = instant(value) if isinstance(value, (str, datetime)) else None
    if moment is None:
        message, hint = "Enter a date and time.", "For example 2025-12-24T08:00:00Z."
        raise PydanticCustomError("beckon", "{message}", {"message": message, "hint": hint})
    return moment.astimezone(UTC)


def _cancel_tag(value: Any) -> str:
    return "name" if isinstance(value, str) else "node"


PriorityName = Annotated[
    Priority,
    BeforeValidator(_priority),
    PlainSerializer(lambda priority: priority.lane, return_type=str, when_used="json"),
    WithJsonSchema({"enum": [*_LANES, 1, 2, 3, 4]}),
]
Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]
CancelWhen = Annotated[
    Annotated[EventName, Tag("name")] | Annotated[Node, Tag("node")], Discriminator(_cancel_tag)
]


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Period(_Document):
    """At most so many times in so many hours, for one customer."""

    count: int = Field(ge=1, le=1000, title="Times")
    hours: float = Field(gt=0, le=8760, title="Hours", json_schema_extra={"x-unit": "hours"})


class Goal(_Document):
    """What counts as success: an event within a window after the execution."""

    event_name: EventName = Field(title="Goal event", json_schema_extra={"x-source": "event_types"})
    data_conditions: DataConditions = Field(default=[])
    window_hours: float = Field(
        default=168, gt=0, le=8760, title="Window", json_schema_extra={"x-unit": "hours"}
    )
    value_path: FieldPath | None = Field(default=None, title="Value")
    currency_path: FieldPath | None = Field(default=None, title="Currency")


class TriggerDefinition(_Document):
    """Everything that a trigger says. Conditions are joined by *and*."""

    key: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] = Field(title="Key")
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(title="Name")
    description: Annotated[str, StringConstraints(max_length=2000)] = Field(default="", title="Description")
    type: TriggerType = Field(title="Type", strict=False)
    priority: PriorityName = Field(title="Priority")
    message_class: MessageClass = Field(default=MessageClass.MARKETING, title="Message class", strict=False)
    topic: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")] = Field(
        default="marketing", title="Topic"
    )
    conditions: list[Node] = Field(min_length=1, max_length=50, title="Conditions")
    actions: list[dict[str, Any]] = Field(min_length=1, max_length=20, title="Actions")
    timing: Timing = Field(default=Immediate(), title="Timing")
    cancel_when: list[CancelWhen] = Field(default=[], max_length=20, title="Cancel when")
    recheck: bool = Field(default=True, title="Check again at the due moment")
    cooldown_minutes: float | None = Field(
        default=None, ge=0, le=_TEN_YEARS_MINUTES, title="Cooldown", json_schema_extra={"x-unit": "minutes"}
    )
    cooldown_path: FieldPath | None = Field(default=None, title="Cooldown for each")
    max_per_customer: int | None = Field(default=None, ge=1, le=1_000_000, title="At most per customer")
    max_per_period: Period | None = Field(default=None, title="At most per period")
    dedupe_path: FieldPath | None = Field(default=None, title="Once for each")
    holdout_percent: float | None = Field(default=None, ge=0, le=100, title="Holdout")
    goal: Goal | None = Field(default=None, title="Goal")
    valid_from: Moment | None = Field(default=None, title="Valid from")
    valid_until: Moment | None = Field(default=None, title="Valid until")
    max_per_hour: int | None = Field(default=None, ge=1, le=10_000_000, title="At most per hour")
    on_lost: Literal["suppress", "defer"] = Field(default="suppress", title="When it loses the slot")
    value: float = Field(default=0, ge=0, le=1e9, title="Declared value")

    @property
    def holdout(self) -> float:
        """Percent held out: as declared, else 5 for marketing and 0 for transactional."""
        if self.holdout_percent is not None:
            return self.holdout_percent
        return 5.0 if self.message_class is MessageClass.MARKETING else 0.0
