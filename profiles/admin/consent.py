"""What customers agreed to, and addresses that are not served."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy

from profiles.admin.customers import profile_ids
from profiles.admin.lists import KeysetAdmin, KnownValuesFilter
from profiles.masking import hidden, masked, may_see
from profiles.models import AddressSuppression, Consent

CHANNELS = ("email", "sms", "push", "in_app")


class ChannelFilter(KnownValuesFilter):
    """By channel."""

    title = gettext_lazy("channel")
    parameter_name = field = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.replace("_", " ")) for name in CHANNELS]


@admin.register(Consent)
class ConsentAdmin(KeysetAdmin):
    list_display = ("profile", "topic", "channel", "is_granted", "source", "recorded_at")
    list_filter = ("is_granted", ChannelFilter)
    list_select_related = ("profile",)
    autocomplete_fields = ("profile",)
    search_fields = ("profile__customer_id",)
    search_help_text = gettext_lazy("The exact customer id.")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(profile_id__in=profile_ids(term)) if term else queryset), False

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "source": "admin",
            "recorded_at": timezone.now(),
            **super().get_changeform_initial_data(request),
        }


@admin.register(AddressSuppression)
class AddressSuppressionAdmin(KeysetAdmin):
    list_title = gettext_lazy("Suppression list")
    list_display = ("masked_address", "channel", "why", "detail", "created_at")
    list_filter = ("why", ChannelFilter)
    search_fields = ("address",)
    search_help_text = gettext_lazy("The exact address.")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        first = "address" if may_see(request.user) else "masked_address"
        return (first, *self.list_display[1:])

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        address = "masked_address" if obj and not may_see(request.user) else "address"
        detail = "hidden_detail" if obj and not may_see(request.user) else "detail"
        return ["channel", address, "why", detail, *(["created_at"] if obj else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fixed = ("channel", "address", "masked_address", "hidden_detail", "created_at")
        return fixed if obj else ("created_at",)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip().lower()
        return (queryset.filter(channel__in=CHANNELS, address=term) if term else queryset), False

    @admin.display(description=gettext_lazy("detail"))
    def hidden_detail(self, row: AddressSuppression) -> str:
        return hidden(row.detail)

    @admin.display(description=gettext_lazy("address"))
    def masked_address(self, row: AddressSuppression) -> str:
        return masked(row.address)
