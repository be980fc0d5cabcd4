"""Requests that work as they stand: in OpenAPI, on the docs page, in `send_event`; tests send each."""

from __future__ import annotations

from typing import Any, Final

CART_ABANDONMENT: Final[dict[str, Any]] = {
    "customer_id": "customer_12345",
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
    "timestamp": "2026-11-24T20:47:00Z",
    "session_id": "session_xyz789",
    "source": "website",
    "device_info": {"type": "desktop", "os": "Windows", "browser": "Chrome"},
    "metadata": {"page_url": "https://example.com/checkout"},
}
BATCH: Final[dict[str, Any]] = {
    "events": [
        {
            "message_id": "order-1001-paid",
            "customer_id": "customer_12345",
            "event_type": "purchase_completed",
            "event_data": {"order_id": "order-1001", "order_total": 124.98, "currency": "EUR"},
        },
        {"message_id": "visit-77-3", "anonymous_id": "visitor-77", "event_type": "page_view"},
    ]
}
TRACK: Final[dict[str, Any]] = {
    "userId": "customer_12345",
    "event": "Order Completed",
    "properties": {"order_id": "order-1001", "total": 124.98},
    "messageId": "order-1001-tracked",
    "timestamp": "2026-11-24T20:47:00Z",
}
SEGMENT: Final[dict[str, dict[str, Any]]] = {
    "track": TRACK,
    "identify": {"userId": "customer_12345", "traits": {"email": "ada@example.com", "first_name": "Ada"}},
    "page": {
        "anonymousId": "visitor-77",
        "name": "Checkout",
        "properties": {"url": "https://example.com/checkout"},
    },
    "screen": {"userId": "customer_12345", "name": "Cart"},
    "group": {"userId": "customer_12345", "groupId": "company-9", "traits": {"name": "Ada & Sons"}},
    "alias": {"previousId": "visitor-77", "userId": "customer_12345"},
    "batch": {
        "batch": [
            {"type": "identify", "userId": "customer_12345", "traits": {"first_name": "Ada"}},
            {
                "type": "track",
                "userId": "customer_12345",
                "event": "Product Viewed",
                "properties": {"product_id": "prod_1"},
            },
        ],
        "sentAt": "2026-11-24T20:47:01Z",
    },
    "import": {
        "batch": [
            {
                "type": "track",
                "userId": "customer_12345",
                "event": "Order Completed",
                "properties": {"order_id": "order-7", "total": 40},
                "timestamp": "2025-01-05T09:00:00Z",
            }
        ]
    },
}
