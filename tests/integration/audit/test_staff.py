"""Whatever staff do in the admin leaves an entry."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import models
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from automation import audit
from automation.audit.staff import Audited
from automation.models import AuditEntry, AuditPersonal, QuarantinedEvent, Template, WriteKey
from profiles.models import AddressSuppression, Consent, Profile, Segment
from tests.integration.admin import rows

REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)
CONFIRMED = "delete_selected"  # Asks once more before it deletes; its entries are those of the deletions.


def newest() -> AuditEntry:
    entry = AuditEntry.objects.order_by("-id").first()
    assert entry is not None
    return entry


def _request(root: Client) -> Any:
    request = RequestFactory().post("/")
    request.user = get_user_model().objects.get(username="root")
    return request


def _actions() -> list[Any]:
    """Every action of every list."""
    found = []
    request = RequestFactory().get("/")
    request.user = get_user_model()(username="root", is_superuser=True, is_staff=True)
    for model in REGISTERED:
        for name in admin.site._registry[model].get_actions(request):
            if name != CONFIRMED:
                found.append(pytest.param(model, name, id=f"{model._meta.label}.{name}"))
    return found


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_no_page_can_add_change_or_delete_without_an_entry(root: Client, model: type[models.Model]) -> None:
    """R-051: also pages of other apps, and pages that do not exist yet: the site puts the hook in."""
    page, request, before = admin.site._registry[model], _request(root), AuditEntry.objects.count()
    assert isinstance(page, Audited)
    row = model()  # With whatever defaults; what counts is that it is written down.
    row.pk = 5 if isinstance(model._meta.pk, models.IntegerField) else model._meta.pk.get_default()  # type: ignore[union-attr]
    if isinstance(row, Group | get_user_model()):
        row.save()
    for name, value in {"definition": {}, "clocked_time": timezone.now()}.items():
        if hasattr(row, name):  # Their texts need it.
            setattr(row, name, value)

    for log, message in ((page.log_addition, [{"added": {}}]), (page.log_change, "said in words")):
        log(request, row, message)  # type: ignore[operator]
    page.log_deletions(request, _Rows([row]))  # type: ignore[arg-type]

    done = list(AuditEntry.objects.order_by("id").values_list("action", "actor")[before:])
    name = model._meta.model_name
    assert done == [(f"{name}.{verb}", "root") for verb in ("added", "changed", "deleted")]
    assert audit.verify().ok


@pytest.mark.parametrize(("model", "name"), _actions())
def test_no_action_goes_without_an_entry(root: Client, model: type[models.Model], name: str) -> None:
    """R-051: an action that writes nothing down itself gets an entry all the same."""
    page, request, before = admin.site._registry[model], _request(root), AuditEntry.objects.count()
    request._messages, request.axes_attempt_time = _Messages(), timezone.now()
    request.POST = request.POST.copy()
    request.POST["note"] = "known"

    page.get_actions(request)[name][0](page, request, model._default_manager.none())

    entries = AuditEntry.objects.order_by("id")[before:]
    assert [(entry.action, entry.details) for entry in entries] == [
        (f"{model._meta.model_name}.{name}", {"rows": [], "more": False})
    ]


def test_a_trigger_says_what_changed_and_which_version(root: Client) -> None:
    """R-051: trigger edits, with what changed in words and the version."""
    trigger = rows.trigger()
    url = reverse("admin:automation_trigger_changelist")

    root.post(url, {"action": "pause", "_selected_action": [trigger.pk], "index": 0})
    paused = newest()
    root.post(url, {"action": "archive", "_selected_action": [trigger.pk], "index": 0})

    assert (paused.action, paused.target) == ("trigger.pause", f"automation.trigger {trigger.pk}")
    assert paused.details == {"name": trigger.name, "version": 1, "changes": "mode: live → paused"}
    assert (newest().action, newest().details["changes"]) == ("trigger.archive", "mode: paused → archived")
    assert newest().request_id != ""
    assert newest().ip == "127.0.0.1"


def test_a_key_is_recorded_without_its_secret(root: Client) -> None:
    """R-051, R-036: key changes, never the secret."""
    answer = root.post(
        reverse("admin:automation_writekey_add"),
        {"name": "shop", "source": "shop", "scopes": ["events:write"], "is_active": "on"},
    )
    key = WriteKey.objects.get()
    token = answer.context["token"]
    added = newest()
    root.post(
        reverse("admin:automation_writekey_change", args=[key.pk]),
        {"name": "shop", "scopes": ["events:write"]},
    )

    assert added.action == "writekey.added"
    assert (newest().action, newest().details["values"]) == (
        "writekey.changed",
        {"is_active": "True → False"},
    )
    everything = str(list(AuditEntry.objects.values()))
    assert token not in everything
    assert token.rpartition("_")[2] not in everything
    assert key.digest not in everything


def test_a_password_never_enters_the_log(root: Client) -> None:
    """R-051: user changes, never a password."""
    user = get_user_model().objects.create(username="mia", is_staff=True)
    group = Group.objects.get(name="Operator")
    root.post(
        reverse("admin:auth_user_password_change", args=[user.pk]),
        {"usable_password": "true", "password1": "S3cret-wor-d!", "password2": "S3cret-wor-d!"},
    )
    assert (newest().action, newest().target) == ("user.changed", f"auth.user {user.pk}")
    root.post(
        reverse("admin:auth_user_change", args=[user.pk]),
        {"username": "mia", "is_active": "on", "is_staff": "on", "groups": [group.pk],
         "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"},
    )  # fmt: skip

    assert newest().details["values"]["groups"] == "– → Operator"
    new = {
        "username": "noa",
        "usable_password": "true",
        "password1": "S3cret-wor-d!",
        "password2": "S3cret-wor-d!",
    }
    root.post(reverse("admin:auth_user_add"), new)
    assert (newest().action, newest().details["values"]["username"]) == ("user.added", "– → noa")
    assert "S3cret" not in str(list(AuditEntry.objects.values()))


def test_what_is_said_of_a_customer_can_be_forgotten(root: Client) -> None:
    """R-051, R-052: consent, zone and preferences changed by staff stand in the side table alone."""
    alice = rows.customer("alice@example.com", first_name="Alice")
    Consent.objects.create(
        profile=alice,
        topic="marketing",
        channel="email",
        is_granted=True,
        source="form",
        recorded_at="2026-01-01T00Z",
    )
    root.post(
        reverse("admin:profiles_profile_change", args=[alice.pk]), _page(alice, {"time_zone": "Europe/Paris"})
    )

    entry = newest()
    assert (entry.action, entry.target) == ("profile.changed", f"profiles.profile {alice.pk}")
    side = AuditPersonal.objects.get(pk=entry.pk)
    assert side.profile_id == alice.pk
    assert side.values["name"] == "alice@example.com"
    assert side.values["time_zone"] == "– → Europe/Paris"
    consent = Consent.objects.get()
    assert side.values[f"consent {consent.pk} is_granted"] == "True → False"
    assert entry.details == {"fields": ["is_granted", "time_zone"]}

    audit.forget([alice.pk])

    assert "alice" not in str([*AuditEntry.objects.values(), *AuditPersonal.objects.values()])
    assert audit.verify().ok


def test_an_address_on_the_suppression_list_is_forgotten_with_its_owner(root: Client) -> None:
    """R-051, R-052: an address that belongs to nobody we know is only kept masked."""
    alice = rows.customer("alice")
    add = reverse("admin:profiles_addresssuppression_add")
    root.post(add, {"channel": "email", "address": "ALICE@example.com", "why": "manual"})
    known = newest()
    root.post(add, {"channel": "email", "address": "bob@example.com", "why": "manual"})

    assert AddressSuppression.objects.count() == 2
    assert AuditPersonal.objects.get(pk=known.pk).profile_id == alice.pk
    assert newest().details["address"] == "b…@example.com"
    audit.forget([alice.pk])
    everything = str([*AuditEntry.objects.values(), *AuditPersonal.objects.values()])
    assert "alice@example.com" not in everything.lower()
    assert "bob@example.com" not in everything


def test_a_replay_and_its_entry_are_one_transaction(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-051: an act that cannot be recorded does not happen."""
    event = rows.event(rows.customer())
    held = QuarantinedEvent.objects.create(
        event_id=event.pk, profile_id=event.profile_id, occurred_at=event.occurred_at, lane=3, error_class="KeyError",
        traceback="", code_version="1",
    )  # fmt: skip
    url = reverse("admin:automation_quarantinedevent_changelist")
    data = {"action": "replay", "_selected_action": [held.pk], "index": 0}

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr("automation.audit.staff.record", refuse)
        with pytest.raises(OSError, match="disk full"):
            root.post(url, data)
    held.refresh_from_db()
    assert held.state == "held"

    root.post(url, data)

    assert (newest().action, newest().target) == (
        "quarantinedevent.replay",
        f"automation.quarantinedevent {held.pk}",
    )
    held.refresh_from_db()
    assert held.state == "replayed"


def test_deleting_many_at_once_names_each(root: Client) -> None:
    """R-051."""
    segments = [Segment.objects.create(key=f"s{n}", name=f"S{n}") for n in (1, 2)]
    ids = [segment.pk for segment in segments]
    url, before = reverse("admin:profiles_segment_changelist"), AuditEntry.objects.count()
    ask = {"action": "delete_selected", "_selected_action": ids, "index": 0}

    assert b"Are you sure" in root.post(url, ask).content
    assert AuditEntry.objects.count() == before  # Nothing was done yet.
    root.post(url, {**ask, "post": "yes"})

    done = AuditEntry.objects.filter(action="segment.deleted").order_by("target")
    assert [entry.target for entry in done] == [f"profiles.segment {pk}" for pk in ids]
    assert Segment.objects.count() == 0


def test_a_template_says_before_and_after(root: Client) -> None:
    """R-051: template edits."""
    template = rows.template(text="old")
    root.post(
        reverse("admin:automation_template_change", args=[template.pk]),
        {"name": template.name, "subject": template.subject, "html": "", "text": "new" * 100},
    )

    assert Template.objects.get().is_published is False
    said = newest().details["values"]
    assert said["is_published"] == "True → False"
    assert said["text"].startswith("old → newnew" if template.text == "old" else "Hi → newnew")
    assert said["text"].endswith("… (300 characters)")


def _page(profile: Profile, changes: dict[str, str]) -> dict[str, Any]:
    """What the browser posts for a customer whose one consent is withdrawn."""
    consent = profile.consents.get()
    prefixes = {"consents": 1, "memberships": 0, "identities": 1}
    data: dict[str, Any] = dict(changes)
    for prefix, count in prefixes.items():
        data |= {f"{prefix}-TOTAL_FORMS": count, f"{prefix}-INITIAL_FORMS": count}
    return data | {
        "consents-0-id": consent.pk,
        "consents-0-profile": profile.pk,
        "consents-0-topic": consent.topic,
        "consents-0-channel": consent.channel,
        "identities-0-id": profile.identities.get().pk,
        "identities-0-profile": profile.pk,
    }


class _Messages:
    """Messages to the user that nobody reads."""

    def add(self, *args: Any, **kwargs: Any) -> None: ...


class _Rows(list):  # type: ignore[type-arg]
    """A list where Django wants a queryset."""
