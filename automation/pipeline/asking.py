"""Asking to publish, declining, and whose changes wait: the rows around the rule of `approval`."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from automation.engine.types import Mode
from automation.models import Trigger
from automation.pipeline.approval import Case, Ruling, rule

PERMISSION = "automation.publish_trigger"
_BACKEND = "django.contrib.auth.backends.ModelBackend"
_ASKED = ("asked_by", "asked_at", "asked_note")
_DECLINED = ("declined_by", "declined_at", "declined_note")


def holders() -> frozenset[int]:
    """Ids of the active members of staff who may publish, superusers included."""
    users = User.objects.with_perm(PERMISSION, backend=_BACKEND)  # type: ignore[attr-defined]
    return frozenset(users.filter(is_active=True, is_staff=True).values_list("pk", flat=True))


def authors_of(trigger: Trigger) -> frozenset[int]:
    """Users whose changes have not been live yet.

    A document that somebody stored past `note_author` belongs to whoever touched it last.
    """
    noted = frozenset(trigger.authors)
    version = trigger.current_version
    if not noted and (version is None or version.definition != trigger.document()):
        last = trigger.updated_by_id or trigger.created_by_id
        return frozenset({last} if last else ())
    return noted


def ruling(trigger: Trigger, by: User) -> Ruling:
    """What the rule says of `by` and the changes stored in `trigger`."""
    return rule(
        Case(
            publisher=by.pk,
            may_publish=by.is_active and by.has_perm(PERMISSION),
            authors=authors_of(trigger),
            holders=holders(),
            is_self_publish_allowed=settings.ALLOW_SELF_PUBLISH,
        )
    )


def note_author(trigger: Trigger, by: User) -> None:
    """Remember, on the instance, that `by` changed what is stored; saving is the caller's."""
    trigger.authors = sorted({*trigger.authors, by.pk})


def settle(trigger: Trigger) -> list[str]:
    """On the instance: the changes are live and no question is open. Returns the changed fields."""
    trigger.authors = []
    for prefix in ("asked", "declined"):
        setattr(trigger, f"{prefix}_by", None)
        setattr(trigger, f"{prefix}_at", None)
        setattr(trigger, f"{prefix}_note", "")
    return ["authors", *_ASKED, *_DECLINED]


@transaction.atomic
def ask(trigger_id: int, *, by: User, note: str = "") -> bool:
    """Ask that the stored document goes live; False when there is nothing to publish or it is archived."""
    locked = (
        Trigger.objects.select_for_update(of=("self",)).select_related("current_version").get(pk=trigger_id)
    )
    if not is_publishable(locked):
        return False
    locked.asked_by, locked.asked_at, locked.asked_note = by, Now(), note.strip()[:300]  # type: ignore[assignment]
    locked.declined_by, locked.declined_at, locked.declined_note = None, None, ""
    locked.save(update_fields=[*_ASKED, *_DECLINED])
    return True


@transaction.atomic
def decline(trigger_id: int, *, by: User, note: str) -> bool:
    """Answer no, with the reason; False when nobody asks (any more)."""
    locked = Trigger.objects.select_for_update().get(pk=trigger_id)
    if locked.asked_at is None:
        return False
    locked.declined_by, locked.declined_at = by, Now()  # type: ignore[assignment]
    locked.declined_note = note.strip()[:300]
    locked.asked_at = None  # asked_by and asked_note stay: the page says who was declined what.
    locked.save(update_fields=[*_ASKED, *_DECLINED])
    return True


def is_publishable(trigger: Trigger) -> bool:
    """Whether going live would change anything."""
    if trigger.mode == Mode.ARCHIVED:
        return False
    version = trigger.current_version
    return trigger.mode != Mode.LIVE or version is None or version.definition != trigger.document()
