"""What Beckon is meant to do, in the plainest words: no database, no locks, no retries, one thing at a time.

Three triggers: `mail` and `segment` listen to the event `a`, `receipt` to `b`. The mail is marketing: one per
customer and day (the cap), sent at most once. The receipt is transactional: no cap, sent at least once. The
segment is entered twice per customer at most, and touches only our own database: exactly once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MAIL, SEGMENT, RECEIPT = "mail", "segment", "receipt"
LISTENS = {MAIL: "a", SEGMENT: "a", RECEIPT: "b"}
CAP, ENTRIES = 1, 2
MEDIUM, LOW = 3, 4  # Lanes: of an event that somebody listens to when it comes, and of others.
Key = tuple[str, str]  # Trigger and message id.


@dataclass
class Rule:
    """A trigger as it is now."""

    is_live: bool = True
    above: int = 0  # It wants a value above this.


@dataclass(frozen=True, order=True)
class Sent:
    """An accepted event that waits."""

    lane: int
    at: int  # Order of time; late events are older than all others.
    message_id: str
    customer: str
    name: str
    value: int
    is_late: bool


@dataclass
class Model:
    """Everything that may be seen from outside."""

    rules: dict[str, Rule] = field(default_factory=lambda: {name: Rule() for name in LISTENS})
    queue: list[Sent] = field(default_factory=list)
    owner: dict[str, str] = field(default_factory=dict)  # Message id -> customer.
    deliveries: dict[Key, str] = field(default_factory=dict)  # -> status
    held: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # Trigger, customer, reason.
    effects: Counter[Key] = field(default_factory=Counter)  # What receivers got.
    entries: Counter[str] = field(default_factory=Counter)  # By customer; a lifetime limit is not given back.
    erased: set[str] = field(default_factory=set)

    def lane(self, name: str) -> int:
        """Where an event goes that comes now."""
        heard = any(rule.is_live and LISTENS[key] == name for key, rule in self.rules.items())
        return MEDIUM if heard else LOW

    def accept(self, event: Sent) -> None:
        """A new event; of erased customers nothing is kept."""
        if event.customer not in self.erased:
            self.owner[event.message_id] = event.customer
            self.queue.append(event)

    def decide(self, lane: int) -> None:
        """Everything that waits in a lane, in order of time."""
        for event in sorted(event for event in self.queue if event.lane == lane):
            self.queue.remove(event)
            for key, rule in self.rules.items():
                if rule.is_live and LISTENS[key] == event.name and event.value > rule.above:
                    reason = self.reason(key, event)
                    if reason:
                        self.held[key, event.customer, reason] += 1
                    else:
                        self.deliveries[key, event.message_id] = "pending"
                        self.entries[event.customer] += key == SEGMENT

    def reason(self, key: str, event: Sent) -> str:
        """Why the trigger is held back; empty when it is not."""
        if event.is_late:
            return "late_event"
        if key == MAIL and self.mails(event.customer) >= CAP:
            return "frequency_cap"
        if key == SEGMENT and self.entries[event.customer] >= ENTRIES:
            return "max_per_customer"
        return ""

    def mails(self, customer: str) -> int:
        """Marketing mails that count: also those that wait, and those that may have gone out."""
        return sum(
            key == MAIL and self.owner[message_id] == customer and status != "cancelled"
            for (key, message_id), status in self.deliveries.items()
        )

    def deliver(self, key: Key, crash: str = "") -> None:
        """One pending delivery is tried, and perhaps the process ends at a named point of it."""
        assert self.deliveries[key] == "pending", f"{key} is {self.deliveries[key]} and was tried"
        if not self.rules[key[0]].is_live:
            self.deliveries[key] = "cancelled"
        elif key[0] == SEGMENT:
            self.deliveries[key] = "sent"
        else:
            self.effects[key] += crash != "delivery_after_claim"
            is_known = crash in ("", "delivery_after_commit")
            self.deliveries[key] = "sent" if is_known else "sending"

    def expire(self) -> None:
        """Leases end: nobody knows whether those went out."""
        for key, status in self.deliveries.items():
            if status == "sending":
                self.deliveries[key] = "uncertain" if key[0] == MAIL else "pending"

    def erase(self, customer: str) -> None:
        """As if they had never been, but for what receivers got."""
        self.erased.add(customer)
        gone = {message_id for message_id, who in self.owner.items() if who == customer}
        self.queue = [event for event in self.queue if event.customer != customer]
        self.deliveries = {key: status for key, status in self.deliveries.items() if key[1] not in gone}
        self.held = Counter({key: n for key, n in self.held.items() if key[1] != customer})
