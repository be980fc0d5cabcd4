"""The judge: the client's list of acknowledged events, the tables, and what receivers really got."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from config.supervisor import SupervisorError
from tests.chaos.harness.report import Report
from tests.chaos.harness.scene import Scene


@dataclass
class Judgement:
    """What became of the acknowledged events and their messages."""

    lost: list[str] = field(default_factory=list)  # Acknowledged and not there, or never ended.
    undecided: list[str] = field(default_factory=list)  # Decided without a decision where one was due.
    quarantined: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)  # Received twice.
    uncertain: int = 0
    missing: list[str] = field(default_factory=list)  # Called sent and never received.
    unlisted: list[str] = field(default_factory=list)  # Received, but neither sent nor uncertain.
    broken: list[str] = field(default_factory=list)  # Invariants that do not hold.

    def into(self, report: Report) -> None:
        """Put the figures into the line of the table."""
        report.lost = len(self.lost) + len(self.undecided)
        report.duplicates = len(self.duplicates)
        report.uncertain = self.uncertain

    def acquits(self) -> bool:
        """Whether every promise was kept; `uncertain` is judged by the test, which knows the bound."""
        return not (
            self.lost or self.undecided or self.duplicates or self.missing or self.unlisted or self.broken
        )


_FATES = """
SELECT wanted, k.event_id IS NOT NULL AND e.id IS NOT NULL AS is_stored,
  q.event_id IS NOT NULL AS is_queued, h.event_id IS NOT NULL AS is_held,
  EXISTS (SELECT FROM automation_execution x WHERE x.event_id = k.event_id
          AND x.status IN ('triggered', 'suppressed', 'failed')) AS is_decided
FROM unnest(%s::text[]) AS wanted
LEFT JOIN automation_messagekey k ON k.message_id = wanted
LEFT JOIN automation_event e ON e.id = k.event_id
LEFT JOIN automation_queuedevent q ON q.event_id = k.event_id
LEFT JOIN automation_quarantinedevent h ON h.event_id = k.event_id AND h.state = 'held'
"""


def judge(scene: Scene, accepted: Collection[str], *, must_decide: bool = True) -> Judgement:
    """Compare. With `must_decide` every acknowledged event has to have ended as a decision or in quarantine."""
    found = Judgement()
    for wanted, is_stored, is_queued, is_held, is_decided in scene.rows(_FATES, sorted(set(accepted))):
        if not is_stored or (is_queued and not is_held):
            found.lost.append(wanted)
        elif is_held:
            found.quarantined.append(wanted)
        elif must_decide and not is_decided:
            found.undecided.append(wanted)
    mails = Counter(mail["message_id"] for mail in scene.received())
    found.duplicates = [message_id for message_id, n in mails.items() if n > 1]
    sent, uncertain = _mails(scene, "sent"), _mails(scene, "uncertain")
    found.uncertain = scene.value("SELECT count(*) FROM automation_delivery WHERE status = 'uncertain'")
    found.missing = sorted(sent - mails.keys())
    found.unlisted = sorted(mails.keys() - sent - uncertain)
    found.broken = broken_invariants(scene)
    return found


def _mails(scene: Scene, status: str) -> set[str]:
    found = scene.rows("SELECT id FROM automation_delivery WHERE channel = 'email' AND status = %s", status)
    return {f"<{id}@beckon.local>" for (id,) in found}


def broken_invariants(scene: Scene) -> list[str]:
    """Names of the promises that `verify_invariants` finds broken."""
    try:
        scene.manage("verify_invariants", "--json")
    except SupervisorError as error:
        text = str(error)
        document = json.loads(text[text.index("{") : text.rindex("}") + 1])
        return [proof["name"] for proof in document["proofs"] if proof["breaches"]]
    return []
