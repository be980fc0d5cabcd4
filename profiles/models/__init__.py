"""The tables of who a customer is and what may be said to them."""

from profiles.models.consent import AddressSuppression, Consent
from profiles.models.profile import Identity, Profile
from profiles.models.segment import Membership, Segment

__all__ = ["AddressSuppression", "Consent", "Identity", "Membership", "Profile", "Segment"]
