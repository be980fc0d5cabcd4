"""Every page of the admin in a real browser: nothing fails, nothing is refused, everybody can use it."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from tests.browser.visit import PASSWORD, SHOTS, Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

ONLY = re.compile(os.environ.get("BECKON_PAGES", ""))  # While mending one: BECKON_PAGES=trigger
STANDARD = ("changelist", "add", "change", "history", "delete")
# Django draws these from the same templates for every model; axe sees those of a few.
ALIKE = re.compile(r"_(history|delete)$")
AXED = re.compile(r"^(automation_(trigger|template|execution)|profiles_profile)_")


@pytest.fixture
def records() -> dict[str, Any]:
    from tests.integration.access import samples  # Its models are not loaded when this file is read.

    return dict(samples.made())


def addresses(records: dict[str, Any]) -> dict[str, str]:
    """Name of each page of the admin -> its address: those of the models, and those of the permission table.

    Every address of the router is one or the other (tests/integration/access/test_matrix.py).
    """
    from analytics.reference.permissions import table

    found = {}
    for label, row in sorted(records.items()):
        name = label.lower().replace(".", "_")
        for page in STANDARD:
            args = [row.pk] if page in ("change", "history", "delete") else []
            found[f"{name}_{page}"] = reverse(f"admin:{name}_{page}", args=args)
    for route, cells in sorted(table()["pages"].items()):
        if "superuser" in cells.get("GET", ()) and "logout" not in route:
            address = cells["example"]
            for label, row in records.items():
                address = address.replace(f"{{{label}}}", str(row.pk))
            found[re.sub(r"\W+", "_", route).strip("_")] = address
    return found


def test_every_page_of_the_admin(browser: Any, live_server: Any, records: dict[str, Any]) -> None:
    """R-050: each page, light and dark: no error in the console, no violation of the policy, no failed request,
    no violation of WCAG 2 A and AA that axe-core finds, and nothing to scroll sideways at 400 pixels.
    """
    root = get_user_model().objects.create_superuser("root", password=PASSWORD)
    visit = Visit(browser, live_server.url)
    visit.open(reverse("admin:login"), "login")
    visit.examine(is_first=True)
    wrong = {"login": visit.complaints} if visit.complaints else {}
    visit.complaints = []
    visit.log_in(root.username, PASSWORD)
    looked, found = walk(visit, records)
    assert not (wrong | found), told(wrong | found)
    assert looked > 5 * len(records) * 0.7 or ONLY.pattern


def test_every_page_of_a_marketer(browser: Any, live_server: Any, records: dict[str, Any]) -> None:
    """R-050: who has the rights of the group alone sees whole pages too: what they may not do is not on them."""
    from tests.browser.editor import marketer

    visit = Visit(browser, live_server.url)
    visit.log_in(marketer().username, PASSWORD)
    # What holds nothing for them is not there for them; that it is there at all, the superuser has seen.
    looked, wrong = walk(visit, records, with_axe=False, closed=(403, 404, 405))
    assert not wrong, told(wrong)
    assert looked > 30 or ONLY.pattern


def walk(
    visit: Visit, records: dict[str, Any], *, with_axe: bool = True, closed: tuple[int, ...] = (403, 405)
) -> tuple[int, dict[str, list[str]]]:
    """Every page that the visitor may open: how many those were, and page -> what is wrong there."""
    wrong: dict[str, list[str]] = {}
    looked = 0
    pages = addresses(records)
    asked = {f"{name}_asked": pages[name] for name in pages if name.startswith("automation_trigger_c")}
    for name, address in {**pages, **asked}.items():
        if not ONLY.search(name):
            continue
        if name in asked:
            ask_to_publish(records["automation.Trigger"])
        is_axed = with_axe and (not ALIKE.search(name) or bool(AXED.search(name)))
        looked += looked_at(visit, name, address, with_axe=is_axed, closed=closed)
        if visit.complaints:
            wrong[f"{name} {address}"] = visit.complaints
            visit.complaints = []
    visit.page.context.close()
    return looked, wrong


def told(wrong: dict[str, list[str]]) -> str:
    """A line for each fault, below its page."""
    return "\n".join(f"{page}\n    " + "\n    ".join(found) for page, found in wrong.items())


def ask_to_publish(trigger: Any) -> None:
    """As somebody else did: its list and its page say so."""
    by = get_user_model().objects.get(username="guest")
    type(trigger).objects.filter(pk=trigger.pk).update(asked_by=by, asked_at=datetime.now(UTC))


def looked_at(visit: Visit, name: str, address: str, *, with_axe: bool, closed: tuple[int, ...]) -> bool:
    """Open and examine it; a file, an answer in JSON and a page that this model lacks are no pages."""
    try:
        answer = visit.page.goto(visit.base + address, wait_until="load")
    except Exception as error:
        if "Download is starting" in str(error):
            return False
        raise
    if answer.status in closed or "text/html" not in answer.headers.get("content-type", ""):
        return False
    if answer.status != 200:
        visit.complaints.append(f"answered {answer.status}")
        return False
    if SHOTS:
        visit.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)
    visit.examine(is_first=name == "admin", with_axe=with_axe)
    return True
