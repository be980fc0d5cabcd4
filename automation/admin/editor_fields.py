"""Form fields for the small documents of a trigger: spans of time, timing, limits and goals without any JSON.

Each is one field whose value is the stored document; what cannot be read stays in it, so that the validator of
the document says what is wrong in its own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

UNITS = (("minutes", _("minutes")), ("hours", _("hours")), ("days", _("days")))
_MINUTES = {"minutes": 1, "hours": 60, "days": 1440}
TIMINGS = (
    ("immediate", _("At once")),
    ("delay", _("Some time after the event")),
    ("local_time", _("At a time of day where the customer is")),
    ("optimal_personal", _("When this customer usually reads")),
    ("within_24h", _("Any time within 24 hours, as the load allows")),
)


def number(text: Any) -> Any:
    """The number that a text writes, None for nothing, else the text itself."""
    if not isinstance(text, str):
        return text
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() else value


def split(minutes: Any) -> tuple[Any, str]:
    """Minutes as (number, unit) in the largest unit that divides."""
    if isinstance(minutes, int | float) and minutes > 0:
        for unit in ("days", "hours"):
            if minutes % _MINUTES[unit] == 0:
                return int(minutes // _MINUTES[unit]), unit
    return number(str(minutes)) if isinstance(minutes, int | float) else minutes, "minutes"


def joined(amount: Any, unit: str | None) -> Any:
    """The minutes of (number, unit); what is no number stays as it is."""
    value = number(amount)
    return value * _MINUTES.get(unit or "minutes", 1) if isinstance(value, int | float) else value


def _input(label: Any, **attrs: Any) -> forms.TextInput:
    return forms.TextInput(attrs={"aria-label": label, "class": "beckon-short", **attrs})


def _units(label: Any) -> forms.Select:
    return forms.Select(choices=UNITS, attrs={"aria-label": label})


class Whole(forms.MultiWidget):
    """Several inputs for one document; the first has the field's own name."""

    template_name = "admin/beckon/whole_widget.html"
    widgets_names: list[str]  # Django writes them down without their type.
    words: ClassVar[Mapping[str, Any]] = {}  # Name of a part -> the words in front of it.

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        for part, widget in zip(self.widgets_names, context["widget"]["subwidgets"], strict=True):
            widget["before"] = self.words.get(part.lstrip("_"), "")
            widget["part"] = part.lstrip("_")
        return context

    def parts(self, data: Any, files: Any, name: str) -> dict[str, Any]:
        """What was typed, by the name of the part."""
        values = super().value_from_datadict(data, files, name)
        return dict(zip((part.lstrip("_") for part in self.widgets_names), values, strict=True))


class SpanWidget(Whole):
    """A span of time; its value is in minutes."""

    def __init__(self, label: Any) -> None:
        super().__init__({"": _input(label, inputmode="decimal"), "unit": _units(_("Unit"))})

    def decompress(self, value: Any) -> list[Any]:
        return [None, "minutes"] if value in (None, "") else list(split(value))

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        typed = self.parts(data, files, name)
        return joined(typed[""], typed["unit"])


class TimingWidget(Whole):
    """When it acts: the kind, and the parts that the kind needs."""

    words: ClassVar[Mapping[str, Any]] = {
        "after": _("wait"),
        "time": _("at"),
        "within": _("within (hours)"),
    }

    def __init__(self) -> None:
        super().__init__(
            {
                "": forms.Select(choices=TIMINGS, attrs={"aria-label": _("When it acts")}),
                "after": _input(_("Wait"), inputmode="decimal"),
                "unit": _units(_("Unit of the wait")),
                "time": forms.TimeInput(attrs={"type": "time", "aria-label": _("Time of day")}),
                "within": _input(_("Within hours"), inputmode="decimal"),
            }
        )

    def decompress(self, value: Any) -> list[Any]:
        known = value if isinstance(value, dict) else {}
        wait, unit = split(known.get("minutes"))
        return [known.get("kind", "immediate"), wait, unit, known.get("time"), known.get("within_hours")]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        typed = self.parts(data, files, name)
        kind = typed[""] or "immediate"
        found: dict[str, Any] = {"kind": kind}
        if kind == "delay":
            found["minutes"] = joined(typed["after"], typed["unit"])
        elif kind == "local_time":
            found["time"] = (typed["time"] or "")[:5]
        elif kind == "optimal_personal" and typed["within"]:
            found["within_hours"] = number(typed["within"])
        return found


class PeriodWidget(Whole):
    """At most so many times in a span of time."""

    words: ClassVar[Mapping[str, Any]] = {"": _("at most"), "span": _("times in")}

    def __init__(self) -> None:
        super().__init__(
            {
                "": _input(_("Times"), inputmode="numeric"),
                "span": _input(_("Length of the period"), inputmode="decimal"),
                "unit": _units(_("Unit of the period")),
            }
        )

    def decompress(self, value: Any) -> list[Any]:
        known = value if isinstance(value, dict) else {}
        hours = known.get("hours")
        span, unit = split(hours * 60 if isinstance(hours, int | float) else hours)
        return [known.get("count"), span, unit if known else "days"]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        typed = self.parts(data, files, name)
        if not typed[""] and not typed["span"]:
            return None
        return {"count": number(typed[""]), "hours": _hours(typed["span"], typed["unit"])}


class GoalWidget(Whole):
    """What counts as success; rows that narrow it are kept as they are stored."""

    words: ClassVar[Mapping[str, Any]] = {
        "span": _("within"),
        "value": _("worth, from the field"),
        "currency": _("currency, from the field"),
    }

    def __init__(self) -> None:
        super().__init__(
            {
                "": _input(_("Goal event"), list="known-events"),
                "span": _input(_("Window of the goal"), inputmode="decimal"),
                "unit": _units(_("Unit of the window")),
                "value": _input(_("Field with the value")),
                "currency": _input(_("Field with the currency")),
            }
        )

    def decompress(self, value: Any) -> list[Any]:
        known = value if isinstance(value, dict) else {}
        hours = known.get("window_hours", 168)
        span, unit = split(hours * 60 if isinstance(hours, int | float) else hours)
        return [known.get("event_name"), span, unit, known.get("value_path"), known.get("currency_path")]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        typed = self.parts(data, files, name)
        if not typed[""]:
            return None
        found = {"event_name": typed[""].strip()}
        if typed["span"]:
            found["window_hours"] = _hours(typed["span"], typed["unit"])
        for part in ("value", "currency"):
            if typed[part]:
                found[f"{part}_path"] = typed[part].strip()
        return found


def _hours(amount: Any, unit: str | None) -> Any:
    minutes = joined(amount, unit)
    return number(str(minutes / 60)) if isinstance(minutes, int | float) else minutes


class PartsField(forms.Field):
    """A field whose widget makes the document."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or None) != (data or None))


class SpanField(forms.FloatField):
    """Minutes, written in minutes, hours or days."""

    def __init__(self, label: Any, **kwargs: Any) -> None:
        super().__init__(label=label, required=False, widget=SpanWidget(label), min_value=0, **kwargs)
