"""Customers, segments and consent in the admin."""

from profiles.admin import consent, customers, segments

__all__ = ["consent", "customers", "segments"]
