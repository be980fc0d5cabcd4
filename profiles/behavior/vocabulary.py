"""Which event names the reducers know. Names are canonical snake_case."""

from __future__ import annotations

from typing import Final

IDENTIFY: Final = frozenset({"identify"})  # Traits in data["traits"].
PROFILE_UPDATES: Final = frozenset({"profile_updated", "customer_updated"})  # Traits are the data itself.
PURCHASES: Final = frozenset({"purchase_completed"})
REFUNDS: Final = frozenset({"refund_issued", "order_refunded"})
DELIVERED: Final = frozenset({"email_delivered", "sms_delivered", "push_delivered", "in_app_delivered"})

PASSIVE: Final = (
    DELIVERED
    | PROFILE_UPDATES
    | REFUNDS
    | frozenset(
        {
            "alias",
            "group",
            "email_queued",
            "email_sent",
            "email_deferred",
            "email_bounced",
            "email_dropped",
            "email_rejected",
            "email_failed",
            "email_suppressed",
            "sms_sent",
            "sms_bounced",
            "sms_failed",
            "push_sent",
            "push_bounced",
            "push_failed",
            "in_app_sent",
            "profile_merged",
            "profile_erased",
            "segment_entered",
            "segment_left",
            "behavior_segment_changed",
            "churn_risk_changed",
            "engagement_changed",
            "engagement_score_changed",
            "ltv_band_changed",
            "intent_detected",
            "consent_changed",
            "journey_entered",
            "journey_finished",
        }
    )
)
"""Things that happened to the customer, not things they did: they never move `last_activity`, the hours
or the sessions, or a person nobody has heard of for a year would look alive because we mailed them."""

MACHINE_MADE: Final = "is_machine"
"""`data` flag of an open or click that a mail proxy or scanner made: counted by name, otherwise passive."""

CORE: Final = (
    PASSIVE
    | IDENTIFY
    | PURCHASES
    | frozenset(
        {
            "add_to_cart",
            "app_opened",
            "cart_abandonment",
            "cart_viewed",
            "category_viewed",
            "checkout_started",
            "email_clicked",
            "email_complained",
            "email_opened",
            "email_unsubscribed",
            "form_submitted",
            "page_view",
            "payment_failed",
            "product_view",
            "push_clicked",
            "remove_from_cart",
            "screen_view",
            "search",
            "session_ended",
            "session_started",
            "signup",
            "sms_clicked",
            "subscription_cancelled",
            "support_ticket_created",
        }
    )
)
"""Names whose counters are never folded into `other`, however many names a customer has."""
