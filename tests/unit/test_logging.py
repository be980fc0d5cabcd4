"""What a log line shows: ids and classes, never keys, addresses or the values an error quotes."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

import pytest

from config.logging import JsonFormatter, TextFormatter, redact

KEY = "bk_live_0a1b2c3d_" + "k" * 43
QUOTED = f"grace-4711 grace@navy.example {KEY}"
UNIQUE = (
    'duplicate key value violates unique constraint "identity_unique"\n'
    "DETAIL:  Key (kind, value)=(customer, grace-4711) already exists.\n"
)
JSON = (
    'invalid input syntax for type json\nLINE 1: SELECT \'{"name": Grace\n               ^\n'
    'DETAIL:  Token "Grace" is invalid.\nCONTEXT:  JSON data, line 1: {"name": Grace\n'
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer …"),
        (f"the key {KEY} is old", "the key bk_live_0a1b2c3d_… is old"),
        ("Basic YWxpY2U6c2VjcmV0", "Basic …"),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=", "signed with whsec_…"),
        ("cannot reach redis://beckon:hunter2@cache:6379/0", "cannot reach redis://beckon:…@cache:6379/0"),
        ("550 <Grace.O'Hopper@navy.example>: no such user", "550 <Grace.O'[address]>: no such user"),
        ("to=grace@navy.example.org,", "to=[address],"),
        ("GET /admin/?q=grace%40navy.example 200", "GET /admin/?q=[address] 200"),
        ("jörg@bücher.example schreibt", "[address] schreibt"),
        ("5 items @ 3.50, see @property and user@host", "5 items @ 3.50, see @property and user@host"),
        (UNIQUE.strip(), 'duplicate key value violates unique constraint "identity_unique"\nDETAIL: …'),
        (JSON.strip(), "invalid input syntax for type json\nLINE 1: …"),
        ('invalid input syntax for type bigint: "grace"', 'invalid input syntax for type bigint: "…"'),
        ('value "49170555" is out of range for type integer', 'value "…" is out of range for type integer'),
    ],
)
def test_keys_addresses_and_quoted_values_are_taken_out(text: str, shown: str) -> None:
    """R-054, R-052."""
    assert redact(text) == shown


def test_what_follows_a_quoted_row_is_kept() -> None:
    text = f"psycopg2.Error: {UNIQUE}\nThe above exception was the direct cause of the following exception:\n"
    assert redact(text).endswith(
        "DETAIL: …\n\nThe above exception was the direct cause of the following exception:\n"
    )


def test_a_long_text_costs_little() -> None:
    started = time.perf_counter()
    redact("a" * 200_000 + "@" + "b" * 200_000)
    assert time.perf_counter() - started < 1


def line(formatter: logging.Formatter, message: str, *args: Any, error: bool = False, **extra: Any) -> str:
    """One record through a formatter; with `error`, while a KeyError about a customer is handled."""
    logger, lines = logging.Logger("test"), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(formatter.format(record))  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        raise KeyError(QUOTED)
    except KeyError:
        logger.error(message, *args, exc_info=sys.exc_info() if error else None, extra=extra)
    return lines[0]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter("%(levelname)s %(message)s")])
def test_message_arguments_and_traceback_are_redacted(formatter: logging.Formatter) -> None:
    """R-054, R-052: also in the format for people."""
    told = line(formatter, "mail to %s with %s", "grace@navy.example", KEY, error=True)
    assert "navy.example" not in told
    assert "k" * 43 not in told
    assert "mail to [address] with bk_live_0a1b2c3d_…" in told
    assert "KeyError" in told


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter("%(message)s")])
def test_the_text_of_an_error_that_may_quote_a_customer_is_left_out(formatter: logging.Formatter) -> None:
    """R-052: where it was raised and its class remain."""
    told = line(formatter, "not decided", error=True, quotes_data=True)
    assert "grace-4711" not in told
    assert "KeyError (its text may quote a customer)" in told
    assert "test_logging.py" in told
    assert "quotes_data" not in told


def test_extra_fields_are_redacted_however_deep() -> None:
    """R-054."""
    told = json.loads(line(JsonFormatter(), "m", a="grace@navy.example", b={"c": [f"Bearer {KEY}"]}, n=7))
    assert (told["a"], told["b"], told["n"]) == ("[address]", {"c": ["Bearer …"]}, 7)
