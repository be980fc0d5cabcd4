"""Triggers and their immutable versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from automation.engine.types import MessageClass, Mode, Priority, TriggerType
from automation.engine.values import instant


class Trigger(models.Model):
    """A when-this-then-that as its author sees it. The engine reads only published versions."""

    key = models.SlugField(max_length=50, unique=True, help_text="Stable name for import and the API.")
    name = models.CharField(max_length=200, unique=True)
    description = models.TextField(blank=True, default="")
    type = models.CharField(
        max_length=20, choices=[(t.value, t.value) for t in TriggerType], default=TriggerType.BEHAVIORAL
    )
    priority = models.SmallIntegerField(choices=[(int(p), p.lane) for p in Priority], default=Priority.MEDIUM)
    mode = models.CharField(max_length=10, choices=[(m.value, m.value) for m in Mode], default=Mode.DRAFT)
    message_class = models.CharField(
        max_length=15, choices=[(c.value, c.value) for c in MessageClass], default=MessageClass.MARKETING
    )
    topic = models.CharField(max_length=50, default="marketing", help_text="What customers consent to.")
    conditions = models.JSONField(default=list, help_text="A list; all must hold.")
    actions = models.JSONField(default=list, help_text="A list, carried out in order.")
    timing = models.JSONField(default=dict, blank=True, help_text='{"kind": "immediate"} or a delay.')
    cancel_when = models.JSONField(default=list, blank=True)
    recheck = models.BooleanField(default=True, help_text="Judge again at the due moment.")
    cooldown_minutes = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0)])
    cooldown_path = models.CharField(max_length=200, blank=True, default="")
    max_per_customer = models.PositiveIntegerField(null=True, blank=True, help_text="For ever.")
    max_per_period = models.JSONField(null=True, blank=True, help_text='{"count": 2, "hours": 168}')
    dedupe_path = models.CharField(max_length=200, blank=True, default="")
    holdout_percent = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(100)]
    )
    goal = models.JSONField(null=True, blank=True)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    max_per_hour = models.PositiveIntegerField(null=True, blank=True, help_text="Blast guard.")
    on_lost = models.CharField(
        max_length=10, choices=[("suppress", "suppress"), ("defer", "defer")], default="suppress"
    )
    value = models.FloatField(default=0, help_text="Declared value; decides ties of equal priority.")
    current_version = models.ForeignKey(
        "TriggerVersion", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    pause_reason = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    authors = models.JSONField(
        default=list,
        db_default=[],
        editable=False,
        help_text="Ids of the users whose changes have not been live yet.",
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Who asked to publish.",
    )
    asked_at = models.DateTimeField(null=True, editable=False)
    asked_note = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    declined_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    declined_at = models.DateTimeField(null=True, editable=False)
    declined_note = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)

    class Meta:
        permissions = [
            ("publish_trigger", "Can bring triggers live and back from a pause"),
            ("pause_trigger", "Can pause triggers"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(mode__in=[m.value for m in Mode]), name="trigger_mode"),
            models.CheckConstraint(
                condition=models.Q(priority__in=[int(p) for p in Priority]), name="trigger_priority"
            ),
            models.CheckConstraint(
                condition=models.Q(type__in=[t.value for t in TriggerType]), name="trigger_type"
            ),
            models.CheckConstraint(
                condition=models.Q(message_class__in=[c.value for c in MessageClass]), name="trigger_class"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def document(self) -> dict[str, Any]:
        """The definition as the engine's validator and TriggerVersion take it."""
        return {
            "key": self.key,
            "name": self.name,
            "description": self.description,
            "type": self.type,
            "priority": Priority(self.priority).lane,
            "message_class": self.message_class,
            "topic": self.topic,
            "conditions": self.conditions,
            "actions": self.actions,
            "timing": self.timing or {"kind": "immediate"},
            "cancel_when": self.cancel_when,
            "recheck": self.recheck,
            "cooldown_minutes": self.cooldown_minutes,
            "cooldown_path": self.cooldown_path or None,
            "max_per_customer": self.max_per_customer,
            "max_per_period": self.max_per_period,
            "dedupe_path": self.dedupe_path or None,
            "holdout_percent": self.holdout_percent,
            "goal": self.goal,
            "valid_from": self.valid_from.isoformat() if self.valid_from else None,
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
            "max_per_hour": self.max_per_hour,
            "on_lost": self.on_lost,
            "value": self.value,
        }

    def take(self, document: Mapping[str, Any]) -> None:
        """Set every field from a document, the opposite of `document()`; saving is the caller's.

        The document is valid (see `publish.check`); its key is not taken, because it never changes.
        """
        for name, value in document.items():
            if name == "priority":
                self.priority = next(p for p in Priority if p.lane == value or p == value)
            elif name in ("valid_from", "valid_until"):
                setattr(self, name, instant(value) if value else None)
            elif name in ("cooldown_path", "dedupe_path"):
                setattr(self, name, value or "")
            elif name != "key":
                setattr(self, name, value)


class TriggerVersion(models.Model):
    """What was published, when and by whom; never changed afterwards."""

    trigger = models.ForeignKey(Trigger, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    changes = models.TextField(
        blank=True, default="", help_text="What differs from the version before, in words."
    )
    published_at = models.DateTimeField(db_default=Now(), editable=False)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trigger", "number"], name="version_unique")]

    def __str__(self) -> str:
        return f"{self.definition.get('name', self.trigger_id)} v{self.number}"


class Epoch(models.Model):
    """One row that a database trigger raises whenever a trigger changes, in the same transaction.

    Processes compare it to know that their compiled index is stale (kill switch within 2 s).
    """

    value = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.value)
