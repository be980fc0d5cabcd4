"""The article's suppression: lists of moments in Redis, asked anew for each trigger that matched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

MONTH, WEEK = 86400 * 30, 86400 * 7
CAP = timedelta(hours=24)
LOW_ENGAGEMENT = 0.2


class Suppression:
    """Global cap, cooldown, limit per customer, preferences, engagement; in the article's order.

    The article's global cap counts every execution; here it counts marketing alone, as all peers do.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def is_suppressed(self, trigger: Mapping[str, Any], customer_id: str, profile: Mapping[str, Any]) -> bool:
        """Whether something speaks against executing it now."""
        is_marketing = trigger["message_class"] == "marketing"
        if is_marketing and self._is_recent(f"global_exec:{customer_id}", CAP):
            return True
        key = f"trigger_exec:{customer_id}:{trigger['key']}"
        cooldown = trigger.get("cooldown_minutes")
        if cooldown and self._is_recent(key, timedelta(minutes=cooldown)):
            return True
        limit = trigger.get("max_per_customer")
        if limit and int(self._cache.llen(key)) >= limit:
            return True
        if trigger["key"] in (profile.get("preferences") or {}).get("off", ()):
            return True
        return bool(profile.get("engagement_score", 0.5) < LOW_ENGAGEMENT)

    def record(self, trigger: Mapping[str, Any], customer_id: str) -> None:
        """Remember that it was executed."""
        now = _now().isoformat()
        names = [(f"trigger_exec:{customer_id}:{trigger['key']}", MONTH)]
        if trigger["message_class"] == "marketing":
            names.append((f"global_exec:{customer_id}", WEEK))
        for name, seconds in names:
            self._cache.lpush(name, now)
            self._cache.expire(name, seconds)

    def _is_recent(self, name: str, window: timedelta) -> bool:
        newest: Any = self._cache.lindex(name, 0)
        if newest is None:
            return False
        return _now() - datetime.fromisoformat(newest) < window


def _now() -> datetime:
    """UTC without a zone, as the article writes it."""
    return datetime.now(UTC).replace(tzinfo=None)
