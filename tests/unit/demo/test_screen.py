"""What is printed: the result on one screen, and nothing but plain lines where there is no terminal."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from analytics.demo import curl
from analytics.demo.screen import Meter, Screen
from analytics.demo.summary import Counted, Recipe, Summary

COUNTED = Counted(
    processed=40_229,
    executions={"triggered": 3_412, "suppressed": 5_120, "failed": 2, "pending": 310},
    held_rows=4_800,
    reasons={"frequency_cap": 4_000, "holdout": 1_120},
    emails={"sent": 3_000, "opened": 5, "failed": 2, "cancelled": 9},
    internal=140,
    recipes=(Recipe("Order thanks", 1_500, 30, 0, 1),),
    article=(
        {"trigger": "Cart recovery", "status": "triggered", "reason": "", "actions": 1, "event_id": 40_229},
    ),
)
SUMMARY = Summary(
    seed=7,
    customers=2_000,
    accepted=40_229,
    doubles=158,
    refused=0,
    counted=COUNTED,
    smtp_received=3_005,
    lanes={"critical": {"p50_ms": 9.3, "p95_ms": 45.5, "p99_ms": 86.7, "count": 79}},
    lanes_live={"critical": {"p50_ms": 5.1, "p95_ms": 11.6, "p99_ms": 17.8, "count": 4}},
    broken=(),
    invariants=20,
    seconds=71.26,
)


def printed(summary: Summary, *, is_quiet: bool = False) -> str:
    file = io.StringIO()
    Screen(file, is_quiet=is_quiet).result(
        summary, url="http://127.0.0.1:8000", curl=curl.command("http://127.0.0.1:8000", "bk_live_k")
    )
    return file.getvalue()


@pytest.mark.parametrize("is_quiet", [False, True])
def test_the_result_is_one_screen_with_every_number(is_quiet: bool) -> None:
    text = printed(SUMMARY, is_quiet=is_quiet)
    for words in (
        "40,229 accepted", "158 sent twice, dropped", "40,229 decided", "3,412 fired", "5,120 held back",
        "310 waiting for their moment", "2 failed", "3,005 sent", "3,005 received", "140 other actions",
        "12", "18",
        "frequency_cap", "4,000", "holdout", "Order thanks", "1,500", "critical", "46", "87",
        "Cart recovery: triggered, 1 action, event 40229", "20 invariants hold", "71 s",
        "http://127.0.0.1:8000/admin/", "demo / demo", "bk_live_k",
    ):  # fmt: skip
        assert words in text, words
    assert len(text.splitlines()) <= 40
    *lines, command, last = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert command.endswith(curl.command("http://127.0.0.1:8000", "bk_live_k"))
    assert last == ""


def test_without_a_terminal_there_is_no_control_character() -> None:
    assert all(character.isprintable() or character == "\n" for character in printed(SUMMARY))


def test_the_curl_can_be_copied() -> None:
    command = curl.command("http://127.0.0.1:8000", "bk_live_k")
    assert command.startswith(
        "curl -s http://127.0.0.1:8000/api/v1/events/ -H 'Authorization: Bearer bk_live_k'"
    )
    assert json.loads(command.split(" -d '")[1].removesuffix("'"))["event_type"] == "cart_abandonment"


def test_the_document_has_the_promised_keys_and_numbers() -> None:
    """S-010: what `demo --once --json` prints."""
    document = json.loads(json.dumps(SUMMARY.document()))
    assert document["events_accepted"] == document["events_processed"] == 40_229
    assert document["executions"] == {"triggered": 3_412, "suppressed": 5_120, "failed": 2, "waiting": 310}
    assert document["suppressed_by_reason"] == {"frequency_cap": 4_000, "holdout": 1_120}
    assert document["deliveries"] == {"sent": 3_005, "failed": 2, "uncertain": 0}
    assert document["smtp_received"] == 3_005
    assert document["lanes"]["critical"]["p99_ms"] == 86.7
    assert document["lanes_live"]["critical"]["count"] == 4
    assert document["seconds"] == 71.3
    assert document["problems"] == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"accepted": 40_230}, "40230 events were accepted, 40229 decided"),
        ({"smtp_received": 3_004}, "3005 mails count as sent, 3004 arrived"),
        ({"refused": 1}, "1 events were refused"),
        ({"broken": ("caps_hold",)}, "invariant caps_hold does not hold"),
        ({"counted": replace(COUNTED, article=())}, "the article's example did not fire"),
    ],
)
def test_each_broken_promise_is_a_problem(change: dict[str, object], problem: str) -> None:
    summary = replace(SUMMARY, **change)  # type: ignore[arg-type]
    assert summary.problems == [problem]
    assert problem in " ".join(printed(summary).split())


def test_progress_without_a_terminal_is_a_line_at_the_end_of_each_five_seconds() -> None:
    file = io.StringIO()
    screen = Screen(file)
    with screen.progress("replaying", 1_000) as meter:
        meter.advance(400)
        assert file.getvalue() == ""
        meter._shown -= 6  # Six seconds pass.
        meter.advance(100)
        assert "replaying  50 %  500/1,000 events" in file.getvalue()
        meter.advance(500)
    assert "100 %" in file.getvalue()
    assert isinstance(meter, Meter)


def test_quiet_prints_no_step_and_no_progress() -> None:
    file = io.StringIO()
    screen = Screen(file, is_quiet=True)
    with screen.step("working"), screen.progress("replaying", 10) as meter:
        meter.advance(10)
    assert file.getvalue() == ""


def test_a_step_is_printed_when_it_is_done_and_not_when_it_failed() -> None:
    file = io.StringIO()
    screen = Screen(file)
    with screen.step("first"):
        assert file.getvalue() == ""
    assert file.getvalue().startswith("  ✓ first  ")
    with pytest.raises(RuntimeError), screen.step("second"):
        raise RuntimeError
    assert "second" not in file.getvalue()
