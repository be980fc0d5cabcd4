"""The customers of the demo shop: who they are, what they agreed to, how often they come."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

# City, country, time zone; as a shop near the middle of Europe would see them.
_PLACES: Final = (
    ("Berlin", "DE", "Europe/Berlin"),
    ("Hamburg", "DE", "Europe/Berlin"),
    ("Vienna", "AT", "Europe/Vienna"),
    ("Zurich", "CH", "Europe/Zurich"),
    ("Lisbon", "PT", "Europe/Lisbon"),
    ("Dublin", "IE", "Europe/Dublin"),
    ("New York", "US", "America/New_York"),
)
_PLACE_WEIGHTS: Final = (26, 18, 16, 12, 10, 10, 8)
_FIRST: Final = (
    "Anna", "Ben", "Clara", "David", "Elena", "Finn", "Greta", "Hugo", "Ida", "Jonas", "Karla", "Leo",
    "Mara", "Noah", "Olivia", "Paul", "Rosa", "Samuel", "Tilda", "Vincent", "Wanda", "Yusuf", "Zoe",
    "Aisha", "Bruno", "Chiara", "Dario", "Emil", "Fatima", "Georg", "Hanna", "Ivan", "Julia", "Kofi",
    "Lena", "Mateo", "Nina", "Oskar", "Petra", "Rafael", "Sofia", "Tomas", "Ulla", "Viktor",
)  # fmt: skip
_LAST: Final = (
    "Adler", "Bauer", "Costa", "Dietrich", "Egger", "Ferreira", "Gruber", "Huber", "Ivanov", "Jansen",
    "Keller", "Lang", "Moser", "Novak", "Okafor", "Pereira", "Quinn", "Richter", "Silva", "Thaler", "Urban",
    "Vogel", "Wagner", "Yilmaz", "Zimmer", "Brennan", "Carvalho", "Demir", "Eriksen", "Fischer",
)  # fmt: skip
_DEVICES: Final = (
    {"type": "mobile", "os": "iOS", "browser": "Safari"},
    {"type": "mobile", "os": "Android", "browser": "Chrome"},
    {"type": "desktop", "os": "Windows", "browser": "Chrome"},
    {"type": "desktop", "os": "macOS", "browser": "Safari"},
    {"type": "tablet", "os": "iPadOS", "browser": "Safari"},
)


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer of the demo shop."""

    customer_id: str
    first_name: str  # May be empty: the mails then greet a “Valued Customer”.
    last_name: str
    email: str  # Empty: the shop does not know it.
    city: str
    country: str
    time_zone: str
    device: dict[str, str]
    has_consented: bool | None  # Marketing by e-mail; None: never asked.
    is_new: bool  # Opens an account during the two weeks.
    is_dead_address: bool  # Mail to this address came back long ago.
    is_asleep: bool  # Gets every newsletter and has read none for months.
    weight: float  # How often they come, compared with the others.
    known_for_days: int


def people(rng: random.Random, count: int) -> list[Customer]:
    """`count` customers. Which of them are special follows from their number, so every size has some."""
    return [_person(rng, number) for number in range(1, count + 1)]


def _person(rng: random.Random, number: int) -> Customer:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    city, country, zone = rng.choices(_PLACES, _PLACE_WEIGHTS)[0]
    is_asleep = number % 40 == 11
    return Customer(
        customer_id=f"c{number:05d}",
        first_name="" if number % 33 == 5 else first,
        last_name=last,
        email="" if number % 45 == 8 else f"{first}.{last}.{number}@example.com".lower(),
        city=city,
        country=country,
        time_zone=zone,
        device=rng.choice(_DEVICES),
        has_consented={3: None, 17: False}.get(number % 25, True),
        is_new=number % 9 == 4,
        is_dead_address=number % 60 == 22,
        is_asleep=is_asleep,
        # A few come all the time, most now and then.
        weight=0.3 if is_asleep else min(8.0, rng.paretovariate(1.6)),
        known_for_days=rng.randint(200, 700) if is_asleep else rng.randint(15, 500),
    )
