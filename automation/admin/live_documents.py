"""Rows of the live page as plain documents: the page's template and its script draw the same ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from automation.admin import links
from automation.admin.live_chips import Chip
from automation.admin.live_rows import Row
from automation.models import CatalogueEntry, RejectedRequest
from automation.models.keys import PREFIX
from profiles.masking import hidden, veil, without_personal
from profiles.models import Profile

PAYLOAD_SHOWN = 20_000  # Characters; a whole event is on its own page.
_NULL = "null"


class Documents:
    """Documents of some events; what they need is loaded at once."""

    def __init__(self, events: Sequence[Row], *, is_masked: bool) -> None:
        self._is_masked = is_masked
        profiles = Profile.objects.filter(pk__in={event.profile_id for event in events}).only(
            "customer_id", "erased_at"
        )
        self._customers = {profile.pk: profile for profile in profiles}
        if is_masked:
            for profile in self._customers.values():
                veil(profile)
        self._catalogue = dict(
            CatalogueEntry.objects.filter(name__in={event.name for event in events}).values_list(
                "name", "properties"
            )
        )

    def event(self, event: Row, chips: Iterable[Chip]) -> dict[str, Any]:
        """One event with its chips, its payload and where to go from there."""
        customer = self._customers.get(event.profile_id)
        data, context = (
            (without_personal(event.data), without_personal(event.context))
            if self._is_masked
            else (event.data, event.context)
        )
        payload = json.dumps({"data": data, "context": context}, indent=2, ensure_ascii=False, default=str)
        return {
            "id": f"e{event.id}",
            "time": clock(event.received_at),
            "at": links.clock(event.received_at),
            "name": event.name.replace("_", " "),
            "customer": str(customer) if customer else "–",
            "source": self._said(event.source),
            "chips": [self._chip(chip) for chip in chips],
            "facts": self._facts(event),
            "warnings": list(_warnings(event.data, self._catalogue.get(event.name) or {})),
            "payload": payload[:PAYLOAD_SHOWN],
            "links": self._links(event, customer is not None),
        }

    def _chip(self, chip: Chip) -> dict[str, str]:
        return {
            "trigger": chip.trigger,
            "said": self._said((self._is_masked and chip.masked) or chip.said),
            "tone": chip.tone,
            "title": chip.title,
            "url": chip.url,
        }

    def _said(self, text: str) -> str:
        return hidden(text) if self._is_masked else text

    def _facts(self, event: Row) -> list[list[str]]:
        facts = [
            [_("Happened"), links.clock(event.occurred_at)],
            [_("Received"), links.clock(event.received_at)],
            [_("Event id"), str(event.id)],
        ]
        if event.original_name and event.original_name != event.name:
            facts.append([_("Sent as"), self._said(event.original_name)])
        notes = [
            text
            for text, is_so in (
                (_("too old to fire a trigger"), event.is_late),
                (_("imported: fires no trigger"), event.is_import),
                (_("the sender's clock is ahead"), event.is_skewed),
            )
            if is_so
        ]
        return [*facts, [_("Note"), ", ".join(notes)]] if notes else facts

    def _links(self, event: Row, is_known: bool) -> list[list[str]]:
        found = [
            [_("The event and its decisions"), links.page("automation.event", event.id)],
            [_("Replay in shadow"), reverse("admin:automation_event_replay", args=[event.id])],
            [
                _("Make a trigger from this"),
                f"{reverse('admin:automation_trigger_add')}?{urlencode({'event': event.name})}",
            ],
        ]
        if is_known:
            found.insert(1, [_("The customer"), links.page("profiles.profile", event.profile_id)])
        return found


def refusal(row: RejectedRequest) -> dict[str, Any]:
    """One kind of refusal: what was wrong, where, how often; its newest time."""
    where = f"{row.pointer}: " if row.pointer else ""
    times = _(" (%s times)") % f"{row.count:,}" if row.count > 1 else ""
    return {
        "id": f"r{row.pk}",
        "time": clock(row.last_at),
        "at": links.clock(row.last_at),
        "name": _("Rejected with %(status)s%(times)s") % {"status": row.status, "times": times},
        "customer": "",
        "source": f"{PREFIX}{row.public_id}_…" if row.public_id else "",
        "chips": [
            {"trigger": "", "said": f"{where}{row.message}", "tone": "failed", "title": row.kind, "url": ""}
        ],
        "facts": [
            [_("Address"), row.route],
            [_("Offending field"), row.pointer or "–"],
            [_("What to do"), row.hint or "–"],
            [_("Times"), f"{row.count:,}"],
            [_("First"), links.clock(row.first_at)],
        ],
        "warnings": [],
        "payload": "",
        "links": [[_("All rejected requests"), links.listing("automation.rejectedrequest")]],
    }


def clock(at: Any) -> str:
    """The time of day to the second."""
    return date_format(timezone.localtime(at), "H:i:s")


def _warnings(data: Any, known: Mapping[str, Any]) -> Iterable[str]:
    """Properties of this event that come in more than one type, and how often in this one's."""
    if not isinstance(data, dict):
        return
    for name in data:
        counts = known.get(name)
        if not isinstance(counts, Mapping):
            continue
        kinds = {kind: count for kind, count in counts.items() if kind != _NULL and isinstance(count, int)}
        if len(kinds) < 2:
            continue
        total = sum(kinds.values())
        rare, count = min(kinds.items(), key=lambda entry: entry[1])
        yield _("%(name)s arrived as %(kind)s in %(percent)s %% of events.") % {
            "name": hidden(name),
            "kind": rare,
            "percent": f"{100 * count / total:.1f}".removesuffix(".0"),
        }
