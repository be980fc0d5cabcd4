"""The chart tags: what is drawn, what is said beside it, and the rules of honesty."""

from __future__ import annotations

import re
from typing import Any

import pytest

from automation.templatetags.beckon_charts import bars, funnel, heatmap, intervals, percent, said, sparkline

EVIL = '<img src=x onerror="alert(1)">'
DRAWN: dict[str, Any] = {
    "sparkline": lambda name: sparkline([1, 2], name),
    "bars": lambda name: bars([(name, 1), ("b", 2)], name, name, name),
    "funnel": lambda name: funnel([(name, 4), ("Sent", 2)], name),
    "heatmap": lambda name: heatmap([name], [name], [[(0.5, 3)]], name),
    "intervals": lambda name: intervals([(name, 0.1, 0.2, 0.3, name)], name),
}


@pytest.mark.parametrize("name", DRAWN)
def test_names_are_escaped_and_nothing_is_styled_inline(name: str) -> None:
    drawn = DRAWN[name](EVIL)

    assert "<img" not in drawn
    assert "style=" not in drawn
    assert "&lt;img src=x" in drawn


def numbers(text: str, attribute: str) -> list[float]:
    return [float(found) for found in re.findall(rf' {attribute}="([\d.]+)"', text)]


def test_bars_start_at_zero_and_carry_their_numbers() -> None:
    drawn = bars([("Mon", 1000), ("Tue", 250), ("Wed", 0)], "Fired", "Mon", "Wed")

    assert numbers(drawn, "height") == [32.0, 8.0, 0.0]
    assert numbers(drawn, "y") == [0.0, 24.0, 32.0]
    assert 'role="img" aria-label="Fired: highest 1,000 of 3 values"' in drawn
    assert '<th scope="row">Mon</th><td class="beckon-number">1,000</td>' in drawn


def test_a_sparkline_starts_at_zero_also_when_its_values_do_not() -> None:
    drawn = sparkline([50, 100], "Sent")

    assert 'points="0.0,16.0 120.0,2.0"' in drawn  # Half of the highest stands at half of the height.
    assert "Sent: from 50 to 100" in drawn


@pytest.mark.parametrize("drawn", [sparkline([], "x"), sparkline([1], "x"), bars([], "x")])
def test_no_axes_without_data(drawn: str) -> None:
    assert "<svg" not in drawn
    assert "–" in drawn


def test_a_chart_of_zeros_is_flat() -> None:
    assert 'points="0.0,30.0 120.0,30.0"' in sparkline([0, 0], "x")
    assert numbers(bars([0, 0], "x"), "height") == [0.0, 0.0]


def test_a_funnel_is_monotone_and_doubts_opens() -> None:
    drawn = funnel([("Sent", 100), ("Opened", 20), ("Clicked", 30)], "From event to click")

    assert re.findall(r'beckon-number">([\d,]+)<', drawn) == ["100", "30", "30"]
    assert numbers(drawn, "width") == [100.0, 30.0, 30.0]
    assert 'class="chart-doubtful"><th scope="row">Opened *</th>' in drawn
    assert "decide on clicks and orders" in drawn
    assert "30 % of the stage before" in drawn


def test_a_funnel_of_nothing_divides_by_nothing() -> None:
    assert numbers(funnel([("Sent", 0), ("Clicked", 0)], "x"), "width") == [0.0, 0.0]


def test_cells_measured_on_few_are_hatched_and_empty_ones_are_not_drawn() -> None:
    drawn = heatmap(["Mon"], ["00", "01", "02"], [[(0.2, 29), (0.1, 30), None]], "Orders by hour")

    assert drawn.count("chart-hatch") == 1
    assert len(re.findall(r"<rect class=\"heat-", drawn)) == 2
    assert "heat-5" in drawn
    assert "Mon 00: 20 % (n = 29)" in drawn


@pytest.mark.parametrize(
    ("low", "middle", "high", "css"),
    [
        (0.01, 0.1, 0.2, "chart-good"),
        (-0.1, 0.1, 0.2, "chart-open"),
        (-0.2, -0.1, -0.01, "chart-bad"),
        (0.0, 0.1, 0.2, "chart-open"),
    ],
)
def test_an_interval_is_coloured_only_when_it_excludes_zero(
    low: float, middle: float, high: float, css: str
) -> None:
    drawn = intervals([("Cart recovery", low, middle, high, "n = 900")], "Lift")

    assert re.findall(r"<svg class=\"([\w-]+)\"", drawn) == [css]
    assert f"{middle:+.0%}".replace("%", " %") in drawn


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.004, "0.4 %"), (0.0999, "10.0 %"), (0.125, "12 %"), (1.0, "100 %")]
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_said() -> None:
    assert (said(12345), said(0.5), said(1234.567)) == ("12,345", "0.5", "1,234.57")
