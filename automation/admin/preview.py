"""The preview of a trigger that is being edited: problems, the sentence, and what it would have done."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import OperationalError, models
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from automation import backtest, personal, reasons, wording
from automation.admin import preview_warnings, why
from automation.admin.trigger_form import composed
from automation.backtest.step import Sample
from automation.buckets import Buckets
from automation.engine.definition import TriggerDefinition
from automation.engine.problems import Problem
from automation.engine.validate import validate_definition
from automation.models import Trigger
from automation.pipeline import publish
from profiles import masking
from profiles.models import Profile

log = logging.getLogger(__name__)

BODY_BYTES = 262_144
RATE = Buckets(rate=1.0, burst=20)  # Of one user; the editor asks at most twice a second while they type.
_STAND_IN = {"type": "create_task", "title": "preview"}  # For actions that cannot be read yet: sends nothing.
_GUARDS = (
    "key name type priority message_class topic timing cancel_when recheck cooldown_minutes cooldown_path"
    " max_per_customer max_per_period dedupe_path holdout_percent valid_from valid_until max_per_hour on_lost value"
).split()


class Previewing:
    """Mixed in before ModelAdmin: one address that judges what was typed, and changes nothing."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # type: ignore[attr-defined]
        return [
            path("preview/", wrap(self.preview_view), name="automation_trigger_preview"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """POST {conditions, actions, guards, trigger, explain}; docs/explanation/backtest.md describes the answer."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        if request.method != "POST":
            return _refused(405, _("Send the trigger with POST."), Allow="POST")
        if wait := RATE.take(str(request.user.pk)):
            return _refused(
                429, _("Too many previews at once. Wait a moment."), **{"Retry-After": str(math.ceil(wait))}
            )
        body = _body(request)
        if body is None:
            return _refused(400, _("The preview did not understand what the page sent."))
        return JsonResponse(preview(body, request.user, now=datetime.now(UTC)))


def preview(body: Mapping[str, Any], user: Any, *, now: datetime) -> dict[str, Any]:
    """The answer to one body."""
    stored = Trigger.objects.filter(pk=body["trigger"]).first() if body.get("trigger") else None
    document, problems = _document(body, stored)
    for pointer, problem in publish.check(document).items():
        problems.setdefault(pointer, problem)
    definition = _judgeable(document, problems)
    answer: dict[str, Any] = {
        "errors": {pointer: {"message": p.message, "hint": p.hint} for pointer, p in problems.items()},
        "warnings": {},
        "sentence": wording.parts(document),
        "backtest": None,
        "nodes": {},
        "broken": {},
        "samples": [],
        "withheld": "",
        "trace": None,
        "guards": None,
    }
    if definition is None:
        return answer
    # Whom, or how many, it holds for would spell an address out, one condition after the other.
    if not masking.may_see(user) and personal.reads_personal(document):
        return answer | _secret()
    may_see_people = user.has_perms(why.NEEDS)
    trigger_id, event_id = stored.pk if stored else None, body.get("explain")
    explained: dict[str, Any] = {}
    try:
        found = backtest.run(definition, now=now, trigger_id=trigger_id)
        if event_id is not None and may_see_people:
            with suppress(backtest.NoSuchEventError):
                explained = _explained(definition, event_id, now, trigger_id, user)
    except OperationalError:  # PostgreSQL gave up on the time of a web request.
        log.warning("a preview was too slow", exc_info=True)
        slow = {
            "message": _("Too much is stored to say quickly what this would have done."),
            "hint": _("Ask for an answer from the command line: manage.py backtest."),
        }
        return answer | {"warnings": {"": slow}}
    return {
        **answer,
        "warnings": preview_warnings.warnings(definition, problems),
        "backtest": _counted(found),
        "nodes": {pointer: list(counts) for pointer, counts in found.nodes.items()},
        "broken": dict(found.broken),
        "samples": _samples(found.samples, wording.places(document), user) if may_see_people else [],
        "withheld": "" if may_see_people else _("You may not see customers with their events and decisions."),
        **explained,
    }


def _secret() -> dict[str, Any]:
    """What is said in place of numbers and people."""
    return {
        "warnings": {
            "": {
                "message": _("No numbers: the trigger reads personal data, and you may not see those."),
                "hint": _("Ask somebody who may see personal data for the preview."),
            }
        },
        "withheld": _("Nobody is shown: the trigger reads personal data, and you may not see those."),
    }


def _counted(found: backtest.Backtest) -> dict[str, Any]:
    """The numbers, each reason with what it is called."""
    return found.document() | {
        "held_back": [
            {"code": code, "label": str(reasons.label(code)), "n": n} for code, n in found.held_back.items()
        ]
    }


def _explained(
    definition: TriggerDefinition, event_id: int, now: datetime, trigger_id: int | None, user: Any
) -> dict[str, Any]:
    """`trace` and `guards` of one event. Raises NoSuchEventError."""
    found = backtest.explain(definition, event_id, now=now, trigger_id=trigger_id)
    return found.document() if masking.may_see(user) else found.masked().document()


def _refused(status: int, text: str, **headers: str) -> JsonResponse:
    return JsonResponse({"detail": text}, status=status, headers=headers)


def _body(request: HttpRequest) -> dict[str, Any] | None:
    """The body as sent, or None when it is not what the page sends."""
    if len(request.body) > BODY_BYTES:
        return None
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    shapes = {"conditions": list, "actions": list, "guards": dict}
    if not isinstance(body, dict) or any(
        not isinstance(body.get(name, kind()), kind) for name, kind in shapes.items()
    ):
        return None
    return body if all(_is_key(body.get(name)) for name in ("trigger", "explain")) else None


def _is_key(value: Any) -> bool:
    """Whether it can be the key of a row, or is left out."""
    return value is None or (type(value) is int and 0 < value < 2**63)


def _document(body: Mapping[str, Any], stored: Trigger | None) -> tuple[dict[str, Any], dict[str, Problem]]:
    """The document that saving would make, and what is wrong with single fields."""
    model = stored or Trigger(key="preview", name="Preview")
    problems: dict[str, Problem] = {}
    for name, value in composed(body.get("guards", {})).items():
        if name not in _GUARDS:
            continue
        try:
            setattr(model, name, _typed(name, value))
        except ValidationError as error:
            problems[f"/{name}"] = Problem(" ".join(error.messages))
    if not model.key:
        model.key = "preview"
    model.name = model.name or "Preview"
    model.conditions, model.actions = body.get("conditions", []), body.get("actions", [])
    return model.document(), problems


def _typed(name: str, value: Any) -> Any:
    """The value of a form's field as the model keeps it; documents and what is ticked are so already."""
    field: Any = Trigger._meta.get_field(name)
    if value is None:
        return None if field.null else field.get_default()
    if isinstance(value, bool) and isinstance(field, models.BooleanField):
        return value
    if not isinstance(value, str):
        if isinstance(field, models.JSONField):
            return value
        if isinstance(value, (list, dict)):
            raise ValidationError(_("A single value is expected."))
        value = str(value)
    cleaned = field.formfield(required=False).clean(value)
    return field.get_default() if cleaned in (None, "") and not field.null else cleaned


def _judgeable(document: dict[str, Any], problems: Mapping[str, Problem]) -> TriggerDefinition | None:
    """What can be judged: with problems in the actions only, the others act for them."""
    if any(not pointer.startswith("/actions") for pointer in problems):
        return None
    listed = document["actions"]
    wrong = {pointer.split("/")[2] for pointer in problems if pointer.count("/") > 1}
    is_all_wrong = "/actions" in problems
    kept = [a for index, a in enumerate(listed) if not is_all_wrong and str(index) not in wrong]
    definition, _problems = validate_definition({**document, "actions": kept or [_STAND_IN]})
    return definition


def _samples(samples: tuple[Sample, ...], said: Mapping[str, str], user: Any) -> list[dict[str, Any]]:
    people = Profile.objects.in_bulk({sample.profile_id for sample in samples})
    return [
        {
            "event_id": sample.event_id,
            "profile_id": sample.profile_id,
            "customer": _name(people.get(sample.profile_id), user),
            "at": sample.at.isoformat(),
            "outcome": sample.outcome,
            "reason": sample.reason,
            "text": _text(sample, said),
        }
        for sample in samples
    ]


def _name(profile: Profile | None, user: Any) -> str:
    """What the list of customers calls them, for this member of staff."""
    if profile is None:
        return _("forgotten customer")
    if not masking.may_see(user):
        masking.veil(profile)
    full = f"{profile.first_name} {profile.last_name}".strip()
    return full or str(profile)


def _text(sample: Sample, said: Mapping[str, str]) -> str:
    if sample.outcome == backtest.Ending.FIRED:
        return _("Would get it.")
    if sample.reason:
        return reasons.text(sample.reason)
    return _("Stopped at: %(condition)s.") % {"condition": said.get(sample.pointer, sample.pointer)}
