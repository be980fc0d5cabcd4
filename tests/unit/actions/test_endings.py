"""What an error means, and what the end of one action means for the others: tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from automation.actions.base import Outcome
from automation.channels.base import ChannelBusyError, DeliveryError
from automation.engine.types import ExecutionStatus, Reason
from automation.pipeline import endings
from automation.pipeline.endings import Progress, Sibling
from automation.rendering.liquid import TemplateError

NOW = datetime(2025, 1, 1, tzinfo=UTC)
EARLY = NOW - timedelta(minutes=1)


def failed(error: Exception, **fields: Any) -> endings.Ending:
    values = {"may_repeat": False, "tries": 1, "first_at": EARLY, "now": NOW, "seed": "s", **fields}
    return endings.failed(error, **values)


def error(**fields: Any) -> DeliveryError:
    return DeliveryError("no", **{"permanent": False, "kind": "k", **fields})


@pytest.mark.parametrize(
    ("failure", "fields", "status", "reason"),
    [
        (error(), {}, "pending", ""),
        (error(), {"tries": 11}, "pending", ""),
        (error(), {"tries": 12}, "failed", ""),
        (error(), {"first_at": NOW - timedelta(hours=72)}, "failed", ""),
        (error(permanent=True), {}, "failed", ""),
        (error(permanent=True), {"may_repeat": True}, "failed", ""),
        (error(permanent=True, reason=Reason.CHANNEL_UNAVAILABLE), {}, "failed", "channel_unavailable"),
        (error(maybe_sent=True), {}, "uncertain", ""),
        (error(maybe_sent=True), {"may_repeat": True}, "pending", ""),
        (error(maybe_sent=True), {"may_repeat": True, "tries": 12}, "failed", ""),
        (TemplateError("line 3"), {"may_repeat": True}, "failed", "template_error"),
        (KeyError("x"), {"may_repeat": True}, "failed", ""),
        (
            ChannelBusyError("busy", retry_after=timedelta(seconds=9)),
            {"tries": 50},
            "pending",
            "circuit_open",
        ),
    ],
)
def test_each_failure_ends_the_attempt_in_one_way(
    failure: Exception, fields: dict[str, Any], status: str, reason: str
) -> None:
    """R-026, R-028, R-029, R-030, S-159."""
    ending = failed(failure, **fields)
    assert (ending.status, ending.reason) == (status, reason)
    assert (ending.wait is not None) is (status == "pending")
    assert ending.error_class


def test_a_retry_waits_with_jitter_and_after_what_the_server_asked_for() -> None:
    """R-029: the same for the same delivery and attempt."""
    wait = failed(error(retry_after=timedelta(minutes=2)), tries=3).wait
    assert wait is not None
    assert timedelta(minutes=2) <= wait <= timedelta(minutes=2, seconds=20)
    assert wait == failed(error(retry_after=timedelta(minutes=2)), tries=3).wait
    assert wait != failed(error(retry_after=timedelta(minutes=2)), tries=3, seed="t").wait


def test_an_open_circuit_uses_up_no_attempt() -> None:
    """R-030."""
    ending = failed(ChannelBusyError("busy", retry_after=timedelta(seconds=9)))
    assert ending.is_free
    assert ending.wait == timedelta(seconds=9)


def test_errors_hold_no_address_and_nothing_postgresql_refuses() -> None:
    """H-065."""
    ending = failed(
        DeliveryError("<Al.B+c@sub.example.com> is\0 unknown; ask x@y.z, (q@r.s)", permanent=True)
    )
    assert ending.error == "<[address]> is unknown; ask [address], ([address])"
    assert failed(ValueError("alice@example.com")).error == "An unexpected error; the log has the details."


def test_a_success_keeps_the_providers_id_whole() -> None:
    """S-158: a Message-ID looks like an address and is none."""
    ending = endings.succeeded(Outcome("<1-2@beckon.local>", {"a": 1}))
    assert (ending.status, ending.provider_id, ending.result) == ("sent", "<1-2@beckon.local>", {"a": 1})


@pytest.mark.parametrize(
    ("may_repeat", "tries", "status"), [(False, 1, "uncertain"), (True, 1, "pending"), (True, 12, "failed")]
)
def test_an_interrupted_call(may_repeat: bool, tries: int, status: str) -> None:
    """R-026."""
    ending = endings.interrupted(may_repeat=may_repeat, tries=tries, first_at=EARLY, now=NOW)
    assert (ending.status, ending.error_class) == (status, "interrupted")


def rows(*statuses: str) -> list[Sibling]:
    """`cancelled:reason` and `failed:error` carry their words."""
    made = []
    for index, text in enumerate(statuses):
        status, _, words = text.partition(":")
        is_error = status == "failed"
        made.append(Sibling(index, status, "" if is_error else words, words if is_error else ""))
    return made


TRIGGERED, FAILED, SUPPRESSED = ExecutionStatus.TRIGGERED, ExecutionStatus.FAILED, ExecutionStatus.SUPPRESSED


@pytest.mark.parametrize(
    ("statuses", "ended", "stop", "expected"),
    [
        (["sent"], 0, False, Progress(status=TRIGGERED)),
        (["uncertain"], 0, False, Progress(status=TRIGGERED)),
        (["clicked"], 0, False, Progress(status=TRIGGERED)),
        (["failed:no"], 0, False, Progress(status=FAILED, error="no")),
        (["cancelled:unsubscribed"], 0, False, Progress(status=SUPPRESSED, reason="unsubscribed")),
        (["sent", "pending"], 0, False, Progress(next_index=1)),
        (["sent", "pending"], 0, True, Progress(next_index=1)),
        (["failed:no", "pending", "pending"], 0, False, Progress(next_index=1)),
        (["failed:no", "pending", "pending"], 0, True, Progress(cancel=(1, 2), status=FAILED, error="no")),
        (["sent", "failed:no", "pending"], 1, True, Progress(cancel=(2,), status=TRIGGERED)),
        (["sent", "failed:no"], 1, True, Progress(status=TRIGGERED)),
        (["failed:a", "failed:b"], 1, False, Progress(status=FAILED, error="a")),
        (["cancelled:unsubscribed", "sent"], 1, False, Progress(status=TRIGGERED)),
        (["cancelled:unsubscribed", "failed:no"], 1, False, Progress(status=FAILED, error="no")),
        (
            ["cancelled:trigger_paused", "pending"],
            0,
            True,
            Progress(cancel=(1,), status=SUPPRESSED, reason="trigger_paused"),
        ),
        (["cancelled:no_consent", "pending"], 0, False, Progress(next_index=1)),
        (["cancelled:a", "cancelled:b"], 1, False, Progress(status=SUPPRESSED, reason="a")),
        (["uncertain", "pending"], 0, True, Progress(next_index=1)),
        (["pending", "sent"], 1, False, Progress(next_index=0)),
    ],
)
def test_what_follows_when_an_action_has_ended(
    statuses: list[str], ended: int, stop: bool, expected: Progress
) -> None:
    """S-076, S-144, H-019, R-024: triggered when anything worked; suppressed when all were called off."""
    assert endings.progress(rows(*statuses), ended, stop=stop) == expected
