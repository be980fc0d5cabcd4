"""Every page of the admin opens for those who may see it, and for nobody else."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.db.models import CompositePrimaryKey
from django.test import Client
from django.urls import reverse

from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn

REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)
OURS = [model for label in ("automation", "profiles") for model in apps.get_app_config(label).get_models()]


def _url(model: type[models.Model], page: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")


def _is_linkable(model: type[models.Model]) -> bool:
    """Django's admin cannot show models with a composite primary key."""
    return not isinstance(model._meta.pk, CompositePrimaryKey)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_every_model_is_registered(model: type[models.Model]) -> None:
    """S-001: every model is in the admin."""
    assert (model in admin.site._registry) is _is_linkable(model)


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_a_superuser_opens_every_list_and_every_page_that_adds(
    root: Client, model: type[models.Model]
) -> None:
    """S-001, S-008."""
    assert root.get(_url(model, "changelist")).status_code == 200
    assert root.get(_url(model, "changelist"), {"q": "alice"}).status_code == 200
    may_add = admin.site._registry[model].has_add_permission
    expected = 200 if may_add(root.get(_url(model, "changelist")).wsgi_request) else 403
    assert root.get(_url(model, "add")).status_code == expected


@pytest.mark.parametrize("group", ["Marketer", "Analyst", "Operator"])
def test_a_group_opens_what_its_permissions_allow(sign_in: SignIn, group: str) -> None:
    """S-008: the groups come from a migration; each sees its own pages and no other."""
    client = sign_in(group)
    assert client.get(reverse("admin:index")).status_code == 200
    opened = {model._meta.label: client.get(_url(model, "changelist")).status_code for model in REGISTERED}
    assert set(opened.values()) <= {200, 403}
    for label in ("automation.Trigger", "automation.Event", "automation.Execution", "profiles.Profile"):
        assert opened[label] == 200
    for label in ("auth.User", "auth.Group"):
        assert opened[label] == 403
    assert (opened["automation.WriteKey"] == 200) is (group == "Operator")
    assert (opened["automation.QuarantinedEvent"] == 200) is (group == "Operator")
    assert (client.get(_url(apps.get_model("automation", "Trigger"), "add")).status_code == 200) is (
        group == "Marketer"
    )


def test_records_open_with_their_tables(root: Client) -> None:
    """S-001: each record's page opens, and shows what belongs to it."""
    by, profile = rows.trigger(), rows.customer()
    happened = rows.event(profile)
    decided = rows.execution(happened, by)
    sent = rows.delivery(decided)
    for record in (by, by.current_version, profile, happened, decided, sent, rows.template()):
        url = reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk])
        answer = root.get(url)
        assert answer.status_code == 200, url
        assert b"<script>alert" not in answer.content


def test_the_sidebar_is_grouped_by_job(root: Client) -> None:
    """S-008: no model of ours stands in a group named after a Python package."""
    groups = root.get(reverse("admin:index")).context["app_list"]
    names = [group["name"] for group in groups]
    assert names == ["Every day", "Look up", "Settings", "For developers"]
