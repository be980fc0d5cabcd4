"""Requests that were refused are kept as a small sample with counts, and nothing of a person or a secret with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from automation.api import rejections
from automation.models import RejectedRequest
from automation.pipeline import retention
from automation.privacy.erase import erase
from automation.privacy.person import Who
from tests.integration.api.shops import EVENTS, Shop

pytestmark = pytest.mark.django_db


def kept() -> list[tuple[int, str, str, int]]:
    """What is stored after a write: status, pointer, address and count, by pointer."""
    rejections.flush()
    return list(
        RejectedRequest.objects.order_by("pointer", "status").values_list(
            "status", "pointer", "route", "count"
        )
    )


def test_a_refused_event_is_kept_with_its_place_and_its_key(shop: Shop) -> None:
    """Reason and offending field; the key by its public part only."""
    shop.post({"customer_id": "alice", "event_type": 5})
    assert kept() == [(400, "/event_type", EVENTS, 1)]
    row = RejectedRequest.objects.get()
    assert row.message == "This must be text."
    assert shop.token.startswith(f"bk_live_{row.public_id}_")
    assert shop.token not in str(row.__dict__)


def test_bad_items_of_batches_are_kept_and_good_requests_are_not(shop: Shop) -> None:
    """Of both wire shapes; places in a batch differ by their number and are one row."""
    bad, good = {"customer_id": "alice"}, {"customer_id": "alice", "event_type": "page_view"}
    assert shop.post(good).status_code == 202
    assert kept() == []
    shop.post({"events": [bad, good, bad]})
    shop.post({"batch": [{"type": "nothing"}, {"type": "track", "userId": "a", "event": "x"}]}, "/v1/batch")
    assert kept() == [(400, "/batch/0/type", "/v1/batch/", 1), (400, "/events/2/event_type", EVENTS, 2)]


def test_a_wrong_key_is_kept_without_anything_of_the_key(client: Client) -> None:
    """R-036: what somebody guesses may be nearly a secret."""
    wrong = "bk_live_12345678_" + "x" * 43
    Shop(wrong, "shop", client).post({"customer_id": "alice", "event_type": "page_view"})
    assert kept() == [(401, "", EVENTS, 1)]
    row = RejectedRequest.objects.get()
    assert row.public_id == ""
    assert "12345678" not in str(row.__dict__)


def test_nothing_that_was_sent_is_kept(shop: Shop) -> None:
    """R-051: no value, and no name of a field that does not look like one."""
    shop.post(
        {
            "customer_id": "alice.w@example.com",
            "event_type": "page_view",
            "event_data": {"alice.w@example.com": "\0", "first name Alice": "\0", "note": "\0secret"},
        }
    )
    assert [pointer for _, pointer, _, _ in kept()] == ["/event_data/note", "/event_data/…"]
    assert not [
        row for row in RejectedRequest.objects.values() if "alice" in str(row) or "secret" in str(row)
    ]


def test_a_flood_is_a_number_that_grows(shop: Shop) -> None:
    """A thousand refusals cost their requests no query, and one statement writes them."""
    request = _request(shop)
    with CaptureQueriesContext(connection) as queries:
        for number in range(1000):
            fault = rejections.Fault(f"/events/{number % 500}/event_type", "It is not said what happened.")
            rejections.note(request, 400, "validation", [fault])
    assert len(queries) == 0
    with CaptureQueriesContext(connection) as queries:
        assert [(count, pointer[-11:]) for _, pointer, _, count in kept()] == [(1000, "/event_type")]
    assert len(queries) == 3  # Insert, trim, and the look of this test.


def test_different_refusals_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory by DIFFERENT, in the table by KEPT, and by a day."""
    request = _request(shop)
    for number in range(200):
        rejections.note(request, 400, "validation", [rejections.Fault(f"/f{number}", "No.")])
    assert len(kept()) == rejections.DIFFERENT + 1
    assert RejectedRequest.objects.get(message__startswith="And others").count == 150
    monkeypatch.setattr(rejections, "KEPT", 10)
    rejections.note(request, 400, "validation", [rejections.Fault("/newest", "No.")])
    assert len(kept()) == 10
    assert RejectedRequest.objects.filter(pointer="/newest").exists()
    RejectedRequest.objects.update(last_at="2020-01-01T00:00Z")
    retention.tidy()
    assert kept() == []


def test_an_outage_and_a_rate_limit_are_not_kept(shop: Shop) -> None:
    """They are nobody's mistake in a field; metrics count them."""
    for kind, status in (("too-many-requests", 429), ("unavailable", 503), ("internal", 500)):
        rejections.note(_request(shop), status, kind, [])
    assert kept() == []


def test_erasure_takes_what_is_named_after_a_person(shop: Shop) -> None:
    """R-052: a field that was itself called like the customer."""
    shop.post({"customer_id": "alice_wonder", "event_type": "page_view"})
    shop.post(
        {"customer_id": "bob", "event_type": "page_view", "event_data": {"alice_wonder": "\0", "x": "\0"}}
    )
    assert len(kept()) == 2
    erase(Who(customer_id="alice_wonder"), by="test", now=datetime.now(UTC))
    assert [pointer for _, pointer, _, _ in kept()] == ["/event_data/x"]


def _request(shop: Shop) -> Any:
    """A request as the API's views have it."""
    found: list[Any] = []
    before: Callable[..., None] = rejections.note
    rejections.note = lambda request, *args, **more: found.append(request)  # type: ignore[assignment]
    try:
        shop.post({})
    finally:
        rejections.note = before
    return found[0]


def test_one_key_does_not_crowd_the_others_out(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public write key that sends nonsense has a share of the rows, also while the table is full."""
    monkeypatch.setattr(rejections, "KEPT", 12)
    monkeypatch.setattr(rejections, "KEPT_OF_KEY", 10)
    RejectedRequest.objects.create(
        digest="quiet", route=EVENTS, status=400, public_id="quiet", kind="validation"
    )
    request = _request(shop)
    request._auth = SimpleNamespace(public_id="loud")
    for number in range(40):
        rejections.note(request, 400, "validation", [rejections.Fault(f"/f{number}", "No.")])
    rejections.flush()
    of = RejectedRequest.objects.values_list("public_id", flat=True)
    assert (list(of).count("quiet"), list(of).count("loud")) == (1, 10)


def test_the_writer_lives_on_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is not the database's is logged, and the next write is made."""

    class Over(BaseException):
        """Ends the loop of the test."""

    flushed = Mock(side_effect=[ValueError("strange"), Over])
    monkeypatch.setattr(rejections, "flush", flushed)
    monkeypatch.setattr(rejections, "_wake", Mock())
    monkeypatch.setattr(rejections, "connection", Mock())
    monkeypatch.setattr(rejections, "PAUSE", 0)
    with pytest.raises(Over):
        rejections._write_for_ever()
    assert flushed.call_count == 2
