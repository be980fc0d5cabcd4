"""Events at a steady rate from several connections, in the background, whatever becomes of them."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.chaos.harness.shop import Shop

MakeEvent = Callable[[Shop, int], dict[str, Any]]  # A shop and the number of the event.


class Stream:
    """`rate` events a second until `stop` (or `limit` of them): open loop, so that a slow answer delays no other
    connection. Each event is sent once; with `is_patient` it is repeated until it is acknowledged.
    """

    def __init__(
        self,
        shop: Shop,
        make: MakeEvent,
        rate: float,
        *,
        connections: int = 4,
        limit: int | None = None,
        is_patient: bool = False,
    ) -> None:
        self._shops = [Shop(shop.url, shop.key) for _ in range(connections)]
        self._make = make
        self._rate = rate
        self._limit = limit
        self._is_patient = is_patient
        self._ending = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(connections)
        ]

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._join()
        if error is None and self._errors:
            raise self._errors[0]

    def join(self) -> None:
        """Wait until all `limit` events have been sent."""
        self._join()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(90)
        for shop in self._shops:
            shop.close()

    def _run(self, number: int) -> None:
        shop, turn = self._shops[number], number
        try:
            while self._limit is None or turn < self._limit:
                if self._ending.wait(max(0.0, self._started + turn / self._rate - time.monotonic())):
                    return
                event = self._make(shop, turn)
                if self._is_patient:
                    shop.send_one(event)
                else:
                    shop.try_once(event)
                turn += len(self._shops)
        except BaseException as error:  # noqa: BLE001 — raised again by the thread that waits for us.
            self._errors.append(error)

    @property
    def accepted(self) -> list[str]:
        """Message ids that were acknowledged."""
        return [message_id for shop in self._shops for message_id in shop.accepted]

    @property
    def statuses(self) -> Counter[int | str]:
        """Of every answer; errors of the connection by name."""
        return sum((shop.statuses for shop in self._shops), Counter())

    def percentile(self, percent: int) -> float:
        """Of the seconds that acknowledgements took."""
        seconds = [took for shop in self._shops for took in shop.seconds]
        return statistics.quantiles(seconds, n=100)[percent - 1]
