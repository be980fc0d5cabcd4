"""Lists leave as CSV: streamed, limited, for those who may, masked, and recorded."""

from __future__ import annotations

import csv
import io
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from automation import csv_export
from automation.export_columns import EXPORTED
from automation.models import AuditEntry
from profiles.models import AddressSuppression, Membership, Profile, Segment
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn


def url(label: str, page: str = "export") -> str:
    return reverse(f"admin:{label.lower().replace('.', '_')}_{page}")


def export(client: Client, label: str, **filters: str) -> list[list[str]]:
    response = client.post(f"{url(label)}?{'&'.join(f'{key}={value}' for key, value in filters.items())}")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert "no-store" in response["Cache-Control"]
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text, newline="")))


def people(count: int) -> None:
    Profile.objects.bulk_create(
        Profile(customer_id=f"c{number}", email=f"c{number}@example.com", first_name="Ann")
        for number in range(count)
    )


def grant(group: str, codename: str) -> None:
    from django.contrib.auth.models import Group

    Group.objects.get(name=group).permissions.add(Permission.objects.get(codename=codename))


def exports() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action__startswith="export.").order_by("id"))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(csv_export, "BATCH", 10)
    return 10


def test_a_list_leaves_with_its_filters_and_an_entry_that_counts(root: Client) -> None:
    """R-053, R-051: audited with filters and row count, before the first byte and after the last."""
    people(3)
    Profile.objects.filter(customer_id="c1").update(
        behavior_segment="at_risk", first_name="=cmd", lifetime_value="-5"
    )

    table = export(root, "profiles.Profile", behavior_segment="at_risk", before="1")

    assert table[0][:5] == ["id", "customer", "first name", "last name", "e-mail"]
    assert [row[1:5] for row in table[1:]] == [["c1", "'=cmd", "", "c1@example.com"]]
    assert float(table[1][10]) == -5  # A number, without an apostrophe.
    begun, ended = exports()
    assert (begun.action, begun.actor, begun.target) == ("export.begun", "root", "profiles.profile")
    assert begun.details == {"filters": {"behavior_segment": ["at_risk"]}, "masked": False}
    assert (ended.action, ended.details) == (
        "export.ended",
        {"begun": begun.pk, "rows": 1, "outcome": "complete"},
    )
    assert begun.request_id == ended.request_id != ""


def test_who_was_searched_for_is_kept_masked(root: Client) -> None:
    """R-051, R-052: an address that somebody searched for does not enter the log."""
    people(2)
    assert len(export(root, "profiles.Profile", q="c1@example.com")) == 2
    assert len(export(root, "profiles.Profile", email="c1@example.com")) == 2

    assert [entry.details["filters"] for entry in exports()[::2]] == [
        {"q": ["c…@example.com"]},
        {"email": ["c…@example.com"]},
    ]


@pytest.mark.parametrize("label", sorted(EXPORTED))
def test_every_exported_list_has_its_columns_and_its_button(root: Client, label: str) -> None:
    """R-053: customers, events, decisions, deliveries, members of segments, the suppression list."""
    alice = rows.customer()
    event = rows.event(alice)
    rows.delivery(rows.execution(event, rows.trigger()))
    Membership.objects.create(profile=alice, segment=Segment.objects.create(key="vip", name="VIP"))
    AddressSuppression.objects.create(address="alice@example.com")

    table = export(root, label)

    assert table[0] == [column.heading for column in EXPORTED[label]]
    assert len(table) == 2
    assert "alice" in str(table[1])
    assert f'action="{url(label)}' in root.get(url(label, "changelist")).content.decode()


def test_without_the_permission_nothing_leaves(sign_in: SignIn) -> None:
    """R-053, R-049: permission-gated, by a permission of its own beside that of the list."""
    people(1)
    analyst = sign_in("Analyst")
    grant("Operator", "export_rows")
    operator = sign_in("Operator")
    from django.contrib.auth.models import Group

    Group.objects.get(name="Analyst").permissions.remove(*Permission.objects.filter(codename="export_rows"))
    Group.objects.get(name="Operator").permissions.remove(*Permission.objects.filter(codename="view_profile"))

    assert analyst.post(url("profiles.Profile")).status_code == 403
    assert operator.post(url("profiles.Profile")).status_code == 403
    assert "beckon-export" not in analyst.get(url("profiles.Profile", "changelist")).content.decode()
    assert exports() == []


def test_a_link_takes_nothing_away(root: Client) -> None:
    """R-053: only a form that was sent on purpose, with its token, exports."""
    assert root.get(url("profiles.Profile")).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = root.cookies
    assert strict.post(url("profiles.Profile")).status_code == 403
    assert exports() == []


def test_without_view_pii_addresses_names_and_documents_are_masked(sign_in: SignIn) -> None:
    """R-053: masked columns without view_pii."""
    alice = rows.customer("alice@example.com", first_name="Alice", last_name="Byrne", phone="+491701234567")
    rows.event(alice, data={"note": "for alice@example.com"})
    AddressSuppression.objects.create(address="alice@example.com", detail="550 alice@example.com")
    grant("Analyst", "export_rows")
    for codename in ("view_event", "view_addresssuppression"):
        grant("Analyst", codename)
    analyst = sign_in("Analyst")

    customers = export(analyst, "profiles.Profile")
    everything = str(
        [customers, export(analyst, "automation.Event"), export(analyst, "profiles.AddressSuppression")]
    )

    assert customers[1][1:6] == ["a…@example.com", "A…", "B…", "a…@example.com@example.com", "…67"]
    assert not [word for word in ("alice", "Alice", "Byrne", "170123") if word in everything]
    assert exports()[0].details["masked"] is True


@pytest.mark.parametrize(
    ("count", "limit", "expected", "outcome"),
    [
        (25, 20, 20, "cut"),
        (20, 20, 20, "complete"),
        (25, 7, 7, "cut"),
        (0, 20, 0, "complete"),
        (30, 100, 30, "complete"),
    ],
)
def test_an_export_is_cut_at_the_limit_and_says_so(
    root: Client, settings: Any, small_batches: int, count: int, limit: int, expected: int, outcome: str
) -> None:
    """R-053: row limit; the last line says that it was cut."""
    settings.EXPORT_ROWS = limit
    people(count)

    table = export(root, "profiles.Profile")

    is_cut = outcome == "cut"
    assert len(table) == 1 + expected + is_cut
    assert (table[-1][0].startswith(f"Cut after {limit} rows.")) is is_cut
    names = [row[1] for row in table[1 : 1 + expected]]
    assert names == [f"c{number}" for number in range(count)][::-1][:expected]
    assert exports()[-1].details | {"begun": 0} == {"begun": 0, "rows": expected, "outcome": outcome}


def test_the_first_piece_comes_before_the_rest_is_read(root: Client, small_batches: int) -> None:
    """R-053: streamed: the heading needs no row, and each piece one query."""
    people(35)
    response = root.post(url("profiles.Profile"))
    pieces = iter(response.streaming_content)  # type: ignore[attr-defined]

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert next(pieces).startswith(b'"id","customer"')
        assert len(queries) == 0
        assert next(pieces).count(b"\r\n") == small_batches
        assert len(queries) == 1
    response._iterator.close()  # type: ignore[attr-defined]  # The reader goes away.

    assert exports()[-1].details["outcome"] == "broken off"
    assert exports()[-1].details["rows"] == small_batches


def test_memory_does_not_grow_with_the_rows(root: Client) -> None:
    """R-053: no list in memory: eight times the rows need no more of it."""

    def peak(limit: int) -> int:
        queryset = Profile.objects.all()
        tracemalloc.start()
        pieces = csv_export.lines(
            queryset,
            EXPORTED["profiles.Profile"],
            limit=limit,
            show=lambda shows, value: value,
            ended=lambda progress: None,
        )
        assert sum(piece.count("\r\n") for piece in pieces) >= limit
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    people(8_000)
    peak(1_000)  # What is loaded once.
    small, large = peak(1_000), peak(8_000)

    assert large < small * 1.5 + 200_000, (small, large)


def test_a_day_of_the_audit_log_can_be_found(root: Client) -> None:
    """R-051: the page filters by action, actor and day, searches by target, and says the state of the chain."""
    from automation import audit

    one = audit.record("erasure.done", actor="ann", target="profiles.profile 5", details={"receipt": "r1"})
    page = url("automation.AuditEntry", "changelist")
    today = datetime.now(UTC).date().isoformat()

    def found(**filters: str) -> bool:
        answer = root.get(page, filters)
        assert answer.status_code == 200
        return one.pk in [entry.pk for entry in answer.context["cl"].result_list]

    assert found(action="erasure.done", actor="ann", day=today)
    assert found(q="profiles.profile 5")
    assert found(day="not-a-day")
    assert not found(action="login")
    assert not found(day="2020-01-01")
    assert not found(q="profiles.profile 6")
    assert f"Newest entry: {audit.head()[0]}:{audit.head()[1]}" in root.get(page).content.decode()
    audit.watch()
    assert "Verified up to entry" in root.get(page).content.decode()


def test_personal_values_of_the_log_need_view_pii(sign_in: SignIn) -> None:
    """R-051: personal values only with view_pii; the log only with its own permission; nobody edits it."""
    from automation import audit

    entry = audit.record("profile.changed", actor="ann", personal={"name": "Zoe"}, profile_id=5)
    change = reverse("admin:automation_auditentry_change", args=[entry.pk])
    analyst = sign_in("Analyst")
    assert analyst.get(change).status_code == 403
    grant("Analyst", "view_auditentry")
    analyst = Client()
    from django.contrib.auth import get_user_model

    analyst.force_login(get_user_model().objects.get(username="Analyst"))
    hidden = analyst.get(change).content.decode()
    assert "Only for those who may see personal data." in hidden
    assert "Zoe" not in hidden
    assert analyst.get(url("automation.AuditPersonal", "changelist")).status_code == 403
    root = sign_in()
    assert "Zoe" in root.get(change).content.decode()
    assert root.post(change, {"actor": "bob"}).status_code == 403
    audit.forget([5])
    assert "Erased" in root.get(change).content.decode()
