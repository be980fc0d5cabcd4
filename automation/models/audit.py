"""The audit log: who did what, when and from where; rows are added and never changed (R-051)."""

from __future__ import annotations

from django.db import models

HASH_LENGTH = 64  # SHA-256 in hex.


class AuditEntry(models.Model):
    """One act of a person, of a key or of the system itself.

    Written by `automation.audit.record` alone: ids have no gaps, and each entry carries the hash of the one before
    it. Triggers of the database refuse UPDATE, DELETE and TRUNCATE. Nothing here may be personal data of a
    customer: that goes into AuditPersonal, and only its salted digest enters the chain.
    """

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    action = models.CharField(max_length=60, help_text="What was done, such as trigger.changed.")
    actor = models.CharField(max_length=150, help_text="User name, key, or command line.")
    actor_id = models.BigIntegerField(null=True, help_text="The user's id; none for keys and commands.")
    target = models.CharField(max_length=200, blank=True, default="", help_text="app.model and id.")
    details = models.JSONField(default=dict)
    ip = models.CharField(max_length=45, blank=True, default="", verbose_name="IP address")
    request_id = models.CharField(max_length=64, blank=True, default="")
    personal_digest = models.CharField(max_length=HASH_LENGTH, blank=True, default="")
    previous_hash = models.CharField(
        max_length=HASH_LENGTH, unique=True, help_text="No fork: two cannot follow one."
    )
    entry_hash = models.CharField(max_length=HASH_LENGTH, unique=True)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        permissions = [("export_rows", "Can export lists as CSV")]
        indexes = [
            models.Index("action", "id", name="audit_action"),
            models.Index("actor", "id", name="audit_actor"),
            models.Index("target", "id", name="audit_target"),
            models.Index("at", name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.action} by {self.actor}"


class AuditPersonal(models.Model):
    """The personal values of one entry, and the salt of their digest; erasure deletes the row.

    `profile_id` has no constraint: the row of an erased customer may be gone before this one.
    """

    entry = models.OneToOneField(
        AuditEntry, primary_key=True, on_delete=models.PROTECT, related_name="personal"
    )
    profile_id = models.BigIntegerField(null=True, db_index=True)
    salt = models.BinaryField(max_length=32)
    values = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"personal values of entry {self.pk}"


class AuditCheck(models.Model):
    """One row: how far the periodic check has walked the chain, and what it found."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    walked_id = models.BigIntegerField(default=0, help_text="The last entry of the walk under way.")
    walked_hash = models.CharField(max_length=HASH_LENGTH, blank=True, default="")
    head_id = models.BigIntegerField(default=0, help_text="The newest entry of the last complete walk.")
    head_hash = models.CharField(max_length=HASH_LENGTH, blank=True, default="")
    complete_at = models.DateTimeField(null=True, help_text="When the last complete walk ended.")
    checked_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_check_single")]

    def __str__(self) -> str:
        return f"verified up to entry {self.head_id}"
