"""Structured logs: one JSON object a line, with the request's or event's id, without personal data or secrets.

Our own lines carry ids of rows. What libraries and exceptions add is redacted here, whatever logger it came by.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Final

from automation.request_id import request_id

QUOTES_DATA: Final = (
    "quotes_data"  # `extra` of a record whose exception may quote a customer: its text is left out.
)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", QUOTES_DATA}
_SECRET = re.compile(
    r"(?i)(bk_live_[a-z0-9]{8}_)[\w-]+|(whsec_)[\w+/=-]+|((?:basic|bearer)\s+)[\w.=+/~-]+"
    r"|([a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']{0,200}:)[^\s/@\"']{1,200}(?=@)"  # The password in a URL.
)
# Bounded, so that a long text without an address costs little; %40 is how a URL spells @.
_ADDRESS = re.compile(r"[^\s<>\"'(),;:=?&/\\\[\]{}@%]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
# What PostgreSQL says beside the message quotes the row, the statement or the document it failed on.
_ROW = re.compile(
    r"\n(LINE \d+|DETAIL|QUERY|CONTEXT): .*?(?=\n\n+(?:During handling|The above exception)|\nTraceback \(most|\Z)",
    re.DOTALL,
)
_VALUE = re.compile(r'((?:invalid input|invalid byte|malformed|out of range)[^\n"]{0,100}|\bvalue )"[^\n]*"')


def redact(text: str) -> str:
    """`text` without keys, tokens, passwords and e-mail addresses, and without the values an error quotes (R-054)."""
    if "\n" in text:
        text = _ROW.sub(r"\n\1: …", text)
    return _redact_words(_VALUE.sub(r'\1"…"', text))


def _redact_words(text: str) -> str:
    text = _SECRET.sub(lambda found: next(part for part in found.groups() if part) + "…", text)
    return _ADDRESS.sub("[address]", text) if "@" in text or "%40" in text else text


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
        for key, value in record.__dict__.items():
            if key not in _STANDARD:
                line[key] = redact(value) if isinstance(value, str) else value
        if told := _told(record):
            line["traceback"] = told
        # Once more over the whole line, for what lies deeper in the extra fields.
        return _redact_words(json.dumps(line, default=str, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """A log record for people, redacted in the same way."""

    def format(self, record: logging.LogRecord) -> str:
        lines = [redact(self.formatMessage(_with_message(record))), _told(record)]
        return "\n".join(line for line in lines if line)


def _with_message(record: logging.LogRecord) -> logging.LogRecord:
    record.message = record.getMessage()
    return record


def _told(record: logging.LogRecord) -> str:
    """The traceback; of an error that may quote data only where it was raised and of what class it is."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    if not getattr(record, QUOTES_DATA, False):
        return redact("".join(traceback.format_exception(error)).rstrip())
    frames = "".join(traceback.format_tb(error.__traceback__))
    return redact(f"{frames}{type(error).__name__} (its text may quote a customer)")
