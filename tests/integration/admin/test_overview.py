"""“How are we doing?”: tiles, findings, funnel, system strip and the first steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from analytics.admin.overview import tile
from analytics.models import Onboarding
from analytics.overview import numbers as figures
from analytics.overview.findings import findings
from analytics.overview.numbers import Series, numbers, stages
from analytics.overview.system import system
from automation.engine.types import Mode
from automation.models import CatalogueEntry, QuarantinedEvent, QueuedEvent, Tally, Trigger
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn

pytestmark = pytest.mark.django_db

HOME, STEP = reverse("admin:index"), reverse("admin:overview_step")
NOW = datetime(2026, 5, 20, 15, tzinfo=UTC)


def counted(kind: str, label: str, count: int, *, days: int = 0, trigger_id: int | None = None) -> None:
    """A tally of some days ago."""
    hour = (NOW - timedelta(days=days)).replace(minute=0)
    Tally.objects.create(hour=hour, kind=kind, lane=3, trigger_id=trigger_id, label=label, count=count)


def decide() -> None:
    """Something was decided just now."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    Tally.objects.create(hour=hour, kind="events", lane=3, label="", count=5)


# --- Numbers


def test_each_span_is_compared_with_the_one_before() -> None:
    counted("executions", "fired", 5)
    counted("executions", "fired", 2, days=6)
    counted("executions", "fired", 40, days=7)
    counted("executions", "fired", 8, days=13)
    counted("executions", "fired", 100, days=14)
    counted("executions", "suppressed:frequency_cap", 9, days=1)
    counted("executions", "suppressed:holdout", 4, days=1)
    counted("executions", "suppressed:cooldown", 50, days=8)
    counted("executions", "waiting:delay", 7)
    counted("deliveries", "failed", 3)
    counted("deliveries", "sent", 30)

    found = numbers(7, NOW)

    assert found.fired == Series((2, 0, 0, 0, 0, 0, 5), 48)
    assert (found.held.total, found.held.before) == (13, 50)
    assert found.reasons == {"frequency_cap": 9, "holdout": 4}
    assert found.failed.total == 3


def test_who_left_is_counted_from_what_they_said() -> None:
    profile = rows.customer()
    at = {"occurred_at": NOW - timedelta(days=1), "received_at": NOW}
    rows.event(profile, "unsubscribed", **at)
    rows.event(profile, "email_complained", **at)
    rows.event(profile, "consent_changed", data={"is_granted": False}, **at)
    rows.event(profile, "consent_changed", data={"is_granted": True}, **at)
    rows.event(profile, "unsubscribed", is_import=True, **at)

    found = numbers(7, NOW)

    assert (found.left.total, found.complaints) == (3, 1)


def test_the_funnel_counts_decisions_and_later_stages_include_earlier_ones() -> None:
    by, profile = rows.trigger(), rows.customer()
    for number, status in enumerate(["sent", "opened", "clicked", "bounced", "failed"]):
        decided = rows.execution(rows.event(profile), by)
        sent = rows.delivery(decided, status=status, idempotency_key=f"{number}")
        type(sent).objects.filter(pk=sent.pk).update(created_at=NOW)
    counted("executions", "fired", 6)
    counted("executions", "suppressed:holdout", 4)

    found = numbers(7, NOW)

    assert stages(found) == [
        ("matched", 10),
        ("fired", 6),
        ("sent", 4),
        ("delivered", 2),
        ("opened", 2),
        ("clicked", 1),
    ]
    assert (found.mails.customers, found.mails.is_cut) == (1, False)


def test_no_more_mails_are_looked_at_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "PER_STATUS", 2)
    by, profile = rows.trigger(), rows.customer()
    for number in range(3):
        rows.delivery(rows.execution(rows.event(profile), by), idempotency_key=f"{number}")

    found = figures.mails(datetime.now(UTC) - timedelta(days=1))

    assert (found.sent, found.is_cut) == (2, True)


@pytest.mark.parametrize(
    ("now", "before", "good", "change", "tone"),
    [
        (36, 30, "up", "▲ 20 %", "good"),
        (36, 30, "down", "▲ 20 %", "bad"),
        (20, 40, "down", "▼ 50 %", "good"),
        (20, 40, "", "▼ 50 %", "same"),
        (30, 30, "up", "= 0 %", "same"),
        (10, 0, "up", "", "same"),
        (58, 29, "up", "", "same"),
    ],
)
def test_a_change_is_coloured_by_good_or_bad_not_by_its_direction(
    now: int, before: int, good: str, change: str, tone: str
) -> None:
    found = tile("Fired", Series((now,), before), good, "")

    assert (found.change, found.tone) == (change, tone)


def test_a_change_is_told_only_against_days_that_were_counted_from_the_first_on() -> None:
    counted("executions", "fired", 40, days=12)
    assert not numbers(7, NOW).is_comparable
    counted("executions", "fired", 1, days=13)
    assert numbers(7, NOW).is_comparable
    assert tile("Fired", Series((80,), 40), "up", "", is_comparable=False).change == ""


def test_customers_count_once_however_many_mails_they_got(root: Client) -> None:
    by = rows.trigger()
    for number, who in enumerate([rows.customer("a"), rows.customer("b")]):
        for again in range(2):
            rows.delivery(rows.execution(rows.event(who), by), idempotency_key=f"{number}{again}")
    rows.counted(by, "fired", 4)

    first = root.get(HOME).context["tiles"][0]

    assert (first.title, first.number, first.days[-1]) == ("Customers reached", "2", 2)


def test_conditions_that_could_not_be_checked_are_counted() -> None:
    counted("broken", "/conditions/0", 3, days=1)
    counted("broken", "/conditions/0", 5, days=8)
    assert numbers(7, NOW).broken == 3


# --- Worth your attention


def texts() -> list[str]:
    return [one.text for one in findings(numbers(14, NOW), system(NOW), NOW)]


def test_nothing_stands_out_when_all_is_well() -> None:
    rows.trigger()
    CatalogueEntry.objects.create(name="cart_abandonment", first_seen=NOW, last_seen=NOW, volume=9)

    assert texts() == []


def test_what_is_stuck_comes_before_what_is_wrong_with_a_trigger() -> None:
    profile = rows.customer()
    happened = rows.event(profile)
    QuarantinedEvent.objects.create(
        event_id=happened.pk,
        profile_id=profile.pk,
        occurred_at=NOW,
        lane=3,
        error_class="E",
        code_version="1",
    )
    QueuedEvent.objects.create(
        event_id=happened.pk,
        profile_id=profile.pk,
        lane=2,
        shard=0,
        occurred_at=NOW,
        accepted_at=datetime.now(UTC) - timedelta(minutes=3),
    )
    by = rows.trigger()
    rows.delivery(rows.execution(happened, by), status="uncertain")
    broken = rows.trigger("two")
    Trigger.objects.filter(pk=broken.pk).update(
        mode=Mode.PAUSED, pause_reason="30 events could not be checked"
    )

    assert texts() == [
        "Events of the lane “high” wait too long",
        "Events are in quarantine",
        "Some messages may or may not have gone out",
        "“Cart recovery cart”: No event “cart_abandonment” for 7 days.",
        "“Cart recovery two”: Paused: 30 events could not be checked",
    ]


def test_a_finding_needs_its_n(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 99 e-mails no share is told; of 100 it is."""
    profile = rows.customer()
    rows.event(profile, "unsubscribed", occurred_at=NOW, received_at=NOW)
    base = numbers(14, NOW)

    def said(sent: int) -> list[str]:
        found = base._replace(mails=base.mails._replace(by_status={"sent": sent}))
        return [one.evidence for one in findings(found, system(NOW), NOW)]

    assert said(99) == []
    assert said(100) == ["1.00 % of 100 e-mails made somebody leave or complain; the alarm is at 0.30 %"]
    assert said(400) == []


def test_a_live_trigger_with_a_problem_can_be_paused_from_here(root: Client, sign_in: SignIn) -> None:
    by = rows.trigger()
    decide()

    text = root.get(HOME).content.decode()

    assert "Pause it" in text
    assert f'name="_selected_action" value="{by.pk}"' in text
    assert "Pause it" not in sign_in("Analyst").get(HOME).content.decode()
    root.post(reverse("admin:automation_trigger_changelist"), {"action": "pause", "_selected_action": by.pk})
    by.refresh_from_db()
    assert by.mode == Mode.PAUSED


def test_every_finding_leads_to_a_page_that_opens(root: Client) -> None:
    test_what_is_stuck_comes_before_what_is_wrong_with_a_trigger()

    for one in findings(numbers(14, NOW), system(NOW), NOW):
        assert root.get(one.url).status_code == 200, one.url


# --- The page


def test_the_start_page_is_the_overview_for_those_who_may_see_triggers(sign_in: SignIn) -> None:
    assert sign_in("Marketer").get(HOME).context["title"] == "How are we doing?"
    nobody = get_user_model().objects.create(username="nobody", is_staff=True)
    client = Client()
    client.force_login(nobody)
    assert client.get(HOME).context["title"] == "What would you like to do?"
    assert client.get(reverse("admin:overview")).status_code == 403


def test_without_data_there_are_first_steps_and_no_axes(root: Client) -> None:
    text = root.get(HOME).content.decode()

    assert "Your first steps" in text
    assert "/api/v1/events/" in text
    assert "chart-spark" not in text
    assert "chart-table" not in text


@pytest.mark.parametrize(("asked", "span"), [("7", 7), ("90", 90), ("5", 14), ("x", 14), ("", 14)])
def test_the_span_is_one_of_three(root: Client, asked: str, span: int) -> None:
    decide()

    answer = root.get(HOME, {"days": asked})

    assert answer.context["span"] == span
    assert len(answer.context["tiles"][0].days) == span


def test_the_page_asks_as_often_for_much_as_for_little(
    root: Client, django_assert_max_num_queries: Any
) -> None:
    """Tallies and bounded looks, never a query per row."""
    decide()
    root.get(HOME)
    cache.clear()
    with django_assert_max_num_queries(30) as asked:
        root.get(HOME)
    of_little = len(asked)
    for number in range(6):
        by = rows.trigger(f"t{number}")
        rows.delivery(rows.execution(rows.event(rows.customer(f"c{number}")), by))
        rows.counted(by, "fired", 3)

    cache.clear()
    with django_assert_max_num_queries(of_little):
        assert root.get(HOME, {"days": "90"}).status_code == 200


def test_the_numbers_are_summed_up_once_a_minute(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each span; as long as there is nothing, every time."""
    asked: list[int] = []
    summed = figures.numbers
    monkeypatch.setattr(figures, "numbers", lambda span, now: asked.append(span) or summed(span, now))
    for _ in range(2):
        root.get(HOME)
    decide()
    for days in ("7", "7", "90", "7", "90"):
        assert not root.get(HOME, {"days": days}).context["is_empty"]
    assert asked == [14, 14, 7, 90]


def test_an_address_of_a_customer_is_on_no_tile_and_names_are_inert(sign_in: SignIn) -> None:
    by = rows.trigger(name="<img src=x onerror=alert(1)>")
    rows.delivery(rows.execution(rows.event(rows.customer()), by))
    rows.counted(by, "fired", 3)

    text = sign_in("Analyst").get(HOME).content.decode()

    assert "&lt;img src=x" in text
    assert "<img src=x" not in text
    assert "alice@" not in text


# --- First steps


def done(client: Client) -> list[bool]:
    return [step.is_done for step in client.get(HOME).context["steps"]]


def test_the_first_steps_tick_themselves(root: Client, settings: Any) -> None:
    settings.EMAIL_URL = ""
    assert done(root) == [False] * 6
    rows.event(rows.customer())
    assert done(root) == [True, False, False, False, False, False]
    by = rows.trigger(mode=Mode.SHADOW)
    assert done(root) == [True, False, True, False, False, False]
    assert root.post(STEP, {"step": "live"})["Location"] == reverse("admin:automation_live")
    assert root.post(STEP, {"step": "decision"})["Location"] == reverse(
        "admin:automation_execution_changelist"
    )
    settings.EMAIL_URL = "smtp://mail.example.com"
    assert done(root) == [True, True, True, True, True, False]
    Trigger.objects.filter(pk=by.pk).update(mode=Mode.LIVE)
    assert done(root) == []


def test_the_list_is_put_away_by_each_user_for_themselves(root: Client, sign_in: SignIn) -> None:
    assert root.post(STEP, {"step": "dismiss"})["Location"] == reverse("admin:overview")

    assert done(root) == []
    assert len(done(sign_in("Marketer"))) == 6


def test_a_step_that_is_none_is_not_taken(root: Client) -> None:
    assert root.post(STEP, {"step": "pk"}).status_code == 302
    assert root.get(STEP).status_code == 405
    assert not Onboarding.objects.exists()
