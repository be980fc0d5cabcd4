"""What the start page remembers of each member of staff."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Onboarding(models.Model):
    """The first steps of one user that no other table tells; made when the first of them is taken."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    saw_live_at = models.DateTimeField(null=True, editable=False)
    saw_decision_at = models.DateTimeField(null=True, editable=False)
    dismissed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name_plural = "onboarding"

    def __str__(self) -> str:
        return f"onboarding of user {self.pk}"
