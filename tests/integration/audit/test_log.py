"""The audit log: append-only, a chain without forks, and what its check finds."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction
from django.test import RequestFactory

from automation import audit
from automation.models import AuditCheck, AuditEntry, AuditPersonal


def sql(statement: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def tamper(statement: str, *params: Any) -> None:
    """What the owner of the tables can do: the triggers off, a change, the triggers on again."""
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # Else the rows that this transaction wrote forbid ALTER TABLE.
    for table in ("automation_auditentry", "automation_auditpersonal"):
        sql(f"ALTER TABLE {table} DISABLE TRIGGER audit_unchanged")
    sql(statement, *params)
    for table in ("automation_auditentry", "automation_auditpersonal"):
        sql(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_unchanged")


def three() -> list[AuditEntry]:
    return [
        audit.record(f"test.{number}", actor="ann", details={"n": number, "was": "ü\u2028"})
        for number in (1, 2, 3)
    ]


def write_personal(profile_id: int, email: str) -> AuditEntry:
    return audit.record("test.personal", actor="ann", personal={"email": email}, profile_id=profile_id)


@pytest.mark.django_db
def test_an_entry_says_who_what_when_from_where() -> None:
    """R-051: who, when, what, ip and request id."""
    request = RequestFactory().get("/", REMOTE_ADDR="2001:DB8:0:0::1")
    request.request_id = "r1"  # type: ignore[attr-defined]
    before = datetime.now(UTC)

    entry = audit.record(
        "trigger.changed", actor="ann", actor_id=7, target="automation.trigger 5", request=request
    )

    stored = AuditEntry.objects.get()
    assert (stored.pk, stored.action, stored.actor, stored.actor_id) == (1, "trigger.changed", "ann", 7)
    assert (stored.target, stored.ip, stored.request_id) == ("automation.trigger 5", "2001:db8::1", "r1")
    assert (stored.previous_hash, stored.entry_hash) == ("0" * 64, entry.entry_hash)
    assert abs((stored.at - before).total_seconds()) < 5


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE automation_auditentry SET actor = 'bob'",
        "UPDATE automation_auditentry SET id = 9 WHERE id = 2",
        "DELETE FROM automation_auditentry",
        "DELETE FROM automation_auditentry WHERE id = 3",
        "TRUNCATE automation_auditentry CASCADE",
        "UPDATE automation_auditpersonal SET values = '{}'",
        "SET LOCAL session_replication_role = replica; DELETE FROM automation_auditentry",
    ],
)
def test_the_database_refuses_to_change_the_log(statement: str) -> None:
    """R-051: a database trigger refuses UPDATE, DELETE and TRUNCATE, also to the owner of the table."""
    three()
    write_personal(1, "a@example.com")
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    # The test run itself empties tables: only its databases have this one switched off.
    sql("ALTER TABLE automation_auditentry ENABLE ALWAYS TRIGGER audit_not_emptied")

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        sql(statement)

    sql("ALTER TABLE automation_auditentry DISABLE TRIGGER audit_not_emptied")
    assert AuditEntry.objects.count() == 4
    assert audit.verify().ok


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "bad_id", "words"),
    [
        ("UPDATE automation_auditentry SET actor = 'bob' WHERE id = 2", 2, "altered"),
        ("UPDATE automation_auditentry SET at = at + interval '1 microsecond' WHERE id = 1", 1, "altered"),
        ("UPDATE automation_auditentry SET details = '{\"n\": 22}' WHERE id = 2", 2, "altered"),
        ("UPDATE automation_auditentry SET ip = '192.0.2.1' WHERE id = 3", 3, "altered"),
        ("DELETE FROM automation_auditentry WHERE id = 1", 1, "missing"),
        ("DELETE FROM automation_auditentry WHERE id = 2", 2, "missing"),
        ("UPDATE automation_auditentry SET id = CASE id WHEN 2 THEN 30 ELSE id END", 2, "missing"),
        (
            "UPDATE automation_auditentry a SET id = -b.id FROM automation_auditentry b"
            " WHERE a.id IN (1, 2) AND b.id = 3 - a.id; UPDATE automation_auditentry SET id = -id WHERE id < 0",
            1,
            "swapped",
        ),
        ("UPDATE automation_auditentry SET personal_digest = '' WHERE id = 4", 4, "altered"),
        ('UPDATE automation_auditpersonal SET values = \'{"email": "b@example.com"}\'', 4, "personal values"),
        ("UPDATE automation_auditpersonal SET profile_id = 2", 4, "personal values"),
        ("UPDATE automation_auditpersonal SET salt = 'x'", 4, "personal values"),
    ],
)
def test_tampering_is_found(statement: str, bad_id: int, words: str) -> None:
    """R-051: whoever gets round the triggers breaks the chain, and the check names the first bad entry."""
    three()
    write_personal(1, "a@example.com")
    assert audit.verify().ok

    tamper(statement)

    report = audit.verify()
    assert (report.ok, report.bad_id) == (False, bad_id)
    assert words in report.problem


@pytest.mark.django_db
def test_a_forged_hash_breaks_the_next_link() -> None:
    """R-051: an altered entry whose hash was computed anew no longer fits the one after it."""
    from automation.audit.chain import Link, entry_hash

    _, second, _ = three()
    link = Link(**{name: getattr(second, name) for name in Link._fields})._replace(actor="bob")
    tamper("UPDATE automation_auditentry SET actor = 'bob', entry_hash = %s WHERE id = 2", entry_hash(link))

    report = audit.verify()

    assert (report.bad_id, report.checked) == (3, 2)


@pytest.mark.django_db
def test_only_an_anchor_outside_shows_that_the_newest_are_gone() -> None:
    """R-051: cutting off the end leaves a sound chain; a noted head finds it."""
    third = three()[2]
    tamper("DELETE FROM automation_auditentry WHERE id = 3")

    assert audit.verify().ok
    report = audit.verify(expect=[(3, third.entry_hash)])

    assert (report.ok, report.bad_id) == (False, 3)
    assert "cut off" in report.problem
    three()  # Written anew: another entry 3.
    assert "written anew" in audit.verify(expect=[(3, third.entry_hash)]).problem


@pytest.mark.django_db
def test_forgetting_a_person_leaves_the_chain_whole() -> None:
    """R-051, R-052: erasure removes value and salt, and the chain still verifies."""
    write_personal(1, "a@example.com")
    write_personal(2, "b@example.com")
    write_personal(1, "c@example.com")
    head = audit.head()

    assert audit.forget([1]) == 2

    assert list(AuditPersonal.objects.values_list("profile_id", "values")) == [
        (2, {"email": "b@example.com"})
    ]
    report = audit.verify(expect=[head])
    assert (report.ok, report.checked, report.erased) == (True, 3, 2)


@pytest.mark.django_db
def test_the_digest_of_a_value_says_nothing_without_its_salt() -> None:
    """R-051: personal values enter the chain only as a salted digest; the same value twice gives two digests."""
    digests = {write_personal(1, "a@example.com").personal_digest for _ in range(2)}

    assert len(digests) == 2
    stored = str(list(AuditEntry.objects.values()))
    assert "a@example.com" not in stored


@pytest.mark.django_db
def test_details_come_back_as_they_were_hashed() -> None:
    three()
    odd = {
        "float": 1e22,
        "big": 10**40,
        "nul": "a\x00b",
        "half": "\ud800",
        "list": (1, None, True),
        "neg": -0.0,
    }
    audit.record("test", actor="\x00", details=odd, target="x" * 300, personal={"nul": "\x00"})

    assert audit.verify().ok
    assert AuditEntry.objects.get(pk=4).details["list"] == [1, None, True]


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_make_one_chain() -> None:
    """R-051: insertion is serialised, so the chain has no forks and no gaps."""
    failures: list[BaseException] = []
    start = threading.Barrier(6)

    def write(number: int) -> None:
        try:
            start.wait(10)
            for turn in range(8):
                with transaction.atomic():
                    audit.record("test.race", actor=f"writer {number}", details={"turn": turn})
                    if turn % 3 == 2:
                        transaction.set_rollback(True)  # A gap would be left by a sequence.
        except BaseException as error:  # noqa: BLE001 - handed to the test, which fails with it.
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    report = audit.verify()
    assert (report.ok, report.checked, report.head_id) == (True, 36, 36)


@pytest.mark.django_db
def test_what_is_rolled_back_leaves_no_entry() -> None:
    three()
    with transaction.atomic():
        audit.record("test", actor="ann")
        transaction.set_rollback(True)

    assert AuditEntry.objects.count() == 3
    assert audit.record("test", actor="ann").pk == 4


@pytest.mark.django_db
def test_the_command_names_the_first_bad_entry(capsys: pytest.CaptureFixture[str]) -> None:
    """R-051: verify_audit exits 1 and names the first bad entry."""
    entry = three()[2]
    call_command("verify_audit", "--expect", f"3:{entry.entry_hash}")
    assert f"3:{entry.entry_hash}" in capsys.readouterr().out

    tamper("UPDATE automation_auditentry SET actor = 'bob' WHERE id = 2")

    with pytest.raises(CommandError, match="entry 2 was altered") as stopped:
        call_command("verify_audit", "--json")
    assert stopped.value.returncode == 1
    assert '"bad_id": 2' in capsys.readouterr().out


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["3", "x:y", "3:", f"0:{'a' * 64}", "3:abc"])
def test_an_anchor_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="ID:HASH"):
        call_command("verify_audit", "--expect", text)


@pytest.mark.django_db
def test_the_periodic_check_walks_on_and_starts_again() -> None:
    """R-051: each step is bounded, every entry is walked again and again, and the head is noted."""
    three()
    write_personal(1, "a@example.com")

    steps = [audit.watch(limit=3) for _ in range(2)]

    assert [step and (step.checked, step.head_id) for step in steps] == [(3, 3), (1, 4)]
    state = AuditCheck.objects.get()
    assert (state.head_id, state.head_hash, state.walked_id, state.problem) == (4, audit.head()[1], 0, "")

    tamper("DELETE FROM automation_auditpersonal")
    tamper("DELETE FROM automation_auditentry WHERE id = 4")
    audit.watch()
    assert "cut off" in AuditCheck.objects.get().problem
