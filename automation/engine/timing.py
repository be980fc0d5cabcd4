"""When a trigger acts after it was decided; the `kind` tells the forms apart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# 24:00 is not a moment of a day here; the end of a range may be (see the time_of_day condition).
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class _Timing(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Immediate(_Timing):
    """At once."""

    kind: Literal["immediate"] = "immediate"


class Delay(_Timing):
    """So many minutes after the event."""

    kind: Literal["delay"]
    minutes: float = Field(gt=0, le=525_600, title="Delay", json_schema_extra={"x-unit": "minutes"})


class LocalTime(_Timing):
    """At the next such time of day in the customer's zone."""

    kind: Literal["local_time"]
    time: Clock = Field(title="Time of day")


class OptimalPersonal(_Timing):
    """At the hour at which this customer reads, within so many hours."""

    kind: Literal["optimal_personal"]
    within_hours: float = Field(
        default=24, ge=1, le=168, title="Within", json_schema_extra={"x-unit": "hours"}
    )


class Within24h(_Timing):
    """Any time in the next 24 hours, as the load allows."""

    kind: Literal["within_24h"]


Timing = Annotated[
    Immediate | Delay | LocalTime | OptimalPersonal | Within24h,
    Field(discriminator="kind"),
]
