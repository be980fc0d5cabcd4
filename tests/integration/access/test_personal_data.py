"""Who may not see addresses sees none: every page of every model, loaded with them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from automation.models import Delivery
from tests.integration.access import samples
from tests.integration.admin.conftest import SignIn

pytestmark = pytest.mark.django_db

LABELS = [model._meta.label for model in samples.registered()]


def pages(label: str, pk: Any) -> list[str]:
    """Addresses of the pages of a model and of one of its rows."""
    name = label.replace(".", "_").lower()
    return [
        reverse(f"admin:{name}_changelist"),
        f"{reverse(f'admin:{name}_changelist')}?q={samples.EMAIL.split('@')[0]}",
        *(reverse(f"admin:{name}_{page}", args=[pk]) for page in ("change", "history", "delete")),
    ]


@pytest.fixture
def found() -> Any:
    return samples.made()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("group", ["Analyst", "Operator"])
def test_no_page_shows_them_an_address(sign_in: SignIn, found: Any, group: str, label: str) -> None:
    """R-049: lists, records, histories, tables below them, traces, errors, answers of webhooks."""
    client = sign_in(group)
    for url in pages(label, found[label].pk):
        answer = client.get(url)
        text = answer.content.decode()
        for secret in samples.SECRETS:
            if secret in text and f"q={secret}" not in url:
                place = text.index(secret)
                pytest.fail(f"{url} shows {secret}: …{text[max(0, place - 200) : place + 60]}…")


def test_who_may_change_a_customer_and_see_no_address_sees_none(sign_in: SignIn, found: Any) -> None:
    """R-049: title, name, traits; saving changes what may be changed and leaves the rest as it was."""
    client, row = sign_in("Analyst"), found["profiles.Profile"]
    User.objects.get(username="Analyst").user_permissions.add(
        Permission.objects.get(codename="change_profile")
    )
    before = type(row).objects.values().get(pk=row.pk)
    url = reverse("admin:profiles_profile_change", args=[row.pk])
    answer = client.get(url)
    form = answer.context["adminform"].form
    data = {name: form.initial[name] for name in form.fields if form.initial.get(name)}
    data |= {"time_zone": "Europe/Vienna"}
    for formset in answer.context["inline_admin_formsets"]:
        data |= formset.formset.management_form.initial and {
            f"{formset.formset.prefix}-{name}": value
            for name, value in formset.formset.management_form.initial.items()
        }
    wrong = client.post(url, data | {"time_zone": "Nowhere/Land"})
    for text in (answer.content.decode(), wrong.content.decode()):
        assert [secret for secret in samples.SECRETS if secret in text] == []
    client.post(url, data)
    after = type(row).objects.values().get(pk=row.pk)
    changed = {name for name in before if before[name] != after[name]}
    assert {"time_zone"} <= changed <= {"time_zone", "time_zone_source", "updated_at", "preferences"}


@pytest.mark.parametrize(
    "label", ["profiles.Profile", "automation.Delivery", "automation.Event", "automation.Task"]
)
def test_who_may_see_addresses_sees_them(sign_in: SignIn, found: Any, label: str) -> None:
    """The samples do hold what the others must not see."""
    client = sign_in("Marketer")
    assert samples.EMAIL in client.get(pages(label, found[label].pk)[2]).content.decode()


@pytest.mark.parametrize("group", ["Analyst", "Operator"])
def test_pickers_show_no_address(sign_in: SignIn, found: Any, group: str) -> None:
    """R-049: the JSON behind a field that searches customers."""
    query = {"app_label": "profiles", "model_name": "consent", "field_name": "profile", "term": ""}
    answer = sign_in(group).get(reverse("admin:autocomplete"), query)
    assert answer.status_code == 200
    assert [entry["text"] for entry in answer.json()["results"]] == ["a…@example.com"]


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("profiles.profile", "email__startswith=a"),
        ("profiles.profile", "phone__contains=1234567"),
        ("profiles.profile", "traits__email__startswith=a"),
        ("profiles.profile", "customer_id__startswith=a"),
        ("automation.delivery", "address__startswith=a"),
        ("automation.delivery", "error__contains=alice"),
        ("automation.event", "data__email=alice"),
        ("automation.event", "profile__email__startswith=a"),
        ("automation.quarantinedevent", "traceback__contains=alice"),
        ("profiles.identity", "value__startswith=a"),
        ("profiles.addresssuppression", "address__startswith=a"),
    ],
)
def test_filters_in_an_address_spell_nothing_out(
    sign_in: SignIn, found: Any, model: str, lookup: str
) -> None:
    """R-049: by trying letters one could read what is not shown."""
    name = model.replace(".", "_")
    client = sign_in("Operator")
    assert client.get(f"{reverse(f'admin:{name}_changelist')}?{lookup}").status_code == 400


def test_the_filters_of_the_pages_still_work(sign_in: SignIn, found: Any) -> None:
    """What the list offers, and the links from records to lists."""
    client = sign_in("Operator")
    for model, query in (
        ("automation_delivery", f"profile__id__exact={found['profiles.Profile'].pk}"),
        ("automation_delivery", "status__exact=sent"),
        ("automation_delivery", f"trigger__id__exact={found['automation.Trigger'].pk}"),
        ("automation_event", "is_late__exact=0"),
        ("automation_execution", f"trigger__id__exact={found['automation.Trigger'].pk}"),
        ("profiles_membership", f"segment__id__exact={found['profiles.Segment'].pk}"),
    ):
        answer = client.get(f"{reverse(f'admin:{model}_changelist')}?{query}")
        assert answer.status_code == 200, query
        assert len(answer.context["cl"].result_list) == 1, query


def test_masking_a_page_masks_no_row(sign_in: SignIn, found: Any) -> None:
    """Looking, and carrying out an action, leaves what is stored as it is."""
    client = sign_in("Operator")
    row = found["automation.Delivery"]
    Delivery.objects.filter(pk=row.pk).update(status="uncertain")
    for url in pages("automation.Delivery", row.pk):
        client.get(url)
    data = {"action": "it_arrived", "_selected_action": [str(row.pk)]}
    client.post(reverse("admin:automation_delivery_changelist"), data)
    row.refresh_from_db()
    assert (row.status, row.address) == ("delivered", samples.EMAIL)
    assert row.result["response"]["body"].endswith(samples.EMAIL)


def _delivery_page(client: Client, row: Any) -> str:
    return client.get(reverse("admin:automation_delivery_change", args=[row.pk])).content.decode()


def test_answers_of_webhooks_are_for_admins(sign_in: SignIn, found: Any) -> None:
    """R-041: escaped; others see status and timing only."""
    row = found["automation.Delivery"]
    shown = _delivery_page(sign_in("Admin"), row)
    assert "&lt;b&gt;thanks for the order&lt;/b&gt;" in shown
    assert samples.ANSWER not in shown
    for group in ("Marketer", "Analyst", "Operator"):
        text = _delivery_page(sign_in(group), row)
        assert "thanks for the order" not in text
        assert "&quot;status&quot;: 200" in text
        assert "&quot;milliseconds&quot;: 12" in text


def test_no_more_than_a_kilobyte_of_an_answer_is_shown(sign_in: SignIn, found: Any) -> None:
    """R-041: whatever is stored."""
    row = found["automation.Delivery"]
    Delivery.objects.filter(pk=row.pk).update(result={"response": {"status": 200, "body": "x" * 5000}})
    text = _delivery_page(sign_in("Admin"), row)
    assert "x" * 1024 in text
    assert "x" * 1025 not in text


def test_an_answer_is_shown_by_permission_not_by_group(sign_in: SignIn, found: Any) -> None:
    """R-041: and without the permission for addresses they are masked in it."""
    client = sign_in("Operator")
    user = User.objects.get(username="Operator")
    user.user_permissions.add(Permission.objects.get(codename="view_response"))
    text = _delivery_page(client, found["automation.Delivery"])
    assert "thanks for the order" in text
    assert samples.EMAIL not in text


def test_every_registered_model_has_a_sample(found: Any) -> None:
    """Else the pages of a new model would not be looked at."""
    missing = [model._meta.label for model in admin.site._registry if model._meta.label not in found]
    assert missing == [], f"add a row to {samples.__name__}"
