"""The live page in a real browser: an event that a shop sends appears by itself, with what became of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from tests.browser.visit import PASSWORD, Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

BAD = "<img src=x onerror=document.title='stolen'>"
SHOTS = os.environ.get("BECKON_SHOTS", "")  # A folder for pictures, for people.


@pytest.fixture
def visit(browser: Any, live_server: Any) -> Iterator[Visit]:
    """Signed in as a superuser."""
    get_user_model().objects.create_superuser("root", password=PASSWORD)
    found = Visit(browser, live_server.url)
    found.log_in("root", PASSWORD)
    yield found
    found.page.context.close()


@pytest.fixture
def token() -> str:
    """A key that may send events."""
    from automation.models import WriteKey

    key = WriteKey(name="Shop", source="shop", scopes=["events:write"])
    issued: str = key.issue()
    key.save()
    return issued


def post(base: str, token: str, event: Any) -> int:
    """Send one event as a shop does; the status of the answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(f"{base}/api/v1/events/", json.dumps(event).encode(), headers)) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def shot(visit: Visit, name: str) -> None:
    """A picture of the page in light, in dark and on a phone."""
    if not SHOTS:
        return
    for theme, width in (("light", 1300), ("dark", 1300), ("light", 400)):
        visit.page.set_viewport_size({"width": width, "height": 900})
        visit.page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        visit.page.wait_for_timeout(600)
        visit.page.screenshot(path=str(Path(SHOTS) / f"{name}-{theme}-{width}.png"), full_page=True)
    visit.page.set_viewport_size({"width": 1300, "height": 900})


def test_an_event_appears_by_itself_with_what_became_of_it(visit: Visit, token: str) -> None:
    """R-050: waiting turns to ✓, the chip turns when it is decided, pause stops it, a refusal is shown, and markup
    in names, ids and payloads stays text.
    """
    from automation.api import rejections
    from tests.factories import decide_all, make_trigger

    make_trigger("cart-recovery", name=f"Cart recovery {BAD}")
    visit.open(reverse("admin:automation_live"))
    page, rows = visit.page, visit.page.locator("#live-rows > li")
    page.wait_for_selector("#live-first:has-text('Waiting for your first event…')")
    shot(visit, "waiting")

    assert post(visit.base, token, {"customer_id": "alice", "event_type": "cart_abandonment"}) == 202
    page.wait_for_selector("#live-first:has-text('✓')")
    assert "waits for its decision" in rows.first.inner_text()
    decide_all()
    page.wait_for_selector(".live-chip:has-text('Cart recovery')")
    assert "fires" in rows.first.inner_text()
    assert rows.count() == 1

    assert post(visit.base, token, {"customer_id": "alice", "event_type": 5}) == 400
    rejections.flush()
    page.wait_for_selector("#live-rows > li:has-text('/event_type')")
    assert "Rejected with 400" in rows.first.inner_text()

    hostile = {"customer_id": BAD, "event_type": "markup", "event_data": {BAD: BAD, "total_value": 12}}
    assert post(visit.base, token, hostile) == 202
    page.wait_for_selector("#live-rows > li:has-text('markup')")
    rows.first.locator("summary").click()
    assert BAD.partition("'")[0] in rows.first.locator("pre").inner_text()
    assert page.locator("#live-rows img").count() == 0
    assert page.title().startswith("Live events")
    decide_all()
    shot(visit, "rows")

    page.click("#live-pause")
    assert page.get_attribute("#live-pause", "aria-pressed") == "true"
    assert "Paused" in page.inner_text("#live-state")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    assert post(visit.base, token, {"customer_id": "bob", "event_type": "search"}) == 202
    page.wait_for_timeout(2500)
    assert (rows.count(), asked) == (3, [])
    page.click("#live-pause")
    page.wait_for_selector("#live-rows > li:has-text('search')")
    rows.first.locator("summary").click()
    visit.examine()
    assert visit.complaints == []


def test_pages_of_decisions_draw_and_stay_silent(visit: Visit) -> None:
    """R-050, S-001: decision, histogram, deliveries, quarantine and replay with markup in everything stored."""
    from automation.models import Event
    from tests.integration.admin import rows
    from tests.integration.admin.test_lists import quarantined

    trigger = rows.trigger(
        name=f"Cart {BAD}",
        conditions=[
            rows.CART,
            {
                "type": "customer_attribute",
                "attribute": "orders_count",
                "operator": "greater_than",
                "value": 3,
            },
            {"type": "not", "conditions": [{"type": "segment", "segment": "vip"}]},
        ],
    )
    for label, count in (
        ("fired", 640),
        ("suppressed:frequency_cap", 210),
        ("suppressed:template_error", 12),
    ):
        rows.counted(trigger, label, count)
    event = rows.event(rows.customer(BAD), data={"total_value": 80, "note": BAD})
    conditions = {
        "result": "not_met",
        "first_failing": "/conditions/1",
        "/conditions/0": {"result": "met", "seen": "cart_abandonment"},
        "/conditions/0/data_conditions/0": {"result": "met", "seen": 80},
        "/conditions/1": {"result": "not_met", "seen": BAD, "reason": BAD},
        "/conditions/2": {"result": "met"},
        "/conditions/2/conditions/0": {"result": "not_met", "seen": "not in vip"},
    }
    decision = rows.execution(event, trigger, trace={"conditions": conditions}, held_count=3)
    rows.delivery(decision, status="failed", error=f"503 {BAD}", result={"status": 503, "body": BAD})
    rows.delivery(decision, status="uncertain", action_index=1, channel="webhook", idempotency_key="k2")
    held = quarantined(
        event, error_class="KeyError", traceback=f'File "/x/decide.py", line 7, in step\n{BAD}'
    )
    pages = {
        "decisions": reverse("admin:automation_execution_changelist"),
        "none": reverse("admin:automation_execution_changelist") + "?reason=cooldown",
        "decision": reverse("admin:automation_execution_change", args=[decision.pk]),
        "deliveries": reverse("admin:automation_delivery_changelist"),
        "quarantine": reverse("admin:automation_quarantinedevent_changelist"),
        "held": reverse("admin:automation_quarantinedevent_change", args=[held.pk]),
        "replay": reverse("admin:automation_event_replay", args=[Event.objects.get().pk]),
        "rejected": reverse("admin:automation_rejectedrequest_changelist"),
        "live": reverse("admin:automation_live"),
    }
    for name, address in pages.items():
        assert visit.open(address) == 200, name
        assert visit.page.locator("img[src=x]").count() == 0, name
        assert "stolen" not in visit.page.title(), name
        shot(visit, name)
        if name in ("decisions", "decision", "quarantine", "replay"):
            visit.examine()
    assert visit.complaints == []
