"""One person with rows in every table, and another who must not lose any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from automation import audit
from automation.models import Event, RejectedRequest
from automation.pipeline import deliver, quarantine, record
from automation.pipeline.ingest import Incoming
from profiles.models import AddressSuppression, Identity, Profile
from tests.factories import EMAIL, SEGMENT, decide_all, incoming, known, make_trigger, send

CUSTOMER, ANONYMOUS, FORMER = "customer-hopper-4711", "visitor-hopper-0815", "hopper-before-the-alias"
ADDRESS, PHONE = "grace.hopper@navy-example.org", "+49 170 5551234"
FIRST, LAST, CART = "Gracelina", "Hopperstein", "cart-of-hopper-99"
MESSAGE = "message-of-hopper-1"
NEEDLES = (CUSTOMER, ANONYMOUS, FORMER, ADDRESS, ADDRESS.upper(), PHONE, FIRST, LAST, CART, MESSAGE)
TASK = {
    "type": "create_task",
    "title": "Call {{ first_name }}",
    "notes": "Their cart is {{ event.data.cart_id }}",
}


def live(customer_id: str = CUSTOMER) -> Profile:
    """Somebody with a past in every table."""
    make_trigger(
        "cart", actions=[SEGMENT, TASK, EMAIL], cooldown_minutes=60, cooldown_path="event.data.cart_id"
    )
    make_trigger("missed", conditions=_only(above=50))
    make_trigger("later", timing={"kind": "delay", "minutes": 600}, actions=[EMAIL])
    past = datetime.now(UTC) - timedelta(hours=2)
    send(incoming("page_view", None, anonymous_id=ANONYMOUS, at=past, data={"who": ADDRESS.upper()}))
    send(incoming("page_view", FORMER, at=past))
    decide_all()
    send(*introduced(customer_id))
    send(incoming("alias", customer_id, context={"previous_id": FORMER}, at=past))
    decide_all()
    record._sampled_at.clear()
    send(cart(customer_id))
    decide_all()
    deliver_all()
    profile = Profile.objects.get(customer_id=customer_id)
    _add_rows(profile)
    return profile


def introduced(customer_id: str = CUSTOMER) -> list[Incoming]:
    """Who they are, told with the id they had before."""
    events = known(customer_id, email=ADDRESS, phone=PHONE, first_name=FIRST, last_name=LAST)
    return [events[0], incoming("page_view", customer_id, anonymous_id=ANONYMOUS), events[1]]


def cart(customer_id: str | None = CUSTOMER, **fields: Any) -> Incoming:
    """What their triggers listen to."""
    return incoming(
        customer_id=customer_id,
        data={"cart_id": CART, "total": 10, ADDRESS: 1},
        **{"message_id": MESSAGE} | fields,
    )


def _only(above: int) -> list[dict[str, Any]]:
    return [
        {
            "type": "event_match",
            "event_type": "cart_abandonment",
            "data_conditions": [{"field": "total", "operator": "greater_than", "value": above}],
        }
    ]


def deliver_all() -> None:
    """Carry out everything that is due."""
    for lane in ("critical", "high", "medium", "low"):
        while deliver.deliver_batch(lane, worker="test", limit=20):
            pass


def _add_rows(profile: Profile) -> None:
    """What the pipeline does not make by itself: quarantine, a bounce, and what members of staff leave behind."""
    AddressSuppression.objects.create(address=ADDRESS, why="complaint", detail=f"{ADDRESS} complained")
    (held,) = send(incoming("held_event", profile.customer_id, message_id="held-of-hopper"))
    quarantine.hold(held.event_id, "ValueError", f"Traceback … ValueError: {ADDRESS}")
    user = get_user_model().objects.create(username="staff", is_staff=True)
    for obj in (profile, Identity.objects.get(kind="customer", value=profile.customer_id)):
        LogEntry.objects.create(
            user=user,
            content_type=ContentType.objects.get_for_model(obj),
            object_id=str(obj.pk),
            object_repr=str(obj),
            action_flag=CHANGE,
            change_message=f"wrote to {ADDRESS}",
        )
    audit.record("test", actor="staff", personal={"customer": CUSTOMER}, profile_id=profile.pk)
    # A name that came into the catalogue before it refused such keys.
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO automation_catalogueentry (name, original_name, properties, volume, first_seen, last_seen)"
            " VALUES ('odd', '', jsonb_build_object(%s, '{}'::jsonb, 'kept', '{}'::jsonb), 1, now(), now())",
            [f"seen_by.{CUSTOMER}"],
        )
    # A refused event with a field that was itself called like them.
    RejectedRequest.objects.create(
        digest="0" * 32,
        route="/api/v1/events/",
        status=400,
        kind="validation",
        message="No.",
        pointer=f"/event_data/{CUSTOMER}",
    )
    send(cart(message_id="waits-of-hopper"), cart(message_id="waits-of-hopper-2"))
    assert Event.objects.filter(profile=profile).exists()
