"""The way out: a page for people, one click for mail programs, and nothing by accident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from automation.models import Event, QueuedEvent
from automation.pipeline.deliver import deliver_batch
from automation.rendering import unsubscribe
from automation.rendering.unsubscribe import Subscription
from profiles.models import Consent, Profile
from tests.integration.deliver.factory import (
    EMAIL,
    deliveries,
    make_execution,
    make_profile,
    make_template,
    make_trigger,
)
from tests.integration.deliver.mailserver import Ledger

pytestmark = pytest.mark.django_db(transaction=True)


def address(profile: Profile, topic: str = "marketing") -> str:
    return reverse("unsubscribe", args=[unsubscribe.token(Subscription(profile.pk, topic, "email"))])


def test_looking_at_the_page_changes_nothing(client: Client) -> None:
    """R-047, H-065: scanners follow links; only POST acts."""
    profile = make_profile()
    for method in (client.get, client.head):
        assert method(address(profile)).status_code == 200
    page = client.get(address(profile))
    html = page.content.decode()
    assert "<h1>Unsubscribe</h1>" in html
    assert 'method="post"' in html
    assert "<script" not in html
    assert "style=" not in html
    assert "<style" not in html
    assert Consent.objects.get().is_granted
    assert not Event.objects.exists()


def test_one_click_ends_the_topic_without_cookie_token_or_redirect(smtp: Ledger, client: Client) -> None:
    """R-047, R-024, H-065: from the header of a real mail to a refusal that stops the next one (RFC 8058)."""
    make_template()
    profile = make_profile()
    trigger = make_trigger([EMAIL])
    make_execution(trigger, profile)
    deliver_batch("medium", worker="test", limit=10)
    link = str(smtp.messages[0]["List-Unsubscribe"]).strip(" <>")

    client.handler.enforce_csrf_checks = True
    answer = client.post(link.removeprefix("http://127.0.0.1:8000"), {"List-Unsubscribe": "One-Click"})

    assert answer.status_code == 200
    assert not answer.cookies
    assert "You are unsubscribed" in answer.content.decode()
    word = Consent.objects.get()
    assert (word.is_granted, word.source, word.topic, word.channel) == (
        False,
        "one_click",
        "marketing",
        "email",
    )
    event = Event.objects.get(name="email_unsubscribed")
    assert (event.profile_id, event.source) == (profile.pk, "beckon")
    assert event.data == {"topic": "marketing", "channel": "email"}
    assert QueuedEvent.objects.filter(event_id=event.pk).exists()

    second = make_execution(trigger, profile)
    deliver_batch("medium", worker="test", limit=10)
    assert deliveries(second)[0].reason == "unsubscribed"
    assert len(smtp.messages) == 1


def test_repeating_it_changes_nothing_more(client: Client) -> None:
    """R-047: idempotent; one event however often it is clicked."""
    profile = make_profile()
    for _ in range(3):
        assert client.post(address(profile)).status_code == 200
    assert Consent.objects.get().recorded_at <= datetime.now(UTC)
    assert Event.objects.count() == 1


def test_who_came_back_can_leave_again(client: Client) -> None:
    """R-047: links never expire."""
    profile = make_profile()
    client.post(address(profile))
    Consent.objects.update(is_granted=True, source="form", recorded_at=datetime.now(UTC))
    client.post(address(profile))
    assert not Consent.objects.get().is_granted
    assert Event.objects.count() == 2


def test_a_refusal_is_recorded_for_who_never_said_a_word(client: Client) -> None:
    """R-047."""
    profile = make_profile(consent=None)
    client.post(address(profile, "news"))
    word = Consent.objects.get()
    assert (word.profile_id, word.topic, word.is_granted) == (profile.pk, "news", False)


def test_a_link_of_a_merged_profile_speaks_for_the_customer(client: Client) -> None:
    """R-047: old mails of the anonymous visitor."""
    known = make_profile()
    old = make_profile(consent=None, anonymous=True)
    Profile.objects.filter(pk=old.pk).update(merged_into=known)
    client.post(address(old))
    assert not Consent.objects.get(profile=known).is_granted
    assert Event.objects.get().profile_id == known.pk


def test_a_link_of_an_erased_or_unknown_profile_is_answered_politely(client: Client) -> None:
    """R-047: nothing is recorded about somebody who is gone."""
    profile = make_profile(consent=None)
    Profile.objects.update(erased_at=datetime.now(UTC) - timedelta(days=1))
    assert client.post(address(profile)).status_code == 200
    gone = Profile(pk=profile.pk + 1000)
    assert client.post(address(gone)).status_code == 200
    assert not Consent.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: "x" + t, lambda t: t.upper(), lambda t: "nonsense"]
)
def test_a_link_we_did_not_make_leads_nowhere(client: Client, change: Any) -> None:
    """R-047: 404, and nothing happens."""
    profile = make_profile()
    token = unsubscribe.token(Subscription(profile.pk, "marketing", "email"))
    url = reverse("unsubscribe", args=[change(token)])
    assert client.get(url).status_code == 404
    assert client.post(url).status_code == 404
    assert Consent.objects.get().is_granted


def test_a_former_secret_key_keeps_links_alive(client: Client, settings: Any) -> None:
    """R-047: SECRET_KEY_FALLBACKS; links made now are signed with the new key, and a key that is not listed is none."""
    profile = make_profile()
    url, former = address(profile), settings.SECRET_KEY
    settings.SECRET_KEY = "another key, long enough to sign with"
    assert address(profile) != url
    assert client.post(url).status_code == 404
    assert Consent.objects.get().is_granted
    settings.SECRET_KEY_FALLBACKS = [former]
    assert client.get(url).status_code == 200
    assert client.post(url).status_code == 200
    assert not Consent.objects.get().is_granted


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    """R-047: GET and HEAD show, POST acts."""
    assert getattr(client, method)(address(make_profile())).status_code == 405
