"""The last look, as a table without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from automation.pipeline.recheck import Present, held_back

NOW = datetime(2025, 1, 1, tzinfo=UTC)
GOOD = Present(1, "processing", "", "live", False, "a@example.com", None, {}, {"marketing": True})


@pytest.mark.parametrize(
    ("changes", "is_message", "message_class", "reason"),
    [
        ({}, True, "marketing", None),
        ({"mode": "paused"}, True, "marketing", "trigger_paused"),
        ({"mode": "draft"}, True, "marketing", "trigger_paused"),
        ({"mode": "paused"}, False, "marketing", "trigger_paused"),
        ({"mode": "paused"}, True, "transactional", "trigger_paused"),
        ({"is_erased": True}, True, "marketing", "profile_erased"),
        ({"is_erased": True}, False, "marketing", "profile_erased"),
        ({"words": {}}, True, "marketing", "no_consent"),
        ({"words": {}}, False, "marketing", None),
        ({"words": {}}, True, "transactional", None),
        ({"words": {"marketing": False}}, True, "marketing", "unsubscribed"),
        ({"words": {"marketing": True, "*": False}}, True, "marketing", "unsubscribed"),
        ({"words": {"*": True}}, True, "marketing", None),
        ({"words": {"transactional": False}}, True, "transactional", "unsubscribed"),
        ({"dead": "bounce"}, True, "marketing", "address_suppressed"),
        ({"dead": "bounce"}, True, "transactional", "address_suppressed"),
        ({"dead": "bounce"}, False, "marketing", None),
        ({"address": ""}, True, "transactional", "missing_address"),
        ({"address": ""}, False, "marketing", None),
        ({"preferences": {"topics_off": ["marketing"]}}, True, "marketing", "preference"),
        ({"preferences": {"pause_until": "2025-02-01T00:00:00+00:00"}}, True, "marketing", "preference"),
        ({"preferences": {"pause_until": "2024-02-01T00:00:00+00:00"}}, True, "marketing", None),
        ({"execution_status": "suppressed", "execution_reason": "expired"}, True, "marketing", "expired"),
        ({"execution_status": "pending"}, True, "marketing", None),
    ],
)
def test_what_may_have_changed(
    changes: dict[str, Any], is_message: bool, message_class: str, reason: str | None, settings: Any
) -> None:
    """R-024, H-020."""
    settings.CONSENT_OPT_IN = True
    held = held_back(
        GOOD._replace(**changes),
        is_message=is_message,
        channel="email",
        message_class=message_class,
        topic="marketing",
        now=NOW,
    )
    assert held == reason
