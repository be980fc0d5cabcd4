"""Who may see addresses, and what the others see (ux.md section 4.5).

Masking happens to the rows themselves, right after a page has loaded them, so that a new column or a new field
is masked without anybody thinking of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.http import HttpRequest

from profiles.models import Profile

# Also inside addresses of pages: `?email=alice%40example.com`. Both parts are bounded: no long search.
_EMAIL = re.compile(
    r"[^\s\"'<>@,;:()\[\]{}=&?/%]{1,64}(?:@|%40)[^\s\"'<>@,;:()\[\]{}=&?/%]{1,190}\.[A-Za-z]{2,24}"
)
# International, or national with a leading zero or bracket, or the grouping 555-123-4567. Not dates, not numbers.
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+|00?|\(0?)[1-9 (](?:[\d ()./-]{5,20})\d(?![\w-])|(?<![\w.+-])\d{3}[-. ]\d{3}[-. ]\d{4}(?![\w-])"
)
_ADDRESSES = re.compile(r"e_?mails?|phones?|telephone|mobile|msisdn|recipient", re.IGNORECASE)
_PERSONAL = re.compile(
    r"(?:first|last|full|given|family|middle|user|billing|shipping)_?names?|surname|(?:.*_)?street.*|address_?\d?|"
    r"(?:billing|shipping|postal)_?address|birth_?(?:day|date)?|date_of_birth|iban|passport.*|ssn",
    re.IGNORECASE,
)
_NAMES = frozenset({"first_name", "last_name"})  # Columns of rows.
_HIDDEN = "…"
_VEILED = "_veiled"


def may_see(user: Any) -> bool:
    """Whether this member of staff holds `profiles.view_pii`."""
    return bool(user.has_perm("profiles.view_pii"))


def masked(text: str) -> str:
    """`alice@example.com` → `a…@example.com`, `+49 170 1234567` → `…67`; empty stays empty."""
    name, at, domain = text.partition("@")
    if at:
        return f"{name[:1]}…@{domain}"
    return f"…{text[-2:]}" if text else ""


def hidden(text: str) -> str:
    """`text` with whatever looks like an e-mail address or a telephone number in it masked."""
    if "@" in text or "%40" in text:
        text = _EMAIL.sub(lambda found: masked(found[0].replace("%40", "@")), text)
    return _PHONE.sub(lambda found: masked(found[0]), text)


def is_personal(key: str) -> bool:
    """Whether a property or attribute of this name holds an address, a name or a place of living."""
    return bool(_PERSONAL.fullmatch(key) or _ADDRESSES.fullmatch(key))


def without_personal(value: Any) -> Any:
    """JSON with addresses, telephone numbers and, by their keys, names and places of living masked."""
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, Mapping):
        return {hidden(str(key)): _of_key(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_personal(item) for item in value]
    return value


def _of_key(key: str, value: Any) -> Any:
    if isinstance(value, (Mapping, list, tuple)) or value is None or isinstance(value, bool):
        return without_personal(value) if not _PERSONAL.fullmatch(key) else _hidden_inside(value)
    if _PERSONAL.fullmatch(key):
        return _HIDDEN
    return masked(str(value)) if _ADDRESSES.fullmatch(key) else without_personal(value)


def _hidden_inside(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else _HIDDEN


def veil(row: models.Model, *, keep: Collection[str] = ()) -> None:
    """Mask the loaded values of a row that is shown and not saved, and of the rows loaded with it.

    `keep` are the only fields that may be saved; they stay as they are.
    """
    if row.__dict__.get(_VEILED):
        return
    row.__dict__[_VEILED] = True
    for field in row._meta.concrete_fields:
        value = row.__dict__.get(field.attname)
        if field.primary_key or not value or field.attname in keep:
            continue
        if field.attname in _NAMES and isinstance(row, Profile):
            row.__dict__[field.attname] = f"{str(value)[:1]}…"
        elif field.attname in ("email", "phone", "address"):
            row.__dict__[field.attname] = masked(str(value))
        elif isinstance(field, (models.CharField, models.TextField, models.JSONField)):
            row.__dict__[field.attname] = without_personal(value)
    for other in row._state.fields_cache.values():
        if isinstance(other, models.Model):
            veil(other)


class Discreet:
    """Mixed in before ModelAdmin: who may not see addresses sees none on any page of the model."""

    opts: Any

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)  # type: ignore[misc]
        if self._veils(request):
            found.result_list = rows = list(found.result_list)
            for row in rows:
                veil(row)
        return found

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Whoever may save the row gets what they may save as it is: all of it, or the fields in `editable`."""
        row = super().get_object(request, object_id, from_field)  # type: ignore[misc]
        if row is not None and self._veils(request):
            if not self.has_change_permission(request, row):  # type: ignore[attr-defined]
                _load_profile(row)
                veil(row)
            elif (editable := getattr(self, "editable", None)) is not None:
                veil(row, keep=editable)
        return row

    def get_inline_formsets(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Rows of other models on the page of this one."""
        found = super().get_inline_formsets(request, *args, **kwargs)  # type: ignore[misc]
        if self._veils(request):
            for inline in found:
                if not inline.has_change_permission:
                    for form in inline.formset.forms:
                        veil(form.instance)
        return found

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Filters in an address answer questions: `?email__startswith=a` would spell every address out."""
        if self._veils(request):
            field, _, rest = lookup.partition("__")
            filters = {one for one in self.get_list_filter(request) if isinstance(one, str)}  # type: ignore[attr-defined]
            is_link = field in ("profile", "trigger") and rest == "id__exact"
            if not is_link and not (field in filters and rest in ("", "exact", "isnull", "id__exact")):
                return False
        return bool(super().lookup_allowed(lookup, value, request))  # type: ignore[misc]

    def _veils(self, request: HttpRequest) -> bool:
        # Definitions are not about customers: nobody's data stands in a template.
        return getattr(self, "is_about_customers", True) and not may_see(request.user)


def _load_profile(row: models.Model) -> None:
    for field in row._meta.concrete_fields:
        if field.is_relation and field.related_model is Profile:
            try:
                getattr(row, field.name)
            except ObjectDoesNotExist:
                continue  # Its customer was forgotten; nothing is left to mask.
