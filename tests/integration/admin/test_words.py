"""What the pages of the admin call things: no internal names, one form of times and numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from automation.models import Execution, Task
from profiles.clock import short, when
from profiles.models import Profile

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("automation_execution", "Decisions"),
        ("profiles_profile", "Customers"),
        ("profiles_segment", "Segments"),
        ("automation_template", "Templates"),
        ("automation_misssample", "Events that did not match"),
    ],
)
def test_breadcrumbs_and_headings_say_what_the_sidebar_says(
    admin_client: Client, name: str, said: str
) -> None:
    page = admin_client.get(reverse(f"admin:{name}_changelist")).content.decode()
    crumbs = page.partition('class="breadcrumbs"')[2].partition("</div>")[0]
    assert crumbs.strip().endswith(f"&rsaquo; {said}")
    assert "Automation" not in crumbs
    assert f"<h1>{said}</h1>" in page


def test_a_decision_is_called_one() -> None:
    assert str(Execution(pk=7)) == "decision 7"


def test_a_time_is_short_and_whole_on_hover() -> None:
    at = datetime(2020, 11, 25, 4, 10, 54, tzinfo=UTC)
    assert short(at) == "25 Nov 2020 04:10"
    assert 'title="25 Nov 2020 04:10:54 UTC"' in when(at)
    assert short(timezone.now().replace(month=1, day=2, hour=3, minute=4)) == "2 Jan 03:04"
    assert when(None) == "–"


@pytest.mark.parametrize(
    ("value", "said"), [("46.3500", "46.35"), ("0.0000", "0"), ("1198.5000", "1,198.50")]
)
def test_money_of_a_customer_has_two_digits_or_none(admin_client: Client, value: str, said: str) -> None:
    Profile.objects.create(customer_id="c1", lifetime_value=Decimal(value))
    page = admin_client.get(reverse("admin:profiles_profile_changelist")).content.decode()
    assert f'<td class="field-worth">{said}</td>' in page


def test_a_task_that_nobody_did_in_time_is_marked(admin_client: Client) -> None:
    profile = Profile.objects.create(customer_id="c1")
    past = timezone.now() - timedelta(days=1)
    Task.objects.create(profile=profile, title="Call", due_at=past)
    Task.objects.create(profile=profile, title="Called", due_at=past, state=Task.State.DONE)
    page = admin_client.get(reverse("admin:automation_task_changelist")).content.decode()
    assert page.count("overdue") == 1
