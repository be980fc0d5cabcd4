"""The example event of the source article (its lines 804-825), word for word."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

CUSTOMER_ID: Final = "customer_12345"
TRAITS: Final = {
    "first_name": "Sam",
    "last_name": "Taylor",
    "email": "sam.taylor@example.com",
    "country": "US",
}


def event(now: datetime) -> dict[str, Any]:
    """The event with its time filled in, in UTC as there; with its zone, because a time needs one."""
    return {
        "customer_id": CUSTOMER_ID,
        "event_type": "cart_abandonment",
        "event_data": {
            "cart_id": "cart_abc123",
            "items": [
                {"product_id": "prod_1", "name": "Wireless Headphones", "price": 99.99},
                {"product_id": "prod_2", "name": "Phone Case", "price": 24.99},
            ],
            "total_value": 124.98,
            "cart_recovery_url": "https://example.com/cart/recover/abc123",
            "abandonment_duration_minutes": 30,
        },
        "timestamp": now.isoformat(),
        "session_id": "session_xyz789",
        "source": "website",
        "device_info": {"type": "desktop", "os": "Windows", "browser": "Chrome"},
        "metadata": {"page_url": "https://example.com/checkout"},
    }
