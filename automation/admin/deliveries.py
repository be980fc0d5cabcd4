"""The outbox: every message and action, and what became of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from automation import reasons
from automation.admin import answers, links
from automation.admin.trace import tone
from automation.models import Delivery
from automation.pipeline import deliver, settle
from profiles.admin.customers import profile_ids
from profiles.admin.lists import KeysetAdmin, ReadOnly, recent
from profiles.clock import when
from profiles.masking import masked, may_see

SAID_SHOWN = 90  # Characters in the list.
_SAFE = gettext_lazy(
    "Trying again is safe: it is sent with the same ids, by which the receiver can tell a repeat."
)
_WORDS_ON_RESEND = {
    Delivery.Status.FAILED: _SAFE,
    Delivery.Status.UNCERTAIN: gettext_lazy(
        "Not sent again: the call was interrupted, so it may have gone out, and a second copy could not be told from"
        " the first. Ask its receiver, then say here whether it arrived."
    ),
    Delivery.Status.PENDING: gettext_lazy("It waits for its moment; nothing need be done."),
    Delivery.Status.SENDING: gettext_lazy("It is being sent at this moment."),
    Delivery.Status.CANCELLED: gettext_lazy(
        "Not sent, for the reason above. A new event lets the trigger decide anew."
    ),
}
_WENT_OUT = gettext_lazy("It went out; sending it again would be a second message.")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, KeysetAdmin):
    list_display = (
        "created",
        "shown_status",
        "by",
        "customer",
        "reached",
        "said",
    )
    list_display_links = ("created", "shown_status")
    list_filter = ("status", recent("created_at"), "lane", "trigger")
    list_select_related = ("trigger", "profile")
    search_fields = ("id",)
    search_help_text = gettext_lazy("The exact customer id, or the id of a delivery or a decision.")

    actions = ("it_arrived", "it_did_not", "try_again")

    def get_fields(self, request: HttpRequest, obj: Delivery | None = None) -> Any:
        return (
            ("shown_status", "reason"),
            ("action_type", "action_index", "channel"),
            ("trigger", "version"),
            ("customer", "address" if may_see(request.user) else "masked_address"),
            ("execution", "event"),
            ("message_class", "topic", "lane"),
            ("created_at", "due_at"),
            ("sending_at", "finished_at"),
            ("attempt", "tries"),
            ("worker", "lease_until"),
            ("error_class", "error"),
            "provider_id",
            "idempotency_key",
            "resend",
            "shown_result" if request.user.has_perm("automation.view_response") else "shown_outcome",
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Delivery | None = None) -> tuple[str, ...]:
        fixed = ("shown_status", "customer", "masked_address", "execution", "event")
        return (*fixed, "resend", "shown_result", "shown_outcome")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(profile_id__in=profile_ids(term)) | Q(idempotency_key=term)
        if term.isdecimal() and len(term) <= 18:
            wanted |= Q(execution_id=int(term))
        with contextlib.suppress(ValueError):  # Not a delivery's id.
            wanted |= Q(pk=UUID(term))
        return queryset.filter(wanted), False

    def has_settle_permission(self, request: HttpRequest) -> bool:
        """Whether this user may say what became of an uncertain delivery."""
        return bool(request.user.has_perm("automation.change_delivery"))

    @admin.action(description=gettext_lazy("Uncertain: it arrived"), permissions=["settle"])
    def it_arrived(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        self._settle(request, queryset, settle.arrived, "It arrived.")

    @admin.action(
        description=gettext_lazy("Uncertain: it did not arrive (nothing is sent again)"),
        permissions=["settle"],
    )
    def it_did_not(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        self._settle(request, queryset, settle.did_not_arrive, "It did not arrive.")

    @admin.action(description=gettext_lazy("Failed: try again (with the same ids)"), permissions=["settle"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        rows = list(queryset)
        again = self._each(request, rows, deliver.try_again, "Tried again.")
        if len(again) < len(rows):
            left = len(rows) - len(again)
            said = ngettext(
                "%(n)s is left as it is: only what failed can be tried again.",
                "%(n)s are left as they are: only what failed can be tried again.",
                left,
            )
            self.message_user(request, said % {"n": left}, messages.WARNING)
        if again:
            said = ngettext(
                "%(n)s will be tried again now. The receiver can tell a repeat by its unchanged id.",
                "%(n)s will be tried again now. The receiver can tell repeats by their unchanged ids.",
                len(again),
            )
            self.message_user(request, said % {"n": len(again)}, messages.SUCCESS)

    def _settle(
        self, request: HttpRequest, queryset: QuerySet[Delivery], how: Callable[[UUID], bool], words: str
    ) -> None:
        rows = list(queryset)
        settled = self._each(request, rows, how, words)
        if len(settled) < len(rows):
            left = len(rows) - len(settled)
            said = ngettext(
                "%(n)s is left as it is: it is not uncertain.",
                "%(n)s are left as they are: they are not uncertain.",
                left,
            )
            self.message_user(request, said % {"n": left}, messages.WARNING)
        if settled:
            said = ngettext("%(n)s settled.", "%(n)s settled.", len(settled)) % {"n": len(settled)}
            self.message_user(request, said, messages.SUCCESS)

    def _each(
        self, request: HttpRequest, rows: list[Delivery], how: Callable[[UUID], bool], words: str
    ) -> list[Delivery]:
        """The rows for which `how` did something; each together with its entry in the audit log."""
        done = []
        for row in rows:
            with transaction.atomic():
                if how(row.pk):
                    self.log_change(request, row, words)
                    done.append(row)
        return done

    @admin.display(description=gettext_lazy("made"))
    def created(self, row: Delivery) -> str | SafeString:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("status"))
    def shown_status(self, row: Delivery) -> SafeString:
        return format_html(
            '<span class="sign-{}" title="{}">{}</span>',
            tone(row.status),
            row.status,
            row.get_status_display(),
        )

    @admin.display(description=gettext_lazy("address"))
    def masked_address(self, row: Delivery) -> str:
        return masked(row.address)

    @admin.display(description=gettext_lazy("customer"))
    def customer(self, row: Delivery) -> SafeString:
        return links.anchor("profiles.profile", row.profile_id, row.profile)

    @admin.display(description=gettext_lazy("decision"))
    def execution(self, row: Delivery) -> SafeString:
        return links.anchor(
            "automation.execution", row.execution_id, _("decision %(id)s") % {"id": row.execution_id}
        )

    @admin.display(description=gettext_lazy("event"))
    def event(self, row: Delivery) -> SafeString:
        return links.anchor("automation.event", row.event_id, _("event %(id)s") % {"id": row.event_id})

    @admin.display(description=gettext_lazy("trigger"))
    def by(self, row: Delivery) -> str:
        return row.trigger.name

    @admin.display(description=gettext_lazy("to"))
    def reached(self, row: Delivery) -> str | SafeString:
        """Channel and address; the rows of those who may not see addresses come masked."""
        if row.channel == "internal":
            return _("inside Beckon")
        channel = {"email": "e-mail"}.get(row.channel, row.channel.replace("_", " "))
        return (
            format_html('<span class="quiet">{}</span> {}', channel, row.address) if row.address else channel
        )

    @admin.display(description=gettext_lazy("what was said"))
    def said(self, row: Delivery) -> SafeString:
        text = row.error[:SAID_SHOWN] or reasons.label(row.reason) or "–"
        return format_html('<span title="{}">{}</span>', row.reason, text)

    @admin.display(description=gettext_lazy("result"))
    def shown_result(self, row: Delivery) -> SafeString:
        return answers.excerpt(row)

    @admin.display(description=gettext_lazy("result"))
    def shown_outcome(self, row: Delivery) -> SafeString:
        return answers.numbers(row)

    @admin.display(description=gettext_lazy("send it again?"))
    def resend(self, row: Delivery) -> str:
        return str(_WORDS_ON_RESEND.get(Delivery.Status(row.status), _WENT_OUT))
