"""The audit log: who did what, when and from where, in a chain that shows tampering (R-051)."""

from automation.audit.entries import forget, record, shell
from automation.audit.proof import ChainReport, head, verify, watch

__all__ = ["ChainReport", "forget", "head", "record", "shell", "verify", "watch"]
