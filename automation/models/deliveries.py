"""The outbox, and follow-up tasks for people."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from automation.models.events import LANE_CHOICES
from automation.models.triggers import Trigger, TriggerVersion
from profiles.models import Profile


class Delivery(models.Model):
    """One action of one execution on one channel: a row of the outbox.

    Claimed and committed as `sending` before any network call, the result committed after it (R-025).
    `attempt` rises at every claim and fences late answers (R-013). A row without `due_at` waits for the
    action before it. `execution_id` has no constraint, because executions are partitioned.
    """

    class Status(models.TextChoices):
        PENDING = "pending", gettext_lazy("Waits for its moment")
        SENDING = "sending", gettext_lazy("Handed to the channel")
        SENT = "sent", gettext_lazy("Sent")
        UNCERTAIN = "uncertain", gettext_lazy("Interrupted; may have gone out")
        FAILED = "failed", gettext_lazy("Given up")
        CANCELLED = "cancelled", gettext_lazy("Not sent, for a reason")
        DELIVERED = "delivered", gettext_lazy("Arrived")
        OPENED = "opened", gettext_lazy("Opened")
        CLICKED = "clicked", gettext_lazy("Clicked")
        BOUNCED = "bounced", gettext_lazy("Came back")
        COMPLAINED = "complained", gettext_lazy("Complained about")

    id = models.UUIDField(primary_key=True)
    execution_id = models.BigIntegerField()
    execution_decided_at = models.DateTimeField(help_text="Finds the execution's partition.")
    trigger = models.ForeignKey(Trigger, on_delete=models.PROTECT, db_index=False, related_name="deliveries")
    version = models.ForeignKey(TriggerVersion, on_delete=models.PROTECT, db_index=False, related_name="+")
    profile = models.ForeignKey(
        Profile, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="deliveries"
    )
    event_id = models.BigIntegerField()
    event_at = models.DateTimeField()
    action_index = models.SmallIntegerField()
    action_type = models.CharField(max_length=30)
    channel = models.CharField(max_length=20, help_text="internal for actions that touch only our database.")
    message_class = models.CharField(max_length=15)
    topic = models.CharField(max_length=50)
    lane = models.SmallIntegerField(choices=LANE_CHOICES)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    reason = models.CharField(max_length=30, blank=True, default="", db_default="")
    idempotency_key = models.CharField(max_length=80, unique=True)
    due_at = models.DateTimeField(null=True)
    attempt = models.IntegerField(default=0, db_default=0)
    tries = models.IntegerField(default=0, db_default=0, help_text="Network calls made so far.")
    worker = models.CharField(max_length=100, blank=True, default="", db_default="")
    lease_until = models.DateTimeField(null=True)
    address = models.CharField(max_length=300, blank=True, default="", db_default="")
    provider_id = models.CharField(max_length=255, blank=True, default="", db_default="")
    result = models.JSONField(default=dict, db_default={})
    error_class = models.CharField(max_length=100, blank=True, default="", db_default="")
    error = models.CharField(max_length=500, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sending_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        permissions = [("view_response", "Can see what the receivers of webhooks answered")]
        indexes = [
            models.Index("lane", "due_at", name="delivery_due", condition=models.Q(status="pending")),
            models.Index("lease_until", name="delivery_leased", condition=models.Q(status="sending")),
            models.Index("execution_id", "action_index", name="delivery_execution"),
            models.Index(models.F("profile"), models.F("created_at").desc(), name="delivery_profile"),
            models.Index(models.F("status"), models.F("created_at").desc(), name="delivery_status"),
            BrinIndex(fields=["created_at"], name="delivery_created"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["execution_id", "action_index", "channel"], name="delivery_action_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action_type} {self.pk}"


class Task(models.Model):
    """Something a person should do for a customer."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Done"

    profile = models.ForeignKey(
        Profile, verbose_name="customer", on_delete=models.CASCADE, related_name="tasks"
    )
    delivery = models.OneToOneField(
        Delivery, null=True, blank=True, editable=False, on_delete=models.SET_NULL
    )
    title = models.CharField(max_length=200)
    notes = models.TextField(blank=True, default="")
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    due_at = models.DateTimeField("due", null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index("state", "due_at", name="task_inbox")]

    def __str__(self) -> str:
        return self.title
