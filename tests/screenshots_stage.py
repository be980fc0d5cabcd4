"""What the pictures need and the demo lacks, made through the admin: a marketer, a trigger that shows much, a
second version, and a change that waits for its confirmation."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

MARKETER = ("mara", "a marketer of the demo shop")
SHOWN = "Cart recovery – high value"
PUBLISHED = "Cart recovery"
CONDITIONS = [
    {
        "type": "event_match",
        "event_type": "cart_abandonment",
        "data_conditions": [{"field": "total_value", "operator": "greater_than", "value": 50}],
    },
    {
        "type": "any",
        "conditions": [
            {
                "type": "customer_attribute",
                "attribute": "orders_count",
                "operator": "greater_than",
                "value": 2,
            },
            {
                "type": "event_count",
                "event_type": "product_view",
                "operator": "greater_than_or_equal",
                "value": 4,
                "timeframe_hours": 72,
            },
        ],
    },
    {
        "type": "not",
        "conditions": [
            {
                "type": "event_count",
                "event_type": "purchase_completed",
                "operator": "greater_than_or_equal",
                "value": 1,
                "timeframe_hours": 24,
            }
        ],
    },
    {
        "type": "sequence",
        "sequence": [{"event_type": "add_to_cart"}, {"event_type": "cart_abandonment"}],
        "timeframe_hours": 24,
    },
]
ACTIONS = [{"type": "send_email", "template_id": "cart_recovery"}]


class Stage:
    """A window without scripts, signed in as the demo's superuser."""

    def __init__(self, browser: Any, url: str) -> None:
        self.page = browser.new_context(java_script_enabled=False).new_page()
        self.url = f"{url}/admin/"
        self._go("login/")
        self._fill(username="demo", password="demo")
        self.page.click("input[type=submit]")

    def set(self) -> None:
        """Everything but the change that waits; what a run before has made is left as it is.

        The version comes before the marketer: while nobody else may publish, no second person is needed.
        """
        if not self._has("automation/trigger", SHOWN):
            self._add_trigger()
        if not self._has("auth/user", MARKETER[0]):
            self._publish_another_version()
            self._add_marketer()

    def change(self) -> None:
        """Save a change of a live trigger, and do not confirm it."""
        self._retype(60, 80, "_save")

    def _add_trigger(self) -> None:
        self._go("automation/trigger/add/")
        self.page.check("[name=mode][value=shadow]")
        self._fill(
            name=SHOWN, key="high_value", conditions=json.dumps(CONDITIONS), actions=json.dumps(ACTIONS)
        )
        self._save()

    def _publish_another_version(self) -> None:
        if self._retype(50, 60, "_golive"):
            self._save("_publish")

    def _has(self, model: str, name: str) -> bool:
        self._go(f"{model}/?q={quote_plus(name)}")
        return bool(self.page.get_by_role("link", name=name, exact=True).count())

    def _retype(self, before: int, after: int, button: str) -> bool:
        self._go(f"automation/trigger/?q={quote_plus(PUBLISHED)}")
        self.page.get_by_role("link", name=PUBLISHED, exact=True).first.click()
        text = self.page.input_value("[name=conditions]")
        if str(before) not in text:
            return False
        self._fill(conditions=text.replace(str(before), str(after)))
        self._save(button)
        return True

    def _add_marketer(self) -> None:
        name, password = MARKETER
        self._go("auth/user/add/")
        self._fill(username=name, password1=password, password2=password)
        self._save("_continue")
        self.page.check("[name=is_staff]")
        for label in ("Marketer", "Can bring triggers live and back from a pause"):
            self.page.locator("label", has_text=label).locator("input[type=checkbox]").first.check()
        self._save()

    def _go(self, path: str) -> None:
        self.page.goto(self.url + path, wait_until="load")

    def _fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.fill(f"[name={name}]", value)

    def _save(self, button: str = "_save") -> None:
        self.page.click(f"[name={button}]")
        self.page.wait_for_load_state("load")
        wrong = self.page.locator(".errornote, .form-row.errors").all_inner_texts()
        assert not wrong, f"{self.page.url}: {' '.join(wrong)}"
