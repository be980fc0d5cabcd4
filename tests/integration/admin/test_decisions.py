"""Decisions, deliveries and the quarantine: why, how often, what can be done, and what cannot."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from automation import reasons
from automation.engine.types import Reason
from automation.models import Delivery, Execution, QuarantinedEvent, QueuedEvent
from tests.integration.admin import rows
from tests.integration.admin.conftest import SignIn
from tests.integration.admin.test_lists import quarantined, url

DECISIONS = url("automation.execution")


def page(client: Client, execution: Execution) -> str:
    """The page of one decision."""
    return client.get(reverse("admin:automation_execution_change", args=[execution.pk])).content.decode()


def test_every_reason_is_said_and_judged() -> None:
    """The closed list is complete: a label, a sentence, and normal or look into this."""
    assert set(reasons.WORDS) == set(Reason)
    for code, said in reasons.WORDS.items():
        assert str(said.label), code
        assert str(said.text).endswith("."), code
        assert said.advice in ("normal", "look into this"), code


def test_the_histogram_counts_and_filters(root: Client) -> None:
    """H-023: reasons with their share from the tallies, the API's code on hover, and what needs a look."""
    trigger = rows.trigger()
    held = rows.execution(rows.event(rows.customer()), trigger)
    for label, count in (("fired", 60), ("suppressed:frequency_cap", 30), ("suppressed:template_error", 10)):
        rows.counted(trigger, label, count)
    text = root.get(DECISIONS).content.decode()
    chart = text[text.index("decision-chart") : text.index("</section>", text.index("decision-chart"))]
    assert re.findall(r'title="([a-z_]+)"', chart) == ["triggered", "frequency_cap", "template_error"]
    assert re.findall(r"(\d+\.\d %)", chart) == ["60.0 %", "30.0 %", "10.0 %"]
    assert "normal" in chart
    assert "⚠ look into this" in chart
    link = re.search(r'href="(\?[^"]*reason=frequency_cap[^"]*)"', chart)
    assert link is not None
    filtered = root.get(DECISIONS + link[1].replace("&amp;", "&")).content.decode()
    assert f"/execution/{held.pk}/change/" in filtered
    other = root.get(DECISIONS, {"trigger__id__exact": rows.trigger("other").pk}).content.decode()
    assert "decision-chart" not in other


def test_what_waits_is_counted_apart(root: Client) -> None:
    """A decision that was put off is counted once, when its moment has come."""
    trigger = rows.trigger()
    for label, count in (("fired", 3), ("waiting:delay", 50), ("failed", 1)):
        rows.counted(trigger, label, count)
    due_at = datetime.now(UTC) + timedelta(days=1)
    rows.execution(
        rows.event(rows.customer()), trigger, status="pending", reason="", waiting="delay", due_at=due_at
    )
    text = root.get(DECISIONS).content.decode()
    chart = text[text.index("decision-chart") : text.index("</section>", text.index("decision-chart"))]
    assert "n = 4" in chart
    assert re.findall(r'title="([a-z_]+)"', chart) == ["triggered", "failed"]
    assert "1 decision waits for its moment now." in chart


def test_an_empty_list_offers_a_wider_range_and_shadow(root: Client) -> None:
    """No blank page."""
    text = root.get(DECISIONS, {"last": "hour", "reason": "cooldown"}).content.decode()
    assert "No decisions in this range." in text
    assert "last=day" in text
    assert "?reason=shadow" in text


def test_a_decision_is_a_path_over_cards(root: Client) -> None:
    """S-085, H-047: passed, stopped here, not reached, could not be checked, each with what it saw; the guard rails
    with until; by signs and words, not by colour alone.
    """
    conditions = [
        rows.CART,
        {"type": "customer_attribute", "attribute": "orders_count", "operator": "greater_than", "value": 3},
        {
            "type": "not",
            "conditions": [{"type": "segment", "segment": "vip"}],
        },
    ]
    trace = {
        "conditions": {
            "result": "broken",
            "first_failing": "/conditions/1",
            "/conditions/0": {"result": "met", "seen": "cart_abandonment"},
            "/conditions/1": {"result": "broken", "seen": "many", "reason": "many is not a number."},
            "/conditions/2": {"result": "met"},
            "/conditions/2/conditions/0": {"result": "not_met", "seen": "not in vip"},
        }
    }
    text = page(
        root, rows.execution(rows.event(rows.customer()), rows.trigger(conditions=conditions), trace=trace)
    )
    found = re.findall(r'class="trace-verdict">([^<]+)<', text)
    assert [one.strip() for one in found[:4]] == [
        "✓ passed",
        "⚠ could not be checked – stopped here",
        "– not reached (would pass)",
        "– false",
    ]
    assert "it saw <strong>many</strong>" in text
    assert "many is not a number." in text
    assert 'title="frequency_cap">enough messages<' in text
    assert "Until 6 May 2030" in text


def test_a_trait_says_since_when_it_is_known(root: Client) -> None:
    """S-085: the age of what was seen, unless it was said after the decision."""
    conditions = [
        rows.CART,
        {"type": "customer_attribute", "attribute": "traits.plan", "operator": "equals", "value": "pro"},
    ]
    trace = {"conditions": {"result": "met", "/conditions/1": {"result": "met", "seen": "pro"}}}
    trigger = rows.trigger(conditions=conditions)
    for stamp, is_shown in (("2026-01-05T09:00:00+00:00", True), ("2999-01-01T00:00:00+00:00", False)):
        customer = rows.customer(stamp[:4], trait_stamps={"plan": [stamp, "m1"]})
        text = page(root, rows.execution(rows.event(customer), trigger, trace=trace))
        assert ("known since 5 Jan 2026" in text) is is_shown


def test_an_action_shows_what_was_asked_and_answered_without_secrets(sign_in: SignIn) -> None:
    """S-085, R-041: an excerpt for those who may see it; what looks like a secret is masked for everybody."""
    execution = rows.execution(rows.event(rows.customer()), rows.trigger(), status="failed", reason="")
    rows.delivery(
        execution,
        status="failed",
        error="503 Service Unavailable",
        result={
            "response": {
                "status": 503,
                "milliseconds": 12,
                "body": 'got "token": "abcd1234efgh" and Bearer bk_live_12345678_abcdefgh, thanks',
                "set-cookie": "sid=1",
            }
        },
    )
    text = page(sign_in(), execution)
    assert "503 Service Unavailable" in text
    assert "thanks" in text
    for secret in ("abcd1234efgh", "bk_live_12345678", "sid=1"):
        assert secret not in text
    analyst = page(sign_in("Analyst"), execution)
    assert "milliseconds" in analyst
    assert "thanks" not in analyst
    assert "a…@example.com" in analyst


def test_a_failed_action_is_tried_again_from_its_decision(sign_in: SignIn) -> None:
    """S-062: with a note on why that is safe; an uncertain one only explains why not."""
    execution = rows.execution(rows.event(rows.customer()), rows.trigger(), status="failed", reason="")
    failed = rows.delivery(execution, status="failed")
    uncertain = rows.delivery(
        execution, status="uncertain", action_index=1, channel="webhook", idempotency_key="k2"
    )
    operator = sign_in("Operator")
    text = page(operator, execution)
    assert f'form="retry-{failed.pk}"' in text
    assert f'form="retry-{uncertain.pk}"' not in text
    assert "by which the receiver can tell a repeat" in text
    assert "It is not sent again" in text
    assert "retry-" not in page(sign_in("Marketer"), execution)
    operator.post(url("automation.delivery"), {"action": "try_again", "_selected_action": [str(failed.pk)]})
    assert Delivery.objects.get(pk=failed.pk).status == "pending"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("failed", "Trying again is safe"),
        ("uncertain", "it may have gone out"),
        ("delivered", "a second message"),
        ("pending", "waits for its moment"),
    ],
)
def test_a_delivery_says_whether_it_may_be_sent_again(root: Client, status: str, said: str) -> None:
    """R-026: only what failed; the provider's own words stand in the list."""
    execution = rows.execution(rows.event(rows.customer()), rows.trigger())
    delivery = rows.delivery(execution, status=status, error="550 no such user")
    text = root.get(reverse("admin:automation_delivery_change", args=[delivery.pk])).content.decode()
    assert said in text
    assert "550 no such user" in root.get(url("automation.delivery")).content.decode()


TRACEBACK = 'Traceback:\n  File "/srv/beckon/{}.py", line 7, in step\n    x\n{}: no'


def test_the_quarantine_groups_what_failed_alike(sign_in: SignIn) -> None:
    """R-021: by error and place, in plain words; a group is replayed or discarded at once, and what is left is said."""
    client = sign_in("Operator")
    for number in range(5):
        error, name = ("KeyError", "decide") if number < 3 else ("ZeroDivisionError", "view")
        event = rows.event(rows.customer(f"c{number}"), data={"email": f"c{number}@example.com", "n": number})
        quarantined(event, error_class=error, traceback=TRACEBACK.format(name, error))
    text = client.get(url("automation.quarantinedevent")).content.decode()
    assert text.index("is expected in it is not there") < text.index("A calculation divided by zero")
    assert "decide.py:7 step" in text
    form = re.search(r'<form method="post">.*?</form>', text[text.index("decide.py") :], re.S)
    assert form is not None
    ids = re.findall(r'name="_selected_action" value="(\d+)"', form[0])
    assert len(ids) == 3
    answer = client.post(
        url("automation.quarantinedevent"), {"action": "replay", "_selected_action": ids}, follow=True
    ).content.decode()
    assert "3 put back into the queue. 2 events are still held." in answer
    assert QueuedEvent.objects.count() == 3
    held = QuarantinedEvent.objects.filter(state="held").latest("pk")
    shown = client.get(reverse("admin:automation_quarantinedevent_change", args=[held.pk])).content.decode()
    assert "c…@example.com" in shown
    assert "c4@example.com" not in shown.partition("shown_payload")[2]
    assert "A calculation divided by zero." in shown


def test_what_is_stored_is_inert_on_these_pages(root: Client) -> None:
    """S-001: markup in errors, traces, reasons and tracebacks is text."""
    bad = "<img src=x onerror=alert(1)>"
    event = rows.event(rows.customer(bad), name=bad, data={bad: bad})
    execution = rows.execution(
        event,
        rows.trigger(name=bad),
        error=bad,
        trace={
            "conditions": {"result": "not_met", "/conditions/0": {"result": bad, "seen": bad, "reason": bad}}
        },
        reasons=[{"reason": bad, "params": {bad: bad}}],
    )
    delivery = rows.delivery(execution, error=bad, error_class=bad, result={bad: bad})
    held = quarantined(event, error_class=bad, traceback=bad)
    pages: list[Any] = [execution, delivery, held]
    for row in pages:
        name = f"{row._meta.app_label}_{row._meta.model_name}"
        for address in (reverse(f"admin:{name}_change", args=[row.pk]), reverse(f"admin:{name}_changelist")):
            text = root.get(address).content.decode()
            assert "<img src=x" not in text, address
