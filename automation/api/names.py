"""Event names: canonical snake_case, and the names other vocabularies have for the same thing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

LONGEST = 100  # Characters of a canonical name.
LONGEST_ORIGINAL = 200

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER = re.compile(r"[\W_]+")


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """`name` in snake_case: "Order Completed", "orderCompleted" and "order-completed" are order_completed.

    Empty when there is not one letter or digit in it.
    """
    return _OTHER.sub("_", _HUMP.sub("_", name)).strip("_").lower()


@lru_cache(maxsize=4096)
def from_segment(name: str) -> str:
    """The name Beckon uses for what the Segment specs call `name`; unknown names become snake_case."""
    plain = canonical(name)
    return SEGMENT.get(plain, plain)


SEGMENT: Final[Mapping[str, str]] = {
    # E-commerce specification
    "products_searched": "search",
    "product_list_viewed": "category_viewed",
    "product_list_filtered": "category_filtered",
    "promotion_viewed": "promotion_viewed",
    "promotion_clicked": "promotion_clicked",
    "product_clicked": "product_clicked",
    "product_viewed": "product_view",
    "product_added": "add_to_cart",
    "product_removed": "remove_from_cart",
    "cart_viewed": "cart_viewed",
    "checkout_started": "checkout_started",
    "checkout_step_viewed": "checkout_step_viewed",
    "checkout_step_completed": "checkout_step_completed",
    "payment_info_entered": "payment_info_entered",
    "order_completed": "purchase_completed",
    "order_updated": "order_updated",
    "order_refunded": "order_refunded",
    "order_cancelled": "order_cancelled",
    "coupon_entered": "coupon_entered",
    "coupon_applied": "coupon_applied",
    "coupon_denied": "coupon_denied",
    "coupon_removed": "coupon_removed",
    "product_added_to_wishlist": "wishlist_added",
    "product_removed_from_wishlist": "wishlist_removed",
    "wishlist_product_added_to_cart": "add_to_cart",
    "product_shared": "product_shared",
    "cart_shared": "cart_shared",
    "product_reviewed": "product_reviewed",
    "cart_abandoned": "cart_abandonment",
    # E-mail specification
    "email_delivered": "email_delivered",
    "email_opened": "email_opened",
    "email_link_clicked": "email_clicked",
    "email_bounced": "email_bounced",
    "email_marked_as_spam": "email_complained",
    "unsubscribed": "email_unsubscribed",
    # Mobile specification
    "application_installed": "app_installed",
    "application_opened": "app_opened",
    "application_updated": "app_updated",
    "application_backgrounded": "app_backgrounded",
    "application_crashed": "app_crashed",
    "application_uninstalled": "app_uninstalled",
    "push_notification_received": "push_delivered",
    "push_notification_tapped": "push_clicked",
    "push_notification_bounced": "push_bounced",
    "deep_link_opened": "deep_link_opened",
    # B2B software-as-a-service specification
    "account_created": "account_created",
    "account_deleted": "account_deleted",
    "signed_up": "signup",
    "signed_in": "login",
    "signed_out": "logout",
    "trial_started": "trial_started",
    "trial_ended": "trial_ended",
    "subscription_cancelled": "subscription_cancelled",
}
