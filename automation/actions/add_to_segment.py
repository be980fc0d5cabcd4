"""Put the customer into a segment (S-148)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from automation.actions.base import Action, Example, Job, Outcome, action
from profiles.models import Membership, Segment


@action
class AddToSegment(Action):
    """A segment that does not exist yet is made."""

    label = "Add to a segment"
    help = "The customer becomes a member, from now on; somebody who is one already stays one."
    icon = "⊕"
    sentence = "add them to the segment {segment}"
    examples = (
        Example("Mark people who left a cart", {"type": "add_to_segment", "segment": "cart_abandoners"}),
    )

    type: Literal["add_to_segment"]
    segment: str = Field(
        title="Segment",
        min_length=1,
        max_length=50,
        pattern=r"^[A-Za-z0-9_-]+$",
        json_schema_extra={"x-source": "segments"},
    )

    def perform(self, job: Job) -> Outcome:
        """Add, and say whether that changed anything."""
        name = self.segment.replace("-", " ").replace("_", " ").capitalize()
        segment, _ = Segment.objects.get_or_create(key=self.segment, defaults={"name": name})
        _, changed = Membership.objects.get_or_create(
            segment=segment, profile_id=job.profile_id, defaults={"source": f"trigger {job.trigger.key}"}
        )
        return Outcome(result={"segment": self.segment, "changed": changed})
