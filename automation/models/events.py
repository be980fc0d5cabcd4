"""Events, their queue, and what goes wrong with them."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from automation.engine.types import Priority
from profiles.models import Profile

LANE_CHOICES = [(int(p), p.lane) for p in Priority]
SHARDS = 64  # Queue rows of one customer share a shard; a worker owns a shard while it decides.


class Event(models.Model):
    """Something a customer did; immutable.

    Partitioned by month of `occurred_at` (primary key in PostgreSQL: id, occurred_at). `profile` has no
    database constraint: the log is append-only and its profile is resolved in the same transaction,
    and the constraint's row lock on the profile would make ingestion wait for decisions.
    Whether an event was decided is not a column here: its queue row exists, is in quarantine, or is gone.
    """

    id = models.BigAutoField(primary_key=True)
    message_id = models.CharField(max_length=128)
    profile = models.ForeignKey(
        Profile, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    name = models.CharField(max_length=100, help_text="Canonical snake_case.")
    original_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    data = models.JSONField(default=dict)
    context = models.JSONField(default=dict, help_text="device, location, page, utm, metadata.")
    session_id = models.CharField(max_length=100, blank=True, default="", db_default="")
    source = models.CharField(max_length=50, blank=True, default="", db_default="")
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    client_ts = models.CharField(max_length=64, blank=True, default="", db_default="", help_text="As sent.")
    is_late = models.BooleanField(default=False, help_text="Too old to fire a trigger.")
    is_import = models.BooleanField(default=False, help_text="Imported history; fires no trigger.")
    is_skewed = models.BooleanField(default=False, help_text="Came from more than 5 minutes in the future.")

    class Meta:
        indexes = [
            models.Index(models.F("profile"), models.F("occurred_at").desc(), name="event_profile_time"),
            models.Index(models.F("name"), models.F("occurred_at").desc(), name="event_name_time"),
            BrinIndex(fields=["received_at"], name="event_received"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.pk}"


class MessageKey(models.Model):
    """The idempotency key of an event for the whole retention (R-002); unpartitioned, so UNIQUE is global."""

    source = models.CharField(max_length=50)
    message_id = models.CharField(max_length=128)
    event_id = models.BigIntegerField()
    body_hash = models.BinaryField(max_length=16)
    created_at = models.DateTimeField(db_default=Now())
    pk = models.CompositePrimaryKey("source", "message_id")

    class Meta:
        indexes = [BrinIndex(fields=["created_at"], name="messagekey_created")]

    def __str__(self) -> str:
        return f"{self.source} {self.message_id}"


class QueuedEvent(models.Model):
    """An event that awaits its decision; deleted in the transaction that decides it."""

    event_id = models.BigIntegerField(primary_key=True)
    profile_id = models.BigIntegerField()
    lane = models.SmallIntegerField(choices=LANE_CHOICES)
    shard = models.SmallIntegerField()
    occurred_at = models.DateTimeField()
    accepted_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    is_state = models.BooleanField(
        db_default=False,
        default=False,
        help_text="Says who the customer is or agreed to; no later event of theirs is decided before it.",
    )
    data_failures = models.SmallIntegerField(db_default=0, default=0)
    worker_deaths = models.SmallIntegerField(db_default=0, default=0)

    class Meta:
        indexes = [
            models.Index("lane", "shard", "occurred_at", "event_id", name="queue_claim"),
            models.Index("profile_id", name="queue_state", condition=models.Q(is_state=True)),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}"


class QuarantinedEvent(models.Model):
    """An event that failed too often; a person replays or discards it (R-020, R-021)."""

    class State(models.TextChoices):
        HELD = "held", "Waits for a person"
        REPLAYED = "replayed", "Put back into the queue"
        DISCARDED = "discarded", "Given up by a person"

    event_id = models.BigIntegerField(unique=True)
    profile_id = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    lane = models.SmallIntegerField(choices=LANE_CHOICES)
    error_class = models.CharField(max_length=200)
    traceback = models.TextField()
    code_version = models.CharField(max_length=50)
    data_failures = models.SmallIntegerField(default=0)
    worker_deaths = models.SmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.HELD)
    note = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    settled_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"event {self.event_id}: {self.error_class}"


class Heartbeat(models.Model):
    """What a worker is about to try, committed before the batch, so that deaths can be counted (R-012)."""

    worker = models.CharField(max_length=100, primary_key=True)
    lane = models.SmallIntegerField(choices=LANE_CHOICES)
    event_ids = models.JSONField(default=list)
    backend_pid = models.IntegerField(help_text="PostgreSQL session of the worker; gone means it died.")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.worker


class CatalogueEntry(models.Model):
    """One event name ever seen, with the properties it carried."""

    name = models.CharField(max_length=100, unique=True)
    original_name = models.CharField(max_length=200, blank=True, default="")
    properties = models.JSONField(default=dict, help_text="Path -> {type -> count}; never values.")
    volume = models.BigIntegerField(default=0)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    class Meta:
        verbose_name = "known event"
        verbose_name_plural = "known events and fields"

    def __str__(self) -> str:
        return self.name
