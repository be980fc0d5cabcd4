"""What a channel is, what it is given, and the one exception that says what to do about a failure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from automation.engine.registry import Registry
from automation.engine.types import Reason

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class DeliveryError(Exception):
    """A message did not go out, or may not have.

    The text names no address: it is stored and shown.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool,  # Trying again cannot help.
        maybe_sent: bool = False,  # The other side may have accepted it; nobody can know.
        retry_after: timedelta | None = None,  # The other side asked to be left alone for this long.
        suppress_address: bool = False,  # The address does not exist: never write to it again.
        outage: bool = False,  # It speaks against the destination as a whole, not against this message.
        unanswered: bool = False,  # No connection, or no answer in time: such attempts take long.
        kind: str = "",  # Class of the error for reports: smtp_450, http_503, timeout …
        reason: Reason | None = None,  # When the cause is one of the closed reasons.
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.maybe_sent = maybe_sent
        self.retry_after = retry_after
        self.suppress_address = suppress_address
        self.outage = outage
        self.unanswered = unanswered
        self.kind = kind or type(self).__name__
        self.reason = reason


class ChannelBusyError(DeliveryError):
    """The circuit of this destination is open: nothing was tried, so no attempt is used up."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(
            message, permanent=False, retry_after=retry_after, kind="circuit_open", reason=Reason.CIRCUIT_OPEN
        )


@dataclass(frozen=True, slots=True)
class Email:
    """One message to one address, rendered."""

    delivery_id: UUID  # Makes Message-ID, the same on every attempt.
    to: str
    subject: str
    html: str
    text: str
    from_name: str = ""  # Shown instead of the installation's sender name.
    unsubscribe_url: str = ""  # Set for marketing: becomes List-Unsubscribe (RFC 8058).
    metadata: Mapping[str, str] = field(default_factory=dict)  # delivery_id, event_id, trigger_id …


@dataclass(frozen=True, slots=True)
class Call:
    """One signed POST of JSON to somebody's server."""

    delivery_id: UUID  # webhook-id and Idempotency-Key, the same on every attempt.
    url: str
    body: str


Message = Email | Call


class Receipt(NamedTuple):
    """What the other side answered to a message it accepted."""

    provider_id: str
    details: Mapping[str, Any] = _NOTHING  # JSON-safe, at most about 1 KB.


class Channel(ABC):
    """A way out. Used by one thread for one batch, then closed."""

    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    address: ClassVar[str] = ""  # Profile column that holds the address; empty when the message names it.
    may_repeat: ClassVar[bool] = False  # True: at least once for every message class, with the same ids.
    is_one_way: ClassVar[bool] = True  # All its messages leave by one host, which so takes no other's share.

    @abstractmethod
    def send(self, message: Any) -> Receipt:
        """Hand the message over. Raises DeliveryError, and nothing else that has to do with the network."""

    @classmethod
    def host_of(cls, of: object) -> str:
        """The host that is called for a message, or for an action: the unit of the circuit breaker."""
        return ""

    def close(self) -> None:
        """Let connections go."""
        return None


CHANNELS: Registry[type[Channel]] = Registry(
    "channel", key=lambda plugin: plugin.name, required=("name", "label")
)


def channel(plugin: type[Channel]) -> type[Channel]:
    """Register a channel; refused at import when it is incomplete."""
    return CHANNELS.register(plugin)
