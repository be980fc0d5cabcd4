"""Two weeks of a small shop, made up from a seed and relative to a moment: no clock, no database.

The same seed, sizes and moment give the same events to the byte. Stories to be found in them: an evening
peak, customers who never agreed to marketing, who have no address or a dead one, who stopped reading; a wave
of log-ins from new devices in the last hour; events that are sent twice, and some that come far too late.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from analytics.demo.people import Customer, people
from analytics.demo.visits import Happening, happening, visit

Body = dict[str, Any]

DAYS: Final = 14
LATE: Final = timedelta(days=16)  # Beyond the demo's limit for events that may still fire.
_HOURS: Final = (1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 13, 12, 11, 12, 13, 15, 19, 25, 28, 24, 14, 5)
"""Visits by hour of the day (UTC): the evening peak."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Everything that is sent, in the order in which it is sent."""

    customers: list[Customer]
    address_book: list[Body]  # What the shop knew before: identify and consent_changed.
    events: list[Body]  # The two weeks.
    doubles: int  # Of `events`, how many repeat an earlier one.
    began_at: datetime

    @property
    def dead_addresses(self) -> list[str]:
        """Addresses that came back before the two weeks began."""
        return [customer.email for customer in self.customers if customer.is_dead_address and customer.email]

    def __len__(self) -> int:
        return len(self.address_book) + len(self.events)


def open_shop(*, seed: int, customers: int, events: int, now: datetime) -> Shop:
    """A shop with about `events` events in the two weeks before `now`, sent by `customers` customers."""
    rng = random.Random(seed)
    everybody = people(rng, customers)
    prefix = f"demo-{seed}-{int(now.timestamp()):x}"
    book = [body for customer in everybody for body in _known_before(customer, now)]
    for number, body in enumerate(book):
        body["message_id"] = f"{prefix}-a{number}"
    stream, doubles = _stream(rng, everybody, events, now, prefix)
    return Shop(everybody, book, stream, doubles, now - timedelta(days=DAYS))


def _known_before(customer: Customer, now: datetime) -> Iterator[Body]:
    """The lines of the address book about one customer."""
    at = now - timedelta(days=customer.known_for_days)
    traits = {
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "email": customer.email,
        "country": customer.country,
        "time_zone": customer.time_zone,
    }
    yield happening(customer.customer_id, "identify", at, {"traits": traits}).body
    if customer.has_consented is not None:
        word = {"topic": "marketing", "channel": "email", "is_granted": customer.has_consented}
        yield happening(customer.customer_id, "consent_changed", at, word).body
    if customer.is_asleep:
        for week in range(6):
            sent_at = now - timedelta(days=DAYS + 3 + 7 * week)
            yield happening(customer.customer_id, "email_delivered", sent_at, {"campaign": "newsletter"}).body


def _stream(
    rng: random.Random, customers: list[Customer], wanted: int, now: datetime, prefix: str
) -> tuple[list[Body], int]:
    happenings = list(_accounts(rng, customers, now))
    visits = 0
    weights = [customer.weight for customer in customers]
    while len(happenings) < wanted:
        customer = rng.choices(customers, weights)[0]
        visits += 1
        happenings += (h for h in visit(rng, customer, visits, _moment(rng, now)) if h.arrives_at <= now)
    _delay_some(rng, happenings, now)
    # Sorted by arrival: who was offline sends later what happened earlier.
    happenings.sort(key=lambda h: (h.arrives_at, h.body["customer_id"], h.body["event_type"]))
    bodies = [h.body for h in happenings]
    for number, body in enumerate(bodies):
        body["message_id"] = f"{prefix}-{number}"
    return _with_doubles(rng, bodies)


def _accounts(rng: random.Random, customers: list[Customer], now: datetime) -> Iterator[Happening]:
    """New accounts, and notices about the security of old ones."""
    for customer in customers:
        if customer.is_new:
            yield happening(customer.customer_id, "signup", _moment(rng, now), {"plan": "free"})
    for _ in range(max(4, len(customers) // 30)):
        yield _alert(rng, customers, _moment(rng, now))
    for _ in range(max(4, len(customers) // 150)):
        yield _alert(rng, customers, now - timedelta(seconds=rng.uniform(60, 3600)))


def _alert(rng: random.Random, customers: list[Customer], at: datetime) -> Happening:
    customer = rng.choice(customers)
    kind = rng.choice(("new_device", "password_changed"))
    device = f"{customer.device['browser']} on {customer.device['os']}"
    data = {"kind": kind, "device": device, "city": customer.city}
    return happening(customer.customer_id, "security_alert", at, data, source="accounts")


def _moment(rng: random.Random, now: datetime) -> datetime:
    """Some moment of the two weeks, most likely in an evening."""
    day = (now - timedelta(days=rng.randrange(DAYS + 1))).replace(minute=0, second=0, microsecond=0)
    hour = rng.choices(range(24), _HOURS)[0]
    moment = day.replace(hour=hour) + timedelta(seconds=rng.uniform(0, 3600))
    first = now - timedelta(days=DAYS)
    return moment if first <= moment < now else first + timedelta(seconds=rng.uniform(0, DAYS * 86_400))


def _delay_some(rng: random.Random, happenings: list[Happening], now: datetime) -> None:
    """One in a hundred arrives hours after it happened; one in a thousand so late that nothing may fire."""
    for index, (at, _, body) in enumerate(happenings):
        luck = rng.random()
        if luck < 0.001:
            old = at - LATE
            told = {**body, "timestamp": old.isoformat(timespec="milliseconds")}
            happenings[index] = Happening(old, at, told)
        elif luck < 0.01:
            arrives_at = min(at + timedelta(hours=rng.uniform(1, 30)), now)
            happenings[index] = Happening(at, arrives_at, body)


def _with_doubles(rng: random.Random, bodies: list[Body]) -> tuple[list[Body], int]:
    """One in two hundred is sent again a little later, as by a phone that missed our answer."""
    later: dict[int, list[Body]] = {}
    doubles = 0
    sent: list[Body] = []
    for index, body in enumerate(bodies):
        sent.append(body)
        sent += later.pop(index, [])
        if rng.random() < 0.005:
            doubles += 1
            later.setdefault(index + rng.randint(1, 400), []).append(body)
    return sent + [body for rest in later.values() for body in rest], doubles
