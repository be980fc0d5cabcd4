"""Write keys: made here, shown once, replaced without a gap, never shown again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from automation import snippets
from automation.admin import links
from automation.models import WriteKey
from automation.rotation import (
    KEEP_DAYS,
    LONGEST_KEEP_DAYS,
    NotReplaceableError,
    Replaced,
    replace,
    siblings,
    works,
)

ADMIN = WriteKey.Scope.ADMIN.value
# What a key of this scope may do for whoever holds it; only who may do all of it hands such a key out.
ADMIN_NEEDS = ("profiles.export_profile", "profiles.erase_profile", "profiles.view_pii")


class WriteKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    may_give_admin = False  # Set for each request.
    scopes = forms.MultipleChoiceField(
        choices=WriteKey.Scope.choices,
        initial=[WriteKey.Scope.EVENTS_WRITE],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("What whoever holds the key may do."),
    )

    class Meta:
        model = WriteKey
        fields = ("name", "source", "scopes", "is_active", "expires_at")

    def clean_scopes(self) -> list[str]:
        """A key that exports and forgets people is given by those who may do so themselves."""
        scopes: list[str] = self.cleaned_data["scopes"]
        if ADMIN in scopes and ADMIN not in (self.instance.scopes or []) and not self.may_give_admin:
            raise forms.ValidationError(
                _(
                    "A key with the scope admin exports and forgets people: only who may do that themselves gives it."
                )
            )
        return scopes

    def clean(self) -> dict[str, Any]:
        """Such a key is revived by them alone, too: switching it off is everybody's."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        is_admins = self.instance.pk is not None and ADMIN in (self.initial.get("scopes") or [])
        if is_admins and not self.may_give_admin:
            was, now = self.initial, cleaned
            if now.get("is_active") and not was.get("is_active"):
                self.add_error("is_active", _("Only who may give the scope admin switches this key on."))
            if "expires_at" in self.changed_data and _is_longer(was.get("expires_at"), now.get("expires_at")):
                self.add_error(
                    "expires_at", _("Only who may give the scope admin lets this key work for longer.")
                )
        return cleaned


def _is_longer(before: datetime | None, after: datetime | None) -> bool:
    return before is not None and (after is None or after > before)


class ReplaceForm(forms.Form):
    keep_days = forms.IntegerField(
        label=gettext_lazy("Days the old key still works"),
        min_value=0,
        max_value=LONGEST_KEEP_DAYS,
        initial=KEEP_DAYS,
        help_text=gettext_lazy(
            "Time to move the shop to the new key. 0: the old one ends at once, for a key that leaked."
        ),
    )


@admin.register(WriteKey)
class WriteKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To revoke a key, switch it off: every server refuses it within five seconds."""

    form = WriteKeyForm
    change_form_template = "admin/beckon/key_form.html"
    list_display = ("name", "shown_id", "source", "shown_scopes", "is_active", "expires_at", "last_used_at")
    list_filter = ("is_active",)
    search_fields = ("name", "public_id")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.replace_view)
        return [path("<int:key_id>/replace/", view, name="automation_writekey_replace"), *super().get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: WriteKey | None = None) -> tuple[str, ...]:
        return ("source", "shown_id", "created_at", "last_used_at", "shown_siblings") if obj else ()

    def get_fields(self, request: HttpRequest, obj: WriteKey | None = None) -> tuple[str, ...]:
        more = ("shown_id", "created_at", "last_used_at", "shown_siblings") if obj else ()
        return ("name", "source", "scopes", "is_active", "expires_at", *more)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[WriteKey]]:
        made = super().get_form(request, obj, change=change, **kwargs)
        made.may_give_admin = _may_give_admin(request)  # type: ignore[attr-defined]  # A class of this request's.
        return made

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Switched off, a key still explains where old events came from.

    def save_model(self, request: HttpRequest, obj: WriteKey, form: Any, change: bool) -> None:
        if not change:
            request.issued_token = obj.issue()  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        key = self.get_object(request, object_id)
        is_offered = key is not None and self._may_replace(request, key) and works(key, datetime.now(UTC))
        url = reverse("admin:automation_writekey_replace", args=[object_id]) if is_offered else ""
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "replace_url": url}
        )

    def response_add(
        self, request: HttpRequest, obj: WriteKey, post_url_continue: Any = None
    ) -> HttpResponse:
        return self._shown(request, obj, request.issued_token)  # type: ignore[attr-defined]

    def replace_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        """Ask how long the old key is to work; then make the new one and show it."""
        key = self.get_object(request, str(key_id))
        if key is not None and not self._may_replace(request, key):
            raise PermissionDenied
        if key is None:
            if not self.has_view_permission(request):
                raise PermissionDenied
            raise Http404("There is no such key.")
        now = datetime.now(UTC)
        form = ReplaceForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                replaced = replace(
                    key,
                    keep_days=form.cleaned_data["keep_days"],
                    now=now,
                    actor=request.user.get_username(),
                    actor_id=request.user.pk,
                    request=request,
                )
            except NotReplaceableError as error:
                self.message_user(request, str(error), messages.ERROR)
                return HttpResponseRedirect(reverse("admin:automation_writekey_change", args=[key_id]))
            return self._shown(request, replaced.key, replaced.token, replaced)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Replace %(key)s") % {"key": key},
            "key": key,
            "form": form,
            "siblings": siblings(key, now),
        }
        return TemplateResponse(request, "admin/beckon/key_replace.html", context)

    def _may_replace(self, request: HttpRequest, key: WriteKey) -> bool:
        """Whoever replaces a key sees the secret of the new one."""
        may_edit = self.has_add_permission(request) and self.has_change_permission(request)
        return may_edit and (ADMIN not in key.scopes or _may_give_admin(request))

    def _shown(
        self, request: HttpRequest, key: WriteKey, token: str, replaced: Replaced | None = None
    ) -> HttpResponse:
        """Show the key in the answer itself: a message would travel through a cookie."""
        may_send = {WriteKey.Scope.EVENTS_WRITE.value, ADMIN} & set(key.scopes)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Copy this key now"),
            "key": key,
            "token": token,
            "old_ends_at": replaced and replaced.old_ends_at,
            "snippets": snippets.snippets(settings.PUBLIC_URL, token) if may_send else (),
        }
        response = TemplateResponse(request, "admin/beckon/key_shown.html", context)
        add_never_cache_headers(response)
        return response

    @admin.display(description=gettext_lazy("begins with"))
    def shown_id(self, key: WriteKey) -> str:
        return f"bk_live_{key.public_id}_…"

    @admin.display(description=gettext_lazy("may"))
    def shown_scopes(self, key: WriteKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description=gettext_lazy("other keys that work for it"))
    def shown_siblings(self, key: WriteKey) -> SafeString | str:
        others = [
            (reverse("admin:automation_writekey_change", args=[other.pk]), self.shown_id(other), _end(other))
            for other in siblings(key, datetime.now(UTC))
        ]
        return format_html_join(", ", '<a href="{}">{}</a> ({})', others) or _("none")


def _may_give_admin(request: HttpRequest) -> bool:
    return request.user.has_perms(ADMIN_NEEDS)


def _end(key: WriteKey) -> str:
    return (
        _("until %(moment)s") % {"moment": links.clock(key.expires_at)}
        if key.expires_at
        else _("without an end")
    )
