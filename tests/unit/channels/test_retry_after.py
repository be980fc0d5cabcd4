"""How long a server asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from automation.channels.webhook import refused, wait_of

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("120", timedelta(seconds=120)),
        (" 5 ", timedelta(seconds=5)),
        ("0", timedelta(0)),
        ("Wed, 01 Jan 2025 12:01:00 GMT", timedelta(minutes=1)),
        ("Wed, 01 Jan 2025 11:00:00 GMT", timedelta(0)),
        ("99999999999999999999", timedelta(days=7)),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, wait: timedelta | None) -> None:
    """R-029."""
    assert wait_of(text, NOW) == wait


def test_a_final_refusal_does_not_wait() -> None:
    """R-029: Retry-After on a 404 means nothing."""
    assert refused(404, "60", NOW).retry_after is None
    assert refused(503, "60", NOW).retry_after == timedelta(seconds=60)
