"""What events say about consent."""

from __future__ import annotations

from typing import Final

from automation.engine.types import Event
from profiles.services import ConsentWord

# Name -> the word it carries; None: the event's own `is_granted`.
CONSENT_EVENTS: Final[dict[str, bool | None]] = {
    "consent_changed": None,
    "unsubscribed": False,
    "email_unsubscribed": False,
}


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
