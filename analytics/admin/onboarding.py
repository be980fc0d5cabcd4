"""What each user has put away; read-only."""

from __future__ import annotations

from django.contrib import admin

from analytics.models import Onboarding
from profiles.admin.lists import KeysetAdmin, ReadOnly


@admin.register(Onboarding)
class OnboardingAdmin(ReadOnly, KeysetAdmin):
    list_display = ("user", "saw_live_at", "saw_decision_at", "dismissed_at")
    list_select_related = ("user",)
    fields = readonly_fields = list_display
