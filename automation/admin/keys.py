"""Write keys: made here, shown once, never again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers

from automation.models import WriteKey


class WriteKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        choices=WriteKey.Scope.choices,
        initial=[WriteKey.Scope.EVENTS_WRITE],
        widget=forms.CheckboxSelectMultiple,
        help_text="What whoever holds the key may do.",
    )

    class Meta:
        model = WriteKey
        fields = ("name", "source", "scopes", "is_active", "expires_at")


@admin.register(WriteKey)
class WriteKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To replace a key, add one with the same source, move the shop over, then switch the old one off."""

    form = WriteKeyForm
    list_display = ("name", "shown_id", "source", "shown_scopes", "is_active", "expires_at", "last_used_at")
    list_filter = ("is_active",)
    search_fields = ("name", "public_id")

    def get_readonly_fields(self, request: HttpRequest, obj: WriteKey | None = None) -> tuple[str, ...]:
        return ("source", "shown_id", "created_at", "last_used_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: WriteKey | None = None) -> tuple[str, ...]:
        more = ("shown_id", "created_at", "last_used_at") if obj else ()
        return ("name", "source", "scopes", "is_active", "expires_at", *more)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Switched off, a key still explains where old events came from.

    def save_model(self, request: HttpRequest, obj: WriteKey, form: Any, change: bool) -> None:
        if not change:
            request.issued_token = obj.issue()  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: WriteKey, post_url_continue: Any = None
    ) -> HttpResponse:
        """Show the key in the answer itself: a message would travel through a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Copy this key now",
            "key": obj,
            "token": request.issued_token,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "admin/beckon/key_shown.html", context)
        add_never_cache_headers(response)
        return response

    @admin.display(description="begins with")
    def shown_id(self, key: WriteKey) -> str:
        return f"bk_live_{key.public_id}_…"

    @admin.display(description="may")
    def shown_scopes(self, key: WriteKey) -> str:
        return ", ".join(key.scopes)
