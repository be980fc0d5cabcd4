"""What the pages of the admin call things: no internal names, one form of times and numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from automation.admin.trace import tone
from automation.models import Execution, Task
from profiles.clock import short, when
from profiles.models import Consent, Profile
from tests.integration.admin import rows

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


def test_what_a_trigger_changed_is_not_said_to_come_from_the_customer(admin_client: Client) -> None:
    profile = rows.customer()
    act = rows.delivery(rows.execution(rows.event(profile), rows.trigger()), idempotency_key="k")
    Profile.objects.filter(pk=profile.pk).update(
        trait_stamps={
            "failed_payments": ["2026-11-01T10:00:00+00:00", str(act.pk)],
            "plan": ["2026-11-02T10:00:00+00:00", "of an event"],
        }
    )
    page = admin_client.get(reverse("admin:profiles_profile_change", args=[profile.pk])).content.decode()
    assert "Changed: failed payments" in page
    assert "Said about themselves: plan" in page


def test_what_waits_is_neither_good_nor_bad() -> None:
    assert [tone(one) for one in ("pending", "sent", "suppressed", "failed")] == [
        "quiet",
        "ok",
        "held",
        "failed",
    ]


def test_the_triggers_that_heard_a_customer_come_first(admin_client: Client) -> None:
    profile = rows.customer()
    rows.trigger("aaa", conditions=[{"type": "event_match", "event_type": "signup"}])
    rows.trigger("zzz")
    rows.event(profile)
    page = admin_client.get(reverse("admin:profiles_profile_why", args=[profile.pk]))
    assert [one.key for one in page.context["triggers"]] == ["zzz", "aaa"]


def test_the_heading_of_a_trigger_is_its_name(admin_client: Client) -> None:
    trigger = rows.trigger()
    page = admin_client.get(reverse("admin:automation_trigger_change", args=[trigger.pk])).content.decode()
    assert f"<h1>{trigger.name}</h1>" in page


def test_a_word_on_consent_is_named_for_people(admin_client: Client) -> None:
    profile = rows.customer()
    Consent.objects.filter(profile=profile).delete()
    Consent.objects.create(profile=profile, is_granted=True, recorded_at=timezone.now(), source="form")
    page = admin_client.get(reverse("admin:profiles_profile_change", args=[profile.pk])).content.decode()
    assert "E-mail marketing: yes" in page
