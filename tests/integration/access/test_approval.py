"""A second person publishes: in the pipeline, and on the pages of two members of staff."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from automation.engine.types import Mode
from automation.models import Trigger, TriggerVersion
from automation.pipeline import asking, publish
from automation.pipeline.approval import Ruling
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn
from tests.integration.admin.test_triggers import LIST, add, change

pytestmark = pytest.mark.django_db


def staff(name: str, group: str) -> User:
    """An active member of a group."""
    user = User.objects.create(username=name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


def edited(by: User, trigger: Trigger, **fields: Any) -> Trigger:
    """The trigger after `by` stored a change of it."""
    for name, value in fields.items():
        setattr(trigger, name, value)
    trigger.updated_by = by
    asking.note_author(trigger, by)
    trigger.save()
    return trigger


def page(trigger: Trigger) -> str:
    return reverse("admin:automation_trigger_publish", args=[trigger.pk])


def answer(client: Client, trigger: Trigger, button: str, **fields: str) -> Any:
    """Press a button of the page."""
    seen = publish.fingerprint(Trigger.objects.get(pk=trigger.pk))
    return client.post(page(trigger), {"fingerprint": seen, "note": "", button: "1", **fields}, follow=True)


# --- The pipeline


@pytest.mark.parametrize("mode", [Mode.DRAFT, Mode.SHADOW, Mode.PAUSED])
def test_the_pipeline_refuses_the_author_and_changes_nothing(mode: Mode) -> None:
    """R-049: whoever calls publish(), not only the admin."""
    ann, _ = staff("ann", "Admin"), staff("cyd", "Admin")
    trigger = edited(ann, rows.trigger(mode=mode), cooldown_minutes=7.0)
    versions = TriggerVersion.objects.count()
    with pytest.raises(publish.NeedsApproval) as refused:
        publish.publish(trigger, by=ann, mode=Mode.LIVE)
    assert refused.value.ruling is Ruling.SECOND_PERSON
    assert Trigger.objects.get().mode == mode
    assert TriggerVersion.objects.count() == versions


def test_a_new_version_of_a_live_trigger_needs_a_second_person_too() -> None:
    """R-049: the engine keeps the former version until then."""
    ann, cyd = staff("ann", "Admin"), staff("cyd", "Admin")
    trigger = edited(ann, rows.trigger(), cooldown_minutes=7.0)
    with pytest.raises(publish.NeedsApproval):
        publish.publish(trigger, by=ann)
    assert Trigger.objects.get().current_version.number == 1  # type: ignore[union-attr]
    assert publish.publish(trigger, by=cyd).number == 2
    assert Trigger.objects.get().authors == []


def test_an_edit_of_others_does_not_wash_the_author_clean() -> None:
    """R-049: after somebody else's last touch the first author still has a share in the changes."""
    ann, bob, cyd = staff("ann", "Admin"), staff("bob", "Marketer"), staff("cyd", "Admin")
    trigger = edited(ann, rows.trigger(mode=Mode.DRAFT), cooldown_minutes=7.0)
    edited(bob, trigger, value=2.0)
    with pytest.raises(publish.NeedsApproval):
        publish.publish(trigger, by=ann, mode=Mode.LIVE)
    publish.publish(trigger, by=cyd, mode=Mode.LIVE)


def test_the_way_through_shadow_does_not_wash_it_either() -> None:
    """R-049: shadow needs nobody, live afterwards does."""
    ann, cyd = staff("ann", "Admin"), staff("cyd", "Admin")
    trigger = edited(ann, rows.trigger(mode=Mode.DRAFT), cooldown_minutes=7.0)
    publish.publish(trigger, by=ann, mode=Mode.SHADOW)
    with pytest.raises(publish.NeedsApproval):
        publish.publish(trigger, by=ann, mode=Mode.LIVE)
    publish.publish(trigger, by=cyd, mode=Mode.LIVE)


def test_a_change_stored_past_the_note_belongs_to_who_touched_it_last() -> None:
    """R-049: forgetting to note an author does not make a change nobody's."""
    ann, _ = staff("ann", "Admin"), staff("cyd", "Admin")
    trigger = rows.trigger()
    Trigger.objects.update(cooldown_minutes=7.0, updated_by=ann)
    with pytest.raises(publish.NeedsApproval):
        publish.publish(Trigger.objects.get(pk=trigger.pk), by=ann)


def test_a_paused_trigger_is_resumed_by_who_may_publish_only() -> None:
    """R-049: unchanged since it was live, so that one person is enough; an operator is not that person."""
    ann, olga = staff("ann", "Admin"), staff("olga", "Operator")
    trigger = rows.trigger()
    publish.set_mode(trigger.pk, Mode.PAUSED, by=olga)
    with pytest.raises(publish.NeedsApproval):
        publish.publish(trigger, by=olga, mode=Mode.LIVE)
    publish.publish(trigger, by=ann, mode=Mode.LIVE)
    assert Trigger.objects.get().mode == "live"


def test_who_was_switched_off_or_is_no_staff_is_no_second_person() -> None:
    """R-049: a shop of one is not stuck behind somebody who left."""
    ann, gone, outside = staff("ann", "Admin"), staff("gone", "Admin"), staff("outside", "Admin")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    User.objects.filter(pk=outside.pk).update(is_staff=False)
    trigger = edited(ann, rows.trigger(mode=Mode.DRAFT), cooldown_minutes=7.0)
    assert asking.ruling(trigger, ann) is Ruling.ALONE
    publish.publish(trigger, by=ann, mode=Mode.LIVE)


def test_the_setting_lets_publishers_publish_their_own(settings: Any) -> None:
    """R-049: allow_self_publish; a marketer still asks."""
    ann, _, mia = staff("ann", "Admin"), staff("cyd", "Admin"), staff("mia", "Marketer")
    settings.ALLOW_SELF_PUBLISH = True
    trigger = edited(ann, rows.trigger(mode=Mode.DRAFT), cooldown_minutes=7.0)
    with pytest.raises(publish.NeedsApproval):
        publish.publish(trigger, by=mia, mode=Mode.LIVE)
    publish.publish(trigger, by=ann, mode=Mode.LIVE)


def test_the_system_itself_passes() -> None:
    """Demo, imports and commands have no second person."""
    ann, _ = staff("ann", "Admin"), staff("cyd", "Admin")
    publish.publish(edited(ann, rows.trigger(mode=Mode.DRAFT), value=2.0), by=None, mode=Mode.LIVE)
    assert Trigger.objects.get().mode == "live"


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.DRAFT, Mode.ARCHIVED])
def test_stopping_never_waits(mode: Mode) -> None:
    """R-049, H-057: also for who may not publish."""
    staff("cyd", "Admin")
    mia = staff("mia", "Marketer")
    trigger = edited(mia, rows.trigger(), cooldown_minutes=7.0)
    assert publish.set_mode(trigger.pk, mode, by=mia)


# --- The pages


@pytest.mark.parametrize("mode", ["draft", "shadow"])
def test_a_marketer_saves_live_and_is_led_to_asking(sign_in: SignIn, mode: str) -> None:
    """R-049: the change is stored, nothing is live, and the next page offers to ask and not to publish."""
    staff("cyd", "Admin")
    trigger = rows.trigger(mode=Mode(mode))
    client = sign_in("Marketer")
    found = change(client, trigger, mode="live", name="Mine")
    assert found["Location"] == page(trigger)
    text = client.get(page(trigger)).content.decode()
    assert ('name="_ask"' in text, 'name="_publish"' in text) == (True, False)
    stored = Trigger.objects.get()
    assert (stored.mode, stored.name) == (mode, "Mine")
    assert TriggerVersion.objects.count() == 1


def test_a_new_trigger_is_stored_as_a_draft(sign_in: SignIn) -> None:
    """R-049: asking for live at once."""
    staff("cyd", "Admin")
    rows.template()
    found = add(sign_in("Marketer"), mode="live")
    trigger = Trigger.objects.get()
    assert found["Location"] == page(trigger)
    assert (trigger.mode, trigger.current_version) == ("draft", None)


def test_a_marketers_change_of_a_live_trigger_waits(sign_in: SignIn) -> None:
    """R-049: the live version acts on unchanged; the page says that what one sees differs."""
    staff("cyd", "Admin")
    trigger = rows.trigger()
    client = sign_in("Marketer")
    assert change(client, trigger, cooldown_minutes="60")["Location"] == page(trigger)
    stored = Trigger.objects.get()
    assert (stored.mode, stored.cooldown_minutes) == ("live", 60.0)
    assert stored.current_version.definition["cooldown_minutes"] is None  # type: ignore[union-attr]
    text = client.get(reverse("admin:automation_trigger_change", args=[trigger.pk])).content.decode()
    assert "What you see here differs from it." in text
    assert f'<a href="{page(trigger)}">Ask to publish</a>' in text


def test_ask_review_and_publish(sign_in: SignIn) -> None:
    """R-049: the publisher sees who asked, why, and what changes; then it is live and the question is closed."""
    cyd = sign_in("Admin")
    marketer = sign_in("Marketer")
    trigger = rows.trigger()
    change(marketer, trigger, cooldown_minutes="60")
    asked = answer(marketer, trigger, "_ask", note="Too <b>many</b> mails.")
    assert "waits for a second person" in asked.content.decode()
    shown = cyd.get(reverse(LIST)).content.decode()
    assert "1 trigger waits" in shown
    assert trigger.name in cyd.get(reverse(LIST), {"asked": "yes"}).content.decode()
    review = cyd.get(page(trigger)).content.decode()
    for said in (
        "<strong>Marketer</strong> asked on",
        "Too &lt;b&gt;many&lt;/b&gt; mails.",
        "minutes of rest per customer: none → 60",
    ):
        assert said in review
    done = answer(cyd, trigger, "_publish")
    assert "version 2 is live" in done.content.decode()
    stored = Trigger.objects.get()
    assert (stored.mode, stored.asked_at, stored.authors) == ("live", None, [])
    version = stored.current_version
    assert (version.number, str(version.published_by)) == (2, "Admin")  # type: ignore[union-attr]
    assert list(cyd.get(reverse(LIST), {"asked": "yes"}).context["cl"].result_list) == []


def test_declining_needs_a_reason_and_tells_it(sign_in: SignIn) -> None:
    """R-049: the author reads why; nothing goes live."""
    cyd, marketer = sign_in("Admin"), sign_in("Marketer")
    trigger = rows.trigger(mode=Mode.DRAFT)
    change(marketer, trigger, cooldown_minutes="60")
    answer(marketer, trigger, "_ask")
    refused = answer(cyd, trigger, "_decline")
    assert "Say why" in refused.content.decode()
    assert Trigger.objects.get().asked_at is not None
    answer(cyd, trigger, "_decline", note="Not in the sale week.")
    stored = Trigger.objects.get()
    assert (stored.mode, stored.asked_at) == ("draft", None)
    text = marketer.get(reverse("admin:automation_trigger_change", args=[trigger.pk])).content.decode()
    assert "Not in the sale week." in text
    answer(marketer, trigger, "_ask", note="Then next week.")
    assert Trigger.objects.get().declined_note == ""


def test_what_changed_meanwhile_is_not_published_unseen(sign_in: SignIn) -> None:
    """R-049: the publisher approves what they saw."""
    cyd, marketer = sign_in("Admin"), sign_in("Marketer")
    trigger = rows.trigger(mode=Mode.DRAFT)
    seen = publish.fingerprint(trigger)
    change(marketer, trigger, cooldown_minutes="60")
    found = answer(cyd, trigger, "_publish", fingerprint=seen)
    assert "while you were looking at it" in found.content.decode()
    assert Trigger.objects.get().mode == "draft"
    again = found.context["form"]["fingerprint"].value()
    assert again != seen
    assert "is live" in answer(cyd, trigger, "_publish", fingerprint=again).content.decode()


def test_a_marketer_publishes_nothing_and_an_operator_asks_nothing(sign_in: SignIn) -> None:
    """R-049: by address, not only by hidden buttons; nothing happens."""
    sign_in("Admin")
    marketer, operator, analyst = (sign_in(name) for name in ("Marketer", "Operator", "Analyst"))
    trigger = rows.trigger(mode=Mode.DRAFT)
    for client in (operator, analyst):
        assert client.get(page(trigger)).status_code == 403
        for button in ("_ask", "_publish", "_decline"):
            assert answer(client, trigger, button, note="x").status_code == 403
    for button in ("_publish", "_decline"):
        assert answer(marketer, trigger, button, note="x").status_code == 403
    stored = Trigger.objects.get()
    assert (stored.mode, stored.asked_at) == ("draft", None)


def test_the_list_action_is_refused_like_the_page(sign_in: SignIn) -> None:
    """R-049: a publisher's own change does not go live by the list."""
    sign_in("Admin")
    trigger = rows.trigger(mode=Mode.DRAFT)
    client = sign_in()
    change(client, trigger, cooldown_minutes="60")
    data = {"action": "go_live", "_selected_action": [trigger.pk]}
    assert client.post(reverse(LIST), data)["Location"] == page(trigger)
    assert "a second person publishes them" in answer(client, trigger, "_publish").content.decode()
    assert Trigger.objects.get().mode == "draft"
    client.post(reverse(LIST), {**data, "action": "ask_to_publish"})
    assert str(Trigger.objects.get().asked_by) == "root"


def test_an_operator_pauses_and_edits_nothing(sign_in: SignIn) -> None:
    """R-049: operator replays, pauses, keys."""
    sign_in("Admin")
    client = sign_in("Operator")
    trigger = rows.trigger()
    assert change(client, trigger, name="New").status_code == 403
    client.post(reverse(LIST), {"action": "archive", "_selected_action": [trigger.pk]})
    assert Trigger.objects.get().mode == "live"
    client.post(reverse(LIST), {"action": "pause", "_selected_action": [trigger.pk]})
    stored = Trigger.objects.get()
    assert (stored.mode, stored.name) == ("paused", trigger.name)


def test_a_shop_of_one_is_told_why_no_second_person_is_needed(sign_in: SignIn) -> None:
    """R-049: and may publish."""
    client = sign_in("Marketer")
    trigger = rows.trigger(mode=Mode.DRAFT)
    assert "Nobody else here may publish" in client.get(page(trigger)).content.decode()
    assert change(client, trigger, mode="live")["Location"] == page(trigger)
    answer(client, trigger, "_publish")
    assert Trigger.objects.get().mode == "live"


@pytest.mark.parametrize("step", ["publish", "versions", "test"])
@pytest.mark.parametrize("trigger_id", [0, 999_999_999, 2**63, 2**80])
def test_an_unknown_trigger_is_404(root: Client, step: str, trigger_id: int) -> None:
    """R-037."""
    assert root.get(reverse(f"admin:automation_trigger_{step}", args=[trigger_id])).status_code == 404


def test_an_invalid_document_is_not_published_by_the_review(root: Client) -> None:
    """H-033: the problem is named and the draft stays."""
    trigger = rows.trigger(mode=Mode.DRAFT)
    Trigger.objects.update(conditions=[])
    assert "/conditions" in answer(root, trigger, "_publish").content.decode()
    assert Trigger.objects.get().mode == "draft"
