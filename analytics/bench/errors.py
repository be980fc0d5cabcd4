"""Why a run has no figures."""

from __future__ import annotations


class BenchError(Exception):
    """The run is void; the message says why."""


class AccountError(BenchError):
    """An event is missing, was taken twice, or was decided differently."""


class AnswerError(BenchError):
    """An answer was not 2xx, or did not accept what it was sent."""


class StuckError(BenchError):
    """Something did not happen in time."""


class PeerError(BenchError):
    """A peer did not do what it is measured for."""


class StationError(BenchError):
    """A station could not do what it was asked to."""


class FloodError(BenchError):
    """The flood broke off: what was measured under it was not under a flood."""


class UnsafeError(BenchError):
    """The server or the driver is not what the figures are said to be measured with."""
