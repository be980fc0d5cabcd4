"""Decisions, and the narrow rows from which suppression is judged."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from automation.engine.types import ExecutionStatus, Reason, Waiting
from automation.models.events import LANE_CHOICES
from automation.models.triggers import Trigger, TriggerVersion
from profiles.models import Profile


class Execution(models.Model):
    """One trigger decided for one event, also when it was held back.

    Partitioned by month of `decided_at` (primary key in PostgreSQL: id, decided_at). Repeated holds of the
    same trigger, customer and reason within one window collapse into one row with a count.
    """

    id = models.BigAutoField(primary_key=True)
    trigger = models.ForeignKey(Trigger, on_delete=models.PROTECT, db_index=False, related_name="executions")
    version = models.ForeignKey(TriggerVersion, on_delete=models.PROTECT, db_index=False, related_name="+")
    profile = models.ForeignKey(
        Profile, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="executions"
    )
    event_id = models.BigIntegerField()
    event_name = models.CharField(max_length=100)
    event_at = models.DateTimeField(help_text="When the event occurred; with its id it finds the partition.")
    accepted_at = models.DateTimeField(help_text="When the event was accepted.")
    decided_at = models.DateTimeField(db_default=Now())
    lane = models.SmallIntegerField(choices=LANE_CHOICES)
    status = models.CharField(max_length=10, choices=[(s.value, s.value) for s in ExecutionStatus])
    reason = models.CharField(
        max_length=30, blank=True, default="", db_default="", choices=[(r.value, r.value) for r in Reason]
    )
    reasons = models.JSONField(default=list, db_default=[], help_text="Every reason with its parameters.")
    waiting = models.CharField(
        max_length=15, blank=True, default="", db_default="", choices=[(w.value, w.value) for w in Waiting]
    )
    due_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True, help_text="When its first action was claimed.")
    processed_at = models.DateTimeField(null=True, help_text="When its last action ended.")
    dedupe_key = models.CharField(max_length=200)
    held_count = models.IntegerField(default=1, db_default=1)
    last_event_id = models.BigIntegerField(null=True)
    last_held_at = models.DateTimeField(null=True)
    trace = models.JSONField(default=dict, db_default={})
    error = models.CharField(max_length=300, blank=True, default="", db_default="")

    class Meta:
        verbose_name = "decision"
        indexes = [
            models.Index(
                models.F("profile"),
                models.F("trigger"),
                models.F("decided_at").desc(),
                name="execution_profile",
            ),
            models.Index(models.F("status"), models.F("decided_at").desc(), name="execution_status"),
            # Lists of one trigger or one reason, newest first; without them a rare one reads the whole table.
            models.Index(models.F("trigger"), models.F("id").desc(), name="execution_trigger"),
            models.Index(
                models.F("reason"),
                models.F("id").desc(),
                name="execution_reason",
                condition=~models.Q(reason=""),
            ),
            models.Index(
                "due_at", name="execution_due", condition=models.Q(status="pending", due_at__isnull=False)
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=[s.value for s in ExecutionStatus]),
                name="execution_status_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="suppressed", reason=""), name="execution_held_has_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"decision {self.pk}"


class ExecutionKey(models.Model):
    """Makes a decision unique: one trigger, one customer, one dedupe key (R-017); unpartitioned."""

    trigger_id = models.BigIntegerField()
    profile_id = models.BigIntegerField()
    dedupe_key = models.CharField(max_length=200)
    execution_id = models.BigIntegerField()
    decided_at = models.DateTimeField(db_default=Now())
    pk = models.CompositePrimaryKey("profile_id", "trigger_id", "dedupe_key")

    class Meta:
        indexes = [BrinIndex(fields=["decided_at"], name="executionkey_decided")]

    def __str__(self) -> str:
        return self.dedupe_key


class TriggerState(models.Model):
    """How often and when a trigger fired for a customer, for ever; the judge reads it under the profile lock."""

    profile_id = models.BigIntegerField()
    trigger_id = models.BigIntegerField()
    last_at = models.DateTimeField(null=True)
    count = models.IntegerField(default=0)
    recent = models.JSONField(
        default=list, help_text="Times of firing inside the longest period, newest first."
    )
    by_key = models.JSONField(default=dict, help_text="Cooldown key -> last time.")
    hold_reason = models.CharField(max_length=30, default="", db_default="")
    hold_execution_id = models.BigIntegerField(null=True)
    hold_decided_at = models.DateTimeField(null=True)
    pk = models.CompositePrimaryKey("profile_id", "trigger_id")

    def __str__(self) -> str:
        return f"{self.profile_id}/{self.trigger_id}"


class SendReservation(models.Model):
    """One message counted against the caps, written in the transaction that decided it (R-016)."""

    profile_id = models.BigIntegerField()
    channel = models.CharField(max_length=20)
    message_class = models.CharField(max_length=15)
    trigger_id = models.BigIntegerField()
    execution_id = models.BigIntegerField()
    reserved_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(models.F("profile_id"), models.F("reserved_at").desc(), name="reservation_profile"),
            models.Index("execution_id", name="reservation_execution"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.reserved_at}"


class Tally(models.Model):
    """Counters, appended once a batch and compacted by the hour: no two workers wait for one row."""

    hour = models.DateTimeField()
    kind = models.CharField(max_length=30)
    lane = models.SmallIntegerField(null=True)
    trigger_id = models.BigIntegerField(null=True)
    label = models.CharField(max_length=200, default="")
    count = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "tallies"
        indexes = [models.Index("kind", "hour", name="tally_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.label} {self.count}"


class MissSample(models.Model):
    """A recent event that a trigger listened to but did not match; a bounded sample."""

    trigger_id = models.BigIntegerField()
    profile_id = models.BigIntegerField()
    event_id = models.BigIntegerField()
    event_at = models.DateTimeField()
    pointer = models.CharField(max_length=200, help_text="The first condition that was not met.")
    is_broken = models.BooleanField(default=False)
    seen = models.JSONField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "event that did not match"
        verbose_name_plural = "events that did not match"
        indexes = [models.Index(models.F("trigger_id"), models.F("id").desc(), name="miss_trigger")]

    def __str__(self) -> str:
        return self.pointer
