"""T9: what waits an hour or a month happens at its moment, once. Nobody waits here: the past is moved back.

Beckon's only clock is PostgreSQL's `now()`. To let time pass, every stored moment is made older by the same
span, in one transaction: to each row the clock has then gone forward.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg2
import pytest

from tests.chaos.harness.judge import judge
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import full_only

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

HOUR, DAY = 60, 1440
MINUTES = (HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY)
EACH = 40
SWEEP_SECONDS, LATE_SECONDS = 1.0, 6.0  # Of a scene; one sweep and 5 s.
BEFORE_SECONDS = 3.0  # So long before its moment each is looked at: nothing may have happened.
# Even delays are the trigger's, odd ones belong to the second step of a trigger.
PREPARE = f"""
from tests.factories import EMAIL, SEGMENT, make_trigger
for turn, minutes in enumerate({MINUTES}):
    on = f"left_{{minutes}}"
    if turn % 2 == 0:
        make_trigger(f"wait-{{minutes}}", on=on, actions=[EMAIL], timing={{"kind": "delay", "minutes": minutes}})
    else:
        make_trigger(f"step-{{minutes}}", on=on, actions=[SEGMENT, EMAIL | {{"delay_minutes": minutes}}])
"""
COLUMNS = """
SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.atttypid = 'timestamptz'::regtype AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relispartition
  AND c.relkind IN ('r', 'p') AND c.relname ~ '^(automation|profiles)_'
  AND c.relname NOT IN ('automation_heartbeat', 'automation_tally', 'automation_auditentry')
ORDER BY 1, 2
"""
# What waits for its moment: executions of triggers that wait, deliveries of later steps.
WAITING = """
SELECT x.id, x.due_at - x.decided_at FROM automation_execution x
WHERE x.event_name = %(name)s AND x.status = 'pending' AND x.due_at IS NOT NULL
UNION ALL
SELECT d.execution_id, d.due_at - x.decided_at FROM automation_delivery d
JOIN automation_execution x ON x.id = d.execution_id
WHERE x.event_name = %(name)s AND d.channel = 'email' AND d.status = 'pending' AND d.due_at > now()
"""
BEGUN = """
SELECT d.execution_id, d.sending_at - x.decided_at FROM automation_delivery d
JOIN automation_execution x ON x.id = d.execution_id
WHERE x.event_name = %s AND d.channel = 'email' AND d.sending_at IS NOT NULL
"""


def let_pass(scene: Scene, seconds: float) -> None:
    """Make every stored moment older, at one instant for all."""
    columns: dict[str, list[str]] = {}
    for table, column in scene.rows(COLUMNS):
        columns.setdefault(table, []).append(column)
    for _ in range(20):
        connection = psycopg2.connect(scene.database_url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
                cursor.execute(f"LOCK TABLE {', '.join(columns)}")
                for table, names in columns.items():
                    moved = ", ".join(f"{name} = {name} - make_interval(secs => %(s)s)" for name in names)
                    cursor.execute(f"UPDATE {table} SET {moved}", {"s": seconds})
            return
        except psycopg2.OperationalError:  # A worker was in the middle of something: again.
            time.sleep(0.1)
        finally:
            connection.close()
    pytest.fail("the tables were never free to be moved")


@full_only
@pytest.mark.matrix("T9", "delays of 1 h to 30 d, the clock moved under them")
def test_what_waits_happens_once_and_at_its_moment(make_scene: Callable[..., Scene], report: Report) -> None:
    """T9, R-023: each delayed execution and each delayed step once, none early, at most a sweep and 5 s late."""
    events = EACH * len(MINUTES)
    scene = make_scene(prepare=PREPARE)
    scene.introduce(events)
    shop = scene.shop()
    for turn, minutes in enumerate(MINUTES):
        shop.send(shop.event(f"c{turn * EACH + n}", f"left_{minutes}") for n in range(EACH))
    due: dict[int, dict[int, float]] = {}
    for minutes in MINUTES:
        name = f"left_{minutes}"
        scene.wait_until(lambda name=name: len(scene.rows(WAITING, {"name": name})) == EACH, 30, name)
        due[minutes] = {id: span.total_seconds() for id, span in scene.rows(WAITING, {"name": name})}
    early, late = 0, 0.0
    for minutes in MINUTES:
        name = f"left_{minutes}"
        left = scene.value(
            "SELECT extract(epoch FROM min(decided_at) - now()) FROM automation_execution WHERE event_name = %s",
            name,
        )
        let_pass(scene, float(left) + min(due[minutes].values()) - BEFORE_SECONDS)
        report.faults += 1
        looked = time.monotonic()
        early += len(scene.rows(BEGUN, name))
        assert time.monotonic() - looked < BEFORE_SECONDS - 1, "the machine is too slow to look in time"
        scene.wait_until(lambda name=name: len(scene.rows(BEGUN, name)) == EACH, 30, f"{name} begun")
        for id, span in scene.rows(BEGUN, name):
            late = max(late, span.total_seconds() - due[minutes][id])
            early += span.total_seconds() < due[minutes][id]
    let_pass(scene, 40 * DAY * 60)  # And nothing comes after it.
    scene.wait_until(lambda: scene.is_settled(events), 30, "settled")
    sweeps = "SELECT sum(count) FROM automation_tally WHERE kind = 'sweeps'"
    seen = scene.value(sweeps)
    scene.wait_until(lambda: scene.value(sweeps) >= seen + 2, 30, "two more sweeps")
    found = judge(scene, [])
    found.into(report)
    report.figures = {"early": early, "late_s": round(late, 2), "limit_s": LATE_SECONDS, "mails": events}
    assert early == 0
    assert late <= LATE_SECONDS
    assert scene.statuses("automation_execution") == {"triggered": events}
    assert len(scene.received()) == events
    assert found.duplicates == []
    assert found.missing == []
    assert found.unlisted == []
    assert found.uncertain == 0
