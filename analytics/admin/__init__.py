"""The pages of the admin that tell how we are doing."""

from analytics.admin import onboarding, overview

__all__ = ["onboarding", "overview"]
