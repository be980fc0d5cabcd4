"""Take the customer out of a segment (S-148)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from automation.actions.base import Action, Example, Job, Outcome, action
from profiles.models import Membership


@action
class RemoveFromSegment(Action):
    """Ends the membership."""

    label = "Remove from a segment"
    help = "The customer is no member any more; of a segment they are not in, nothing changes."
    icon = "⊖"
    sentence = "remove them from the segment {segment}"
    examples = (Example("The order has come", {"type": "remove_from_segment", "segment": "cart_abandoners"}),)

    type: Literal["remove_from_segment"]
    segment: str = Field(
        title="Segment",
        min_length=1,
        max_length=50,
        pattern=r"^[A-Za-z0-9_-]+$",
        json_schema_extra={"x-source": "segments"},
    )

    def perform(self, job: Job) -> Outcome:
        """Remove, and say whether that changed anything."""
        gone, _ = Membership.objects.filter(segment__key=self.segment, profile_id=job.profile_id).delete()
        return Outcome(result={"segment": self.segment, "changed": gone > 0})
