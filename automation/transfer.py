"""Triggers as JSON documents: for files in version control, for the download of the list, and back again.

A file holds the document of one trigger (`Trigger.document()`) and its `mode`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from automation import wording
from automation.engine.problems import Problem
from automation.engine.types import Mode
from automation.models import Trigger
from automation.pipeline import asking, publish

MAX_BYTES = 5_000_000


class UnreadableError(ValueError):
    """A text is not what `text` writes."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became, or would become, of one document."""

    key: str
    what: str  # new, changed, unchanged or refused.
    changes: str = ""  # In words, a line each.
    version: int | None = None  # Set when it was published.
    problems: Mapping[str, Problem] | None = None  # By pointer, when it was refused.


def exported(trigger: Trigger) -> dict[str, Any]:
    """The stored document, also where it differs from the version that the engine has."""
    return {**trigger.document(), "mode": trigger.mode}


def text(documents: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> str:
    """JSON whose lines differ only where the triggers do."""
    return json.dumps(documents, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def read(source: str) -> list[dict[str, Any]]:
    """The documents of a file: one, or a list of them. Raises UnreadableError."""
    if len(source) > MAX_BYTES:
        raise UnreadableError("This is too long to be triggers.")
    try:
        found = json.loads(source)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UnreadableError(f"This is not JSON: {error}.") from error
    listed = found if isinstance(found, list) else [found]
    for one in listed:
        if not isinstance(one, dict) or not isinstance(one.get("key"), str):
            raise UnreadableError("Each trigger is an object with a key.")
    keys = [one["key"] for one in listed]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise UnreadableError(f"These keys are there twice: {', '.join(twice)}.")
    return listed


class _UndoneError(Exception):
    """Takes back what was stored."""


def bring_in(
    documents: Sequence[Mapping[str, Any]],
    *,
    by: User | None,
    is_published: bool = False,
    is_dry: bool = False,
) -> list[Imported]:
    """Store documents, all or none; what a document leaves out gets its default.

    A new trigger is a draft and an existing one keeps its mode, and the engine sees nothing of it; with
    `is_published` those whose document says shadow or live are published so. Nothing is stored when one is
    refused, or when `is_dry`.
    """
    found: list[Imported] = []
    try:
        with transaction.atomic():
            found = [_one(document, by, is_published) for document in documents]
            if is_dry or any(one.problems for one in found):
                raise _UndoneError
    except _UndoneError:
        pass
    return found


def _one(given: Mapping[str, Any], by: User | None, is_published: bool) -> Imported:
    key = given["key"]
    fields = {name: value for name, value in given.items() if name != "mode"}
    document = Trigger(key=key).document() | fields
    problems = publish.check(document) | _of_mode(given.get("mode", Mode.DRAFT.value))
    trigger = Trigger.objects.select_for_update().filter(key=key).first()
    if trigger is not None and trigger.mode == Mode.ARCHIVED:
        problems["/key"] = Problem("The trigger of this key is archived.", "Take it back to draft first.")
    if not problems and Trigger.objects.filter(name=document["name"]).exclude(key=key).exists():
        problems["/name"] = Problem("Another trigger has this name.", "Choose another one.")
    if problems:
        return Imported(key, "refused", problems=problems)
    before = trigger.document() if trigger is not None else None
    trigger = trigger or Trigger(key=key, created_by=by)
    trigger.take(document)
    what = "new" if before is None else "unchanged" if before == trigger.document() else "changed"
    if what != "unchanged":
        trigger.updated_by = by
        if by is not None:
            asking.note_author(trigger, by)
        trigger.save()
    version = None
    mode = Mode(given.get("mode", Mode.DRAFT.value))
    if is_published and mode in publish.ENGINE_MODES:
        version = publish.publish(trigger, by=by, mode=mode).number
    changes = wording.changes(before, trigger.document()) if what == "changed" else ""
    return Imported(key, what, changes, version)


def _of_mode(mode: Any) -> dict[str, Problem]:
    if mode in {str(one) for one in Mode}:
        return {}
    return {"/mode": Problem("This is no mode.", "Use draft, shadow, live, paused or archived.")}


def copied(trigger: Trigger, by: User) -> Trigger:
    """A draft like `trigger` under the next free name and key; stored."""
    number = 2
    while True:
        key = f"{trigger.key[:44]}-{number}"
        name = f"{trigger.name[:190]} ({number})"
        if not Trigger.objects.filter(key=key).exists() and not Trigger.objects.filter(name=name).exists():
            break
        number += 1
    copy = Trigger(key=key, created_by=by, updated_by=by)
    copy.take({**trigger.document(), "name": name})
    asking.note_author(copy, by)
    copy.save()
    return copy
