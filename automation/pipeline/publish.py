"""Publishing: the only way a trigger's definition and mode reach the engine.

A published version is immutable. A database trigger raises the epoch with the row's change, so that every
worker takes the new version or mode over within 2 seconds of the commit (S-079).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from pydantic import BaseModel

from automation import wording
from automation.actions import registry as actions
from automation.engine.types import Mode
from automation.engine.validate import Problem, validate_definition
from automation.models import Template, Trigger, TriggerVersion
from automation.pipeline import approval, asking
from profiles.models import Segment

ENGINE_MODES = frozenset({Mode.SHADOW, Mode.LIVE})


class Invalid(ValueError):
    """The trigger cannot be published; `problems` maps a JSON pointer into its document to what is wrong."""

    def __init__(self, problems: Mapping[str, Problem]) -> None:
        self.problems = dict(problems)
        super().__init__(
            "; ".join(f"{pointer or '/'}: {problem.message}" for pointer, problem in problems.items())
        )


class ArchivedError(Invalid):
    """It is archived: only back to draft leads out of that."""

    def __init__(self) -> None:
        super().__init__({})
        self.args = ("It is archived. Take it back to draft first.",)


class NotAsConfirmedError(ValueError):
    """The document or mode is not any more what somebody confirmed."""


class NeedsApproval(PermissionError):
    """This person may not bring the trigger live; `ruling` says why."""

    def __init__(self, ruling: approval.Ruling) -> None:
        self.ruling = ruling
        super().__init__(approval.WORDS[ruling])


def check(document: Mapping[str, Any]) -> dict[str, Problem]:
    """Everything that stands in the way of publishing `document`, by pointer; empty when nothing does."""
    definition, problems = validate_definition(dict(document))
    problems = dict(problems)
    listed = document.get("actions")
    if isinstance(listed, list):
        for pointer, problem in actions.validate_actions(listed).items():
            problems.setdefault(pointer, problem)
    if definition is not None and not problems:
        problems |= _missing_templates(definition.actions)
    return problems


def fingerprint(trigger: Trigger) -> str:
    """Of everything that a person looks at before confirming it: the document, the mode, and what is published."""
    seen = [trigger.document(), trigger.mode, trigger.current_version_id]
    return sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


@transaction.atomic
def publish(
    trigger: Trigger, *, by: User | None, mode: Mode | None = None, confirmed: str | None = None
) -> TriggerVersion:
    """Make the stored trigger what the engine sees, in `mode` (None: the mode it has).

    A trigger that was never stored is stored first. A new version is made only when the document differs
    from the current one. Raises Invalid when the document has problems (ArchivedError when the trigger is
    archived), and NeedsApproval when a second person has to publish; then nothing changes. `by` None is the
    system itself: commands, demo, imports. With `confirmed`, a `fingerprint`, only what has it is published;
    else NotAsConfirmedError is raised.
    """
    is_new = trigger.pk is None
    if is_new:
        trigger.created_by = trigger.updated_by = by
        if by is not None:
            asking.note_author(trigger, by)
        trigger.mode = Mode.DRAFT if mode is None else mode
        problems = check(trigger.document())
        if problems:
            raise Invalid(problems)
        trigger.save()
    # 1. Nobody else publishes this trigger until we commit.
    locked = Trigger.objects.select_for_update().get(pk=trigger.pk)
    if locked.mode == Mode.ARCHIVED and not is_new:
        raise ArchivedError
    document = locked.document()
    if confirmed is not None and confirmed != fingerprint(locked):
        raise NotAsConfirmedError
    # 2. All or nothing.
    problems = check(document)
    if problems:
        raise Invalid(problems)
    # 3. What begins to act, or acts differently, is published by a second person.
    version = locked.current_version
    target = Mode(locked.mode if mode is None else mode)
    is_changed = version is None or version.definition != document
    if by is not None and approval.is_needed(Mode(locked.mode), target, is_changed=is_changed):
        ruling = asking.ruling(locked, by)
        if not ruling.is_allowed:
            raise NeedsApproval(ruling)
    # 4. A version, when there is something new to say.
    if version is None or version.definition != document:
        created = _create_segments(document)
        changed = [wording.changes(version.definition if version else None, document)]
        changed += [f"segment {key} was created" for key in created]
        last: int = locked.versions.aggregate(last=Max("number"))["last"] or 0
        version = TriggerVersion.objects.create(
            trigger=locked, number=last + 1, definition=document, changes="\n".join(changed), published_by=by
        )
    # 5. One update: version and mode become visible together.
    fields = ["current_version", "mode", "pause_reason", "updated_by", "updated_at"]
    locked.current_version = version
    locked.mode = target
    if target in ENGINE_MODES:
        locked.pause_reason = ""
    if target is Mode.LIVE:
        fields += asking.settle(locked)
    locked.updated_by = by or locked.updated_by
    locked.save(update_fields=fields)
    trigger.refresh_from_db()
    return version


@transaction.atomic
def set_mode(trigger_id: int, mode: Mode, *, by: User | None, reason: str = "") -> bool:
    """Change only the mode (pause, archive, back to draft); the kill switch needs no valid document.

    `reason` is shown beside a paused trigger. Returns whether the mode changed. To go live or into shadow is
    to publish: that is refused here. Of what is archived only a draft is made; else ArchivedError is raised.
    """
    if mode in ENGINE_MODES:
        raise ValueError("use publish() to put a trigger into shadow or live")
    locked = Trigger.objects.select_for_update().get(pk=trigger_id)
    if locked.mode == mode:
        return False
    if locked.mode == Mode.ARCHIVED and mode != Mode.DRAFT:
        raise ArchivedError
    locked.mode, locked.pause_reason = mode, reason[:300]
    locked.updated_by = by or locked.updated_by
    locked.save(update_fields=["mode", "pause_reason", "updated_by", "updated_at"])
    return True


def _missing_templates(listed: list[dict[str, Any]]) -> dict[str, Problem]:
    wanted = {
        f"/actions/{index}{pointer}": key
        for index, action in enumerate(listed)
        for pointer, key in _references(actions.parse(action), "templates")
    }
    published = dict(Template.objects.filter(key__in=set(wanted.values())).values_list("key", "is_published"))
    problems = {}
    for pointer, key in wanted.items():
        if key not in published:
            problems[pointer] = Problem(
                f"There is no template “{key}”.", "Choose a template, or create this one first."
            )
        elif not published[key]:
            problems[pointer] = Problem(
                f"The template “{key}” is not published.", "Publish it under Templates first."
            )
    return problems


def _create_segments(document: Mapping[str, Any]) -> list[str]:
    """Make the segments that actions name and that do not exist; returns their keys."""
    created = []
    for action in document["actions"]:
        for _, key in _references(actions.parse(action), "segments"):
            _, is_new = Segment.objects.get_or_create(
                key=key, defaults={"name": key.replace("-", " ").replace("_", " ").capitalize()}
            )
            if is_new:
                created.append(key)
    return created


def _references(model: BaseModel, source: str, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Pointers and values of the fields whose schema says that their values come from `source`."""
    for name, field in type(model).model_fields.items():
        value, extra = getattr(model, name), field.json_schema_extra
        if isinstance(value, BaseModel):
            yield from _references(value, source, f"{pointer}/{name}")
        elif isinstance(extra, dict) and extra.get("x-source") == source and isinstance(value, str) and value:
            yield f"{pointer}/{name}", value
