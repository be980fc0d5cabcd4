"""May we write to this customer now? The judge's answer to a message that no trigger asks for.

The ask is neutral: marketing, no cooldown, no limit and no holdout of a trigger. What stands against it stands
against every trigger. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from automation import reasons
from automation.engine import wording
from automation.engine.suppression import Ask, CustomerState, Held, Judgement, Outcome, Policy, judge
from automation.engine.suppression.data import ANY_TOPIC
from automation.engine.types import MessageClass, Reason
from automation.pipeline import customer
from automation.pipeline.plan import policy
from profiles import services

Words = Mapping[tuple[str, str], tuple[bool, datetime]]  # (topic, channel) -> the word and when it was given.

EMAIL, MARKETING = "email", "marketing"
_LOOKS = 8  # A cap may end in the night, and the night in another cap: ask again at each end.


class Guard(NamedTuple):
    """One guard rail, whether it lets the message pass, and when it will."""

    code: str
    is_ok: bool
    text: str
    until: str = ""  # In the customer's own time.


class Contact(NamedTuple):
    """The answer for one topic on one channel."""

    channel: str
    topic: str
    is_allowed: bool
    answer: str  # "Yes", "Not before 18:40 today", "No: unsubscribed".
    free_at: datetime | None  # When the judge would allow it; None: not by time alone.
    zone: str
    guards: tuple[Guard, ...]


def contacts(profile_id: int, *, now: datetime) -> list[Contact]:
    """E-mail about marketing first, then every topic and channel on which there is a word; five queries."""
    locked = services.load([profile_id]).get(profile_id)
    if locked is None:
        return []
    known = customer.load([profile_id], {}, dedupe_keys=[], with_segments=False)[profile_id]
    known.is_erased = locked.is_erased
    state = known.state(locked.state, customer.dead_addresses([locked.state]), now)
    said = [(channel, topic) for topic, channel in known.words if topic != ANY_TOPIC]
    pairs = dict.fromkeys([(EMAIL, MARKETING), *sorted(said)])
    rules = policy()
    return [_contact(channel, topic, state, known.words, rules, profile_id, now) for channel, topic in pairs]


def _contact(
    channel: str,
    topic: str,
    state: CustomerState,
    words: Words,
    rules: Policy,
    profile_id: int,
    now: datetime,
) -> Contact:
    ask = Ask(trigger_id=0, key="", topic=topic, channels=(channel,), holdout_percent=0.0)
    judgement = judge(ask, state, rules, now=now, profile_seed=profile_id)
    free_at = free(ask, state, rules, profile_id=profile_id, now=now)
    if judgement.outcome is Outcome.ALLOW:
        answer = _("Yes")
    elif free_at is not None:
        answer = _("Not before %(moment)s") % {"moment": local(free_at, state.zone, now)}
    else:
        stop = next(held for held in judgement.reasons if held.until is None)
        answer = _("No: %(reason)s") % {"reason": reasons.label(stop.reason)}
    return Contact(
        channel,
        topic,
        judgement.outcome is Outcome.ALLOW,
        answer,
        free_at,
        str(state.zone),
        _guards(ask, judgement, state, words, rules, now),
    )


def free(ask: Ask, state: CustomerState, rules: Policy, *, profile_id: int, now: datetime) -> datetime | None:
    """The first moment at which the judge allows it if nothing else happens; None when time alone does not help."""
    moment = now
    for _look in range(_LOOKS):
        judgement = judge(ask, state, rules, now=moment, profile_seed=profile_id)
        if judgement.outcome is Outcome.ALLOW:
            return moment
        ends = [judgement.due_at] if judgement.due_at else [held.until for held in judgement.reasons]
        if any(end is None for end in ends):
            return None
        moment = max(end for end in ends if end is not None)
    return None


def _guards(
    ask: Ask, judgement: Judgement, state: CustomerState, words: Words, rules: Policy, now: datetime
) -> tuple[Guard, ...]:
    """Every guard rail in the order of judging, whether it holds or not."""
    against = {held.reason: held for held in judgement.reasons}
    if Reason.PROFILE_ERASED in against:  # A gate: nothing else is asked.
        return (_guard(Reason.PROFILE_ERASED, against, "", state.zone, now),)
    channel, topic = ask.channels[0], ask.topic
    passed = {
        Reason.UNSUBSCRIBED: _("Has not unsubscribed"),
        Reason.NO_CONSENT: _agreed(words, channel, topic, rules, state.zone),
        Reason.ADDRESS_SUPPRESSED: _("Not on the suppression list"),
        Reason.MISSING_ADDRESS: _("An address is known"),
        Reason.FREQUENCY_CAP: _room(ask, state, rules, now),
        Reason.PREFERENCE: _("No wish of theirs speaks against it"),
        Reason.LOW_ENGAGEMENT: _("Reacts to messages often enough"),
        Reason.GLOBAL_HOLDOUT: _("Not in the share that gets no marketing"),
    }
    found = [_guard(reason, against, text, state.zone, now) for reason, text in passed.items()]
    if night := _night(judgement, state, rules, now):
        found.insert(len(found) - 2, night)
    return tuple(found)


def _guard(reason: Reason, against: Mapping[Reason, Held], text: str, zone: tzinfo, now: datetime) -> Guard:
    held = against.get(reason)
    if held is None:
        return Guard(reason, True, text)
    until = local(held.until, zone, now) if held.until else ""
    return Guard(reason, False, reasons.text(reason), until)


def _night(judgement: Judgement, state: CustomerState, rules: Policy, now: datetime) -> Guard | None:
    if rules.quiet_start is None:
        return None
    hours = {"start": f"{rules.quiet_start:%H:%M}", "end": f"{rules.quiet_end:%H:%M}"}
    if judgement.outcome is Outcome.DEFER and judgement.due_at:
        text = _("It is night where they are (%(start)s–%(end)s)") % hours
        return Guard("quiet_hours", False, text, local(judgement.due_at, state.zone, now))
    return Guard("quiet_hours", True, _("Outside quiet hours (%(start)s–%(end)s)") % hours)


def _agreed(words: Words, channel: str, topic: str, rules: Policy, zone: tzinfo) -> str:
    word = words.get((topic, channel)) or words.get((ANY_TOPIC, channel))
    if word and word[0]:
        day = date_format(word[1].astimezone(zone), "j F Y")
        return _("Gave consent on %(day)s") % {"day": day}
    return _("Has not refused") if not rules.is_opt_in_required else _("Needs no consent")


def _room(ask: Ask, state: CustomerState, rules: Policy, now: datetime) -> str:
    """How much of the tightest cap of this channel is used."""
    said = ""
    for cap in rules.caps:
        if cap.message_class != MessageClass.MARKETING or cap.channel not in (None, ask.channels[0]):
            continue
        used = sum(
            sent.message_class == cap.message_class
            and cap.channel in (None, sent.channel)
            and now - cap.window < sent.at
            for sent in state.sends
        )
        text = ngettext(
            "%(used)s of %(limit)s message used in the last %(span)s",
            "%(used)s of %(limit)s messages used in the last %(span)s",
            cap.limit,
        )
        span = wording.last(cap.window / timedelta(minutes=1))
        said = text % {"used": used, "limit": cap.limit, "span": span}
    return said or _("No cap on this channel")


def local(moment: datetime, zone: tzinfo, now: datetime) -> str:
    """`18:40 today`, `08:00 tomorrow` or `08:00 on 5 May 2026`, in the customer's own time."""
    there, today = moment.astimezone(zone), now.astimezone(zone).date()
    clock = f"{there:%H:%M}"
    if there.date() == today:
        return _("%(clock)s today") % {"clock": clock}
    if there.date() == today + timedelta(days=1):
        return _("%(clock)s tomorrow") % {"clock": clock}
    return _("%(clock)s on %(day)s") % {"clock": clock, "day": date_format(there, "j F Y")}
