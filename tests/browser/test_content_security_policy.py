"""The policy in a real browser: our scripts run, public pages render, and what is inline is refused.

Every page of the admin is opened by test_every_page.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from tests.browser.visit import PASSWORD, SHOTS, Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


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
    visit.examine(is_first=True)
    assert visit.open(reverse("unsubscribe", args=[token]), "unsubscribe") == 200
    visit.examine(is_first=True)
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
    visit.examine(is_first=True)
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
