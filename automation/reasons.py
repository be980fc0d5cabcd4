"""What each reason of the closed list is called, what it says, and whether somebody should look into it.

Beside `Reason` and not inside it, because the engine knows no languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from automation.engine.types import Reason


class Attention(StrEnum):
    """Whether a hold is how it should be."""

    NORMAL = "normal"  # A guard rail did its work.
    LOOK = "look_into"  # Something is set up wrongly, is late or does not answer.


ATTENTION: Mapping[Attention, str | Promise] = {
    Attention.NORMAL: _("normal"),
    Attention.LOOK: _("look into this"),
}


class Words(NamedTuple):
    """One reason for people."""

    label: str | Promise  # A few words, for chips and filters.
    text: str | Promise  # One sentence.
    attention: Attention

    @property
    def advice(self) -> str:
        """Normal, or look into this."""
        return str(ATTENTION[self.attention])


_NORMAL, _LOOK = Attention.NORMAL, Attention.LOOK
WORDS: Mapping[str, Words] = {
    Reason.NO_CONSENT: Words(_("no consent"), _("They have not agreed to this topic."), _NORMAL),
    Reason.UNSUBSCRIBED: Words(_("unsubscribed"), _("They unsubscribed."), _NORMAL),
    Reason.ADDRESS_SUPPRESSED: Words(
        _("address suppressed"), _("Their address is not served any more."), _NORMAL
    ),
    Reason.MISSING_ADDRESS: Words(_("no address"), _("No address is known."), _LOOK),
    Reason.FREQUENCY_CAP: Words(_("enough messages"), _("They have had enough messages for now."), _NORMAL),
    Reason.COOLDOWN: Words(_("cooldown"), _("This trigger fired for them a short while ago."), _NORMAL),
    Reason.MAX_PER_CUSTOMER: Words(
        _("most per customer"), _("This trigger fired for them as often as it may."), _NORMAL
    ),
    Reason.PREFERENCE: Words(_("preference"), _("They asked for less."), _NORMAL),
    Reason.LOW_ENGAGEMENT: Words(_("low engagement"), _("They hardly react to messages."), _NORMAL),
    Reason.HOLDOUT: Words(
        _("held out"),
        _("They belong to the share that never gets it, so that its effect can be measured."),
        _NORMAL,
    ),
    Reason.GLOBAL_HOLDOUT: Words(
        _("held out of everything"), _("They belong to the share that gets no marketing at all."), _NORMAL
    ),
    Reason.SHADOW: Words(_("shadow"), _("The trigger is in shadow: it would have fired."), _NORMAL),
    Reason.LOST_TO: Words(_("lost the slot"), _("Another trigger won the slot."), _NORMAL),
    Reason.DUPLICATE: Words(_("decided already"), _("It was decided already."), _NORMAL),
    Reason.CANCELLED_BY_EVENT: Words(
        _("cancelled by an event"), _("Something they did cancelled it."), _NORMAL
    ),
    Reason.CONDITIONS_NO_LONGER_MET: Words(
        _("no longer met"), _("When its moment came, the conditions no longer held."), _NORMAL
    ),
    Reason.EXPIRED: Words(_("too late"), _("It came too late."), _LOOK),
    Reason.TRIGGER_PAUSED: Words(_("trigger paused"), _("The trigger was paused."), _LOOK),
    Reason.PROFILE_ERASED: Words(_("forgotten"), _("The customer was forgotten."), _NORMAL),
    Reason.LATE_EVENT: Words(_("late event"), _("The event is too old, or was imported."), _LOOK),
    Reason.BLAST_GUARD: Words(_("blast guard"), _("The trigger fired too often in this hour."), _LOOK),
    Reason.CIRCUIT_OPEN: Words(
        _("receiver down"), _("The receiving side fails too often at the moment."), _LOOK
    ),
    Reason.CHANNEL_UNAVAILABLE: Words(_("channel unavailable"), _("The channel cannot be used."), _LOOK),
    Reason.TEMPLATE_ERROR: Words(_("template error"), _("The message could not be rendered."), _LOOK),
    Reason.BROKEN_CONDITION: Words(_("could not be checked"), _("A condition could not be checked."), _LOOK),
}


def label(code: str) -> str:
    """A few words for a stored code; one that is not known is shown as it is stored."""
    words = WORDS.get(code)
    return str(words.label) if words else code.replace("_", " ")


def text(code: str) -> str:
    """The sentence for a stored code."""
    words = WORDS.get(code)
    return str(words.text) if words else code
