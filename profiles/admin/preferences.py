"""What a customer's preferences may say, checked where a person enters them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from profiles.models import Profile


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]
    """The customer's form. Keys that no rule reads are left alone."""

    class Meta:
        model = Profile
        fields = "__all__"

    def clean_preferences(self) -> Any:
        value = self.cleaned_data["preferences"]
        if problems := problems_of({} if value is None else value):
            raise ValidationError(problems)
        return value


def problems_of(value: Any) -> list[str]:
    """What is wrong with preferences, in words; empty when every rule can read them."""
    if not isinstance(value, Mapping):
        return ['Preferences are an object, such as {"at_most_weekly": true}.']
    problems = []
    for key in ("channels_off", "topics_off"):
        names = value.get(key)
        if names is not None and not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
            problems.append(f'{key} is a list of names, such as ["email"].')
    if not isinstance(value.get("at_most_weekly", False), bool):
        problems.append("at_most_weekly is true or false.")
    if not _is_moment(value.get("pause_until")):
        problems.append(
            "pause_until is a date and time, such as 2026-05-05T12:00:00+02:00; without a zone it is UTC."
        )
    return problems


def _is_moment(value: Any) -> bool:
    if value is None or value == "":
        return True
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value.strip())
    except ValueError:
        return False
    return True
