"""Each check alone, with exact values."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from automation.engine.suppression import Cap, Fired, Outcome, Policy
from automation.engine.types import MessageClass, Reason, Waiting
from tests.unit.judge.asks import DAY, HOUR, NOON, alice, ask, codes, judged, sent

RECEIPT: dict[str, Any] = {"message_class": MessageClass.TRANSACTIONAL, "holdout_percent": None}


def test_an_ask_that_nothing_stands_against_is_allowed_at_once() -> None:
    judgement = judged(ask(), alice())
    assert judgement == (Outcome.ALLOW, (), NOON, None, ("email",), ())
    assert judgement.primary is None
    assert judgement.would_fire


class TestGates:
    @pytest.mark.parametrize(
        ("asked", "state", "reason"),
        [
            (ask(), alice(is_erased=True), Reason.PROFILE_ERASED),
            (
                ask(dedupe_key="o1"),
                alice(dedupe_keys=frozenset({(ask().trigger_id, "o1")})),
                Reason.DUPLICATE,
            ),
            (ask(is_late=True), alice(), Reason.LATE_EVENT),
            (ask(is_late=True, dedupe_key="o1"), alice(is_erased=True), Reason.PROFILE_ERASED),
        ],
    )
    def test_a_gate_ends_the_judging(self, asked: Any, state: Any, reason: Reason) -> None:
        """R-007, R-017, S-180: after these nothing else could be said that means anything."""
        judgement = judged(asked, state)
        assert judgement.outcome is Outcome.HOLD
        assert codes(judgement) == [reason]
        assert judgement.due_at is None

    def test_another_key_or_another_trigger_is_no_duplicate(self) -> None:
        """R-017."""
        decided = frozenset({(ask().trigger_id, "o1"), (999, "o2")})
        assert judged(ask(dedupe_key="o2"), alice(dedupe_keys=decided)).outcome is Outcome.ALLOW
        assert judged(ask(), alice(dedupe_keys=frozenset({(ask().trigger_id, "")}))).outcome is Outcome.ALLOW


class TestTheTriggerItself:
    @pytest.mark.parametrize(
        ("fields", "reason", "until"),
        [
            ({"is_paused": True}, Reason.TRIGGER_PAUSED, None),
            ({"valid_from": NOON + HOUR}, Reason.EXPIRED, NOON + HOUR),
            ({"valid_from": NOON}, None, None),
            ({"valid_until": NOON}, Reason.EXPIRED, None),
            ({"valid_until": NOON + HOUR}, None, None),
            ({"max_per_hour": 10, "fired_this_hour": 10}, Reason.BLAST_GUARD, NOON + HOUR),
            ({"max_per_hour": 10, "fired_this_hour": 9}, None, None),
            ({"is_shadow": True}, Reason.SHADOW, None),
        ],
    )
    def test_its_dates_its_mode_and_its_guard(
        self, fields: dict[str, Any], reason: Reason | None, until: datetime | None
    ) -> None:
        judgement = judged(ask(**fields), alice())
        assert [(held.reason, held.until) for held in judgement.reasons] == (
            [(reason, until)] if reason else []
        )

    def test_the_guard_frees_at_the_next_full_hour(self) -> None:
        now = NOON + timedelta(minutes=59, seconds=59, microseconds=7)
        judgement = judged(ask(max_per_hour=1, fired_this_hour=5), alice(), now=now)
        assert judgement.reasons[0].until == NOON + HOUR
        assert judgement.reasons[0].params == {"limit": 1, "fired": 5}


class TestConsent:
    @pytest.mark.parametrize(
        ("consent", "expected"),
        [
            ({("marketing", "email"): True}, []),
            ({("marketing", "email"): False}, [Reason.UNSUBSCRIBED]),
            ({}, [Reason.NO_CONSENT]),
            ({("news", "email"): True}, [Reason.NO_CONSENT]),
            ({("marketing", "sms"): True}, [Reason.NO_CONSENT]),
            ({("*", "email"): True}, []),
            ({("*", "email"): False}, [Reason.UNSUBSCRIBED]),
            ({("*", "email"): False, ("marketing", "email"): True}, [Reason.UNSUBSCRIBED]),
            ({("*", "email"): True, ("marketing", "email"): False}, [Reason.UNSUBSCRIBED]),
        ],
    )
    def test_marketing_needs_a_recorded_yes(self, consent: Any, expected: list[Reason]) -> None:
        assert codes(judged(ask(), alice(consent=consent))) == expected

    def test_where_the_law_lets_it_only_a_recorded_no_counts(self) -> None:
        policy = Policy(is_opt_in_required=False)
        assert codes(judged(ask(), alice(consent={}), policy)) == []
        assert codes(judged(ask(), alice(consent={("marketing", "email"): False}), policy)) == [
            Reason.UNSUBSCRIBED
        ]

    @pytest.mark.parametrize(
        ("topic", "consent", "expected"),
        [
            ("marketing", {}, []),
            ("marketing", {("marketing", "email"): False, ("*", "email"): False}, []),
            ("marketing", {("transactional", "email"): False}, [Reason.UNSUBSCRIBED]),
            ("receipts", {("receipts", "email"): False}, [Reason.UNSUBSCRIBED]),
            ("receipts", {("transactional", "email"): False}, []),
        ],
    )
    def test_a_transactional_message_is_stopped_only_by_a_no_to_its_own_topic(
        self, topic: str, consent: Any, expected: list[Reason]
    ) -> None:
        """S-050, H-026: a receipt goes to who left the newsletter, never to who refused receipts."""
        assert codes(judged(ask(topic=topic, **RECEIPT), alice(consent=consent))) == expected

    def test_a_message_inside_the_product_needs_no_yes_and_no_address_but_respects_a_no(self) -> None:
        inside = ask(channels=("in_app",))
        assert codes(judged(inside, alice(consent={}, addresses={}))) == []
        refused = alice(consent={("marketing", "in_app"): False}, addresses={})
        assert codes(judged(inside, refused)) == [Reason.UNSUBSCRIBED]


class TestAddress:
    @pytest.mark.parametrize("message_class", list(MessageClass))
    @pytest.mark.parametrize(
        ("fields", "expected", "params"),
        [
            ({"addresses": {}}, Reason.MISSING_ADDRESS, {"channel": "email"}),
            ({"addresses": {"email": ""}}, Reason.MISSING_ADDRESS, {"channel": "email"}),
            (
                {"dead_addresses": {"email": "hard_bounce"}},
                Reason.ADDRESS_SUPPRESSED,
                {"channel": "email", "why": "hard_bounce"},
            ),
        ],
    )
    def test_dead_and_missing_addresses_stop_every_class(
        self, message_class: MessageClass, fields: Any, expected: Reason, params: Any
    ) -> None:
        """S-050, H-026: no class is exempt from these."""
        judgement = judged(ask(message_class=message_class), alice(**fields))
        assert [(held.reason, held.params) for held in judgement.reasons] == [(expected, params)]

    def test_a_closed_channel_does_not_hold_the_others(self) -> None:
        both = ask(channels=("email", "sms"))
        judgement = judged(both, alice(addresses={"email": "alice@example.com"}))
        assert judgement.outcome is Outcome.ALLOW
        assert judgement.channels == ("email",)
        assert [(held.reason, held.params["channel"]) for held in judgement.blocked] == [
            (Reason.MISSING_ADDRESS, "sms")
        ]

    def test_when_all_channels_are_closed_every_reason_is_told(self) -> None:
        """S-180."""
        both = ask(channels=("email", "sms"))
        state = alice(addresses={"email": "a@x"}, consent={("marketing", "sms"): True})
        judgement = judged(both, state)
        assert judgement.outcome is Outcome.HOLD
        assert codes(judgement) == [Reason.NO_CONSENT, Reason.MISSING_ADDRESS]

    def test_a_trigger_that_sends_nothing_needs_neither(self) -> None:
        """H-025: a webhook is no message."""
        nobody = alice(consent={}, addresses={}, sends=(sent(1),), preferences={"at_most_weekly": True})
        judgement = judged(ask(channels=()), nobody, now=NOON.replace(hour=23))
        assert judgement.outcome is Outcome.ALLOW
        assert judgement.channels == ()


class TestGlobalFrequencyCap:
    @pytest.mark.parametrize(
        ("hours_ago", "expected_until"),
        [
            (0, NOON + 24 * HOUR),
            (1, NOON + 23 * HOUR),
            (23.999, NOON - 23.999 * HOUR + DAY),
            (24, None),
            (48, None),
        ],
    )
    def test_one_marketing_mail_per_rolling_day(
        self, hours_ago: float, expected_until: datetime | None
    ) -> None:
        """S-176, S-181, H-029."""
        judgement = judged(ask(), alice(sends=(sent(hours_ago),)))
        assert [held.until for held in judgement.reasons] == ([expected_until] if expected_until else [])
        assert codes(judgement) == ([Reason.FREQUENCY_CAP] if expected_until else [])

    @pytest.mark.parametrize(
        "earlier", [sent(1, channel="sms"), sent(1, message_class="transactional"), sent(25)]
    )
    def test_other_channels_classes_and_days_do_not_count(self, earlier: Any) -> None:
        """S-176, H-025."""
        assert judged(ask(), alice(sends=(earlier,))).outcome is Outcome.ALLOW

    def test_a_receipt_neither_obeys_nor_uses_the_cap(self) -> None:
        """S-050, S-176, H-026."""
        capped = alice(sends=(sent(1),))
        assert judged(ask(**RECEIPT), capped).outcome is Outcome.ALLOW
        assert judged(ask(), alice(sends=(sent(1, message_class="transactional"),))).outcome is Outcome.ALLOW

    @pytest.mark.parametrize(
        ("hours_ago", "limit", "channels", "until"),
        [
            ((1, 5, 9), 3, 1, NOON + 15 * HOUR),
            ((1, 5, 9), 4, 1, None),
            ((1, 5, 9), 4, 2, NOON + 15 * HOUR),
            ((1, 5, 9), 3, 2, NOON + 19 * HOUR),
            ((1, 5, 9), 3, 3, NOON + 23 * HOUR),
            ((), 3, 3, None),
        ],
    )
    def test_every_message_counts_and_until_is_when_enough_have_left_the_window(
        self, hours_ago: tuple[float, ...], limit: int, channels: int, until: datetime | None
    ) -> None:
        """H-025: a trigger of two mails needs two places."""
        policy = Policy(caps=(Cap(limit=limit),))
        judgement = judged(
            ask(channels=("email",) * channels), alice(sends=tuple(sent(h) for h in hours_ago)), policy
        )
        assert [held.until for held in judgement.reasons] == ([until] if until else [])

    def test_a_trigger_of_more_messages_than_the_cap_never_fits(self) -> None:
        """H-025."""
        judgement = judged(ask(channels=("email", "email")), alice())
        assert codes(judgement) == [Reason.FREQUENCY_CAP]
        assert judgement.reasons[0].until is None
        assert judgement.reasons[0].params["needs"] == 2

    def test_a_cap_over_all_channels_counts_them_together(self) -> None:
        policy = Policy(caps=(Cap(channel=None, limit=2, window=7 * DAY),))
        state = alice(sends=(sent(10, "sms"), sent(30, "push")))
        assert judged(ask(), state, policy).reasons[0].until == NOON - 30 * HOUR + 7 * DAY

    def test_of_several_caps_the_one_that_lasts_longest_is_told(self) -> None:
        policy = Policy(caps=(Cap(), Cap(channel=None, limit=1, window=2 * DAY)))
        judgement = judged(ask(), alice(sends=(sent(1),)), policy)
        assert codes(judgement) == [Reason.FREQUENCY_CAP]
        assert judgement.reasons[0].until == NOON + 47 * HOUR
        assert judgement.reasons[0].params["window_hours"] == 48

    def test_a_message_reserved_for_next_week_does_not_block_today(self) -> None:
        """R-016: reservations of delayed executions count in their own window only."""
        state = alice(sends=(sent(-7 * 24),))
        assert judged(ask(), state).outcome is Outcome.ALLOW
        tomorrow = alice(sends=(sent(-20),))
        assert judged(ask(), tomorrow).reasons[0].until == NOON + 44 * HOUR

    def test_a_delayed_message_is_judged_at_the_moment_it_would_leave(self) -> None:
        state = alice(sends=(sent(20),))
        assert codes(judged(ask(due_at=NOON + 3 * HOUR), state)) == [Reason.FREQUENCY_CAP]
        assert judged(ask(due_at=NOON + 4 * HOUR), state).due_at == NOON + 4 * HOUR

    @pytest.mark.parametrize(
        ("zone", "last", "now", "until"),
        [
            # 23:30 and 00:30 of one night in Berlin are two days there, though one day in UTC.
            ("Europe/Berlin", (2026, 5, 4, 21, 30), (2026, 5, 4, 22, 30), None),
            ("UTC", (2026, 5, 4, 21, 30), (2026, 5, 4, 22, 30), (2026, 5, 5, 0, 0)),
            ("Europe/Berlin", (2026, 5, 4, 6, 0), (2026, 5, 4, 21, 59), (2026, 5, 4, 22, 0)),
            # The next day begins 25 hours after this one where clocks go back.
            ("America/New_York", (2026, 11, 1, 4, 0), (2026, 11, 1, 20, 0), (2026, 11, 2, 5, 0)),
            # Midnight itself is skipped in Beirut on 2026-03-29.
            ("Asia/Beirut", (2026, 3, 28, 10, 0), (2026, 3, 28, 12, 0), (2026, 3, 28, 22, 0)),
        ],
    )
    def test_calendar_days_are_the_customers(
        self, zone: str, last: Any, now: Any, until: tuple[int, ...] | None
    ) -> None:
        """H-029: an explicit setting, in the customer's zone."""
        policy = Policy(caps=(Cap(calendar_day=True),), quiet_start=None)
        earlier = sent(0)._replace(at=datetime(*last, tzinfo=UTC))
        state = alice(sends=(earlier,), zone=ZoneInfo(zone))
        judgement = judged(ask(), state, policy, now=datetime(*now, tzinfo=UTC))
        expected = [datetime(*until, tzinfo=UTC)] if until else []
        assert [held.until for held in judgement.reasons] == expected

    def test_seven_calendar_days_count_today_and_the_six_before(self) -> None:
        policy = Policy(caps=(Cap(calendar_day=True, window=7 * DAY),))
        assert judged(ask(), alice(sends=(sent(6 * 24),)), policy).reasons[0].until == NOON.replace(
            day=5, hour=0
        )
        assert judged(ask(), alice(sends=(sent(7 * 24),)), policy).outcome is Outcome.ALLOW


class TestTriggerCooldown:
    @pytest.mark.parametrize(
        ("cooldown", "hours_ago", "until"),
        [
            (None, 0, None),
            (6 * HOUR, 0, NOON + 6 * HOUR),
            (6 * HOUR, 5, NOON + HOUR),
            (6 * HOUR, 6, None),
            (30 * DAY, 24, NOON + 29 * DAY),
        ],
    )
    def test_the_trigger_rests_after_it_fired(
        self, cooldown: timedelta | None, hours_ago: float, until: datetime | None
    ) -> None:
        """S-077, S-177, S-182."""
        state = alice(fired={ask().trigger_id: Fired(NOON - hours_ago * HOUR, 1)})
        judgement = judged(ask(cooldown=cooldown), state)
        assert [(held.reason, held.until) for held in judgement.reasons] == (
            [(Reason.COOLDOWN, until)] if until else []
        )

    def test_another_trigger_has_its_own_cooldown(self) -> None:
        state = alice(fired={999: Fired(NOON, 1)})
        assert judged(ask(cooldown=DAY), state).outcome is Outcome.ALLOW

    def test_a_cooldown_per_key_rests_for_that_key_only(self) -> None:
        """S-077: per order or product."""
        fired = {ask().trigger_id: Fired(NOON, 2, by_key={"p1": NOON - HOUR, "p2": NOON - 9 * HOUR})}
        for key, until in (("p1", NOON + 5 * HOUR), ("p2", None), ("p3", None)):
            reasons = judged(ask(cooldown=6 * HOUR, cooldown_key=key), alice(fired=fired)).reasons
            assert [held.until for held in reasons] == ([until] if until else [])

    def test_it_holds_for_transactional_triggers_too(self) -> None:
        state = alice(fired={ask().trigger_id: Fired(NOON, 1)})
        assert codes(judged(ask(cooldown=HOUR, **RECEIPT), state)) == [Reason.COOLDOWN]


class TestExecutionLimit:
    @pytest.mark.parametrize(("count", "is_held"), [(0, False), (2, False), (3, True), (4, True)])
    def test_the_lifetime_limit_never_forgets(self, count: int, is_held: bool) -> None:
        """S-078, S-183, H-027: the count is for ever; nothing recent is needed."""
        state = alice(fired={ask().trigger_id: Fired(NOON - 4000 * DAY, count)})
        judgement = judged(ask(max_per_customer=3), state)
        assert codes(judgement) == ([Reason.MAX_PER_CUSTOMER] if is_held else [])
        if is_held:
            assert judgement.reasons[0] == (
                Reason.MAX_PER_CUSTOMER,
                None,
                {"limit": 3, "count": count},
            )

    @pytest.mark.parametrize(
        ("hours_ago", "until"),
        [
            ((), None),
            ((1,), None),
            ((1, 30), NOON + 18 * HOUR),
            ((1, 48), None),
            ((1, 2, 30), NOON + 46 * HOUR),
        ],
    )
    def test_the_limit_per_period_frees_when_the_oldest_leaves_it(
        self, hours_ago: tuple[float, ...], until: datetime | None
    ) -> None:
        """S-078: two in 48 hours."""
        recent = tuple(NOON - hours * HOUR for hours in hours_ago)
        fired = {ask().trigger_id: Fired(NOON, len(recent), recent)} if recent else {}
        judgement = judged(ask(max_per_period=(2, 48 * HOUR)), alice(fired=fired))
        assert [(held.reason, held.until) for held in judgement.reasons] == (
            [(Reason.MAX_PER_CUSTOMER, until)] if until else []
        )

    def test_a_trigger_without_limits_is_not_counted(self) -> None:
        state = alice(fired={ask().trigger_id: Fired(NOON - DAY, 10**6)})
        assert judged(ask(), state).outcome is Outcome.ALLOW


class TestCustomerPreferences:
    @pytest.mark.parametrize(
        ("preferences", "until", "kind"),
        [
            ({"channels_off": ["email"]}, None, "channel_off"),
            ({"topics_off": ["marketing"]}, None, "topic_off"),
            ({"pause_until": NOON + DAY}, NOON + DAY, "paused"),
            ({"pause_until": "2026-05-05T12:00:00+00:00"}, NOON + DAY, "paused"),
            ({"pause_until": "2026-05-05T12:00:00"}, NOON + DAY, "paused"),
            ({"at_most_weekly": True}, NOON + 5 * DAY, "at_most_weekly"),
        ],
    )
    def test_wishes_are_kept(self, preferences: Any, until: datetime | None, kind: str) -> None:
        """S-178, S-184."""
        state = alice(preferences=preferences, sends=(sent(48),))
        judgement = judged(ask(), state)
        assert codes(judgement) == [Reason.PREFERENCE]
        assert judgement.reasons[0].until == until
        assert judgement.reasons[0].params["kind"] == kind

    @pytest.mark.parametrize(
        "preferences",
        [
            {},
            {"channels_off": ["sms"], "topics_off": ["news"], "pause_until": NOON, "at_most_weekly": False},
            {"pause_until": None, "channels_off": None, "topics_off": None},
            {"pause_until": "tomorrow"},  # What cannot be read is no pause, and no error.
            {"pause_until": ""},
            {"pause_until": 5},
            {"pause_until": True},
            {"pause_until": ["2099-01-01"]},
            {"pause_until": {"at": "2099-01-01"}},
            {"theme": "dark"},
        ],
    )
    def test_other_wishes_do_not_matter(self, preferences: Any) -> None:
        """S-184."""
        state = alice(preferences=preferences, sends=(sent(48),))
        assert judged(ask(), state).outcome is Outcome.ALLOW

    def test_weekly_counts_every_marketing_message_of_seven_days(self) -> None:
        """S-178."""
        weekly = {"at_most_weekly": True}
        assert codes(judged(ask(), alice(preferences=weekly, sends=(sent(100, "push"),)))) == [
            Reason.PREFERENCE
        ]
        assert codes(judged(ask(), alice(preferences=weekly, sends=(sent(7 * 24),)))) == []
        receipt = sent(1, message_class="transactional")
        assert codes(judged(ask(), alice(preferences=weekly, sends=(receipt,)))) == []

    @pytest.mark.parametrize(
        ("preferences", "expected"),
        [
            ({"pause_until": NOON + DAY, "at_most_weekly": True}, []),
            ({"topics_off": ["marketing"]}, []),
            ({"topics_off": ["transactional"]}, [Reason.PREFERENCE]),
            ({"channels_off": ["email"]}, [Reason.PREFERENCE]),
        ],
    )
    def test_a_receipt_ignores_pause_and_frequency_only(self, preferences: Any, expected: Any) -> None:
        """H-026."""
        state = alice(preferences=preferences, sends=(sent(48),))
        assert codes(judged(ask(**RECEIPT), state)) == expected

    def test_a_channel_that_is_off_leaves_the_others(self) -> None:
        state = alice(preferences={"channels_off": ["sms"]})
        judgement = judged(ask(channels=("email", "sms")), state)
        assert (judgement.outcome, judgement.channels) == (Outcome.ALLOW, ("email",))
        assert [held.reason for held in judgement.blocked] == [Reason.PREFERENCE]


class TestEngagementSuppression:
    @pytest.mark.parametrize(
        ("score", "received", "is_held"),
        [
            (0.1, 4, False),
            (0.1, 5, True),
            (0.2, 5, False),
            (0.19999, 500, True),
            (0.0, 0, False),
            (0.5, 0, False),
        ],
    )
    def test_it_needs_a_low_score_and_evidence(self, score: float, received: int, is_held: bool) -> None:
        """S-185, H-031."""
        state = alice(engagement_score=score, messages_received=received)
        judgement = judged(ask(), state)
        assert codes(judgement) == ([Reason.LOW_ENGAGEMENT] if is_held else [])

    @pytest.mark.parametrize(
        ("last_days_ago", "until"),
        [(None, None), (91, None), (90, None), (89, NOON + DAY), (0, NOON + 90 * DAY)],
    )
    def test_one_question_per_ninety_days_may_still_ask_whether_to_stay(
        self, last_days_ago: int | None, until: datetime | None
    ) -> None:
        """The way back: one question every 90 days."""
        last = None if last_days_ago is None else NOON - last_days_ago * DAY
        state = alice(engagement_score=0.05, messages_received=9, last_repermission_at=last)
        judgement = judged(ask(is_repermission=True), state)
        assert [(held.reason, held.until) for held in judgement.reasons] == (
            [(Reason.LOW_ENGAGEMENT, until)] if until else []
        )

    def test_receipts_webhooks_and_messages_inside_the_product_are_exempt(self) -> None:
        """S-050, H-026: from the rule of engagement."""
        state = alice(engagement_score=0.0, messages_received=99)
        for exempt in (ask(**RECEIPT), ask(channels=()), ask(channels=("in_app",))):
            assert judged(exempt, state).outcome is Outcome.ALLOW
        assert judged(ask(channels=("in_app", "email")), state).outcome is Outcome.HOLD

    def test_threshold_and_evidence_are_rules_of_the_installation(self) -> None:
        state = alice(engagement_score=0.3, messages_received=1)
        policy = Policy(low_engagement_threshold=0.4, min_received=1)
        assert judged(ask(), state, policy).reasons[0].params == {"score": 0.3, "threshold": 0.4}


class TestHoldouts:
    def test_a_hundred_percent_holds_everyone_and_zero_nobody(self) -> None:
        for seed in range(50):
            assert codes(judged(ask(holdout_percent=100), alice(), seed=seed)) == [Reason.HOLDOUT]
            assert codes(judged(ask(holdout_percent=0), alice(), seed=seed)) == []

    @pytest.mark.parametrize(
        ("fields", "share"), [({"holdout_percent": None}, 0.05), ({"holdout_percent": 20}, 0.2)]
    )
    def test_a_share_of_customers_is_held_out(self, fields: Any, share: float) -> None:
        held = sum(
            judged(ask(**fields), alice(), seed=seed).primary is Reason.HOLDOUT for seed in range(4000)
        )
        assert held / 4000 == pytest.approx(share, abs=0.02)

    def test_transactional_messages_are_never_held_out(self) -> None:
        """S-050, H-026."""
        policy = Policy(global_holdout_percent=100, default_holdout=100)
        assert judged(ask(**RECEIPT), alice(), policy).outcome is Outcome.ALLOW
        assert judged(ask(**{**RECEIPT, "holdout_percent": 100}), alice(), policy).outcome is Outcome.ALLOW

    def test_the_global_holdout_comes_before_the_triggers_own(self) -> None:
        judgement = judged(ask(holdout_percent=100), alice(), Policy(global_holdout_percent=100))
        assert codes(judgement) == [Reason.GLOBAL_HOLDOUT, Reason.HOLDOUT]

    def test_a_trigger_that_sends_nothing_can_be_held_out_too(self) -> None:
        assert codes(judged(ask(channels=(), holdout_percent=100), alice())) == [Reason.HOLDOUT]


class TestQuietHours:
    NIGHT = datetime(2026, 5, 4, 20, 30, tzinfo=UTC)  # 22:30 in Berlin.
    BERLIN = ZoneInfo("Europe/Berlin")

    def test_marketing_waits_for_the_customers_morning(self) -> None:
        judgement = judged(ask(), alice(zone=self.BERLIN), now=self.NIGHT)
        assert judgement.outcome is Outcome.DEFER
        assert judgement.due_at == datetime(2026, 5, 5, 6, 0, tzinfo=UTC)
        assert judgement.waiting is Waiting.QUIET_HOURS
        assert judgement.reasons == ()
        assert judgement.channels == ("email",)

    @pytest.mark.parametrize(
        ("asked", "policy"),
        [
            (ask(**RECEIPT), Policy()),
            (ask(is_quiet_exempt=True), Policy()),
            (ask(channels=("in_app",)), Policy()),
            (ask(channels=()), Policy()),
            (ask(), Policy(quiet_start=None)),
            (ask(), Policy(quiet_start=time(23))),
        ],
    )
    def test_others_do_not_wait(self, asked: Any, policy: Policy) -> None:
        """S-050, H-026."""
        judgement = judged(asked, alice(zone=self.BERLIN), policy, now=self.NIGHT)
        assert (judgement.outcome, judgement.due_at) == (Outcome.ALLOW, self.NIGHT)

    def test_a_delayed_message_is_judged_by_the_hour_it_would_arrive(self) -> None:
        evening = self.NIGHT - 2 * HOUR  # 20:30 in Berlin.
        state = alice(zone=self.BERLIN)
        assert judged(ask(), state, now=evening).outcome is Outcome.ALLOW
        late = judged(ask(due_at=evening + HOUR), state, now=evening)
        assert (late.outcome, late.due_at) == (Outcome.DEFER, datetime(2026, 5, 5, 6, 0, tzinfo=UTC))

    @pytest.mark.parametrize(
        ("hours_before", "outcome", "until"),
        [
            (15, Outcome.DEFER, None),
            (14, Outcome.HOLD, NIGHT + 10 * HOUR),
            (1, Outcome.HOLD, NIGHT + 23 * HOUR),
        ],
    )
    def test_the_cap_is_judged_for_the_morning(
        self, hours_before: int, outcome: Outcome, until: datetime | None
    ) -> None:
        """S-176: the message would leave 9.5 hours after the event, so 14.5 hours before it are enough."""
        earlier = sent(0)._replace(at=self.NIGHT - hours_before * HOUR)
        judgement = judged(ask(), alice(zone=self.BERLIN, sends=(earlier,)), now=self.NIGHT)
        assert judgement.outcome is outcome
        assert [held.until for held in judgement.reasons] == ([until] if until else [])

    def test_who_is_held_does_not_wait(self) -> None:
        judgement = judged(ask(is_shadow=True), alice(zone=self.BERLIN), now=self.NIGHT)
        assert judgement.outcome is Outcome.HOLD
        assert judgement.would_fire


def test_all_reasons_are_recorded_in_the_order_of_design() -> None:
    """S-180, H-023, R-016."""
    one = ask(
        cooldown=DAY,
        max_per_customer=1,
        holdout_percent=100,
        is_shadow=True,
        max_per_hour=1,
        fired_this_hour=1,
        valid_until=NOON,
        is_paused=True,
    )
    state = alice(
        consent={},
        addresses={},
        sends=(sent(1),),
        fired={one.trigger_id: Fired(NOON - HOUR, 1)},
        preferences={"topics_off": ["marketing"]},
        engagement_score=0.0,
        messages_received=9,
    )
    judgement = judged(one, state, Policy(global_holdout_percent=100))
    assert codes(judgement) == [
        Reason.TRIGGER_PAUSED,
        Reason.EXPIRED,
        Reason.NO_CONSENT,
        Reason.MISSING_ADDRESS,
        Reason.FREQUENCY_CAP,
        Reason.COOLDOWN,
        Reason.MAX_PER_CUSTOMER,
        Reason.PREFERENCE,
        Reason.LOW_ENGAGEMENT,
        Reason.BLAST_GUARD,
        Reason.GLOBAL_HOLDOUT,
        Reason.HOLDOUT,
        Reason.SHADOW,
    ]
    assert judgement.primary is Reason.TRIGGER_PAUSED
    assert not judgement.would_fire
