"""The tables of what happened, what was decided and what was sent."""

from automation.models.audit import AuditCheck, AuditEntry, AuditPersonal
from automation.models.deliveries import Delivery, Task
from automation.models.events import (
    CatalogueEntry,
    Event,
    Heartbeat,
    MessageKey,
    QuarantinedEvent,
    QueuedEvent,
)
from automation.models.executions import (
    Execution,
    ExecutionKey,
    MissSample,
    SendReservation,
    Tally,
    TriggerState,
)
from automation.models.keys import WriteKey
from automation.models.rejections import RejectedRequest
from automation.models.templates import Template
from automation.models.triggers import Epoch, Trigger, TriggerVersion

__all__ = [
    "AuditCheck",
    "AuditEntry",
    "AuditPersonal",
    "CatalogueEntry",
    "Delivery",
    "Epoch",
    "Event",
    "Execution",
    "ExecutionKey",
    "Heartbeat",
    "MessageKey",
    "MissSample",
    "QuarantinedEvent",
    "QueuedEvent",
    "RejectedRequest",
    "SendReservation",
    "Tally",
    "Task",
    "Template",
    "Trigger",
    "TriggerState",
    "TriggerVersion",
    "WriteKey",
]
