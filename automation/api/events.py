"""POST /api/v1/events/: take one event or a batch, and say what became of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from automation.api import article, pressure, rejections
from automation.api.base import ApiView, decision_url, json, key_of_request, live_url
from automation.api.body import body_of
from automation.api.documents import EVENTS_POST
from automation.api.faults import Fault, RejectedError
from automation.api.problems import RETRY_SECONDS, ProblemError, unavailable
from automation.models.keys import WriteKey
from automation.pipeline.ingest import Accepted, Incoming, ingest

_COUNTED = {
    "accepted": "accepted",
    "duplicate": "duplicates",
    "conflict": "conflicts",
    "rejected": "rejected",
    "busy": "busy",
}


class EventsView(ApiView):
    """Events, one or up to 500 at a time."""

    required_scope = WriteKey.Scope.EVENTS_WRITE.value

    @EVENTS_POST
    def post(self, request: Request) -> HttpResponse:
        """Answer only after PostgreSQL has committed (R-001)."""
        pressure.check()
        body = body_of(request)
        received_at = datetime.now(UTC)
        batch = article.batch_of(body)
        if batch is None:
            item = article.read(body, received_at)
            if pressure.busy([item]):
                raise unavailable(pressure.reason())
            return _single(item, ingest([item], source=key_of_request(request).source)[0])
        pieces, sent_at = batch
        document, faults = _many(pieces, received_at, sent_at, key_of_request(request).source)
        if faults:
            rejections.note(request, 400, "validation", faults)
        return json(document)


def _single(item: Incoming, accepted: Accepted) -> HttpResponse:
    if accepted.is_conflict:
        raise ProblemError("conflict", f"Event {accepted.event_id} has this message_id and another body.")
    return json(_document(item, accepted), status=202)


def _many(
    pieces: list[bytes], received_at: datetime, sent_at: datetime | None, source: str
) -> tuple[dict[str, Any], list[Fault]]:
    """The answer, and the faults of what was rejected."""
    results: list[dict[str, Any]] = [{}] * len(pieces)
    wrong: list[Fault] = []
    good: list[tuple[int, Incoming]] = []
    for index, piece in enumerate(pieces):
        try:
            good.append((index, article.read(piece, received_at, sent_at)))
        except RejectedError as error:
            faults = [fault.under(f"/events/{index}") for fault in error.faults]
            results[index] = {"status": "rejected", "errors": [fault.document() for fault in faults]}
            wrong += faults
    refused = set(pressure.busy([item for _, item in good]))
    if refused:
        if len(refused) == len(good):
            raise unavailable(pressure.reason())
        for at in refused:
            results[good[at][0]] = {"status": "busy", "retry_after": RETRY_SECONDS}
        good = [entry for at, entry in enumerate(good) if at not in refused]
    outcomes = ingest([item for _, item in good], source=source)
    for (index, item), accepted in zip(good, outcomes, strict=True):
        results[index] = _document(item, accepted)
    totals = dict.fromkeys(_COUNTED.values(), 0)
    for result in results:
        totals[_COUNTED[result["status"]]] += 1
    return {**totals, "results": results}, wrong


def _document(item: Incoming, accepted: Accepted) -> dict[str, Any]:
    status = "conflict" if accepted.is_conflict else "duplicate" if accepted.is_duplicate else "accepted"
    document: dict[str, Any] = {
        "status": status,
        "event_id": accepted.event_id,
        "message_id": accepted.message_id,
        "duplicate": accepted.is_duplicate,
        "decision_url": decision_url(accepted.event_id),
        "live_url": live_url(accepted.event_id),
    }
    if accepted.is_conflict:
        message = "This message_id was used for an event with another body."
        document["errors"] = [{"pointer": "/message_id", "message": message, "hint": "Use a new id."}]
    warnings = [
        code for code, is_so in (("late_event", item.is_late), ("clock_skew", item.is_skewed)) if is_so
    ]
    if warnings:
        document["warnings"] = warnings
    return document
