"""How long we have left the customer alone (S-124)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from automation.engine import wording
from automation.engine.conditions.base import MAX_HOURS, Check, Condition, Example, condition
from automation.engine.operators import MET, NOT_MET
from automation.engine.samples import NOON, facts
from automation.engine.types import Facts, Result, Sent, Verdict
from automation.engine.window import hours

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]


@condition
class TimeSinceLastEmail(Condition):
    """The last message of this kind is at least so long ago, or there never was one."""

    variant_field: ClassVar[str] = "time_condition_type"
    label = "Time since the last message"
    kind = "When"
    help = "Counts e-mail unless another channel is chosen. Who never got one passes."
    icon = "✉"
    sentence = "the last {channel} is at least {hours} ago"
    examples = (
        Example(
            "Left alone for two days",
            {"type": "time_based", "time_condition_type": "time_since_last_email", "hours": 48},
            facts(sends=[Sent(NOON - timedelta(hours=47), "email", "marketing", "cart")]),
            Verdict.NOT_MET,
        ),
        Example(
            "Never mailed",
            {"type": "time_based", "time_condition_type": "time_since_last_email", "hours": 48},
            facts(),
            Verdict.MET,
        ),
        Example(
            "A receipt is not marketing",
            {
                "type": "time_based",
                "time_condition_type": "time_since_last_email",
                "hours": 48,
                "message_class": "marketing",
            },
            facts(sends=[Sent(NOON - timedelta(hours=1), "email", "transactional", "receipt")]),
            Verdict.MET,
        ),
    )

    type: Literal["time_based"]
    time_condition_type: Literal["time_since_last_email"]
    hours: float = Field(gt=0, le=MAX_HOURS, title="At least", json_schema_extra={"x-unit": "hours"})
    channel: Slug = Field(default="email", title="Channel")
    message_class: Literal["marketing", "transactional"] | None = Field(default=None, title="Message class")
    trigger_key: Slug | None = Field(default=None, title="Sent by the trigger")

    def _last(self, facts: Facts) -> datetime | None:
        """Moment of the newest message that counts. A late event may lie before it (H-046)."""
        return next((sent.at for sent in facts.sends if self._counts(sent)), None)

    def _counts(self, sent: Sent) -> bool:
        return (
            sent.channel == self.channel
            and (self.message_class is None or sent.message_class == self.message_class)
            and (self.trigger_key is None or sent.trigger_key == self.trigger_key)
        )

    def compile(self) -> Check:
        """Elapsed time against the threshold; the threshold itself is long enough."""
        threshold = hours(self.hours)

        def check(facts: Facts) -> Result:
            last = self._last(facts)
            return MET if last is None or facts.now - last >= threshold else NOT_MET

        return check

    def look(self, facts: Facts) -> Any:
        """The moment of the last message."""
        return self._last(facts)

    @property
    def needs_sends(self) -> bool:
        """It does."""
        return True

    def describe(self) -> str:
        """*the last marketing email is at least 2 days ago*."""
        kind = f"{self.message_class} " if self.message_class else ""
        source = f" of trigger {wording.literal(self.trigger_key)}" if self.trigger_key else ""
        return f"the last {kind}{self.channel}{source} is at least {wording.duration(self.hours * 60)} ago"
