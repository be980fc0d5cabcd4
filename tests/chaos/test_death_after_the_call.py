"""T1 at the worst of its moments: the mail has gone out, and the worker dies before it can say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.chaos.harness.judge import broken_invariants
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene
from tests.chaos.harness.size import full_only, pick

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

MAILS = pick(quick=2, full=10)
PREPARE = f"""
from tests.factories import EMAIL, decide_all, incoming, known, make_trigger, send
make_trigger("mail", actions=[EMAIL])
send(*(event for n in range({MAILS}) for event in known(f"c{{n}}")))
decide_all()
send(*(incoming(customer_id=f"c{{n}}") for n in range({MAILS})))
decide_all()
"""


@full_only
@pytest.mark.matrix("T1", "kill -9 right after each mail has gone out")
def test_a_mail_whose_worker_died_after_the_call_is_listed_and_not_sent_again(
    make_scene: Callable[..., Scene], report: Report
) -> None:
    """T1, R-025, R-026: `sending` was committed before the call, so nobody takes the row for one never tried."""
    scene = make_scene(prepare=PREPARE, workers=(), web=False, env={"BECKON_LEASE_SECONDS": "1"})
    scene.armed_worker("delivery_after_effect:kill")

    def arrived() -> Counter[str]:
        return Counter(mail["message_id"] for mail in scene.received())

    def is_over() -> bool:
        return scene.is_settled(MAILS) or max(arrived().values(), default=0) > 1

    scene.wait_until(is_over, 20 + 8 * MAILS, "each mail sent once, or one of them twice")
    found = arrived()
    report.faults = MAILS
    report.duplicates = sum(found.values()) - len(found)
    report.lost = MAILS - len(found)
    statuses = dict(scene.statuses("automation_delivery"))
    report.uncertain = statuses.get("uncertain", 0)
    assert (report.duplicates, report.lost) == (0, 0)
    assert statuses == {"uncertain": MAILS}
    assert broken_invariants(scene) == []
