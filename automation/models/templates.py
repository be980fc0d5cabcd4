"""What a message says."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Template(models.Model):
    """Subject, HTML and text of an e-mail, in Liquid."""

    key = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=200)
    subject = models.CharField(max_length=500)
    html = models.TextField(blank=True, default="")
    text = models.TextField(blank=True, default="", help_text="Empty: derived from the HTML.")
    is_published = models.BooleanField(default=True, help_text="Only a published template may be used.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
