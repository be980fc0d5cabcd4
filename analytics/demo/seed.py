"""The demo's data without the demo, into whatever database is configured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from analytics.demo import install
from analytics.demo.replay import Body
from analytics.demo.shop import Shop
from automation.api import article
from automation.engine.types import Mode
from automation.pipeline.ingest import ingest

BATCH = 500


def seed(shop: Shop, mode: Mode, *, tell: Callable[[int], None] = lambda count: None) -> int:
    """Install the recipes in `mode` and ingest the shop's events; returns how many were new.

    The address book and the events go the way of the API behind its HTTP: parsed, stored, queued.
    """
    install.install_recipes(mode)
    install.suppress(shop.dead_addresses)
    new = 0
    for bodies in (shop.address_book, shop.events):
        for start in range(0, len(bodies), BATCH):
            new += _ingest(bodies[start : start + BATCH])
            tell(len(bodies[start : start + BATCH]))
    return new


def _ingest(bodies: list[Body]) -> int:
    received_at = datetime.now(UTC)
    items = [article.read(msgspec.json.encode(body), received_at) for body in bodies]
    accepted = ingest(items, source=install.SOURCE)
    return sum(not one.is_duplicate and not one.is_conflict for one in accepted)
