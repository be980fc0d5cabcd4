"""Every kind of page in a real browser: it renders, its scripts run, and the policy refuses nothing of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import reverse

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

PASSWORD = "a long and unusual passphrase"
SHOTS = os.environ.get("BECKON_SHOTS", "")  # A folder for pictures of each page, for people.


class Visit:
    """One browser window, and everything that it complained about."""

    def __init__(self, browser: Any, base: str) -> None:
        self.page = browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
        self.base = base
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))

    def _note(self, message: Any) -> None:
        # Chromium reports the status of a page that answers 4xx in the same place.
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            self.complaints.append(message.text)

    def open(self, path: str, name: str = "") -> int:
        """Go there, scroll through, and return the status."""
        answer = self.page.goto(self.base + path, wait_until="load")
        if SHOTS and name:
            self.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)
        return int(answer.status)

    def log_in(self, name: str, password: str) -> None:
        """Fill in the log-in page."""
        self.page.goto(f"{self.base}{reverse('admin:login')}")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", password)
        self.page.click("input[type=submit]")
        self.page.wait_for_load_state("load")


@pytest.fixture
def visit(browser: Any, live_server: Any) -> Iterator[Visit]:
    get_user_model().objects.create_superuser("root", password=PASSWORD)
    found = Visit(browser, live_server.url)
    yield found
    found.page.context.close()


@pytest.fixture
def records() -> dict[str, Any]:
    from tests.integration.access import samples  # Its models are not loaded when this file is read.

    return dict(samples.made())


def test_pages_of_the_admin(visit: Visit, records: dict[str, Any]) -> None:
    """R-050: start page, each list, each form that adds, each record, and the pages between two persons."""
    visit.log_in("root", PASSWORD)
    assert visit.open(reverse("admin:index"), "index") == 200
    for label in (model._meta.label for model in admin.site._registry):
        row = records[label]
        name = label.lower().replace(".", "_")
        for page, args in (("changelist", []), ("change", [row.pk])):
            assert visit.open(reverse(f"admin:{name}_{page}", args=args), f"{name}_{page}") == 200, (
                label,
                page,
            )
    for label in ("automation.Trigger", "automation.Task", "automation.WriteKey", "profiles.Consent"):
        name = label.lower().replace(".", "_")
        assert visit.open(reverse(f"admin:{name}_add"), f"{name}_add") == 200
    trigger = records["automation.Trigger"]
    apps.get_model("automation.Trigger").objects.filter(pk=trigger.pk).update(
        cooldown_minutes=60,
        asked_by=get_user_model().objects.get(username="root"),
        asked_at="2026-11-24T10:00Z",
    )
    for step in ("publish", "versions", "test"):
        path = reverse(f"admin:automation_trigger_{step}", args=[trigger.pk])
        assert visit.open(path, f"trigger_{step}") == 200
    visit.open(reverse("admin:automation_trigger_changelist"), "trigger_list_asked")
    visit.open(reverse("admin:automation_trigger_change", args=[trigger.pk]), "trigger_change_asked")
    assert visit.complaints == []


def test_scripts_of_the_admin_run(visit: Visit, records: dict[str, Any]) -> None:
    """R-050: the policy does not only refuse: the picker of customers searches, and the key is made from a name."""
    visit.log_in("root", PASSWORD)
    visit.open(reverse("admin:automation_task_add"))
    visit.page.click(".select2-selection >> nth=0")
    visit.page.wait_for_selector(".select2-results__option:has-text('alice')")
    visit.open(reverse("admin:automation_trigger_add"))
    visit.page.type("#id_name", "Win them back")
    assert visit.page.input_value("#id_key") == "win-them-back"
    assert visit.complaints == []


def test_public_pages(visit: Visit, records: dict[str, Any]) -> None:
    """R-050, R-047: the API for people, unsubscribing, and what does not exist."""
    from automation.rendering import unsubscribe as links

    token = links.token(links.Subscription(records["profiles.Profile"].pk, "marketing", "email"))
    assert visit.open(reverse("api-docs"), "api_docs") == 200
    assert visit.page.evaluate("document.styleSheets.length") == 1
    assert visit.open(reverse("unsubscribe", args=[token]), "unsubscribe") == 200
    visit.page.click("button[type=submit]")
    visit.page.wait_for_selector("text=You are unsubscribed")
    assert visit.open("/nothing", "not_found") == 404
    assert visit.complaints == []


def test_the_lock_out_page(visit: Visit) -> None:
    """R-050: by hand, as a person meets it."""
    visit.open(reverse("admin:login"), "login")
    for _ in range(5):
        visit.log_in("root", "wrong")
    assert visit.page.inner_text("h1") == "Too many wrong passwords"
    if SHOTS:
        visit.page.screenshot(path=str(Path(SHOTS) / "locked_out.png"))
    visit.log_in("root", PASSWORD)
    assert visit.page.inner_text("h1") == "Too many wrong passwords"
    assert visit.complaints == []


def test_the_browser_does_refuse_what_is_inline(visit: Visit) -> None:
    """R-050: or the tests above would pass without any policy."""
    visit.open(reverse("api-docs"))
    visit.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); }"
    )
    assert visit.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in visit.complaints)
