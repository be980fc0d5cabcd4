"""Behaviour segment: five words by published rules, read off the state at a moment.

Judged from top to bottom, the first that holds:

| segment | rule |
|---|---|
| new | has never done anything |
| lapsed | silent for more than 90 days |
| at_risk | silent for more than 30 days |
| loyal | 3 orders or more |
| new | first seen at most 14 days ago |
| active | everyone else |

Time alone moves people (active, at_risk, lapsed), so the stored column is as of the last activity
and must be refreshed by a sweep; views always compute it for their moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

SEGMENTS: Final = ("new", "active", "loyal", "at_risk", "lapsed")
LAPSED_AFTER: Final = timedelta(days=90)
AT_RISK_AFTER: Final = timedelta(days=30)
NEW_FOR: Final = timedelta(days=14)
LOYAL_ORDERS: Final = 3


def segment_of(state: Mapping[str, Any], at: datetime) -> str:
    """One of SEGMENTS."""
    last = state["last_activity"]
    if last is None:
        return "new"
    silence = at - last
    if silence > AT_RISK_AFTER:
        return "lapsed" if silence > LAPSED_AFTER else "at_risk"
    if state["orders_count"] >= LOYAL_ORDERS:
        return "loyal"
    return "new" if at - (state["first_seen"] or last) <= NEW_FOR else "active"
