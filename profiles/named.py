"""Every control has a name for those who do not see the page (WCAG 4.1.2), also where Django gives it none."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db import models
from django.http import HttpRequest
from django.utils.text import capfirst


class Picker(AutocompleteSelect):
    """Django's picker, with the name of its label."""

    @property
    def media(self) -> forms.Media:
        return super().media + forms.Media(js=["beckon/pickers.js"])


class Named(BaseModelAdmin):  # type: ignore[type-arg]
    """Mixed into every page of a model: its pickers have names, its lists of choices are boxes to tick.

    Django's two-column selector puts `aria-label` where no such name may stand.
    """

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        if "widget" not in kwargs and db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = Picker(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(
        self, db_field: models.ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        kwargs.setdefault("widget", forms.CheckboxSelectMultiple(attrs={"class": "beckon-choices"}))
        return super().formfield_for_manytomany(db_field, request, **kwargs)


class NamedCells(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """A table of forms: its columns have titles, and its controls are named by them."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        for name, field in form.fields.items():
            field.widget.attrs.setdefault("aria-label", capfirst(field.label or name))
