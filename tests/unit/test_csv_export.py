"""What a spreadsheet could carry out is written as text."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from automation.csv_export import cell, line


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+49 170 1234567",
        "-5",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(A1:A9)",
        "\t=1",
        "\tplain",
        "\r=1",
        "\rplain",
        "\nplain",
        " =1",
        '"=1',
        "'=1",
        '  \'" =HYPERLINK("http://198.51.100.1")',
        "\u00a0=1",
        "\ufeff=1",
        "\u200b@x",
        "\x00=1",
        "＝1+1",
        "＠x",
        "“=1",
    ],
)
def test_what_could_be_a_formula_gets_an_apostrophe(text: str) -> None:
    """R-053: cells starting with = + - @ TAB CR, also after quotes and blanks, get a ' prefix."""
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["", "alice", "a=b", "a@example.com", "…67", "1-2", "'quoted'", " blank", "O'Neil", '{"a": -1}']
)
def test_other_text_stays_as_it_is(text: str) -> None:
    """R-053."""
    assert cell(text) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (-5, -5),
        (Decimal("-12.50"), Decimal("-12.50")),
        (-0.5, -0.5),
        (float("-inf"), "'-inf"),
        (float("nan"), "nan"),
        (Decimal("-Infinity"), "'-Infinity"),
        (True, "true"),
        (None, ""),
        (datetime(2026, 5, 5, 12, tzinfo=UTC), "2026-05-05T12:00:00.000+00:00"),
        (date(2026, 5, 5), "2026-05-05"),
        ({"b": "=1", "a": [1]}, '{"a": [1], "b": "=1"}'),
        (["=1"], '["=1"]'),
    ],
)
def test_numbers_are_numbers_only_by_their_type(value: Any, written: Any) -> None:
    """R-053: a negative number is data; a text that looks like one is not."""
    assert cell(value) == written
    assert type(cell(value)) is type(written)


def test_a_line_comes_back_as_it_went_in() -> None:
    """R-053: text is quoted, so that neither comma, semicolon, quote nor line end breaks a cell."""
    cells = ["a,b", "a;=1", 'say "hi"', "two\r\nlines", -3, Decimal("-1.20"), "ü"]
    written = line(cells)

    assert written.endswith('-3,-1.20,"ü"\r\n')
    assert next(csv.reader(io.StringIO(written, newline=""))) == [str(one) for one in cells]
