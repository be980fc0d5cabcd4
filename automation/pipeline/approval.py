"""Who may bring a trigger to life: a second person, unless there is none (R-049)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from automation.engine.types import Mode


class Ruling(Enum):
    """What the rule says of one person and one trigger."""

    FREE = "free"  # May publish.
    ALONE = "alone"  # May publish, because nobody else could.
    NO_PERMISSION = "no_permission"  # May ask somebody who may.
    SECOND_PERSON = "second_person"  # May publish other people's changes, but part of these are their own.

    @property
    def is_allowed(self) -> bool:
        """Whether to publish."""
        return self in (Ruling.FREE, Ruling.ALONE)


WORDS = {
    Ruling.FREE: "",
    Ruling.ALONE: "Nobody else here may publish, so no second person is needed.",
    Ruling.NO_PERMISSION: "Going live needs somebody who may publish. Ask to publish it.",
    Ruling.SECOND_PERSON: "Part of these changes are yours: a second person publishes them. Ask to publish it.",
}


@dataclass(frozen=True, slots=True)
class Case:
    """Everything the rule looks at."""

    publisher: int  # User id.
    may_publish: bool  # Holds automation.publish_trigger.
    authors: frozenset[int]  # Whose changes have not been live yet.
    holders: frozenset[int]  # Active staff who hold the permission, the publisher among them or not.
    is_self_publish_allowed: bool  # BECKON_ALLOW_SELF_PUBLISH.


def is_needed(before: Mode, after: Mode, *, is_changed: bool) -> bool:
    """Whether publishing is ruled at all: only what begins to act, or acts differently, is.

    Pausing, archiving, shadow and drafts send nothing and need nobody.
    """
    return after is Mode.LIVE and (before is not Mode.LIVE or is_changed)


def rule(case: Case) -> Ruling:
    """Whether this person may publish these changes."""
    others = case.holders - {case.publisher}
    if not case.may_publish:
        return Ruling.NO_PERMISSION if others else Ruling.ALONE
    if case.publisher not in case.authors or case.is_self_publish_allowed:
        return Ruling.FREE
    # Of the others only those are a second person who have no share in the changes.
    return Ruling.SECOND_PERSON if others - case.authors else Ruling.ALONE
