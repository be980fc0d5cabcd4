"""One task per event."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.core.mail import send_mail
from django.db.models import F
from django.utils import timezone

from benchmarks.naive.conditions import matches
from benchmarks.naive.models import Customer, Event, Execution, Trigger


@shared_task
def process_event(event_id: int) -> None:
    """Update the customer, then try every active trigger."""
    event = Event.objects.select_related("customer").get(pk=event_id)
    customer = event.customer
    _update(customer, event)
    for trigger in Trigger.objects.filter(is_active=True):
        if matches(trigger, event, customer):
            _fire(trigger, event, customer)
    event.is_processed = True
    event.save(update_fields=["is_processed"])


def _update(customer: Customer, event: Event) -> None:
    customer.last_activity = event.timestamp
    customer.engagement_score = min(1.0, customer.engagement_score + 0.01)
    if event.event_type == "purchase_completed":
        customer.orders = F("orders") + 1
        customer.lifetime_value = F("lifetime_value") + event.event_data.get("total", 0)
    customer.save()
    if event.event_type == "purchase_completed":
        customer.refresh_from_db()


def _fire(trigger: Trigger, event: Event, customer: Customer) -> None:
    reason = _held_back(trigger, customer)
    if reason:
        Execution.objects.create(
            trigger=trigger, event=event, customer=customer, status="suppressed", reason=reason
        )
        return
    execution = Execution.objects.create(trigger=trigger, event=event, customer=customer)
    for action in trigger.actions:
        if action["type"] == "send_email":
            send_mail("Hello", "We have something for you.", None, [customer.email])
    execution.status = "triggered"
    execution.save(update_fields=["status"])


def _held_back(trigger: Trigger, customer: Customer) -> str:
    done = Execution.objects.filter(customer=customer).exclude(status="suppressed")
    now = timezone.now()
    if trigger.is_marketing:
        if not customer.is_subscribed:
            return "unsubscribed"
        if done.filter(trigger__is_marketing=True, created_at__gte=now - timedelta(hours=24)).exists():
            return "frequency_cap"
    mine = done.filter(trigger=trigger)
    if trigger.cooldown_minutes:
        since = now - timedelta(minutes=trigger.cooldown_minutes)
        if mine.filter(created_at__gte=since).exists():
            return "cooldown"
    if trigger.max_per_customer and mine.count() >= trigger.max_per_customer:
        return "max_per_customer"
    return ""
