"""Requests that were not accepted, for whoever connects a shop."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class RejectedRequest(models.Model):
    """One kind of refusal of one key: what was wrong, where, and how often; never what was sent.

    A sample with a count, bounded by automation.api.rejections. No address of a sender, no secret, no body.
    """

    class Kind(models.TextChoices):
        VALIDATION = "validation", _("Something in it was wrong")
        UNAUTHENTICATED = "unauthenticated", _("The key is missing or not valid")
        FORBIDDEN = "forbidden", _("The key may not do this")
        CONFLICT = "conflict", _("The id was used for another event")
        LENGTH_REQUIRED = "length-required", _("The length is not known")
        TOO_LARGE = "too-large", _("It is too large")
        UNSUPPORTED = "unsupported-media-type", _("It is not JSON")

    digest = models.CharField(max_length=32, unique=True, editable=False)  # Of key, address, kind and place.
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())
    count = models.BigIntegerField(default=1)
    route = models.CharField(max_length=100, help_text="Address of the API, without what stands in it.")
    status = models.SmallIntegerField()
    kind = models.CharField(max_length=30, choices=Kind)
    message = models.CharField(max_length=300)
    hint = models.CharField(max_length=300, blank=True, default="")
    pointer = models.CharField(
        max_length=300, blank=True, default="", help_text="The offending field, as a JSON pointer."
    )
    public_id = models.CharField(
        max_length=8, blank=True, default="", help_text="Of the key; empty when it was not valid."
    )

    class Meta:
        indexes = [models.Index(models.F("last_at").desc(), name="rejected_last")]

    def __str__(self) -> str:
        return f"{self.status} {self.route}"
