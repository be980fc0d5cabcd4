"""Customers, segments and consent in the admin."""

from profiles.admin import consent, customers, erasures, segments

__all__ = ["consent", "customers", "erasures", "segments"]
