"""What is left of people who were forgotten: receipts, and keyed hashes of their names."""

from __future__ import annotations

from django.db import models


class Erasure(models.Model):
    """The receipt of one act: a person was forgotten, or may come back. Holds no personal data of a customer."""

    class Act(models.TextChoices):
        ERASE = "erase", "Forgotten"
        LIFT = "lift", "Allowed to come back"

    class Outcome(models.TextChoices):
        ERASED = "erased", "Something was there and is gone"
        ALREADY_ERASED = "already_erased", "Was forgotten before"
        UNKNOWN = "unknown", "Nothing was known under this name"
        LIFTED = "lifted", "The tombstones are gone"

    id = models.UUIDField(primary_key=True)
    act = models.CharField(max_length=10, choices=Act)
    outcome = models.CharField(max_length=15, choices=Outcome)
    at = models.DateTimeField()
    by = models.CharField(max_length=150, help_text="User name, key, or command line.")
    counts = models.JSONField(default=dict, help_text="Table -> rows that were deleted or redacted.")
    names = models.IntegerField(
        default=0, help_text="Names (customer ids, anonymous ids) that have a tombstone."
    )

    class Meta:
        indexes = [models.Index("at", name="erasure_at")]

    def __str__(self) -> str:
        return f"{self.act} {self.pk}"


class Tombstone(models.Model):
    """Keeps a name of a forgotten person from being used by a late event.

    `digest` is profiles.tombstones.digest of the name: without SECRET_KEY nobody can tell whose it is.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    erasure = models.ForeignKey(Erasure, on_delete=models.PROTECT, related_name="tombstones")

    def __str__(self) -> str:
        return self.digest[:8]
