"""The tables of who a customer is and what may be said to them."""

from profiles.models.consent import AddressSuppression, Consent
from profiles.models.erasure import Erasure, Tombstone
from profiles.models.profile import Identity, Profile
from profiles.models.segment import Membership, Segment

__all__ = [
    "AddressSuppression",
    "Consent",
    "Erasure",
    "Identity",
    "Membership",
    "Profile",
    "Segment",
    "Tombstone",
]
