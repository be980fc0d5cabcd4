"""What a customer asked for, in fields that a person can fill in; stored as the mapping that the rules read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.models import Profile

CHANNELS: Final = (
    ("email", gettext_lazy("E-mail")),
    ("sms", gettext_lazy("SMS")),
    ("push", gettext_lazy("Push")),
    ("in_app", gettext_lazy("In the product")),
)
FIELDS: Final = ("at_most_weekly", "pause_until", "channels_off", "topics_off")


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]
    """The customer's form. Keys that no rule reads are left alone; what no rule could read is put right by saving."""

    at_most_weekly = forms.BooleanField(required=False, label=gettext_lazy("At most one message a week"))
    pause_until = forms.DateTimeField(
        required=False,
        label=gettext_lazy("No marketing until"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    channels_off = forms.MultipleChoiceField(
        required=False,
        choices=CHANNELS,
        label=gettext_lazy("Nothing by"),
        widget=forms.CheckboxSelectMultiple,
    )
    topics_off = forms.CharField(
        required=False,
        max_length=1000,
        label=gettext_lazy("Nothing about"),
        help_text=gettext_lazy("Topics, separated by commas, such as news, offers."),
    )

    class Meta:
        model = Profile
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = readable(self.instance.preferences)
        self.initial.update(stored, topics_off=", ".join(stored["topics_off"]))

    def preferences(self) -> dict[str, Any]:
        """What is to be stored, once the form is valid."""
        stored, said = self.instance.preferences, self.cleaned_data
        known = {channel for channel, _name in CHANNELS}
        topics = [topic.strip() for topic in said["topics_off"].split(",")]
        until = said["pause_until"]
        wishes = {
            "at_most_weekly": bool(said["at_most_weekly"]),
            "pause_until": until.isoformat() if until else None,
            # A channel that this page does not list stays as it is.
            "channels_off": [one for one in readable(stored)["channels_off"] if one not in known]
            + said["channels_off"],
            "topics_off": list(dict.fromkeys(topic for topic in topics if topic)),
        }
        others = {
            key: value
            for key, value in (stored.items() if isinstance(stored, Mapping) else ())
            if key not in FIELDS
        }
        return others | {key: value for key, value in wishes.items() if value}


def readable(stored: Any) -> dict[str, Any]:
    """The wishes in stored preferences as far as the rules can read them: every key of FIELDS."""
    found = stored if isinstance(stored, Mapping) else {}
    return {
        "at_most_weekly": bool(found.get("at_most_weekly")),
        "pause_until": moment(found.get("pause_until")),
        "channels_off": _names(found.get("channels_off")),
        "topics_off": _names(found.get("topics_off")),
    }


def in_words(stored: Any) -> str:
    """The wishes for those who only look; a dash for none."""
    wishes, names = readable(stored), dict(CHANNELS)
    said = []
    if wishes["at_most_weekly"]:
        said.append(_("At most one message a week."))
    if wishes["pause_until"]:
        day = date_format(timezone.localtime(wishes["pause_until"]), "j F Y H:i")
        said.append(_("No marketing until %(day)s.") % {"day": day})
    if wishes["channels_off"]:
        listed = ", ".join(str(names.get(one, one)) for one in wishes["channels_off"])
        said.append(_("Nothing by: %(channels)s.") % {"channels": listed})
    if wishes["topics_off"]:
        said.append(_("Nothing about: %(topics)s.") % {"topics": ", ".join(wishes["topics_off"])})
    return " ".join(said) or "–"


def moment(value: Any) -> datetime | None:
    """A stored moment, in UTC when it names no zone; None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return found if timezone.is_aware(found) else found.replace(tzinfo=UTC)


def _names(value: Any) -> list[str]:
    names = [value] if isinstance(value, str) and value else value
    return [one for one in names if isinstance(one, str)] if isinstance(names, list) else []
