"""What the demo needs before its first event: recipes, a write key, dead addresses, a log-in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from analytics.demo.recipes import Recipe, recipes
from automation.engine.types import Mode, Priority
from automation.models import Template, Trigger, WriteKey
from automation.pipeline.publish import publish
from profiles.models import AddressSuppression

SOURCE = "demo-shop"  # Scope of the message ids of the demo's events.
USER = PASSWORD = "demo"  # noqa: S105 — printed on the screen, for a database of its own


@transaction.atomic
def install_recipes(mode: Mode, *, by: User | None = None) -> list[Trigger]:
    """Make or renew the recipes' templates and triggers, and publish them in `mode`."""
    return [_install(recipe, mode, by) for recipe in recipes()]


def _install(recipe: Recipe, mode: Mode, by: User | None) -> Trigger:
    Template.objects.update_or_create(
        key=recipe.key,
        defaults={
            "name": recipe.name,
            "subject": recipe.subject,
            "html": recipe.html,
            "text": recipe.text,
            "is_published": True,
        },
    )
    trigger = Trigger.objects.filter(key=recipe.key).first() or Trigger(key=recipe.key)
    for name, value in recipe.trigger.items():
        setattr(trigger, name, Priority[value.upper()] if name == "priority" else value)
    if trigger.pk:
        trigger.save()
    publish(trigger, by=by, mode=mode)
    return trigger


def issue_key() -> str:
    """A key with which the shop may send events; it is shown only now."""
    key = WriteKey(name="Demo shop", source=SOURCE, scopes=[WriteKey.Scope.EVENTS_WRITE])
    token = key.issue()
    key.save()
    return token


def suppress(addresses: Iterable[str]) -> None:
    """Mark addresses as dead, as their bounces would have."""
    rows = [
        AddressSuppression(
            channel="email",
            address=address.lower(),
            why=AddressSuppression.Why.BOUNCE,
            detail="before the demo",
        )
        for address in addresses
    ]
    AddressSuppression.objects.bulk_create(rows, ignore_conflicts=True)


def create_user() -> User:
    """The superuser demo/demo. Only for a database that the demo has made itself."""
    manager: Any = get_user_model()._default_manager
    return manager.create_superuser(username=USER, email="demo@example.com", password=PASSWORD)  # type: ignore[no-any-return]
