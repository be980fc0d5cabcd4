"""The checks of the judge: small functions, each returning a reason against acting, or None.

GATES come first and end the judging: after them nothing else could be said that means anything.
CHECKS are all asked, in the order of design: address and consent, frequency caps, cooldown, limits,
preferences, engagement, blast guard, holdouts; shadow last, so that an execution whose only reason
is shadow is one that would have fired. Those with `is_marketing` do not hold for transactional
messages; consent law and dead or missing addresses hold for all. A trigger whose messages can
still go on one of its channels is not held because another is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from automation.engine.bucketing import in_holdout
from automation.engine.suppression.case import Case
from automation.engine.suppression.data import Cap, Held
from automation.engine.suppression.windows import free_in_days, free_in_window
from automation.engine.suppression.wishes import turned_off, unreadable
from automation.engine.types import Reason, Sent

Check = Callable[[Case], Held | None]

_WEEK: Final = timedelta(days=7)
_HOUR: Final = timedelta(hours=1)


def check_erased(case: Case) -> Held | None:
    return Held(Reason.PROFILE_ERASED) if case.state.is_erased else None


def check_duplicate(case: Case) -> Held | None:
    key = case.ask.dedupe_key
    if key and (case.ask.trigger_id, key) in case.state.dedupe_keys:
        return Held(Reason.DUPLICATE, None, {"key": key})
    return None


def check_late(case: Case) -> Held | None:
    return Held(Reason.LATE_EVENT) if case.ask.is_late else None


def check_paused(case: Case) -> Held | None:
    return Held(Reason.TRIGGER_PAUSED) if case.ask.is_paused else None


def check_valid(case: Case) -> Held | None:
    """The trigger's own dates; a trigger whose time has not come waits for it."""
    ask = case.ask
    if ask.valid_from is not None and case.now < ask.valid_from:
        return Held(Reason.EXPIRED, ask.valid_from, {"valid_from": ask.valid_from.isoformat()})
    if ask.valid_until is not None and case.now >= ask.valid_until:
        return Held(Reason.EXPIRED, None, {"valid_until": ask.valid_until.isoformat()})
    return None


def _check_channels(*reasons: Reason) -> Check:
    def check(case: Case) -> Held | None:
        if case.closed and not case.open:
            for held in case.closed:
                if held.reason in reasons:
                    return held
        return None

    return check


check_unsubscribed = _check_channels(Reason.UNSUBSCRIBED)
check_consent = _check_channels(Reason.NO_CONSENT)
check_dead_address = _check_channels(Reason.ADDRESS_SUPPRESSED)
check_missing_address = _check_channels(Reason.MISSING_ADDRESS)
check_channel_preference = _check_channels(Reason.PREFERENCE)


def check_global_frequency_cap(case: Case) -> Held | None:
    """Messages per class, channel and window, over all triggers; the cap that lasts longest is told."""
    if not case.channels or not case.is_marketing:
        return None
    worst: Held | None = None
    for cap in case.policy.caps:
        if cap.message_class != case.ask.message_class:
            continue
        held = _over(case, cap, Reason.FREQUENCY_CAP)
        if held is not None and (worst is None or _weight(held) > _weight(worst)):
            worst = held
    return worst


def _weight(held: Held) -> tuple[bool, bool, float]:
    never = held.until is None
    return (held.reason is not Reason.LOST_TO, never, 0.0 if held.until is None else held.until.timestamp())


def _over(case: Case, cap: Cap, reason: Reason) -> Held | None:
    need = len(case.channels) if cap.channel is None else case.channels.count(cap.channel)
    if need == 0:
        return None
    earlier = [sent for sent in case.state.sends if _counts(sent, cap)]
    free = _free(case, cap, earlier, need) if earlier or need > cap.limit else case.moment
    if free != case.moment:
        return Held(reason, free, _cap_params(cap, need))
    won = [sent for sent in case.rivals if _counts(sent, cap)]
    if won:
        free = _free(case, cap, earlier + won, need)
        if free != case.moment:
            return Held(Reason.LOST_TO, free, {**_cap_params(cap, need), "winner": won[0].trigger_key})
    return None


def _cap_params(cap: Cap, need: int) -> dict[str, object]:
    return {
        "limit": cap.limit,
        "window_hours": cap.window.total_seconds() / 3600,
        "channel": cap.channel,
        "calendar_day": cap.calendar_day,
        "needs": need,
    }


def _counts(sent: Sent, cap: Cap) -> bool:
    return sent.message_class == cap.message_class and (cap.channel is None or sent.channel == cap.channel)


def _free(case: Case, cap: Cap, sends: list[Sent], need: int) -> datetime | None:
    moments = [sent.at for sent in sends]
    if cap.calendar_day:
        days = max(1, cap.window // timedelta(days=1))
        return free_in_days(moments, case.moment, days, cap.limit, need, case.state.zone)
    return free_in_window(moments, case.moment, cap.window, cap.limit, need)


def check_trigger_cooldown(case: Case) -> Held | None:
    """The trigger's own pause, for the customer or for each cooldown key."""
    ask = case.ask
    if ask.cooldown is None:
        return None
    fired = case.state.fired.get(ask.trigger_id)
    if fired is None:
        return None
    last = fired.by_key.get(ask.cooldown_key) if ask.cooldown_key else fired.last_at
    if last is None or case.now >= last + ask.cooldown:
        return None
    params = {"hours": ask.cooldown.total_seconds() / 3600}
    return Held(Reason.COOLDOWN, last + ask.cooldown, {**params, "key": ask.cooldown_key})


def check_execution_limit(case: Case) -> Held | None:
    """Firings per customer: for ever, and within the trigger's period."""
    ask = case.ask
    if ask.max_per_customer is None and ask.max_per_period is None:
        return None
    fired = case.state.fired.get(ask.trigger_id)
    count = 0 if fired is None else fired.count
    if ask.max_per_customer is not None and count >= ask.max_per_customer:
        return Held(Reason.MAX_PER_CUSTOMER, None, {"limit": ask.max_per_customer, "count": count})
    if ask.max_per_period is None:
        return None
    limit, period = ask.max_per_period
    params = {"limit": limit, "period_hours": period.total_seconds() / 3600}
    recent = () if fired is None else fired.recent
    free = free_in_window([at for at in recent if at <= case.now], case.now, period, limit, 1)
    return None if free == case.now else Held(Reason.MAX_PER_CUSTOMER, free, params)


def pause_until(value: object) -> datetime | None:
    """The moment a wish for silence ends: a moment or its ISO text, in UTC when it names no zone.

    What cannot be read is no wish, so that it cannot stop the decisions on a customer either.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def check_customer_preferences(case: Case) -> Held | None:
    """Topics and channels for every class; pause and frequency for marketing only."""
    preferences = case.state.preferences
    if not preferences or not case.ask.channels:
        return None
    off = check_channel_preference(case)
    if off is not None:
        return off
    if (held := unreadable(preferences) or turned_off(preferences, "topics_off", case.topic)) is not None:
        return held
    if not case.is_marketing:
        return None
    until = pause_until(preferences.get("pause_until"))
    if until is not None and case.moment < until:
        return Held(Reason.PREFERENCE, until, {"kind": "paused"})
    if preferences.get("at_most_weekly"):
        weekly = Cap(channel=None, message_class=case.ask.message_class, limit=1, window=_WEEK)
        held = _over(case, weekly, Reason.PREFERENCE)
        if held is not None:
            return held._replace(params={**held.params, "kind": "at_most_weekly"})
    return None


def check_engagement_suppression(case: Case) -> Held | None:
    """No marketing to people who stopped reading: with evidence, and with a way back.

    Messages inside the product are exempt: who sees them is there.
    """
    policy, state = case.policy, case.state
    if not case.is_marketing or not case.reaches_out:
        return None
    if state.messages_received < policy.min_received:
        return None
    if state.engagement_score >= policy.low_engagement_threshold:
        return None
    params = {"score": round(state.engagement_score, 4), "threshold": policy.low_engagement_threshold}
    if not case.ask.is_repermission:
        return Held(Reason.LOW_ENGAGEMENT, None, params)
    last = state.last_repermission_at
    if last is None or case.moment >= last + policy.repermission_every:
        return None
    return Held(Reason.LOW_ENGAGEMENT, last + policy.repermission_every, params)


def check_blast_guard(case: Case) -> Held | None:
    """A trigger that suddenly fires for everyone stops; before the holdout, so lift stays comparable."""
    limit = case.ask.max_per_hour
    if limit is None or case.ask.fired_this_hour < limit:
        return None
    hour = case.now.replace(minute=0, second=0, microsecond=0)
    return Held(Reason.BLAST_GUARD, hour + _HOUR, {"limit": limit, "fired": case.ask.fired_this_hour})


def check_global_holdout(case: Case) -> Held | None:
    policy = case.policy
    if case.is_marketing and in_holdout(
        policy.global_holdout_salt, case.profile_seed, policy.global_holdout_percent
    ):
        return Held(Reason.GLOBAL_HOLDOUT, None, {"percent": policy.global_holdout_percent})
    return None


def check_holdout(case: Case) -> Held | None:
    if not case.is_marketing:
        return None
    ask = case.ask
    percent = case.policy.default_holdout if ask.holdout_percent is None else ask.holdout_percent
    if in_holdout(ask.salt or ask.key, case.profile_seed, percent):
        return Held(Reason.HOLDOUT, None, {"percent": percent})
    return None


def check_shadow(case: Case) -> Held | None:
    return Held(Reason.SHADOW) if case.ask.is_shadow else None


GATES: Final[tuple[Check, ...]] = (check_erased, check_duplicate, check_late)

CHECKS: Final[tuple[Check, ...]] = (
    check_paused,
    check_valid,
    check_unsubscribed,
    check_consent,
    check_dead_address,
    check_missing_address,
    check_global_frequency_cap,
    check_trigger_cooldown,
    check_execution_limit,
    check_customer_preferences,
    check_engagement_suppression,
    check_blast_guard,
    check_global_holdout,
    check_holdout,
    check_shadow,
)
