"""What people settle in the admin: quarantine, uncertain deliveries, keys, consent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from automation.models import Delivery, Execution, QuarantinedEvent, QueuedEvent, SendReservation, WriteKey
from automation.models.keys import digest_of
from profiles.models import Profile
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn
from tests.integration.admin.test_lists import quarantined, url


def act(client: Client, model: str, action: str, *pks: object, **more: str) -> str:
    """Carry out an action on rows; the page that follows."""
    data = {"action": action, "_selected_action": [str(pk) for pk in pks], **more}
    return client.post(url(model), data, follow=True).content.decode()


def test_an_operator_replays_an_event_once(sign_in: SignIn) -> None:
    """R-021: it is back in the queue; replaying again does nothing."""
    held = quarantined(rows.event(rows.customer()))
    client = sign_in("Operator")
    assert "1 put back into the queue" in act(client, "automation.quarantinedevent", "replay", held.pk)
    assert QueuedEvent.objects.get().event_id == held.event_id
    held.refresh_from_db()
    assert (held.state, held.settled_at is not None) == ("replayed", True)
    QueuedEvent.objects.all().delete()
    assert "0 put back into the queue" in act(client, "automation.quarantinedevent", "replay", held.pk)
    assert not QueuedEvent.objects.exists()


def test_to_discard_needs_a_note(sign_in: SignIn) -> None:
    """R-021: without one nothing happens."""
    held = quarantined(rows.event(rows.customer()))
    client = sign_in("Operator")
    assert "why they are given up" in act(client, "automation.quarantinedevent", "discard", held.pk)
    assert QuarantinedEvent.objects.get().state == "held"
    act(client, "automation.quarantinedevent", "discard", held.pk, note="a test order")
    held.refresh_from_db()
    assert (held.state, held.note) == ("discarded", "a test order")
    assert LogEntry.objects.latest("pk").change_message == "Discarded: a test order"


@pytest.mark.parametrize(
    ("action", "delivery_status", "execution_status", "reserved"),
    [("it_arrived", "delivered", "triggered", 1), ("it_did_not", "failed", "failed", 0)],
)
def test_an_uncertain_delivery_is_settled_by_a_person(
    sign_in: SignIn, action: str, delivery_status: str, execution_status: str, reserved: int
) -> None:
    """R-026: nothing is sent again; what did not arrive takes no place under the cap any more."""
    by = rows.trigger()
    execution = rows.execution(rows.event(rows.customer()), by, status="triggered", reason="", reasons=[])
    delivery = rows.delivery(execution, status="uncertain")
    SendReservation.objects.create(
        profile_id=execution.profile_id,
        channel="email",
        message_class="marketing",
        trigger_id=by.pk,
        execution_id=execution.pk,
        reserved_at=datetime.now(UTC),
    )
    act(sign_in("Operator"), "automation.delivery", action, delivery.pk)
    assert Delivery.objects.get().status == delivery_status
    assert Execution.objects.get().status == execution_status
    assert SendReservation.objects.count() == reserved


def test_an_execution_with_another_success_stays_triggered(root: Client) -> None:
    """S-083: partial success is still success."""
    execution = rows.execution(
        rows.event(rows.customer()), rows.trigger(), status="triggered", reason="", reasons=[]
    )
    delivery = rows.delivery(execution, status="uncertain")
    rows.delivery(execution, action_index=1, channel="webhook", idempotency_key="k2")
    act(root, "automation.delivery", "it_did_not", delivery.pk)
    assert Execution.objects.get().status == "triggered"


def test_what_is_not_uncertain_is_not_settled(root: Client) -> None:
    """R-026."""
    delivery = rows.delivery(rows.execution(rows.event(rows.customer()), rows.trigger()))
    assert "not uncertain" in act(root, "automation.delivery", "it_did_not", delivery.pk)
    assert Delivery.objects.get().status == "sent"


def test_a_marketer_settles_no_delivery(sign_in: SignIn) -> None:
    """S-008: a denied action changes nothing."""
    delivery = rows.delivery(rows.execution(rows.event(rows.customer()), rows.trigger()), status="uncertain")
    act(sign_in("Marketer"), "automation.delivery", "it_did_not", delivery.pk)
    assert Delivery.objects.get().status == "uncertain"


def test_a_key_is_shown_once_and_its_digest_never(sign_in: SignIn) -> None:
    """R-036, S-007: only the SHA-256 of the key is stored."""
    client = sign_in("Operator")
    answer = client.post(
        reverse("admin:automation_writekey_add"),
        {"name": "Shop", "source": "shop", "scopes": ["events:write"], "is_active": "on"},
    )
    text = answer.content.decode()
    key = WriteKey.objects.get()
    token = text.partition('class="beckon-key">')[2].partition("<")[0]
    assert token.startswith(f"bk_live_{key.public_id}_")
    assert digest_of(token) == key.digest
    assert "no-store" in answer["Cache-Control"]
    page = reverse("admin:automation_writekey_change", args=[key.pk])
    for shown in (client.get(page), client.get(url("automation.writekey"))):
        assert token not in shown.content.decode()
        assert key.digest not in shown.content.decode()
    assert text.count(key.digest) == 0


def test_a_person_writes_only_what_belongs_to_people(sign_in: SignIn) -> None:
    """S-001: the zone and the preferences of a customer; whatever events say is read-only."""
    profile = rows.customer("alice")
    client = sign_in("Marketer")
    page = reverse("admin:profiles_profile_change", args=[profile.pk])
    inlines = {
        f"{name}-{part}": "0"
        for name in ("consents", "memberships", "identities")
        for part in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    Profile.objects.filter(pk=profile.pk).update(orders_count=7)
    answer = client.post(
        page,
        {"time_zone": "Europe/Berlin", "at_most_weekly": "on", "preferences": '{"x": 1}', "orders_count": "99",
         "email": "evil@example.com", "behavior_segment": "loyal", **inlines},
    )  # fmt: skip
    assert answer.status_code == 302, answer.context["errors"]
    stored = Profile.objects.get()
    assert (stored.time_zone, stored.time_zone_source) == ("Europe/Berlin", "explicit")
    assert stored.preferences == {"at_most_weekly": True}
    assert (stored.orders_count, stored.email, stored.behavior_segment) == (7, "alice@example.com", "new")


def test_a_failed_delivery_is_tried_again_with_the_same_id(sign_in: SignIn) -> None:
    """S-062: and only a failed one; the execution is open again."""
    execution = rows.execution(
        rows.event(rows.customer()), rows.trigger(), status="failed", reason="", reasons=[]
    )
    delivery = rows.delivery(execution, status="failed")
    client = sign_in("Operator")
    assert "will be tried again" in act(client, "automation.delivery", "try_again", delivery.pk)
    again = Delivery.objects.get()
    assert (again.pk, again.status, again.idempotency_key) == (
        delivery.pk,
        "pending",
        delivery.idempotency_key,
    )
    assert again.due_at is not None
    assert "only what failed" in act(client, "automation.delivery", "try_again", delivery.pk)
