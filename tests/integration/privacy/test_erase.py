"""Forgetting a person: nothing is left, everybody else keeps what is theirs, and the books still balance."""

from __future__ import annotations

import io
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from automation import audit, invariants
from automation.models import Delivery, Execution, Tally
from automation.privacy import AmbiguousError, Receipt, Who, erase, export, lift
from automation.privacy.export import preview
from automation.privacy.holdings import HOLDINGS, Treatment
from config.logging import JsonFormatter
from profiles import selectors, tombstones
from profiles.models import AddressSuppression, Erasure, Identity, Profile, Tombstone
from tests.factories import decide_all, incoming, known, send
from tests.integration.privacy import people
from tests.integration.privacy.people import ADDRESS, ANONYMOUS, CUSTOMER, NEEDLES
from tests.integration.privacy.residue import dump, hits, redis_dump

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GRACE = Who(customer_id=CUSTOMER)


def forget(who: Who = GRACE) -> Receipt:
    return erase(who, by="test", now=NOW)


def told(who: Who = GRACE) -> dict[str, Any]:
    return export(who, by="test", now=NOW)


def sample_columns() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def test_a_dump_of_the_database_holds_nothing_of_them() -> None:
    """R-052: rows, PostgreSQL's samples of columns, and the audit log; every needle was there before."""
    people.live()
    sample_columns()
    before = hits(dump(), NEEDLES)
    assert before.keys() == set(NEEDLES)
    forget()
    assert hits(dump(), NEEDLES) == {}


def test_redis_holds_nothing_of_them() -> None:
    """R-052: also before, because Beckon writes no value of a customer into Redis."""
    people.live()
    assert hits(redis_dump(), NEEDLES) == {}
    forget()
    assert hits(redis_dump(), NEEDLES) == {}


def test_the_logs_of_their_whole_life_hold_nothing_of_them() -> None:
    """R-052: what our own code says needs no redaction, and what anybody says is redacted."""
    ours, written = io.StringIO(), io.StringIO()
    handlers = [logging.StreamHandler(ours), logging.StreamHandler(written)]
    handlers[1].setFormatter(JsonFormatter())
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    try:
        people.live()
        forget()
        send(people.cart())
        told()
    finally:
        for handler in handlers:
            logging.getLogger().removeHandler(handler)
    assert "a customer was erased" in ours.getvalue()
    assert hits(ours.getvalue(), NEEDLES) == {}
    assert hits(written.getvalue(), NEEDLES) == {}


def test_export_and_erasure_cover_the_same_tables() -> None:
    """R-052: every declared table has a row of the person, is exported, and is empty or redacted afterwards."""
    people.live()
    document = told()
    assert document["outcome"] == "found"
    assert list(document["tables"]) == [holding.table for holding in HOLDINGS]
    assert {table: len(rows) for table, rows in document["tables"].items()} == preview(GRACE, NOW)
    text = str(document)
    assert all(needle in text for needle in NEEDLES if needle != people.LAST)
    receipt = forget()
    gone = {holding.table for holding in HOLDINGS if holding.treatment is not Treatment.KEPT}
    assert receipt.counts.keys() == gone
    for holding in HOLDINGS:
        if holding.treatment is not Treatment.KEPT:
            assert receipt.counts[holding.table] == len(document["tables"][holding.table]), holding.table
    assert told() == {**document, "outcome": "erased", "tables": {}}


def test_redacted_rows_keep_only_what_is_declared() -> None:
    """R-052: a column that is not declared as kept differs from a fresh row's default only by design."""
    profile = people.live()
    forget()
    with connection.cursor() as cursor:
        for holding in HOLDINGS:
            if holding.treatment is not Treatment.DELETED:
                continue
            cursor.execute(
                f"SELECT count(*) FROM {holding.table} WHERE {holding.whose}",
                {"profiles": [profile.pk], "kinds": [], "names": [], "needles": [], "long_needles": []},
            )
            assert cursor.fetchone()[0] == 0, holding.table
    stub = Profile.objects.get(pk=profile.pk)
    assert (stub.erased_at, stub.customer_id, stub.email, stub.traits) == (NOW, None, "", {})
    assert str(stub) == f"erased {stub.pk}"


def test_another_customer_loses_nothing() -> None:
    people.live()
    send(
        *known("alan", email="alan@example.com"),
        incoming("cart_abandonment", "alan", data={"cart_id": "c", "total": 9}),
    )
    decide_all()
    people.deliver_all()
    before = told(Who(customer_id="alan"))["tables"]
    assert len(before) > 8
    forget()
    after = told(Who(customer_id="alan"))["tables"]
    assert after == before


def test_the_promises_still_hold_and_counts_stay_true() -> None:
    """R-033, R-052: decisions and deliveries are counted as before."""
    people.live()
    decided, sent = Execution.objects.count(), Delivery.objects.count()
    waiting = Execution.objects.filter(status="pending", due_at__isnull=False).count()
    assert waiting == 1
    forget()
    assert [proof for proof in invariants.verify() if proof.breaches] == []
    assert (Execution.objects.count(), Delivery.objects.count()) == (decided, sent)
    assert Tally.objects.get(kind="executions", label="suppressed:profile_erased").count == 1
    assert audit.verify().ok


@pytest.mark.parametrize("asked", ["ann.lee@example.com", "ANN.LEE@EXAMPLE.COM", " Ann.Lee@Example.com "])
def test_an_address_is_found_however_it_is_written(asked: str) -> None:
    """R-052: profiles keep it as the shop sent it; “unknown” would be a wrong answer to who asks to be forgotten."""
    send(*known("a", email="Ann.Lee@Example.com"))
    decide_all()
    assert forget(Who(email=asked)).outcome == "erased"


def test_one_address_in_two_spellings_has_two_owners() -> None:
    """R-052: nothing is forgotten of the wrong one."""
    send(*known("a", email="Ann@example.com"), *known("b", email="ann@example.com"))
    decide_all()
    with pytest.raises(AmbiguousError, match="2 customers"):
        forget(Who(email="ann@example.com"))


@pytest.mark.parametrize(
    ("before", "after", "ending"),
    [
        ("pending", ("cancelled", "profile_erased", 1), "suppressed"),
        ("sending", ("uncertain", "", 1), "triggered"),
        ("sent", ("sent", "", 0), "triggered"),
        ("failed", ("failed", "", 0), "failed"),
    ],
)
def test_what_becomes_of_a_message_under_way(before: str, after: tuple[str, str, int], ending: str) -> None:
    """R-024, R-052: not sent any more, or its late answer is fenced off (R-013)."""
    people.make_trigger("mail", actions=[people.EMAIL])
    send(*people.introduced(), people.cart())
    decide_all()
    Delivery.objects.update(
        status=before, address=ADDRESS, provider_id="p1", result={"a": ADDRESS}, error="e"
    )
    Execution.objects.update(status={"sent": "triggered", "failed": "failed"}.get(before, "processing"))
    attempt = Delivery.objects.get().attempt
    forget()
    row = Delivery.objects.get()
    assert (row.status, row.reason, row.attempt - attempt) == after
    assert (row.address, row.provider_id, row.result, row.error) == ("", "", {}, "")
    assert Execution.objects.get().status == ending


def test_a_profile_that_was_joined_to_theirs_is_erased_too() -> None:
    """R-052: the person asked for by any of their names."""
    people.live()
    assert forget(Who(anonymous_id=ANONYMOUS)).counts["profiles_profile"] == 2
    assert Profile.objects.filter(erased_at=NOW).count() == 2
    assert not Identity.objects.exists()


# --- Receipts and tombstones


def test_the_receipt_says_what_was_done_and_names_nobody() -> None:
    """R-052, R-051: and the audit log has the act."""
    people.live()
    receipt = forget()
    assert (receipt.outcome, receipt.by, receipt.at) == ("erased", "test", NOW)
    assert receipt.names == 4
    assert hits(str(receipt.document()), NEEDLES) == {}
    assert Erasure.objects.get().counts == receipt.counts
    entry = audit.entries.AuditEntry.objects.get(action="customer.erased")
    assert (entry.actor, entry.target) == ("test", f"profiles.erasure {receipt.id}")
    assert audit.entries.AuditEntry.objects.filter(action="customer.exported").count() == 0


def test_the_second_time_is_answered_in_the_same_shape() -> None:
    """R-052."""
    people.live()
    first, second = forget(), forget()
    assert (second.outcome, second.counts) == ("already_erased", {})
    assert first.document().keys() == second.document().keys()


def test_an_unknown_name_gets_a_tombstone_too() -> None:
    """R-052."""
    assert forget(Who(anonymous_id="nobody")).outcome == "unknown"
    assert Tombstone.objects.get().digest == tombstones.digest("anonymous", "nobody")
    send(incoming(customer_id=None, anonymous_id="nobody"))
    assert not Identity.objects.exists()


def test_an_address_of_one_customer_is_enough_and_of_two_is_not() -> None:
    """R-052."""
    for customer_id, address in (
        ("a", "Ann@example.com"),
        ("b", "same@example.com"),
        ("c", "same@example.com"),
    ):
        send(*known(customer_id, email=address))
    decide_all()
    with pytest.raises(AmbiguousError, match=r"2 customers have this address \(b, c\)"):
        forget(Who(email="same@example.com"))
    assert not Erasure.objects.exists()
    stored = Profile.objects.get(customer_id="a").email
    assert forget(Who(email=stored)).outcome == "erased"
    assert forget(Who(email="nobody@example.com")).outcome == "unknown"
    assert set(Profile.objects.filter(erased_at=None).values_list("customer_id", flat=True)) == {"b", "c"}


@pytest.mark.parametrize(
    "who", [{}, {"customer_id": "a", "email": "b"}, {"customer_id": ""}, {"email": "\0"}]
)
def test_a_person_is_named_in_one_way(who: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"Name a person|1 to 254"):
        Who(**who)


def test_a_tombstone_is_known_under_a_former_secret_key(settings: Any) -> None:
    """R-052: keys are rotated; without the former key the name could come back."""
    forget()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 10, [settings.SECRET_KEY]
    assert forget().outcome == "already_erased"
    send(people.cart())
    assert not Identity.objects.exists()


def test_a_tombstone_says_nothing_without_the_secret_key(settings: Any) -> None:
    """R-052: it is no plain hash, and depends on the key."""
    before = tombstones.digest("customer", CUSTOMER)
    settings.SECRET_KEY = "another" * 10
    assert tombstones.digest("customer", CUSTOMER) != before
    assert tombstones.digest("anonymous", CUSTOMER) != tombstones.digest("customer", CUSTOMER)


def test_a_person_comes_back_only_by_a_recorded_act() -> None:
    """R-052, R-051: all names that were buried together, as somebody new."""
    people.live()
    forget()
    assert lift(Who(anonymous_id=ANONYMOUS), by="test", now=NOW) == 4
    assert not Tombstone.objects.exists()
    send(people.cart(message_id="back"), incoming(customer_id=None, anonymous_id=ANONYMOUS, message_id="too"))
    decide_all()
    back = Profile.objects.get(customer_id=CUSTOMER)
    assert (back.email, back.erased_at) == ("", None)
    assert audit.entries.AuditEntry.objects.filter(action="customer.erasure_lifted").count() == 1
    assert lift(GRACE, by="test", now=NOW) == 0


# --- Addresses that must stay dead


def test_a_suppressed_address_stays_suppressed_by_its_hash() -> None:
    """R-052: whoever has it next is not written to."""
    people.live()
    forget()
    row = AddressSuppression.objects.get()
    assert row.address == tombstones.HASHED + tombstones.digest("address", ADDRESS)
    assert (row.why, row.detail) == ("complaint", "")
    assert selectors.dead_addresses("email", [ADDRESS.upper(), "other@example.com"]) == {ADDRESS: "complaint"}
    assert selectors.dead_addresses("sms", [ADDRESS]) == {}


def test_a_suppressed_address_that_another_customer_has_stays_as_it_is() -> None:
    people.live()
    send(*known("alan", email=ADDRESS))
    decide_all()
    forget()
    assert AddressSuppression.objects.get().address == ADDRESS
