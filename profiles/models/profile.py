"""One customer and the names they are known by."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower, Now


class Profile(models.Model):
    """What is known of one customer.

    The pipeline writes rows of this table in bulk from `profiles.behavior`, which documents how each
    value follows from the events; it never builds an instance. `trigger_history` of the source
    article lives in narrow rows (`automation.TriggerState`), not here.
    """

    customer_id = models.CharField(
        max_length=200, null=True, blank=True, unique=True, help_text="The customer's id in your system."
    )
    email = models.CharField(max_length=254, blank=True, default="", db_default="")
    phone = models.CharField(max_length=32, blank=True, default="", db_default="")
    first_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    last_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    locale = models.CharField(max_length=35, blank=True, default="", db_default="")
    time_zone = models.CharField(max_length=64, blank=True, default="", db_default="")
    time_zone_source = models.CharField(
        max_length=10, default="default", db_default="default", help_text="explicit, event, geo or default."
    )
    behavior_segment = models.CharField("behaviour", max_length=50, default="new", db_default="new")
    engagement_value = models.FloatField(
        default=0.0, db_default=0.0, help_text="Decayed sum of weights as of engagement_at; not the score."
    )
    engagement_at = models.DateTimeField(null=True, blank=True)
    lifetime_value = models.DecimalField(max_digits=18, decimal_places=4, default=0, db_default=0)
    orders_count = models.IntegerField("orders", default=0, db_default=0)
    first_seen = models.DateTimeField(null=True, blank=True)
    last_activity = models.DateTimeField(null=True, blank=True)
    traits = models.JSONField(default=dict, blank=True, db_default={})
    trait_stamps = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text="For each trait: time and id of the event that set it.",
    )
    preferences = models.JSONField(default=dict, blank=True, db_default={})
    behavioral_patterns = models.JSONField(default=dict, blank=True, db_default={})
    merged_into = models.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    erased_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "customer"
        permissions = [
            ("erase_profile", "Can forget a person"),
            ("export_profile", "Can export everything about a person"),
        ]
        indexes = [
            models.Index(Lower("email"), name="profile_email"),  # However it is written.
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(orders_count__gte=0), name="profile_orders_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return self.customer_id or f"{'erased' if self.erased_at else 'anonymous'} {self.pk}"


class Identity(models.Model):
    """One name a customer is known by; several names may lead to one profile."""

    class Kind(models.TextChoices):
        CUSTOMER = "customer", "Customer id"
        ANONYMOUS = "anonymous", "Anonymous id"

    kind = models.CharField(max_length=10, choices=Kind)
    value = models.CharField(max_length=200)
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="identities")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["kind", "value"], name="identity_unique")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"
