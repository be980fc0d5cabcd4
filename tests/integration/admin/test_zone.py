"""The zone in which staff see times and type them; the API keeps UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from automation.models import WriteKey
from tests.integration.admin import rows

SUMMER = datetime(2031, 7, 1, 10, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def berlin(settings: Any) -> None:
    settings.DEFAULT_TIME_ZONE = "Europe/Berlin"


def test_a_page_shows_times_in_the_installations_zone_and_names_it(root: Client) -> None:
    key = WriteKey(name="shop", source="shop", expires_at=SUMMER)
    key.issue()
    key.save()
    page = root.get(reverse("admin:automation_writekey_changelist")).content.decode()

    assert "1 Jul 2031 12:30" in page
    assert "Times are in the zone Europe/Berlin" in page
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_typed_time_is_of_that_zone_and_comes_back_as_typed(root: Client) -> None:
    key = WriteKey(name="shop", source="shop", scopes=["events:write"])
    key.issue()
    key.save()
    address = reverse("admin:automation_writekey_change", args=[key.pk])
    typed = {"expires_at_0": "2031-07-01", "expires_at_1": "12:30:00"}
    answer = root.post(
        address, {"name": "shop", "scopes": ["events:write"], "is_active": "on", **typed}, follow=True
    )
    key.refresh_from_db()

    assert key.expires_at == SUMMER, answer.content.decode()
    assert 'value="12:30:00"' in root.get(address).content.decode()


def test_a_customers_own_times_stay_marked_as_such(root: Client) -> None:
    alice = rows.customer(time_zone="Asia/Tokyo")
    page = root.get(reverse("admin:profiles_profile_change", args=[alice.pk])).content.decode()

    assert "own (Asia/Tokyo)" in page
