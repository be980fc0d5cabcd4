"""Several triggers, one event, one slot."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automation.engine.suppression import Ask, Cap, Fired, Outcome, Policy, arbitrate
from automation.engine.types import Priority, Reason, Sent, Waiting
from tests.unit.judge.asks import ALICE, DAY, HOUR, NOON, alice, ask, codes, sent


def contest(*asks: Ask, state: Any = None, policy: Policy | None = None, now: Any = NOON) -> Any:
    return arbitrate(asks, state or alice(), policy or Policy(), now=now, profile_seed=ALICE)


def test_one_event_that_matches_two_triggers_sends_one_mail() -> None:
    """H-014: what the second sees includes what the first took."""
    judgements, after = contest(ask("a"), ask("b"))
    assert [one.outcome for one in judgements] == [Outcome.ALLOW, Outcome.HOLD]
    assert after.sends == (Sent(NOON, "email", "marketing", "a"),)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"priority": Priority.LOW, "value": 9.0}, {"priority": Priority.CRITICAL}),
        ({"value": 1.0}, {"value": 2.0}),
        ({"key": "b"}, {"key": "a"}),
    ],
)
def test_priority_wins_then_value_then_key(first: Any, second: Any) -> None:
    """S-054, S-055, S-056, S-057: and judgements come back in the order of the asks."""
    (lost, won), _ = contest(ask(**{"key": "x", **first}), ask(**{"key": "y", **second}))
    assert won.outcome is Outcome.ALLOW
    assert lost.outcome is Outcome.HOLD
    winner = second.get("key", "y")
    assert (lost.primary, lost.reasons[0].params["winner"]) == (Reason.LOST_TO, winner)
    assert lost.reasons[0].until == NOON + DAY


def test_a_loser_that_can_wait_is_deferred_until_the_slot_is_free() -> None:
    (_, lost), after = contest(ask("a"), ask("b", on_lost="defer"))
    assert lost.outcome is Outcome.DEFER
    assert (lost.due_at, lost.waiting) == (NOON + DAY, Waiting.LOST_TO)
    assert codes(lost) == [Reason.LOST_TO]
    assert len(after.sends) == 1


def test_a_loser_waits_no_night_but_until_its_morning() -> None:
    policy = Policy(caps=(Cap(window=timedelta(hours=10)),))
    (_, lost), _ = contest(ask("a"), ask("b", on_lost="defer"), policy=policy)
    assert lost.due_at == (NOON + DAY).replace(hour=8)  # Free at 22:00, which is night.


@pytest.mark.parametrize("fields", [{"is_shadow": True}, {"is_paused": True}])
def test_a_loser_held_for_another_reason_too_is_not_deferred(fields: Any) -> None:
    (_, lost), _ = contest(ask("a"), ask("b", on_lost="defer", **fields))
    assert lost.outcome is Outcome.HOLD
    assert set(codes(lost)) == {Reason.LOST_TO, *([Reason.SHADOW] if "is_shadow" in fields else [])} | (
        {Reason.TRIGGER_PAUSED} if "is_paused" in fields else set()
    )


def test_a_slot_taken_by_an_earlier_event_is_a_cap_and_no_lost_contest() -> None:
    """S-181."""
    judgements, after = contest(ask("a"), ask("b"), state=alice(sends=(sent(1),)))
    assert [codes(one) for one in judgements] == [[Reason.FREQUENCY_CAP]] * 2
    assert len(after.sends) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"holdout_percent": 100}, Reason.HOLDOUT),
        ({"is_shadow": True}, Reason.SHADOW),
        ({"max_per_hour": 0}, Reason.BLAST_GUARD),
        ({"channels": ("email", "email")}, Reason.FREQUENCY_CAP),
    ],
)
def test_a_winner_that_does_not_act_leaves_the_slot(fields: Any, reason: Reason) -> None:
    """The holdout comes before the contest."""
    (first, second), after = contest(ask("a", priority=1, **fields), ask("b"))
    assert first.primary is reason
    assert second.outcome is Outcome.ALLOW
    assert [one.trigger_key for one in after.sends] == ["b"]


@pytest.mark.parametrize(
    "other", [{"channels": ("sms",)}, {"channels": ()}, {"message_class": "transactional"}]
)
def test_triggers_that_want_no_common_slot_do_not_meet(other: Any) -> None:
    """H-025, H-026."""
    judgements, _ = contest(ask("a"), ask("b", **other))
    assert [one.outcome for one in judgements] == [Outcome.ALLOW, Outcome.ALLOW]


def test_a_winner_deferred_by_the_night_keeps_its_slot_in_the_contest_only() -> None:
    """What has not acted is no send and no firing, or it would stand in its own way when due."""
    night, morning = NOON + 11 * HOUR, (NOON + DAY).replace(hour=8)
    one = ask("a", priority=1, cooldown=7 * DAY, max_per_customer=1, dedupe_key="o1")
    (won, lost), after = contest(one, ask("b"), now=night)
    assert (won.outcome, won.waiting, won.due_at) == (Outcome.DEFER, Waiting.QUIET_HOURS, morning)
    assert (lost.primary, lost.reasons[0].until) == (Reason.LOST_TO, morning + DAY)
    assert (after.sends, after.fired) == ((), {})
    assert after.dedupe_keys == {(one.trigger_id, "o1")}
    again = ask("a", priority=1, cooldown=7 * DAY, max_per_customer=1)
    (due,), _ = contest(again, state=after, now=morning)
    assert due.outcome is Outcome.ALLOW


def test_a_weekly_wish_is_a_slot_as_well() -> None:
    """S-178."""
    weekly = alice(preferences={"at_most_weekly": True})
    (_, lost), _ = contest(ask("a"), ask("b", channels=("sms",)), state=weekly)
    assert (lost.primary, lost.reasons[0].until) == (Reason.LOST_TO, NOON + 7 * DAY)


class TestStateAfterwards:
    def test_the_next_event_of_the_batch_sees_what_this_one_did(self) -> None:
        """R-016, R-017, S-187: cap, cooldown, limit and key hold within one transaction."""
        one = ask("a", cooldown=DAY, cooldown_key="p1", max_per_customer=1, dedupe_key="o1")
        _, after = contest(one)
        assert after.fired[one.trigger_id] == Fired(NOON, 1, (NOON,), {"p1": NOON})
        assert after.dedupe_keys == {(one.trigger_id, "o1")}
        (again,), _ = contest(one, state=after)
        assert codes(again) == [Reason.DUPLICATE]
        (other,), _ = contest(
            ask("a", cooldown=DAY, cooldown_key="p1", max_per_customer=1, dedupe_key="o2"), state=after
        )
        assert codes(other) == [Reason.FREQUENCY_CAP, Reason.COOLDOWN, Reason.MAX_PER_CUSTOMER]

    def test_who_was_held_used_up_its_key_and_nothing_else(self) -> None:
        """R-017: an execution row exists for every decision."""
        held = ask("a", is_shadow=True, dedupe_key="o1")
        before = alice()
        _, after = contest(held, state=before)
        assert (after.sends, after.fired) == ((), {})
        assert after.dedupe_keys == {(held.trigger_id, "o1")}
        assert before.dedupe_keys == frozenset()

    def test_without_a_key_a_held_ask_changes_nothing(self) -> None:
        state = alice()
        assert contest(ask(is_shadow=True), state=state)[1] is state

    def test_a_trigger_that_sends_nothing_fires_but_takes_no_slot(self) -> None:
        """H-025."""
        one = ask("a", channels=())
        _, after = contest(one)
        assert after.sends == ()
        assert after.fired[one.trigger_id].count == 1

    def test_asking_for_permission_is_remembered(self) -> None:
        """And not repeated for 90 days."""
        asked = ask("a", is_repermission=True)
        silent = alice(engagement_score=0.0, messages_received=9, zone=ZoneInfo("Europe/Berlin"))
        _, after = contest(asked, state=silent)
        assert after.last_repermission_at == NOON
        assert after.zone is silent.zone
        (again,), _ = contest(asked, state=after, policy=Policy(caps=()))
        assert (again.primary, again.reasons[0].until) == (Reason.LOW_ENGAGEMENT, NOON + 90 * DAY)

    def test_sends_stay_newest_first_when_one_lies_in_the_future(self) -> None:
        state = alice(sends=(sent(-30), sent(50)))
        after = state.reserve(ask("a"), now=NOON, at=NOON, channels=("email",))
        assert [one.at for one in after.sends] == [NOON + 30 * HOUR, NOON, NOON - 50 * HOUR]

    def test_only_the_channels_that_are_open_are_reserved(self) -> None:
        state = alice(addresses={"email": "a@x"})
        _, after = contest(ask("a", channels=("email", "sms")), state=state)
        assert [one.channel for one in after.sends] == ["email"]


ASKS = st.lists(
    st.builds(
        lambda n, priority, count, channel, shadow, defer, delay: ask(
            f"t{n}",
            priority=priority,
            channels=(channel,) * count,
            is_shadow=shadow,
            on_lost="defer" if defer else "suppress",
            due_at=NOON + delay * HOUR,
        ),
        n=st.integers(0, 99),
        priority=st.integers(1, 4),
        count=st.integers(0, 3),
        channel=st.sampled_from(["email", "sms"]),
        shadow=st.booleans(),
        defer=st.booleans(),
        delay=st.sampled_from([0, 0, 5, 30]),
    ),
    min_size=1,
    max_size=6,
)
CAPS = st.lists(
    st.builds(
        Cap,
        channel=st.sampled_from(["email", "sms", None]),
        limit=st.integers(1, 4),
        window=st.sampled_from([HOUR, DAY, 2 * DAY]),
        calendar_day=st.just(False),
    ),
    max_size=3,
)


def fullest(moments: list[Any], window: timedelta) -> int:
    return max((sum(start <= at < start + window for at in moments) for start in moments), default=0)


@settings(max_examples=60)
@given(st.lists(ASKS, min_size=1, max_size=4), CAPS, st.integers(0, 30))
def test_no_window_ever_holds_more_messages_than_a_cap_allows(
    events: list[list[Ask]], caps: list[Cap], gap: int
) -> None:
    """R-016, S-176: whatever is asked, at whatever distance."""
    policy, state = Policy(caps=tuple(caps)), alice()
    for number, asks in enumerate(events):
        now = NOON + number * gap * HOUR
        _, state = arbitrate(asks, state, policy, now=now, profile_seed=ALICE)
        for cap in caps:
            moments = [one.at for one in state.sends if cap.channel in (None, one.channel)]
            assert fullest(moments, cap.window) <= cap.limit


@settings(max_examples=60)
@given(ASKS, CAPS, st.lists(st.integers(0, 60), max_size=5))
def test_until_is_the_first_moment_at_which_the_cap_lets_the_ask_through(
    asks: list[Ask], caps: list[Cap], hours: list[int]
) -> None:
    """S-181."""
    policy = Policy(caps=tuple(caps), quiet_start=None)
    state = alice(sends=tuple(sorted((sent(h) for h in hours), reverse=True)))
    one = asks[0]
    (found,), _ = arbitrate([one], state, policy, now=NOON, profile_seed=ALICE)
    capped = [held for held in found.reasons if held.reason is Reason.FREQUENCY_CAP]
    if not capped or capped[0].until is None:
        return
    until = capped[0].until

    def is_capped(at: Any) -> bool:
        moved = ask(one.key, channels=one.channels, due_at=at)
        (again,), _ = arbitrate([moved], state, policy, now=NOON, profile_seed=ALICE)
        return Reason.FREQUENCY_CAP in codes(again)

    assert not is_capped(until)
    assert is_capped(until - timedelta(microseconds=1))


@settings(max_examples=40)
@given(ASKS.flatmap(lambda asks: st.tuples(st.just(asks), st.permutations(range(len(asks))))))
def test_the_order_in_which_asks_arrive_does_not_matter(both: tuple[list[Ask], list[int]]) -> None:
    asks = [
        ask(f"{n}-{one.key}", priority=one.priority, channels=one.channels) for n, one in enumerate(both[0])
    ]
    plain, after = contest(*asks)
    shuffled, after_shuffled = contest(*(asks[n] for n in both[1]))
    assert [plain[n] for n in both[1]] == shuffled
    assert after == after_shuffled
