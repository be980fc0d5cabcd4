"""One event at a time: store it, update the profile, walk all triggers, execute what matches."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.article import schema
from benchmarks.article.interpreter import compare, event_matches
from benchmarks.article.suppression import Suppression

CACHE_SECONDS = 3600
_PRIORITIES = {"critical": 1, "high": 2, "medium": 3, "low": 4}
_NEW = {"behavior_segment": "new", "engagement_score": 0.5, "lifetime_value": 0.0}
_JSON = ("preferences", "trigger_history", "behavioral_patterns")


class Engine:
    """The engine, for events given as the article's dictionaries."""

    def __init__(self, pool: Any, cache: Any, triggers: Sequence[Mapping[str, Any]]) -> None:
        """`pool` of asyncpg, `cache` of redis; `holds` needs neither for conditions on the event alone."""
        self._pool = pool
        self._cache = cache
        self._triggers = {trigger["key"]: trigger for trigger in triggers}
        self._suppression = Suppression(cache)

    async def process(self, event: Mapping[str, Any]) -> int:
        """Process one event; returns how many triggers were executed."""
        event_id = str(uuid.uuid4())
        await self._store(event, event_id)
        await self._update_profile(event)
        matching = await self._matching(event)
        for trigger in sorted(matching, key=lambda t: _PRIORITIES[t["priority"]]):
            await self._execute(trigger, event, event_id)
        return len(matching)

    async def _matching(self, event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        matching = []
        for trigger in self._triggers.values():
            if await self.holds(trigger, event):
                profile = await self._profile(event["customer_id"])
                if not self._suppression.is_suppressed(trigger, event["customer_id"], profile):
                    matching.append(trigger)
        return matching

    async def holds(self, trigger: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
        """Whether all conditions of a trigger hold for an event."""
        for condition in trigger["conditions"]:
            kind = condition.get("type")
            if kind == "event_match":
                if not await self._event_match(condition, event):
                    return False
            elif kind == "customer_attribute":
                if not await self._attribute(condition, event):
                    return False
            elif kind == "sequence":
                if not await self._sequence(condition, event):
                    return False
        return True

    async def _event_match(self, condition: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
        return event_matches(condition, event["event_type"], event["event_data"])

    async def _attribute(self, condition: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
        profile = await self._profile(event["customer_id"])
        return compare(profile.get(condition["attribute"]), condition["operator"], condition["value"])

    async def _sequence(self, condition: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
        wanted = [step["event_type"] for step in condition["sequence"]]
        since = event["timestamp"] - timedelta(hours=condition.get("timeframe_hours", 24))
        reached = 0
        for row in await self._pool.fetch(schema.EVENTS_SINCE, event["customer_id"], since):
            if row["timestamp"] < event["timestamp"] and reached < len(wanted):
                reached += row["event_type"] == wanted[reached]
        if reached < len(wanted):
            reached += event["event_type"] == wanted[reached]
        return reached >= len(wanted)

    async def _profile(self, customer_id: str) -> dict[str, Any]:
        cached = self._cache.get(f"profile:{customer_id}")
        if cached:
            return dict(json.loads(cached))
        row = await self._pool.fetchrow(schema.PROFILE, customer_id)
        if row is None:
            return {**_NEW, **{field: {} for field in _JSON}}
        profile = dict(row)
        for field in _JSON:
            profile[field] = json.loads(profile[field]) if profile[field] else {}
        self._remember(customer_id, profile)
        return profile

    async def _update_profile(self, event: Mapping[str, Any]) -> None:
        profile = await self._profile(event["customer_id"])
        profile["last_activity"] = event["timestamp"]
        profile["engagement_score"] = min(1.0, max(0.0, profile["engagement_score"] + 0.01))
        patterns = profile["behavioral_patterns"]
        patterns[event["event_type"]] = patterns.get(event["event_type"], 0) + 1
        if event["event_type"] == "purchase_completed":
            profile["lifetime_value"] += event["event_data"].get("total", 0)
        profile["behavior_segment"] = "loyal" if patterns.get("purchase_completed", 0) >= 3 else "active"
        await self._pool.execute(
            schema.STORE_PROFILE,
            event["customer_id"],
            profile["behavior_segment"],
            profile["engagement_score"],
            profile["lifetime_value"],
            profile["last_activity"],
            *(json.dumps(profile[field]) for field in _JSON),
        )
        self._remember(event["customer_id"], profile)

    def _remember(self, customer_id: str, profile: Mapping[str, Any]) -> None:
        self._cache.setex(f"profile:{customer_id}", CACHE_SECONDS, json.dumps(profile, default=str))

    async def _store(self, event: Mapping[str, Any], event_id: str) -> None:
        await self._pool.execute(
            schema.STORE_EVENT,
            event_id,
            event["customer_id"],
            event["event_type"],
            json.dumps(event["event_data"]),
            event["timestamp"],
            event["session_id"],
            event["source"],
            json.dumps(event["device_info"]),
            "{}",
            json.dumps(event["metadata"]),
        )

    async def _execute(self, trigger: Mapping[str, Any], event: Mapping[str, Any], event_id: str) -> None:
        execution_id, customer_id = str(uuid.uuid4()), event["customer_id"]
        began = _now()
        await self._pool.execute(
            schema.STORE_EXECUTION, execution_id, trigger["key"], customer_id, event_id, "pending", began
        )
        await self._pool.execute(schema.UPDATE_EXECUTION, execution_id, "processing", None, "[]")
        results = []
        for action in trigger["actions"]:
            profile = await self._profile(customer_id)
            personal = {"customer_id": customer_id, "segment": profile["behavior_segment"]}
            results.append({"action": action, "result": {"success": True, "personalization": personal}})
        await self._pool.execute(
            schema.UPDATE_EXECUTION,
            execution_id,
            "triggered",
            _now(),
            json.dumps(results),
        )
        self._suppression.record(trigger, customer_id)


def _now() -> datetime:
    """UTC without a zone, as the article's columns hold it."""
    return datetime.now(UTC).replace(tzinfo=None)
