"""What a customer agreed to, and addresses that must not be written to."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from profiles.models.profile import Profile


class Consent(models.Model):
    """A customer's word on one topic and channel; the newest word counts."""

    profile = models.ForeignKey(
        Profile, verbose_name="customer", on_delete=models.CASCADE, related_name="consents"
    )
    topic = models.CharField(max_length=50, default="marketing", help_text="What about, e.g. marketing.")
    channel = models.CharField(max_length=20, default="email")
    is_granted = models.BooleanField("agreed")
    source = models.CharField(max_length=50, help_text="Where the word came from: form, api, one_click …")
    proof = models.JSONField(default=dict, blank=True, db_default={})
    recorded_at = models.DateTimeField("said")

    class Meta:
        verbose_name_plural = "consent"
        constraints = [models.UniqueConstraint(fields=["profile", "topic", "channel"], name="consent_unique")]

    @property
    def label(self) -> str:
        """`E-mail marketing`, for people."""
        channel = {"email": "e-mail", "sms": "SMS"}.get(self.channel, self.channel.replace("_", " "))
        said = f"{channel} {self.topic.replace('_', ' ')}"
        return said[:1].upper() + said[1:]

    def __str__(self) -> str:
        return f"{self.topic}/{self.channel}: {'granted' if self.is_granted else 'refused'}"


class AddressSuppression(models.Model):
    """An address that is not served any more, whoever owns it."""

    class Why(models.TextChoices):
        BOUNCE = "bounce", "Does not exist"
        COMPLAINT = "complaint", "Complained"
        MANUAL = "manual", "Added by a person"

    channel = models.CharField(max_length=20, default="email")
    address = models.CharField(max_length=254, help_text="Lower case.")
    why = models.CharField(max_length=10, choices=Why, default=Why.MANUAL)
    detail = models.CharField(max_length=300, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "suppressed address"
        verbose_name_plural = "suppression list"
        constraints = [models.UniqueConstraint(fields=["channel", "address"], name="suppression_unique")]

    def __str__(self) -> str:
        return f"{self.channel} {self.why}"

    def save(self, *args: object, **kwargs: object) -> None:
        self.address = self.address.strip().lower()
        super().save(*args, **kwargs)  # type: ignore[arg-type]
