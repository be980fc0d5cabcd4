"""One customer: who they are, what they agreed to, and what happened to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from profiles.admin.lists import KeysetAdmin, KnownValuesFilter, ReadOnly, recent
from profiles.admin.parts import Cell, Part, WithParts, pretty
from profiles.admin.preferences import FIELDS, PreferencesForm, in_words
from profiles.behavior import SEGMENTS, engagement_score
from profiles.clock import when
from profiles.masking import masked, may_see
from profiles.models import Consent, Identity, Membership, Profile
from profiles.named import Named, NamedCells


class BehaviourFilter(KnownValuesFilter):
    """By behaviour segment."""

    title = gettext_lazy("behaviour")
    parameter_name = field = "behavior_segment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.replace("_", " ").capitalize()) for name in SEGMENTS]


class IdentityInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Identity
    extra = 0
    fields = readonly_fields = ("kind", "value", "created_at")
    verbose_name_plural = gettext_lazy("Known as")


class ConsentInline(Named, admin.TabularInline):  # type: ignore[type-arg]
    model = Consent
    formset = NamedCells
    extra = 0
    can_delete = False  # A word is taken back by another word, not forgotten.
    fields = ("topic", "channel", "is_granted", "source", "recorded_at")
    readonly_fields = ("source", "recorded_at")
    verbose_name_plural = gettext_lazy("May we write to them?")


class MembershipInline(Named, admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    formset = NamedCells
    extra = 0
    fields = ("segment", "since", "source")
    readonly_fields = ("since", "source")
    autocomplete_fields = ("segment",)
    verbose_name_plural = gettext_lazy("Segments")


@admin.register(Profile)
class ProfileAdmin(WithParts, KeysetAdmin):
    """What events say about a customer is read-only; a person may set the zone and the preferences."""

    # Other apps append theirs: tables, pages, links to these pages at the top, and what the top of the page tells.
    more_parts: ClassVar[list[Callable[[HttpRequest, Profile], Part]]] = []
    more_urls: ClassVar[list[Callable[[ModelAdmin[Profile]], list[URLPattern]]]] = []
    more_tools: ClassVar[list[Callable[[HttpRequest, Profile], list[Cell]]]] = []
    more_context: ClassVar[list[Callable[[HttpRequest, Profile], dict[str, Any]]]] = []

    change_form_template: ClassVar[Any] = "admin/beckon/customer.html"

    form = PreferencesForm
    list_title, page_title = gettext_lazy("Customers"), gettext_lazy("Customer")
    list_display = (
        "customer",
        "name",
        "shown_email",
        "behaviour",
        "orders_count",
        "worth",
        "active",
    )
    list_filter = (BehaviourFilter, recent("last_activity"))
    search_fields = ("customer_id",)
    search_help_text = gettext_lazy("The exact customer id, anonymous id or e-mail address.")
    inlines = (ConsentInline, MembershipInline, IdentityInline)
    editable = ("time_zone", "preferences")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Profile], search_term: str
    ) -> tuple[QuerySet[Profile], bool]:
        """Exact values only: each has an index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(pk__in=profile_ids(term))
        if "@" in term:
            wanted |= Q(Exact(Lower("email"), term.lower()))
        return queryset.filter(wanted), False

    def get_fieldsets(self, request: HttpRequest, obj: Profile | None = None) -> Any:
        wishes = FIELDS if self.has_change_permission(request, obj) else ("asked_for",)
        # As the reducers keep them: numbers that only somebody who knows the code can read.
        patterns = ("shown_patterns",) if request.user.is_superuser else ()
        contact = ("email", "phone") if may_see(request.user) else ("shown_email", "shown_phone")
        return (
            (
                None,
                {
                    "fields": (
                        ("customer_id", "name"),
                        contact,
                        ("behaviour", "engagement"),
                        ("orders_count", "worth"),
                        ("first_seen", "last_activity"),
                    )
                },
            ),
            (_("What they asked for"), {"fields": (("time_zone", "time_zone_source", "locale"), *wishes)}),
            (
                _("Details"),
                {
                    "classes": ("collapse",),
                    "fields": (*patterns, "merged_into", "erased_at", "created_at"),
                },
            ),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Profile | None = None) -> list[str]:
        names = [field.name for field in Profile._meta.fields if field.name not in self.editable]
        return [
            *names,
            "name",
            "behaviour",
            "worth",
            "engagement",
            "shown_email",
            "shown_phone",
            "shown_patterns",
            "asked_for",
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # Customers come from events.

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # To forget a person is more than to delete a row.

    def save_model(self, request: HttpRequest, obj: Profile, form: Any, change: bool) -> None:
        """Write only what a person may change: the pipeline writes the same row."""
        fields = []
        if "time_zone" in form.changed_data:
            obj.time_zone_source = "explicit" if obj.time_zone else ""
            fields += ["time_zone", "time_zone_source"]
        if (wishes := form.preferences()) != obj.preferences:
            obj.preferences = wishes
            fields.append("preferences")
        if fields:
            obj.save(update_fields=fields)

    def get_urls(self) -> list[URLPattern]:
        return [page for make in self.more_urls for page in make(self)] + super().get_urls()

    def tools(self, request: HttpRequest, obj: Profile) -> list[Cell]:
        return [tool for make in self.more_tools for tool in make(request, obj)]

    def parts(self, request: HttpRequest, obj: Profile) -> list[Part]:
        return [make(request, obj) for make in self.more_parts]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        for make in self.more_context if obj is not None else ():
            context.update(make(request, obj))
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """What a person enters or changes here is a new word of the customer: of now, and from the admin."""
        for entry in formset.save(commit=False):
            if isinstance(entry, Consent):
                entry.source, entry.recorded_at = "admin", timezone.now()
            elif isinstance(entry, Membership) and not entry.source:
                entry.source = f"admin {request.user.get_username()}"[:100]
            entry.save()
        for gone in formset.deleted_objects:
            gone.delete()
        formset.save_m2m()

    @admin.display(description=gettext_lazy("customer"))
    def customer(self, profile: Profile) -> str:
        return str(profile)

    @admin.display(description=gettext_lazy("name"))
    def name(self, profile: Profile) -> str:
        return f"{profile.first_name} {profile.last_name}".strip() or "–"

    @admin.display(description=gettext_lazy("behaviour"))
    def behaviour(self, profile: Profile) -> str:
        return profile.behavior_segment.replace("_", " ")

    @admin.display(description=gettext_lazy("lifetime value"))
    def worth(self, profile: Profile) -> str:
        """To the cent; it is kept more exactly."""
        value = round(profile.lifetime_value, 2)
        return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"

    @admin.display(description=gettext_lazy("last active"))
    def active(self, profile: Profile) -> str | SafeString:
        return when(profile.last_activity)

    @admin.display(description=gettext_lazy("engagement"))
    def engagement(self, profile: Profile) -> str:
        score = f"{engagement_score(vars(profile), timezone.now()):.2f}"
        return _("%(score)s of 1") % {"score": score}

    @admin.display(description=gettext_lazy("wishes"))
    def asked_for(self, profile: Profile) -> str:
        return in_words(profile.preferences)

    @admin.display(description=gettext_lazy("e-mail"))
    def shown_email(self, profile: Profile) -> str:
        return masked(profile.email) or "–"

    @admin.display(description=gettext_lazy("telephone"))
    def shown_phone(self, profile: Profile) -> str:
        return masked(profile.phone) or "–"

    @admin.display(description=gettext_lazy("patterns"))
    def shown_patterns(self, profile: Profile) -> SafeString:
        return pretty(profile.behavioral_patterns)


@admin.register(Identity)
class IdentityAdmin(ReadOnly, KeysetAdmin):
    list_display = ("value", "kind", "profile", "created_at")
    list_filter = ("kind",)
    list_select_related = ("profile",)
    search_fields = ("value",)
    search_help_text = gettext_lazy("The exact customer id or anonymous id.")
    fields = readonly_fields = ("kind", "value", "profile", "created_at")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Identity], search_term: str
    ) -> tuple[QuerySet[Identity], bool]:
        term = search_term.strip()
        kinds = [kind.value for kind in Identity.Kind]  # The unique index begins with the kind.
        return (queryset.filter(kind__in=kinds, value=term) if term else queryset), False


def profile_ids(term: str) -> list[int]:
    """Profiles with exactly this customer id or anonymous id."""
    by_id = Profile.objects.filter(customer_id=term).values_list("pk", flat=True)
    kinds = [kind.value for kind in Identity.Kind]
    by_name = Identity.objects.filter(kind__in=kinds, value=term).values_list("profile_id", flat=True)
    return sorted({*by_id, *by_name})
