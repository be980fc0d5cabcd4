"""What events say about consent, and which events come before all others of their customer."""

from __future__ import annotations

from typing import Final

from automation.engine.types import Event
from profiles.behavior.vocabulary import IDENTIFY, PROFILE_UPDATES
from profiles.services import ConsentWord

# Name -> the word it carries; None: the event's own `is_granted`.
CONSENT_EVENTS: Final[dict[str, bool | None]] = {
    "consent_changed": None,
    "unsubscribed": False,
    "email_unsubscribed": False,
}

# Events that say who a customer is or what they agreed to: decided soon, and never overtaken by what follows.
STATE_EVENTS: Final = IDENTIFY | PROFILE_UPDATES | {"alias"} | CONSENT_EVENTS.keys()


def consent_word(event: Event) -> ConsentWord | None:
    """What an event says about consent: `consent_changed` {topic, channel, is_granted}, or an unsubscribe."""
    if event.name not in CONSENT_EVENTS:
        return None
    is_granted = CONSENT_EVENTS[event.name]
    if is_granted is None:
        is_granted = event.data.get("is_granted") is True
    topic, channel = event.data.get("topic", "marketing"), event.data.get("channel", "email")
    if not (isinstance(topic, str) and isinstance(channel, str)):
        return None
    source = event.source or "event"
    return ConsentWord(event.profile_id, topic[:50], channel[:20], is_granted, source[:50], event.occurred_at)
