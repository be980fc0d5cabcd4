#!/bin/sh
# Send one event. Needs curl, and the key that `manage.py create_key "My shop"` printed:
#   BECKON_KEY=bk_live_… sh send_event.sh
set -eu
curl --silent --show-error --fail-with-body --max-time 10 --retry 5 --retry-connrefused \
  -X POST "${BECKON_URL:-http://127.0.0.1:8000}/api/v1/events/" \
  -H "Authorization: Bearer ${BECKON_KEY:?set BECKON_KEY to your write key}" \
  -H "Content-Type: application/json" \
  -d @- <<JSON
{
  "message_id": "${MESSAGE_ID:-cart_abc123-abandoned-$(date +%s)}",
  "customer_id": "customer_12345",
  "event_type": "cart_abandonment",
  "event_data": {
    "cart_id": "cart_abc123",
    "items": [
      {"product_id": "prod_1", "name": "Wireless Headphones", "price": 99.99},
      {"product_id": "prod_2", "name": "Phone Case", "price": 24.99}
    ],
    "total_value": 124.98,
    "cart_recovery_url": "https://example.com/cart/recover/abc123",
    "abandonment_duration_minutes": 30
  },
  "session_id": "session_xyz789",
  "source": "website",
  "device_info": {"type": "desktop", "os": "Windows", "browser": "Chrome"},
  "metadata": {"page_url": "https://example.com/checkout"}
}
JSON
