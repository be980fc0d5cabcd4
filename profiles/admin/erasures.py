"""Receipts of people who were forgotten; they name nobody."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy

from profiles.admin.lists import KeysetAdmin, ReadOnly, recent
from profiles.models import Erasure, Tombstone


@admin.register(Erasure)
class ErasureAdmin(ReadOnly, KeysetAdmin):
    list_title = gettext_lazy("Receipts of erasures")
    list_display = ("at", "act", "outcome", "names", "by", "id")
    list_display_links = ("at", "id")
    list_filter = ("act", "outcome", recent("at"))
    fields = ("id", "act", "outcome", "at", "by", "names", "counts")


@admin.register(Tombstone)
class TombstoneAdmin(ReadOnly, KeysetAdmin):
    list_display = ("digest", "erasure")
    list_select_related = ("erasure",)
