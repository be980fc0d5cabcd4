"""What staff do in the admin leaves an entry: one hook for every page, put in where models are registered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.http import HttpRequest
from django.template.response import TemplateResponse

from automation.audit.entries import record, recorded
from profiles.masking import masked
from profiles.models import Profile

VALUE_SHOWN = 200  # Characters of one value.
ROWS_NAMED = 50  # Ids of rows that an entry about many of them names.
_SECRET = re.compile("password|secret|token|digest", re.IGNORECASE)
_VALUES = "audit_values"  # Attribute of a request: what the form at hand changes, until it is recorded.
_ACTION = "audit_action"  # Attribute of a request: the action of the list that is being carried out.


class Audited:
    """Mixed in before ModelAdmin: additions, changes, deletions and actions leave an entry each.

    The entry is written where Django writes its own history, which is the last step of a page's transaction.
    """

    opts: Any

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        message = super().construct_change_message(request, form, formsets, add)  # type: ignore[misc]
        # A page that says it in words of its own needs no values.
        setattr(request, _VALUES, {} if isinstance(message, str) else _values(form, formsets))
        return message

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        self._record(request, obj, "added", message)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        self._record(request, obj, getattr(request, _ACTION, "") or "changed", message)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Iterable[models.Model]) -> Any:
        for obj in queryset:
            self._record(request, obj, "deleted", "")
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def get_actions(self, request: HttpRequest) -> dict[str, tuple[Any, str, str]]:
        actions = super().get_actions(request)  # type: ignore[misc]
        return {name: (_audited(name, func), name, text) for name, (func, _, text) in actions.items()}

    def _record(self, request: HttpRequest, obj: models.Model, done: str, message: Any) -> None:
        said = message if isinstance(message, str) else _words(message)
        values: Mapping[str, str] = getattr(request, _VALUES, {})
        setattr(request, _VALUES, {})
        version = getattr(obj, "current_version", None)
        details: dict[str, Any] = {} if version is None else {"version": version.number}
        personal: dict[str, str] = {}
        profile_id = _profile_of(obj)
        if not _is_personal(obj):
            details |= {"name": str(obj)[:VALUE_SHOWN]}
            details |= {"changes": said} if said else {}
            details |= {"values": values} if values else {}
        else:
            details |= {"fields": sorted({label.rpartition(" ")[2] for label in values})} if values else {}
            if profile_id is not None:
                personal = {"name": str(obj), **({"changes": said} if said else {}), **values}
            elif address := getattr(obj, "address", ""):
                details["address"] = masked(address)
        _record_for(
            request,
            f"{self.opts.model_name}.{done}",
            target=_target(obj),
            details=details,
            personal=personal,
            profile_id=profile_id,
        )


def _audited(name: str, func: Callable[..., Any]) -> Callable[..., Any]:
    """The action `func`; when it leaves no entry of its own it gets one that names the rows."""

    @wraps(func)
    def act(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        before, response = recorded(request), None
        ids = [str(pk) for pk in queryset.values_list("pk", flat=True)[: ROWS_NAMED + 1]]
        setattr(request, _ACTION, name)
        try:
            response = func(model_admin, request, queryset)
            return response
        finally:
            setattr(request, _ACTION, "")
            # A page that asks once more has done nothing yet.
            if recorded(request) == before and not isinstance(response, TemplateResponse):
                details = {"rows": ids[:ROWS_NAMED], "more": len(ids) > ROWS_NAMED}
                opts = model_admin.opts
                _record_for(request, f"{opts.model_name}.{name}", target=opts.label_lower, details=details)

    return act


def _record_for(request: HttpRequest, action: str, **more: Any) -> None:
    user = request.user
    record(action, actor=user.get_username(), actor_id=user.pk, request=request, **more)


def _target(obj: models.Model) -> str:
    return f"{obj._meta.label_lower} {obj.pk}"


def _profile_of(obj: Any) -> int | None:
    """The customer whom a row is about, if it is about one we know."""
    if isinstance(obj, Profile):
        return obj.pk
    if (profile_id := getattr(obj, "profile_id", None)) is not None:
        return int(profile_id)
    if address := getattr(obj, "address", ""):
        same = Exact(Lower("email"), address.lower())
        return Profile.objects.filter(same).values_list("pk", flat=True).first()
    return None


def _is_personal(obj: Any) -> bool:
    """Whether what the row says is about a customer, so that it may have to be forgotten."""
    return isinstance(obj, Profile) or hasattr(obj, "profile_id") or hasattr(obj, "address")


def _words(message: Any) -> str:
    """Django's structured message as a sentence."""
    return (
        LogEntry(action_flag=CHANGE, change_message=json.dumps(message)).get_change_message()
        if message
        else ""
    )


def _values(form: Any, formsets: Any) -> dict[str, str]:
    """Before and after of each changed field of the page, never a secret."""
    values = _changed(form, "")
    for formset in formsets or []:
        for row in formset.forms:
            values |= _changed(row, f"{formset.model._meta.model_name} {row.instance.pk or 'new'} ")
    return values


def _changed(form: Any, prefix: str) -> dict[str, str]:
    cleaned = getattr(form, "cleaned_data", {})
    values = {}
    for name in form.changed_data:
        before, after = form.initial.get(name), cleaned.get(name)
        # An empty document counts as changed for Django, whatever it was.
        if before != after and not _SECRET.search(name):
            values[f"{prefix}{name}"] = f"{_shown(before)} → {_shown(after)}"
    return values


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, list | tuple | set | QuerySet) and all(
        isinstance(one, models.Model) for one in value
    ):
        return ", ".join(sorted(str(one) for one in value)) or "–"
    text = str(value)
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}… ({len(text)} characters)"
