"""The channels of this installation, and those opened for one batch."""

from __future__ import annotations

import logging

from automation.channels.base import CHANNELS, Channel, DeliveryError, Message, Receipt
from automation.channels.breaker import BREAKER
from automation.engine.types import Reason

log = logging.getLogger(__name__)

CHANNELS.scan("automation.channels")


class Channels:
    """Channels by name, opened when first used, for the calls of one batch."""

    def __init__(self) -> None:
        self._open: dict[str, Channel] = {}

    def send(self, name: str, message: Message) -> Receipt:
        """Send by the channel `name`, unless the circuit of its destination is open."""
        channel = self._open.get(name)
        if channel is None:
            plugin = CHANNELS.get(name)
            if plugin is None:
                raise DeliveryError(
                    f"There is no channel “{name}”.", permanent=True, reason=Reason.CHANNEL_UNAVAILABLE
                )
            channel = self._open[name] = plugin()
        return BREAKER.call(destination_of(name, message), lambda: _send(channel, message))

    def close(self) -> None:
        """Let their connections go."""
        for channel in self._open.values():
            channel.close()
        self._open.clear()


def _send(channel: Channel, message: Message) -> Receipt:
    try:
        return channel.send(message)
    except DeliveryError:
        raise
    except Exception as error:
        # A fault of the channel's own code. How far it came is not known, so it may have gone out.
        log.exception("a channel failed unexpectedly", extra={"channel": channel.name, "quotes_data": True})
        words = f"An unexpected error ({type(error).__name__}); the log has the details."
        raise DeliveryError(words, permanent=False, maybe_sent=True, kind=type(error).__name__) from error


def address_column(name: str) -> str:
    """The profile column that holds a customer's address on the channel; empty when none is needed."""
    plugin = CHANNELS.get(name)
    return plugin.address if plugin else ""


def destination_of(name: str, of: object) -> str:
    """`channel:host` that is called for a message or an action; empty when there is no such channel."""
    plugin = CHANNELS.get(name)
    return f"{name}:{plugin.host_of(of)}" if plugin else ""


def is_one_way(name: str) -> bool:
    """True when all messages of the channel leave by one host."""
    plugin = CHANNELS.get(name)
    return plugin is None or plugin.is_one_way


def may_repeat(name: str, message_class: str) -> bool:
    """True when a message may go out twice rather than not at all (at_least_once, R-026)."""
    plugin = CHANNELS.get(name)
    return message_class == "transactional" or (plugin is not None and plugin.may_repeat)
