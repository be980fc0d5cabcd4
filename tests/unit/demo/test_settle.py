"""Waiting for quiescence: calm must last, an end is obeyed, and a standstill is reported."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from analytics.demo import settle
from analytics.demo.settle import OpenWork, StuckError

NOTHING = OpenWork(0, 0, 0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[OpenWork]]:
    """What the next looks into the database find; the last one is found for ever. Looks are counted down."""
    found: list[OpenWork] = []
    monkeypatch.setattr(settle, "TICK", 0.001)
    monkeypatch.setattr(settle, "open_work", lambda: found.pop(0) if len(found) > 1 else found[0])
    return iter([found])


def test_two_calm_looks_in_a_row_are_wanted(looks: Iterator[list[OpenWork]]) -> None:
    found = next(looks)
    found += [
        OpenWork(5, 0, 0),
        NOTHING,
        OpenWork(0, 0, 1),
        OpenWork(0, 1, 0),
        NOTHING,
        NOTHING,
        OpenWork(9, 9, 9),
    ]
    assert settle.settle(patience=5, ended=threading.Event())
    assert found == [OpenWork(9, 9, 9)]


def test_an_end_is_obeyed(looks: Iterator[list[OpenWork]]) -> None:
    next(looks).append(OpenWork(5, 0, 0))
    ended = threading.Event()
    ended.set()
    assert not settle.settle(patience=5, ended=ended)


def test_a_standstill_is_reported_with_what_is_left(looks: Iterator[list[OpenWork]]) -> None:
    next(looks).extend([OpenWork(9, 3, 2), OpenWork(8, 3, 2)])
    with pytest.raises(StuckError, match="8 events, 3 executions and 2 deliveries are left"):
        settle.settle(patience=0.05, ended=threading.Event())


def test_progress_renews_the_patience(looks: Iterator[list[OpenWork]]) -> None:
    next(looks).extend([OpenWork(n, 0, 0) for n in range(100, 0, -1)] + [NOTHING])
    assert settle.settle(patience=0.05, ended=threading.Event())
