"""What the tests of the trigger editor share: a browser on the page, and the catalogue of a small shop."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from tests.browser.visit import PASSWORD, Visit

CART = {
    "total_value": {"number": 9},
    "cart_id": {"text": 9},
    "abandonment_duration_minutes": {"number": 9},
    "is_gift": {"boolean": 9},
}


def shop() -> None:
    """Event names, segments, a template and a customer, as an installation has after its first days."""
    now = datetime.now(UTC)
    for name, volume, properties in (
        ("cart_abandonment", 551, CART),
        ("product_view", 1297, {"product_id": {"text": 9}, "price": {"number": 9}}),
        ("purchase_completed", 203, {"total": {"number": 9}}),
    ):
        apps.get_model("automation.CatalogueEntry").objects.create(
            name=name, volume=volume, properties=properties, first_seen=now, last_seen=now
        )
    apps.get_model("automation.Template").objects.create(
        key="cart_recovery", name="Cart recovery", subject="Your cart", text="It waits for you."
    )
    apps.get_model("profiles.Segment").objects.create(key="at_risk", name="At risk")
    apps.get_model("profiles.Profile").objects.create(customer_id="ada", traits={"plan": "pro", "age": 36})


def marketer(*, may_publish: bool = False) -> Any:
    """A member of the group Marketer and no superuser; with the permission to publish on top, or not."""
    user = get_user_model().objects.create_user("mara", "mara@example.com", PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="Marketer"))
    if may_publish:
        user.user_permissions.add(Permission.objects.get(codename="publish_trigger"))
    return user


class Editor(Visit):
    """One window on the form of a trigger, already signed in."""

    def __init__(
        self, browser: Any, base: str, *, width: int = 1300, script: bool = True, user: Any = None
    ) -> None:
        super().__init__(browser, base, java_script_enabled=script)
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.set_default_timeout(8000)
        if user is None:
            user, _ = get_user_model().objects.get_or_create(
                username="root", defaults={"is_staff": True, "is_superuser": True}
            )
        client = Client()
        client.force_login(user)
        cookie = client.cookies["sessionid"].value
        self.page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": base}])

    def close(self) -> None:
        self.page.context.close()

    def add(self, query: str = "") -> None:
        """The form that adds a trigger."""
        self.page.goto(self.base + reverse("admin:automation_trigger_add") + query)

    def change(self, pk: int) -> None:
        """The form of one trigger."""
        self.page.goto(self.base + reverse("admin:automation_trigger_change", args=[pk]))

    def document(self, name: str = "conditions") -> Any:
        """What the textarea holds, which is what would be saved."""
        return json.loads(self.page.input_value(f"textarea[name={name}]") or "[]")

    def focused(self) -> str:
        """The place that has the focus."""
        return str(self.page.evaluate("document.activeElement.dataset.focus ?? document.activeElement.name"))

    def focused_text(self) -> str:
        """The words of what has the focus."""
        return str(self.page.evaluate("document.activeElement.textContent")).strip()

    def press(self, *keys: str) -> None:
        """Keys, one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, text: str) -> None:
        """In the focused select, by typing the beginning of the option; Enter takes it."""
        self.page.keyboard.type(text)
        self.press("Enter")

    def at(self, focus: str) -> Any:
        """The control at a place."""
        return self.page.locator(f'[data-focus="{focus}"]')
