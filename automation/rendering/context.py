"""What a message may say about its customer, event and trigger: plain data, nothing that can be called.

The source article's personalisation fields are all there (lines 546-585); `event.*`, `customer.*` and
`trigger.*` give the rest. What customers send is never trusted: a URL is http or https or empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from automation.engine.types import Event
from profiles.behavior.engagement import engagement_score

FALLBACK_NAME: Final = "Valued Customer"
_URL_KEY = re.compile(r"(?:url|URL|Uri|URI|Href|Link|(?:^|[_-])(?:uri|href|link))s?$")
_SCRIPT = re.compile(r"(?i)(?:java|vb|live)script:|data:[a-z]+/")
_BLANKS = re.compile(r"[\x00-\x20]+")  # Browsers overlook them inside a scheme.
_PROFILE = ("email", "phone", "first_name", "last_name", "locale", "time_zone", "orders_count")
_MAX_DEPTH = 20


class _Field(NamedTuple):
    """One variable that an event of a certain name adds."""

    name: str
    source: str  # Key in the event's data.
    default: Any


ENRICHMENT: Final[Mapping[str, tuple[_Field, ...]]] = {
    "cart_abandonment": (
        _Field("cart_items", "items", ()),
        _Field("cart_value", "total_value", 0),
        _Field("cart_url", "cart_recovery_url", ""),
    ),
    "product_view": (
        _Field("product_name", "product_name", ""),
        _Field("product_url", "product_url", ""),
        _Field("product_price", "price", 0),
    ),
    "purchase_completed": (
        _Field("order_id", "order_id", ""),
        _Field("order_total", "total", 0),
        _Field("items_purchased", "items", ()),
    ),
}
"""Event name -> its variables. Every other event is served by `event.*`."""


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """What is said about the trigger: as it was in the version that decided."""

    id: int
    key: str
    name: str
    type: str
    triggered_at: datetime


def build(
    *,
    event: Event,
    profile: Mapping[str, Any],  # A profile's state (profiles.behavior.state).
    customer_id: str,
    trigger: TriggerFacts,
    now: datetime,
    unsubscribe_url: str = "",
    response: Mapping[str, Any] | None = None,  # Answer of the webhook that ran before in this execution.
) -> dict[str, Any]:
    """The variables of one message (S-160 to S-164)."""
    data = _plain(event.data)
    customer = _customer(profile, customer_id, now)
    context = {
        "customer_id": customer_id,
        "first_name": _text(profile.get("first_name")) or FALLBACK_NAME,
        "last_name": _text(profile.get("last_name")),
        "email": _text(profile.get("email")),
        "trigger_name": trigger.name,
        "event_type": event.name,
        "event_timestamp": event.occurred_at.isoformat(),
        "behavior_segment": customer["behavior_segment"],
        "engagement_score": customer["engagement_score"],
        "lifetime_value": customer["lifetime_value"],
        "customer": customer,
        "event": {**data, "name": event.name, "occurred_at": event.occurred_at.isoformat(), "data": data},
        "context": _plain(event.context),
        "trigger": {
            "key": trigger.key,
            "name": trigger.name,
            "type": trigger.type,
            "triggered_at": trigger.triggered_at.isoformat(),
        },
        "unsubscribe_url": unsubscribe_url,
        "response": dict(response or {}),
    }
    for name, source, default in ENRICHMENT.get(event.name, ()):
        value = data.get(source)
        context[name] = (list(default) if default == () else default) if value is None else value
    return context


def safe_url(value: Any) -> str:
    """An absolute http(s) URL, or empty: never javascript:, data:, a relative path, or hidden line breaks."""
    if not isinstance(value, str):
        return ""
    text = value.strip()
    if not text.isprintable() or any(character in text for character in ' <>"`\\'):
        return ""
    try:
        parts = urlsplit(text)
        is_web = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:  # A malformed host.
        return ""
    return text if is_web and parts.username is None else ""


def _customer(profile: Mapping[str, Any], customer_id: str, now: datetime) -> dict[str, Any]:
    """Columns and traits side by side; columns win, and `traits` holds all of them."""
    traits = _plain(profile.get("traits") or {})
    known = {key: _plain(profile.get(key), key) for key in _PROFILE}
    score = round(engagement_score(profile, now), 4)
    return {
        **traits,
        **{key: "" if value is None else value for key, value in known.items()},
        "customer_id": customer_id,
        "behavior_segment": _text(profile.get("behavior_segment")) or "unknown",
        "engagement_score": score,
        "lifetime_value": _plain(profile.get("lifetime_value") or 0),
        "traits": traits,
    }


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _plain(value: Any, key: str = "", depth: int = 0) -> Any:
    """JSON data with the values of URL-like keys, and of anything that names a script, made harmless."""
    if isinstance(value, str):
        is_link = (value and _URL_KEY.search(key)) or (":" in value and _SCRIPT.match(_BLANKS.sub("", value)))
        return safe_url(value) if is_link else value
    if isinstance(value, bool | int | float) or value is None:
        return value
    if depth >= _MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(item, str(name), depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, key, depth + 1) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
