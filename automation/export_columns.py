"""Which lists of the admin can be exported, and with which columns."""

from __future__ import annotations

from automation.csv_export import Column, Shows

_CUSTOMER = Column("customer", "profile__customer_id", Shows.CUSTOMER)

EXPORTED: dict[str, tuple[Column, ...]] = {
    "profiles.Profile": (
        Column("id", "pk"),
        Column("customer", "customer_id", Shows.CUSTOMER),
        Column("first name", "first_name", Shows.NAME),
        Column("last name", "last_name", Shows.NAME),
        Column("e-mail", "email", Shows.ADDRESS),
        Column("telephone", "phone", Shows.ADDRESS),
        Column("language", "locale"),
        Column("time zone", "time_zone"),
        Column("behaviour", "behavior_segment"),
        Column("orders", "orders_count"),
        Column("lifetime value", "lifetime_value"),
        Column("first seen", "first_seen"),
        Column("last activity", "last_activity"),
    ),
    "profiles.Membership": (
        Column("segment", "segment__key"),
        _CUSTOMER,
        Column("e-mail", "profile__email", Shows.ADDRESS),
        Column("since", "since"),
        Column("source", "source"),
    ),
    "profiles.AddressSuppression": (
        Column("address", "address", Shows.ADDRESS),
        Column("channel", "channel"),
        Column("why", "why"),
        Column("detail", "detail", Shows.NOTHING),
        Column("added", "created_at"),
    ),
    "automation.Event": (
        Column("id", "pk"),
        Column("happened", "occurred_at"),
        Column("received", "received_at"),
        Column("event", "name"),
        _CUSTOMER,
        Column("source", "source"),
        Column("message id", "message_id"),
        Column("late", "is_late"),
        Column("imported", "is_import"),
        Column("properties", "data", Shows.NOTHING),
    ),
    "automation.Execution": (
        Column("id", "pk"),
        Column("decided", "decided_at"),
        Column("trigger", "trigger__key"),
        Column("version", "version__number"),
        _CUSTOMER,
        Column("event", "event_name"),
        Column("event id", "event_id"),
        Column("status", "status"),
        Column("reason", "reason"),
        Column("times", "held_count"),
        Column("acts at", "due_at"),
    ),
    "automation.Delivery": (
        Column("id", "pk"),
        Column("made", "created_at"),
        Column("finished", "finished_at"),
        Column("status", "status"),
        Column("reason", "reason"),
        Column("action", "action_type"),
        Column("channel", "channel"),
        Column("trigger", "trigger__key"),
        _CUSTOMER,
        Column("address", "address", Shows.ADDRESS),
        Column("tries", "tries"),
        Column("decision", "execution_id"),
        Column("event id", "event_id"),
        Column("error", "error_class"),
    ),
}
