"""Keys with which shops send events."""

from __future__ import annotations

import hashlib
import secrets

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

PREFIX = "bk_live_"


class WriteKey(models.Model):
    """`bk_live_<id8>_<43 url-safe characters>`; only the SHA-256 of the whole is stored (R-036)."""

    class Scope(models.TextChoices):
        EVENTS_WRITE = "events:write"
        PROFILES_READ = "profiles:read"
        PROFILES_WRITE = "profiles:write"
        ANALYTICS_READ = "analytics:read"
        ADMIN = "admin"

    name = models.CharField(max_length=100)
    source = models.SlugField(
        max_length=50,
        default="default",
        help_text="Message ids are unique within a source; keys that replace one another share it.",
    )
    public_id = models.CharField(max_length=8, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope), default=list)
    is_active = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.name} ({PREFIX}{self.public_id}_…)"

    def issue(self) -> str:
        """Give this (unsaved) key its secret and return it; it can never be shown again."""
        self.public_id = secrets.token_hex(4)
        token = f"{PREFIX}{self.public_id}_{secrets.token_urlsafe(32)}"
        self.digest = digest_of(token)
        return token


def digest_of(token: str) -> str:
    """SHA-256 in hex; a fast hash is right for random 256-bit secrets."""
    return hashlib.sha256(token.encode()).hexdigest()
