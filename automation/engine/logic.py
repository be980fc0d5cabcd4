"""Three-valued *and*, *or*, *not* over compiled conditions.

AND: one not met decides; else broken if any is broken. OR: one met decides, a broken sibling has no veto;
else broken if any is broken. NOT broken is broken. A check that raises counts as broken, here and only here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from automation.engine.operators import MET, NOT_MET, broken
from automation.engine.types import Facts, Result, Verdict

Check = Callable[[Facts], Result]

# Any event: the entry of an event_match without event_type (the article makes event_type optional).
ANY_EVENT = frozenset({"*"})


def fault(error: Exception) -> Result:
    """The result for a check that raised: shown in the trace and counted against the trigger's health."""
    return broken(f"This could not be checked ({type(error).__name__}).")


def conjunction(checks: Sequence[Check]) -> Check:
    """AND. Never raises. With nothing to check it is met."""
    checks = tuple(checks)
    if len(checks) == 1:
        return _guarded(checks[0])

    def check(facts: Facts) -> Result:
        unknown: Result | None = None
        for one in checks:
            try:
                result = one(facts)
            except Exception as error:  # noqa: BLE001  # Becomes a broken result.
                result = fault(error)
            if result is MET:
                continue
            verdict = result.verdict
            if verdict is Verdict.NOT_MET:
                return result
            if verdict is Verdict.BROKEN and unknown is None:
                unknown = result
        return MET if unknown is None else unknown

    return check


def _guarded(one: Check) -> Check:
    """A single check that never raises."""

    def check(facts: Facts) -> Result:
        try:
            result = one(facts)
        except Exception as error:  # noqa: BLE001  # Becomes a broken result.
            return fault(error)
        return MET if result.verdict is Verdict.MET else result

    return check


def disjunction(checks: Sequence[Check]) -> Check:
    """OR. Never raises."""
    checks = tuple(checks)

    def check(facts: Facts) -> Result:
        unknown: Result | None = None
        for one in checks:
            try:
                result = one(facts)
            except Exception as error:  # noqa: BLE001  # Becomes a broken result.
                result = fault(error)
            if result.verdict is Verdict.MET:
                return MET
            if unknown is None and result.verdict is Verdict.BROKEN:
                unknown = result
        return NOT_MET if unknown is None else unknown

    return check


def negation(inner: Check) -> Check:
    """NOT; broken stays broken."""

    def check(facts: Facts) -> Result:
        result = inner(facts)
        if result.verdict is Verdict.BROKEN:
            return result
        return MET if result.verdict is Verdict.NOT_MET else NOT_MET

    return check


def joined_names(names: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """Event names under AND: those that every part allows; None when no part says."""
    joined: frozenset[str] | None = None
    for part in names:
        if part is not None:
            joined = (
                part
                if joined is None or joined == ANY_EVENT
                else joined
                if part == ANY_EVENT
                else joined & part
            )
    return joined


def either_names(names: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """Event names under OR: those of every part; None when a part does not say."""
    either: frozenset[str] = frozenset()
    for part in names:
        if part is None:
            return None
        either |= part
    return ANY_EVENT if either >= ANY_EVENT else either
