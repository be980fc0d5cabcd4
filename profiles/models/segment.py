"""Named groups of customers."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from profiles.models.profile import Profile


class Segment(models.Model):
    """A named group; triggers, people and actions add and remove members."""

    key = models.SlugField("short name", max_length=50, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="", db_default="")
    created_at = models.DateTimeField("made", db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One customer in one segment, since when and why."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="memberships")
    profile = models.ForeignKey(
        Profile, verbose_name="customer", on_delete=models.CASCADE, related_name="memberships"
    )
    since = models.DateTimeField(db_default=Now())
    source = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="What added it."
    )

    class Meta:
        verbose_name = "member of a segment"
        verbose_name_plural = "members of segments"
        constraints = [models.UniqueConstraint(fields=["profile", "segment"], name="membership_unique")]

    def __str__(self) -> str:
        return f"{self.profile_id} in {self.segment_id}"
