"""What events make of a profile: pure reducers over plain data, no Django.

`apply` one event, `merge` two profiles, `view` the result; see state.py for what all reducers promise.
"""

from profiles.behavior.engagement import HALF_LIFE_DAYS, WEIGHTS, engagement_score
from profiles.behavior.merge import merge
from profiles.behavior.patterns import best_hour
from profiles.behavior.reduce import apply
from profiles.behavior.segments import SEGMENTS, segment_of
from profiles.behavior.state import COLUMNS, EMPTY, BehaviorEvent, State, empty, moment_text
from profiles.behavior.view import ATTRIBUTES, view

__all__ = [
    "ATTRIBUTES",
    "COLUMNS",
    "EMPTY",
    "HALF_LIFE_DAYS",
    "SEGMENTS",
    "WEIGHTS",
    "BehaviorEvent",
    "State",
    "apply",
    "best_hour",
    "empty",
    "engagement_score",
    "merge",
    "moment_text",
    "segment_of",
    "view",
]
