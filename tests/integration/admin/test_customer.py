"""A customer's page: may we write now, what happened, what is known, and why they did not get something."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from automation import backtest, contact
from automation.admin import timeline as timelines
from automation.engine.suppression import Ask, Outcome, judge
from automation.models import AuditEntry, SendReservation, Trigger
from automation.pipeline import customer as customers
from automation.pipeline.plan import policy
from profiles import services
from profiles.models import AddressSuppression, Consent, Membership, Profile, Segment
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def night(settings: Any) -> None:
    settings.QUIET_HOURS = (time(21), time(8))


def willing(customer_id: str = "alice", **fields: Any) -> Profile:
    """A customer who agreed to marketing by e-mail."""
    profile = rows.customer(customer_id, **{"time_zone": "Europe/Berlin", **fields})
    Consent.objects.create(profile=profile, is_granted=True, source="form", recorded_at=NOON)
    return profile


def sent(profile: Profile, at: datetime) -> None:
    SendReservation.objects.create(
        profile_id=profile.pk,
        channel="email",
        message_class="marketing",
        trigger_id=1,
        execution_id=1,
        reserved_at=at,
    )


def answer(profile: Profile, now: datetime = NOON) -> contact.Contact:
    return contact.contacts(profile.pk, now=now)[0]


def url(profile: Profile, page: str = "change") -> str:
    return reverse(f"admin:profiles_profile_{page}", args=[profile.pk])


# --- May we email them now?


def test_yes_when_nothing_stands_against_it() -> None:
    found = answer(willing())

    assert (found.answer, found.is_allowed, found.free_at) == ("Yes", True, NOON)
    assert [guard.code for guard in found.guards if not guard.is_ok] == []
    assert "Gave consent on 5 May 2026" in [guard.text for guard in found.guards]


def test_not_before_the_cap_is_free_in_the_customers_own_time() -> None:
    today, night = willing("a", time_zone="America/New_York"), willing("b", time_zone="America/New_York")
    sent(today, NOON - timedelta(hours=16))  # Free again at 20:00 UTC, 16:00 there.
    sent(night, NOON - timedelta(hours=8))  # Free again at midnight there, when it is quiet.

    assert (answer(today).answer, answer(today).zone) == ("Not before 16:00 today", "America/New_York")
    assert answer(night).answer == "Not before 08:00 tomorrow"
    against = {guard.code: guard.until for guard in answer(night).guards if not guard.is_ok}
    assert against == {"frequency_cap": "00:00 tomorrow"}


def test_not_before_the_end_of_their_night() -> None:
    found = answer(willing(time_zone="Asia/Tokyo"), NOON + timedelta(hours=2))  # 23:00 there.

    assert found.answer == "Not before 08:00 tomorrow"
    assert [(guard.code, guard.until) for guard in found.guards if not guard.is_ok] == [
        ("quiet_hours", "08:00 tomorrow")
    ]


def test_never_by_time_alone() -> None:
    refused, unasked = willing("refused"), rows.customer("unasked")
    Consent.objects.filter(profile=refused).update(is_granted=False)
    dead = willing("dead")
    AddressSuppression.objects.create(channel="email", address="dead@example.com", why="bounce")

    assert answer(refused).answer == "No: unsubscribed"
    assert answer(unasked).answer == "No: no consent"
    assert answer(dead).answer == "No: address suppressed"
    assert answer(willing("wish", preferences={"channels_off": ["email"]})).answer == "No: preference"
    assert answer(refused).free_at is None


def test_who_was_forgotten_gets_one_line() -> None:
    found = answer(willing(erased_at=NOON))

    assert found.answer == "No: forgotten"
    assert [guard.code for guard in found.guards] == ["profile_erased"]


def test_the_judge_agrees_with_the_moment_that_is_told() -> None:
    """At the moment told the judge allows it; a minute before it does not."""
    zones = ("Asia/Tokyo", "America/Los_Angeles", "Europe/Berlin", "Pacific/Auckland")
    for index, hours in enumerate((1, 5, 9, 13, 17, 21, 23)):
        profile = willing(f"c{index}", time_zone=zones[index % len(zones)])
        sent(profile, NOON - timedelta(hours=hours))
        free_at = answer(profile).free_at
        assert free_at is not None
        known = customers.load([profile.pk], {}, dedupe_keys=[], with_segments=False)[profile.pk]
        state = known.state(services.load([profile.pk])[profile.pk].state, {}, NOON)
        ask = Ask(trigger_id=0, key="", channels=("email",), holdout_percent=0.0)
        outcomes = [
            judge(ask, state, policy(), now=at, profile_seed=profile.pk).outcome
            for at in (free_at, free_at - timedelta(minutes=1))
        ]
        assert outcomes[0] is Outcome.ALLOW
        assert outcomes[1] is not Outcome.ALLOW


def test_other_topics_are_answered_too() -> None:
    profile = willing()
    Consent.objects.create(
        profile=profile, topic="news", channel="sms", is_granted=False, source="form", recorded_at=NOON
    )

    found = contact.contacts(profile.pk, now=NOON)

    assert [(one.topic, one.channel, one.answer) for one in found] == [
        ("marketing", "email", "Yes"),
        ("news", "sms", "No: unsubscribed"),
    ]


# --- The timeline


def titles(client: Client, profile: Profile, query: str = "") -> tuple[list[str], str]:
    found = client.get(url(profile) + query).context["timeline"]
    return [entry.title for _day, entries in found.days for entry in entries], found.older


def happened(profile: Profile, count: int = 4) -> None:
    by = Trigger.objects.filter(key="cart").select_related("current_version").first() or rows.trigger()
    for number in range(count):
        decided = rows.execution(rows.event(profile, ago=number + 1), by, status="triggered", reason="")
        rows.delivery(decided, idempotency_key=f"{profile.pk} {number}", status="opened")


def test_the_timeline_tells_four_kinds_and_filters_them(root: Client) -> None:
    profile = willing()
    Membership.objects.create(profile=profile, segment=Segment.objects.create(key="vip", name="VIP"))
    happened(profile, 1)

    assert set(titles(root, profile)[0]) == {
        "Cart abandonment",
        "“Cart recovery cart” fired",
        "Email: opened",
        "Joined the segment “VIP”",
        "Agreed to marketing by email",
        "Became known as customer id",
    }
    for show, expected in (("events", 1), ("decisions", 1), ("messages", 1), ("changes", 3)):
        assert len(titles(root, profile, f"?show={show}")[0]) == expected


def test_a_decision_opens_its_trace_and_a_message_its_stages(root: Client) -> None:
    profile = willing()
    decided = rows.execution(rows.event(profile), rows.trigger())
    rows.delivery(decided, status="clicked")

    text = root.get(url(profile)).content.decode()

    assert "<details><summary><strong>“Cart recovery cart” held back</strong>" in text
    assert "(it saw cart abandonment)" in text
    assert "They have had enough messages for now." in text
    assert text.count('<li class="is-reached">') == 4


@pytest.mark.parametrize("show", ["", "events", "decisions", "messages"])
def test_pages_of_the_timeline_lose_and_repeat_nothing(
    monkeypatch: pytest.MonkeyPatch, root: Client, show: str
) -> None:
    """Also where many things have the same moment."""
    monkeypatch.setattr(timelines, "SHOWN", 3)
    profile = willing()
    by, at = rows.trigger(), datetime.now(UTC) - timedelta(hours=1)
    for number in range(5):
        event = rows.event(profile, occurred_at=at, received_at=at, message_id=f"m{number}")
        decided = rows.execution(event, by, decided_at=at, dedupe_key=f"{number}")
        rows.delivery(decided, idempotency_key=f"{number}", created_at=at)

    seen: list[tuple[str, str]] = []
    before = None
    while True:
        found = timelines.timeline(profile, only=show, before=before, may_see=True)
        seen += [(entry.kind, entry.key) for _day, entries in found.days for entry in entries]
        if not found.older:
            break
        before = timelines.place(found.older)
        assert before is not None

    assert len(seen) == len(set(seen)) == (17 if not show else 5)


@pytest.mark.parametrize(
    "before",
    ["nonsense", "2026-05-05,events,1", "2026-05-05T00:00:00Z,events,x", "2026-99-99T00:00:00Z,events,1"],
)
def test_a_place_that_is_none_shows_the_newest(root: Client, before: str) -> None:
    assert root.get(url(willing()), {"before": before}).context["is_first_page"]


def test_the_page_asks_as_often_for_many_things_as_for_few(
    root: Client, django_assert_max_num_queries: Any
) -> None:
    """No query per row."""
    few, many = willing("few"), willing("many")
    happened(many, 25)

    root.get(url(few))
    with django_assert_max_num_queries(45) as asked:
        root.get(url(many))
    of_many = len(asked)
    happened(few, 1)
    with django_assert_max_num_queries(45) as asked:
        root.get(url(few))
    assert of_many <= len(asked)


# --- Who sees what


def test_opening_a_page_with_addresses_is_recorded(sign_in: SignIn) -> None:
    profile = willing()

    sign_in("Analyst").get(url(profile))
    assert not AuditEntry.objects.filter(action="profile.opened").exists()
    sign_in("Marketer").get(url(profile))

    entry = AuditEntry.objects.get(action="profile.opened")
    assert (entry.actor, entry.target) == ("Marketer", f"profiles.profile {profile.pk}")
    assert "alice" not in str(entry.details)


def test_what_was_said_is_told_with_its_time_and_masked(root: Client, sign_in: SignIn) -> None:
    stamps = {
        "tier": ["2026-05-01T10:00:00+00:00", "message-1"],
        "email2": ["2026-05-01T10:00:00+00:00", "m"],
    }
    profile = willing(traits={"tier": "gold", "email2": "alice@home.example.com"}, trait_stamps=stamps)

    seen = root.get(url(profile)).context["known"]
    assert [(one.name, one.value) for one in seen] == [("email2", "alice@home.example.com"), ("tier", "gold")]
    assert seen[1].at == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert seen[1].event == reverse("admin:search") + "?q=message-1"
    assert b"alice@home" not in sign_in("Analyst").get(url(profile)).content


def test_no_page_of_a_customer_shows_an_address_to_those_who_may_not_see_one(sign_in: SignIn) -> None:
    """R-049: also where the address is the customer's id, a value of an event or what a condition saw."""
    by, profile = rows.trigger(), willing("alice@example.com")
    happened = rows.event(
        profile, data={"total_value": "alice@example.com", "billing_email": "alice@home.example.com"}
    )
    rows.delivery(rows.execution(happened, by))
    client = sign_in("Analyst")

    why = url(profile, "why")
    for page in (url(profile), why, f"{why}?trigger={by.pk}", reverse("admin:search") + f"?q={happened.pk}"):
        text = client.get(page).content.decode()
        assert "alice@" not in text, page
        assert "a…@" in text, page


def test_whatever_is_stored_is_inert(root: Client) -> None:
    profile = willing(
        EVIL,
        first_name=EVIL,
        traits={EVIL: EVIL},
        behavior_segment="new",
        trait_stamps={EVIL: ["2026-05-01T10:00:00+00:00", EVIL]},
    )
    Consent.objects.create(profile=profile, topic=EVIL[:40], is_granted=True, source=EVIL, recorded_at=NOON)
    Membership.objects.create(
        profile=profile, segment=Segment.objects.create(key="x", name=EVIL), source=EVIL
    )
    by = rows.trigger(name=EVIL)
    rows.delivery(rows.execution(rows.event(profile, data={EVIL: EVIL}), by, error=EVIL))

    for page in (url(profile), url(profile, "why") + f"?trigger={by.pk}"):
        text = root.get(page).content.decode()
        assert "<img src=x" not in text, page
        assert "&lt;img src=x" in text


def test_a_customer_without_events_is_met_with_a_snippet(root: Client) -> None:
    profile = rows.customer("newcomer")

    text = root.get(url(profile) + "?show=events").content.decode()
    assert "Nothing of this kind." in text
    text = root.get(url(profile)).content.decode()
    assert "no events yet" in text
    assert "&quot;newcomer&quot;" in text
    assert "/api/v1/events/" in text


# --- Why did they not get …?


def test_why_shows_the_stored_decision_or_judges_anew(root: Client) -> None:
    """The same trace as the decision's own page; a customer who did not match is judged by the engine."""
    profile, by = willing(), rows.trigger()
    stored = rows.event(profile, ago=5)
    rows.execution(stored, by)
    cheap = rows.event(profile, ago=1, data={"total_value": 12})

    page = url(profile, "why")
    assert root.get(page).context["found"] is None
    newest = root.get(page, {"trigger": by.pk}).context
    assert (newest["found"].event_id, newest["found"].outcome) == (cheap.pk, "not met")
    assert [line.seen for line in newest["trace"].conditions if line.is_stop] == ["12"]
    earlier = root.get(page, {"trigger": by.pk, "event": stored.pk}).context
    assert (earlier["found"].outcome, earlier["found"].is_stored) == ("held back", True)
    assert [guard.code for guard in earlier["trace"].guards] == ["frequency_cap"]


def test_why_asks_the_judge_again_where_nothing_is_stored(root: Client) -> None:
    """What would have stood against it, also when the conditions were not met."""
    by, profile = rows.trigger(), rows.customer("unasked")
    rows.event(profile, ago=1, data={"total_value": 12})

    found = root.get(url(profile, "why"), {"trigger": by.pk}).context

    assert found["found"].outcome == "not met"
    assert {rail.code: rail.is_ok for rail in found["trace"].guards}["no_consent"] is False
    assert {rail.code: rail.is_ok for rail in found["trace"].guards}["unsubscribed"] is True


def test_why_says_when_the_judge_took_too_long(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    by, profile = rows.trigger(), rows.customer("unasked")
    rows.event(profile, ago=1, data={"total_value": 12})
    monkeypatch.setattr(backtest, "explain", Mock(side_effect=OperationalError("statement timeout")))

    found = root.get(url(profile, "why"), {"trigger": by.pk}).context

    assert "Too much is stored" in found["problem"]
    assert found["trace"].is_unjudged


def test_why_says_when_there_is_no_such_event(root: Client) -> None:
    by, profile = rows.trigger(), willing()
    rows.event(profile, "page_view")

    answer = root.get(url(profile, "why"), {"trigger": by.pk})

    assert "It listens to cart_abandonment, and they have no such event." in answer.content.decode()
    assert root.get(url(profile, "why"), {"trigger": "999"}).context["trigger"] is None


def test_an_event_of_somebody_else_is_not_explained(root: Client) -> None:
    by, mine, theirs = rows.trigger(), willing("mine"), willing("theirs")
    ours = rows.event(mine)
    other = rows.event(theirs)

    found = root.get(url(mine, "why"), {"trigger": by.pk, "event": other.pk}).context["found"]

    assert found.event_id == ours.pk
