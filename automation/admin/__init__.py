"""The pages of the admin: triggers, what happened, and the settings."""

from automation.admin import (
    audit,
    counters,
    customer,
    deliveries,
    events,
    executions,
    keys,
    messages,
    privacy,
    quarantine,
    rejections,
    search,
    triggers,
)

__all__ = [
    "audit",
    "counters",
    "customer",
    "deliveries",
    "events",
    "executions",
    "keys",
    "messages",
    "privacy",
    "quarantine",
    "rejections",
    "search",
    "triggers",
]
