"""Where the customer is: the last place known, with this event already counted (S-052)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import asin, cos, radians, sin, sqrt
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from automation.engine import wording
from automation.engine.conditions.base import Check, Condition, Example, condition
from automation.engine.logic import ANY_EVENT
from automation.engine.operators import MET, NOT_MET
from automation.engine.problems import Problem
from automation.engine.samples import facts
from automation.engine.types import Facts, Result, Verdict

EARTH_KM = 6371.0088  # Mean radius; the error of a sphere is below 0.6 %.
_LEVELS = ("country", "region", "city")
_UNKNOWN = Result(Verdict.NOT_MET, reason="It is not known where the customer is.")
_NO_EARLIER = Result(Verdict.NOT_MET, reason="No earlier place of the customer is known.")
_NO_POINT = Result(Verdict.NOT_MET, reason="No coordinates of the customer are known.")
_LABELS = {"is": "is", "changed": "has just changed", "within": "within (km, latitude, longitude)"}
_IN_WORDS: dict[str, Any] = {"x-when": {"comparison": ["is", "changed"]}}
_ON_MAP: dict[str, Any] = {"x-when": {"comparison": ["within"]}}


def _known(**place: Any) -> dict[str, Any]:
    return {"behavioral_patterns": {"location": ["2025-06-02T12:00:00+00:00", "m", place]}}


@condition
class Location(Condition):
    """The last known place is one of these, is another than before this event, or lies within a radius."""

    label = "Place"
    kind = "Where and when"
    help = "The last place known from events, to about a kilometre. A place that is not known is not met."
    icon = "◎"
    sentence = "where they are: {level} {comparison} {values} {radius_km} {latitude} {longitude}"
    examples = (
        Example(
            "In one of two cities, however they are written",
            {"type": "location", "level": "city", "comparison": "is", "values": ["Berlin", "Hamburg"]},
            facts(profile=_known(country="DE", city="berlin")),
            Verdict.MET,
        ),
        Example(
            "Has arrived in another country",
            {"type": "location", "level": "country", "comparison": "changed"},
            facts(profile=_known(country="ES"), before=_known(country="DE")),
            Verdict.MET,
        ),
        Example(
            "At most 25 km from a shop in Munich",
            {
                "type": "location",
                "comparison": "within",
                "latitude": 48.14,
                "longitude": 11.58,
                "radius_km": 25,
            },
            facts(profile=_known(latitude=48.26, longitude=11.67)),
            Verdict.MET,
        ),
        Example(
            "Nothing is known",
            {"type": "location", "level": "country", "comparison": "is", "values": ["DE"]},
            facts(profile={}),
            Verdict.NOT_MET,
        ),
    )

    type: Literal["location"]
    level: Literal["country", "region", "city"] = Field(
        default="country", title="Place", json_schema_extra=_IN_WORDS
    )
    comparison: Literal["is", "changed", "within"] = Field(
        title="Compares", json_schema_extra={"x-labels": {**_LABELS}}
    )
    values: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        default=[],
        max_length=100,
        title="One of",
        description="As your events write it: DE or Germany.",
        json_schema_extra={"x-when": {"comparison": ["is"]}},
    )
    radius_km: float | None = Field(
        default=None, ge=1, le=20_000, title="Radius", json_schema_extra={**_ON_MAP, "x-suffix": "km"}
    )
    latitude: float | None = Field(default=None, ge=-90, le=90, title="Latitude", json_schema_extra=_ON_MAP)
    longitude: float | None = Field(
        default=None, ge=-180, le=180, title="Longitude", json_schema_extra=_ON_MAP
    )

    def compile(self) -> Check:
        """By name, by what it was before, or by distance."""
        return {"is": self._is, "changed": self._changed, "within": self._within}[self.comparison]()

    def _is(self) -> Check:
        level, wanted = self.level, frozenset(_plain(value) for value in self.values)

        def check(facts: Facts) -> Result:
            name = _plain(place_of(facts.profile).get(level))
            return _UNKNOWN if not name else MET if name in wanted else NOT_MET

        return check

    def _changed(self) -> Check:
        """Another city of the same name in another country is another city."""
        levels = _LEVELS[: _LEVELS.index(self.level) + 1]

        def check(facts: Facts) -> Result:
            now, then = place_of(facts.profile), place_of(facts.before)
            if not now.get(self.level):
                return _UNKNOWN
            if not then.get(self.level):
                return _NO_EARLIER
            pairs = [(_plain(now.get(level)), _plain(then.get(level))) for level in levels]
            return MET if any(new and old and new != old for new, old in pairs) else NOT_MET

        return check

    def _within(self) -> Check:
        radius = self.radius_km or 0.0

        def check(facts: Facts) -> Result:
            distance = self._distance(facts)
            return _NO_POINT if distance is None else MET if distance <= radius else NOT_MET

        return check

    def _distance(self, facts: Facts) -> float | None:
        """Kilometres from the point asked for; None when either is not known."""
        place = place_of(facts.profile)
        point = (place.get("latitude"), place.get("longitude"))
        if self.latitude is None or self.longitude is None or not all(_is_degrees(one) for one in point):
            return None
        return kilometres((self.latitude, self.longitude), (float(point[0]), float(point[1])))  # type: ignore[arg-type]

    def look(self, facts: Facts) -> Any:
        """The name of the place, with the one before when that counts; or the distance."""
        if self.comparison == "within":
            distance = self._distance(facts)
            return None if distance is None else {"distance_km": round(distance, 1)}
        name = place_of(facts.profile).get(self.level)
        if self.comparison == "changed":
            return {"now": name, "before": place_of(facts.before).get(self.level)}
        return name

    @property
    def needs_before(self) -> bool:
        """True for changed."""
        return self.comparison == "changed"

    def entry_names(self) -> frozenset[str] | None:
        """A change is brought along by any event; how things are enters nobody."""
        return ANY_EVENT if self.needs_before else None

    def problems(self) -> Iterable[tuple[str, Problem]]:
        """Each comparison has its own right side."""
        if self.comparison == "is" and not self.values:
            yield "/values", Problem("List at least one place, separated by commas.")
        if self.comparison != "is" and self.values:
            yield "/values", Problem("This comparison takes no names of places.", "Remove them.")
        for field, label in (("radius_km", "Radius"), ("latitude", "Latitude"), ("longitude", "Longitude")):
            is_given = getattr(self, field) is not None
            if self.comparison == "within" and not is_given:
                yield f"/{field}", Problem(f"{label}: enter a number.", "For example 25 km of 48.14, 11.58.")
            if self.comparison != "within" and is_given:
                yield f"/{field}", Problem("Only “within” takes a point and a radius.", "Remove it.")

    def describe(self) -> str:
        """*the city of the customer is “Berlin” or “Hamburg”*."""
        if self.comparison == "within":
            point = f"{self.latitude:g}, {self.longitude:g}"
            return f"the customer is within {wording.plain_number(self.radius_km or 0)} km of {point}"
        if self.comparison == "changed":
            return f"the {self.level} of the customer has just changed"
        return f"the {self.level} of the customer is {wording.literal(self.values)}"


def place_of(profile: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last place of a profile: country, region, city, latitude, longitude, as far as known."""
    patterns = profile.get("behavioral_patterns")
    stamp = patterns.get("location") if isinstance(patterns, Mapping) else None
    place = stamp[2] if isinstance(stamp, (list, tuple)) and len(stamp) == 3 else None
    return place if isinstance(place, Mapping) else {}


def kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Great-circle distance of two points in degrees (haversine)."""
    (lat1, lon1), (lat2, lon2) = ([radians(degrees) for degrees in point] for point in (one, other))
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half)))


def _plain(name: Any) -> str:
    return name.strip().casefold() if isinstance(name, str) else ""


def _is_degrees(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 180
