"""What the customer uses: the last device known, with this event already counted (S-052)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from automation.engine import wording
from automation.engine.conditions.base import MAX_HOURS, Check, Condition, Example, condition
from automation.engine.logic import ANY_EVENT
from automation.engine.operators import MET, NOT_MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Result, Verdict
from automation.engine.values import instant
from automation.engine.window import hours

_UNKNOWN = Result(Verdict.NOT_MET, reason="It is not known which device the customer uses.")
_NO_EARLIER = Result(Verdict.NOT_MET, reason="No earlier device of the customer is known.")
_LONG_AGO = Result(Verdict.NOT_MET, reason="The earlier device was used too long ago to call it a switch.")
_PARTS = {"type": "kind of device", "os": "operating system"}
_LABELS = {"is": "is", "switched": "has just changed, within"}


def _known(at: str = "2025-06-02T12:00:00+00:00", **device: str) -> dict[str, Any]:
    return {"behavioral_patterns": {"device": [at, "m", device]}}


@condition
class Device(Condition):
    """The last known device is one of these, or another than the one used shortly before this event."""

    label = "Device"
    kind = "Where and when"
    help = "The last device known from events. A device that is not known is not met."
    icon = "▤"
    sentence = "what they use: {part} {comparison} {values} {within_hours}"
    examples = (
        Example(
            "On a phone or a tablet",
            {"type": "device", "part": "type", "comparison": "is", "values": ["mobile", "tablet"]},
            facts(profile=_known(type="mobile", os="iOS")),
            Verdict.MET,
        ),
        Example(
            "From the phone to the desktop within half an hour",
            {"type": "device", "part": "type", "comparison": "switched", "within_hours": 0.5},
            facts(profile=_known(type="desktop"), before=_known("2025-06-02T11:40:00+00:00", type="mobile")),
            Verdict.MET,
        ),
        Example(
            "Another device, but after a week",
            {"type": "device", "part": "type", "comparison": "switched", "within_hours": 24},
            facts(profile=_known(type="desktop"), before=_known("2025-05-26T12:00:00+00:00", type="mobile")),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["device"]
    part: Literal["type", "os"] = Field(
        default="type", title="What", json_schema_extra={"x-labels": {**_PARTS}}
    )
    comparison: Literal["is", "switched"] = Field(
        title="Compares", json_schema_extra={"x-labels": {**_LABELS}}
    )
    values: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        default=[],
        max_length=50,
        title="One of",
        description="desktop, mobile, tablet; or Windows, macOS, iOS, Android.",
        json_schema_extra={"x-when": {"comparison": ["is"]}},
    )
    within_hours: float | None = Field(
        default=None,
        gt=0,
        le=MAX_HOURS,
        title="Since at most",
        json_schema_extra={"x-unit": "hours", "x-when": {"comparison": ["switched"]}},
    )

    def compile(self) -> Check:
        """By name, or against the device before this event."""
        return self._is() if self.comparison == "is" else self._switched()

    def _is(self) -> Check:
        part, wanted = self.part, frozenset(value.strip().casefold() for value in self.values)

        def check(facts: Facts) -> Result:
            name = device_of(facts.profile)[1].get(part)
            return _UNKNOWN if not name else MET if name.casefold() in wanted else NOT_MET

        return check

    def _switched(self) -> Check:
        part, long = self.part, hours(24 if self.within_hours is None else self.within_hours)

        def check(facts: Facts) -> Result:
            (at, now), (earlier, then) = device_of(facts.profile), device_of(facts.before)
            if not now.get(part):
                return _UNKNOWN
            if not then.get(part):
                return _NO_EARLIER
            if now[part].casefold() == then[part].casefold():
                return NOT_MET
            return MET if _is_near(earlier, at, long) else _LONG_AGO

        return check

    def look(self, facts: Facts) -> Any:
        """The device, with the one before when that counts."""
        name = device_of(facts.profile)[1].get(self.part)
        if self.comparison == "is":
            return name
        return {"now": name, "before": device_of(facts.before)[1].get(self.part)}

    @property
    def needs_before(self) -> bool:
        """True for switched."""
        return self.comparison == "switched"

    def entry_names(self) -> frozenset[str] | None:
        """A change is brought along by any event; how things are enters nobody."""
        return ANY_EVENT if self.needs_before else None

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """Each comparison has its own right side."""
        if self.comparison == "is" and not self.values:
            yield "/values", Problem("List at least one device, separated by commas.")
        if self.comparison != "is" and self.values:
            yield "/values", Problem("A switch takes no names of devices.", "Remove them.")
        if self.comparison != "switched" and self.within_hours is not None:
            yield "/within_hours", Problem("Only a switch has a time.", "Remove it.")

    def describe(self) -> str:
        """*the kind of device of the customer has just changed, within 1 day*."""
        subject = f"the {_PARTS[self.part]} of the customer"
        if self.comparison == "is":
            return f"{subject} is {wording.literal(self.values)}"
        long = 24 if self.within_hours is None else self.within_hours
        return f"{subject} has just changed, within {wording.duration(long * 60)}"


def device_of(profile: Mapping[str, Any]) -> tuple[datetime | None, dict[str, str]]:
    """(when it was used, its type, os, browser and model as far as known) of the last device of a profile."""
    patterns = profile.get("behavioral_patterns")
    stamp = patterns.get("device") if isinstance(patterns, Mapping) else None
    if not isinstance(stamp, (list, tuple)) or len(stamp) != 3 or not isinstance(stamp[2], Mapping):
        return None, {}
    known = {name: value for name, value in stamp[2].items() if isinstance(value, str)}
    return instant(stamp[0]), known


def _is_near(earlier: datetime | None, at: datetime | None, long: timedelta) -> bool:
    return earlier is not None and at is not None and at - earlier <= long
