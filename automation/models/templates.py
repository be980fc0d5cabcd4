"""What a message says."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Template(models.Model):
    """Subject, HTML and text of an e-mail, in Liquid."""

    key = models.SlugField("short name", max_length=50, unique=True)
    name = models.CharField(max_length=200)
    subject = models.CharField(max_length=500)
    html = models.TextField("HTML", blank=True, default="")
    text = models.TextField("plain text", blank=True, default="", help_text="Empty: derived from the HTML.")
    is_published = models.BooleanField(
        "published", default=True, help_text="Only a published template may be used."
    )
    created_at = models.DateTimeField("made", db_default=Now(), editable=False)
    updated_at = models.DateTimeField("last changed", auto_now=True)

    def __str__(self) -> str:
        return self.name
