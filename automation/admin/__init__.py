"""The pages of the admin: triggers, what happened, and the settings."""

from automation.admin import counters, customer, deliveries, events, executions, keys, messages, triggers

__all__ = ["counters", "customer", "deliveries", "events", "executions", "keys", "messages", "triggers"]
