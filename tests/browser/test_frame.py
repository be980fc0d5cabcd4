"""The frame, the customer's page and the Overview in a real browser, filled with what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from tests.browser.visit import PASSWORD, Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture
def visit(browser: Any, live_server: Any) -> Iterator[Visit]:
    get_user_model().objects.create_superuser("root", password=PASSWORD)
    found = Visit(browser, live_server.url, color_scheme="light")
    found.log_in("root", PASSWORD)
    yield found
    found.page.context.close()


@pytest.fixture
def happened() -> Any:
    """One customer with a fired and a held decision, a mail that was clicked and a consent; and their trigger."""
    from datetime import UTC, datetime

    from profiles.models import Consent
    from tests.integration.admin import rows  # Its models are not loaded when this file is read.

    profile = rows.customer("alice", time_zone="Asia/Tokyo", traits={"tier": "gold"})
    Consent.objects.create(
        profile=profile, is_granted=True, source="form", recorded_at=datetime(2026, 5, 5, tzinfo=UTC)
    )
    by = rows.trigger()
    fired = rows.execution(rows.event(profile, ago=9), by, status="triggered", reason="", reasons=[])
    rows.delivery(fired, status="clicked")
    rows.execution(rows.event(profile, ago=3), by)
    rows.counted(by, "fired", 30)
    rows.counted(by, "suppressed:frequency_cap", 12)
    return profile, by


def test_a_slash_goes_to_the_search_box_and_enter_finds(visit: Visit, happened: Any) -> None:
    profile, _by = happened
    page = visit.page

    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "beckon-search"
    page.keyboard.type("alice")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/?q=alice")
    page.click(".beckon-hits a >> nth=0")
    page.wait_for_url(f"**{reverse('admin:profiles_profile_change', args=[profile.pk])}")

    # Who writes a slash wants a slash.
    page.focus("#id_time_zone")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "id_time_zone"
    assert "/" in page.input_value("#id_time_zone")
    assert visit.complaints == []


def test_the_theme_changes_every_colour_and_is_remembered(visit: Visit, happened: Any) -> None:
    page = visit.page
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"

    page.click("#header .theme-toggle")  # From automatic to the other one.
    if page.evaluate("document.documentElement.dataset.theme") != "dark":
        page.click("#header .theme-toggle")
    page.wait_for_function(f"{ground} === 'rgb(15, 19, 32)'")
    visit.open(reverse("admin:search"))
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert visit.complaints == []


def test_the_timeline_is_filtered_and_a_decision_opens_by_keyboard(visit: Visit, happened: Any) -> None:
    profile, _by = happened
    page = visit.page
    visit.open(reverse("admin:profiles_profile_change", args=[profile.pk]))
    visit.examine()
    assert page.locator(".timeline-entry").count() == 7

    page.click(".customer-timeline nav >> text=Decisions")
    page.wait_for_url("**?show=decisions")
    assert page.locator(".timeline-entry").count() == 2
    page.focus(".timeline-entry summary >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=They have had enough messages for now.")
    visit.examine()
    assert visit.complaints == []


def test_the_filled_pages_are_for_everybody(visit: Visit, happened: Any) -> None:
    profile, by = happened
    for address in (
        reverse("admin:index"),
        f"{reverse('admin:profiles_profile_why', args=[profile.pk])}?trigger={by.pk}",
        f"{reverse('admin:search')}?q=cart",
    ):
        assert visit.open(address) == 200
        visit.examine()
    assert visit.complaints == []
