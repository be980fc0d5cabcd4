"""Whether a trigger's conditions hold: an if for each type, a query where one is needed."""

from __future__ import annotations

import operator
from datetime import timedelta
from typing import Any

from benchmarks.naive.models import Customer, Event, Trigger

OPERATORS = {
    "equals": operator.eq,
    "greater_than": operator.gt,
    "greater_than_or_equal": operator.ge,
}


def matches(trigger: Trigger, event: Event, customer: Customer) -> bool:
    """All conditions must hold."""
    return all(_holds(condition, event, customer) for condition in trigger.conditions)


def _holds(condition: dict[str, Any], event: Event, customer: Customer) -> bool:
    kind = condition["type"]
    if kind == "event_match":
        return event.event_type == condition["event_type"] and all(
            _compare(event.event_data.get(row["field"]), row) for row in condition["data_conditions"]
        )
    if kind == "customer_attribute":
        return _compare(getattr(customer, condition["attribute"], None), condition)
    if kind == "sequence":
        return _sequence(condition, event)
    return False


def _compare(actual: Any, row: dict[str, Any]) -> bool:
    return actual is not None and bool(OPERATORS[row["operator"]](actual, row["value"]))


def _sequence(condition: dict[str, Any], event: Event) -> bool:
    since = event.timestamp - timedelta(hours=condition["timeframe_hours"])
    happened = list(
        Event.objects.filter(
            customer_id=event.customer_id, timestamp__gte=since, timestamp__lt=event.timestamp
        )
        .order_by("timestamp")
        .values_list("event_type", flat=True)
    )
    steps = [step["event_type"] for step in condition["sequence"]]
    reached = 0
    for name in happened:
        if reached < len(steps) - 1 and name == steps[reached]:
            reached += 1
    return reached == len(steps) - 1 and event.event_type == steps[-1]
