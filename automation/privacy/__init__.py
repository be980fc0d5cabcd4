"""What is known of a person, all of it: given out, or forgotten (R-052)."""

from automation.privacy.erase import Receipt, erase
from automation.privacy.export import export
from automation.privacy.person import AmbiguousError, Who
from automation.privacy.tombstone import lift

__all__ = ["AmbiguousError", "Receipt", "Who", "erase", "export", "lift"]
