"""What must hold of any document before pydantic sees it: JSON only, not too deep, not too large.

Pydantic lets NUL and huge numbers through, and at 300 levels reports locations hundreds of items long.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from automation.engine.pointers import pointer_of
from automation.engine.problems import Problem

MAX_GROUPS = 5  # Levels of groups inside one another.
MAX_DEPTH = 24  # Levels of anything; five groups with a row inside have 16.
MAX_ITEMS = 10_000
MAX_NODES = 100
MAX_STRING = 20_000
MAX_NUMBER = 1e15

_DEEP = Problem(f"Groups are nested more than {MAX_GROUPS} levels deep.", "Split this into two triggers.")
_TOO_DEEP = Problem("This is nested too deeply.", f"At most {MAX_DEPTH} levels.")
_LARGE = Problem("This document is too large.", f"At most {MAX_NODES} conditions and {MAX_ITEMS:,} values.")
_KEY = Problem("Only texts can be names of fields.")
_FOREIGN = Problem("Only texts, numbers, yes or no, lists and objects can be stored.")
_NUL = Problem("A text here holds a character that cannot be stored.", "Remove it and type the text again.")
_LONG = Problem(f"A text has at most {MAX_STRING:,} characters.")
_NUMBER = Problem("This number is too large.", "Use numbers up to 1,000,000,000,000,000.")
_NO_NUMBER = Problem("This is not a number.", "Infinity and NaN cannot be stored.")


def shape_problems(document: Any) -> tuple[dict[str, Problem], bool]:
    """(problems by pointer, whether they are so grave that nothing else can be judged)."""
    problems: dict[str, Problem] = {}
    grave = False
    items = nodes = 0
    stack: list[tuple[Any, tuple[str | int, ...], int]] = [(document, (), 0)]
    while stack:
        value, place, groups = stack.pop()
        items += 1
        if items > MAX_ITEMS or nodes > MAX_NODES:
            return {"": _LARGE}, True
        problem = _value_problem(value)
        if len(place) > MAX_DEPTH and isinstance(value, (list, dict)):
            problem = _TOO_DEEP
        if problem is not None:
            problems[pointer_of(place)] = problem
            grave = grave or problem in (_TOO_DEEP, _FOREIGN)
            continue
        if isinstance(value, list):
            if place and place[-1] == "conditions":
                nodes += len(value)
            stack.extend((item, (*place, index), groups) for index, item in enumerate(value))
        elif isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str) or _text_problem(key) is not None:
                    problems[pointer_of(place)] = _KEY if not isinstance(key, str) else _NUL
                    grave = True
                    continue
                inside = groups + (1 if key == "conditions" and isinstance(item, list) and place else 0)
                if inside > MAX_GROUPS:
                    problems[pointer_of(place)] = _DEEP
                    grave = True
                    continue
                stack.append((item, (*place, key), inside))
    return problems, grave


def _value_problem(value: Any) -> Problem | None:
    if value is None or isinstance(value, (bool, list, dict)):
        return None
    if isinstance(value, str):
        return _text_problem(value)
    if isinstance(value, float) and not isfinite(value):
        return _NO_NUMBER
    if isinstance(value, (int, float)):
        return None if -MAX_NUMBER <= value <= MAX_NUMBER else _NUMBER
    return _FOREIGN


def _text_problem(text: str) -> Problem | None:
    if len(text) > MAX_STRING:
        return _LONG
    # Lone surrogates cannot be written as UTF-8.
    return _NUL if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text) else None
