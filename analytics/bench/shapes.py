"""The triggers that are measured: ten that a shop would have, near misses, and ever more that never hear a thing.

Every action waits a day: executions and outbox rows are written, nothing is sent while the clock runs.
"""

from __future__ import annotations

from typing import Any

SHAPES = ("spread", "one_name")
TEMPLATE = "bench"
CORE = 10
NEAR_MISSES = 40
LATER = {"delay_minutes": 1440.0}
EMAIL = {"type": "send_email", "template_id": TEMPLATE, **LATER}
WEBHOOK = {"type": "webhook", "url": "https://example.com/hooks/bench", **LATER}
SEGMENT = {"type": "add_to_segment", "segment": "bench", **LATER}
TASK = {"type": "create_task", "title": "Call them", **LATER}
PROBES = {"critical": "payment_failed", "high": "card_expiring"}  # Lane -> event name of the latency probes.


def documents(shape: str, count: int) -> list[dict[str, Any]]:
    """`count` trigger documents of one of SHAPES.

    `spread`: CORE, then NEAR_MISSES on the same event names, the rest on names that never come.
    `one_name`: all on `product_view`, told apart by the product id.
    """
    if shape == "one_name":
        return [_on_product(number) for number in range(count)]
    return [*_core(), *map(_near_miss, range(NEAR_MISSES)), *map(_elsewhere, range(count))][:count]


def probes() -> list[dict[str, Any]]:
    """One trigger for each lane whose latency is measured."""
    return [_trigger(f"probe-{lane}", [_event(name)], TASK, priority=lane) for lane, name in PROBES.items()]


def _core() -> list[dict[str, Any]]:
    view, search, login = ({"event_type": name} for name in ("product_view", "search", "login"))
    return [
        _trigger(
            "cart-recovery",
            [_event("cart_abandonment", ("total_value", "greater_than", 100))],
            EMAIL,
            message_class="marketing",
            cooldown_minutes=1440.0,
        ),
        _trigger(
            "cart-rescue",
            [_event("cart_abandonment", ("total_value", "greater_than", 250))],
            EMAIL,
            message_class="marketing",
            value=10.0,
        ),
        _trigger("receipt", [_event("purchase_completed")], EMAIL),
        _trigger(
            "third-view",
            [_event("product_view", ("category", "equals", "audio")), _sequence(view, view, view)],
            SEGMENT,
            max_per_customer=1,
        ),
        _trigger(
            "checkout-help",
            [
                _event("checkout_started"),
                {
                    "type": "customer_attribute",
                    "attribute": "lifetime_value",
                    "operator": "greater_than",
                    "value": 0,
                },
            ],
            WEBHOOK,
            cooldown_minutes=60.0,
        ),
        _trigger("big-item", [_event("add_to_cart", ("total_value", "greater_than", 150))], TASK),
        _trigger("back-to-find", [_event("login"), _sequence(search, login)], TASK),
        _trigger("happy-review", [_event("review_posted", ("rating", "greater_than_or_equal", 4))], SEGMENT),
        _trigger("urgent-ticket", [_event("support_ticket", ("level", "equals", "high"))], WEBHOOK),
        _trigger(
            "dear-wish",
            [_event("wishlist_added", ("total_value", "greater_than", 150), ("rating", "equals", 5))],
            SEGMENT,
        ),
    ]


_MISSED = ("cart_abandonment", "product_view", "add_to_cart", "purchase_completed", "login")


def _near_miss(number: int) -> dict[str, Any]:
    row = ("total_value", "greater_than", 100_000 + number)
    return _trigger(f"near-miss-{number}", [_event(_MISSED[number % len(_MISSED)], row)], TASK)


def _elsewhere(number: int) -> dict[str, Any]:
    row = ("total_value", "greater_than", 100)
    return _trigger(f"elsewhere-{number}", [_event(f"other_{number}", row)], TASK)


def _on_product(number: int) -> dict[str, Any]:
    rows = (("product_id", "equals", f"prod_{number}"), ("total_value", "greater_than", 230))
    return _trigger(f"product-{number}", [_event("product_view", *rows)], TASK)


def _event(name: str, *rows: tuple[str, str, Any]) -> dict[str, Any]:
    return {
        "type": "event_match",
        "event_type": name,
        "data_conditions": [{"field": f, "operator": o, "value": v} for f, o, v in rows],
    }


def _sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "sequence", "sequence": list(steps), "timeframe_hours": 24.0}


def _trigger(
    key: str, conditions: list[dict[str, Any]], action: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return {
        "key": key,
        "name": key,
        "type": "behavioral",
        "priority": "medium",
        "message_class": "transactional",
        "conditions": conditions,
        "actions": [action],
        "holdout_percent": 0.0,
        **more,
    }
