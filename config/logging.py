"""Structured logs: one JSON object a line, with the request's or event's id, without personal data."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

from automation.request_id import request_id

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_SECRET = re.compile(r"(?i)(bk_live_[A-Za-z0-9]{8}_)[\w-]+|((?:basic|bearer)\s+)[\w.=+/-]+")


def redact(text: str) -> str:
    """`text` without keys and tokens (R-054)."""
    return _SECRET.sub(lambda found: (found[1] or found[2]) + "…", text)


class JsonFormatter(logging.Formatter):
    """A log record as one JSON line; `extra={…}` fields are kept beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if current := request_id.get():
            line["request_id"] = current
        line.update({k: v for k, v in record.__dict__.items() if k not in _STANDARD})
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str, ensure_ascii=False)
