"""Charts drawn by the server as SVG: no script, no inline style, coloured by the classes of theme.css.

What is drawn can also be read: `bars` and `heatmap` carry their table in a `<details>`; `funnel` and `intervals`
*are* tables, with a drawing in one of their columns. The rules of honesty (bars from zero, a monotone funnel,
hatched cells where n is small, colour only where an interval excludes zero) hold here and for every caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

register = template.Library()

Number = int | float
Pair = tuple[str, Number]
Stage = tuple[str, int]
Cell = tuple[float, int] | None  # A share between 0 and 1 and how many it was measured on; None: nothing.
Interval = tuple[str, float, float, float, str]  # Name, low, best guess, high, what stands beside it.

MIN_CELL = 30  # A cell of a heat map measured on fewer is hatched.
LEVELS = 5  # Shades of a heat map.
DOUBTFUL = "opened"  # Mail programs that load pictures by themselves count as readers.

_WIDTH, _HEIGHT = 120, 32
_CELL = 20


@register.simple_tag
def sparkline(values: Sequence[Number], label: str) -> SafeString:
    """A line of at least two values over equal steps, from zero; a dash when there are fewer."""
    if len(values) < 2:
        return format_html('<span class="quiet">{}</span>', "–")
    top = max(*values, 0) or 1
    step = _WIDTH / (len(values) - 1)
    points = [
        f"{index * step:.1f},{_HEIGHT - 2 - max(value, 0) / top * (_HEIGHT - 4):.1f}"
        for index, value in enumerate(values)
    ]
    line, end = " ".join(points), points[-1].replace(",", " ")
    return format_html(
        '<svg class="beckon-chart chart-spark" viewBox="0 0 {0} {1}" preserveAspectRatio="none" role="img"'
        ' aria-label="{2}"><polygon class="chart-area" points="0,{1} {3} {0},{1}"/>'
        '<polyline class="chart-line" points="{3}"/><path class="chart-end" d="M{4}h0"/></svg>',
        _WIDTH,
        _HEIGHT,
        _("%(label)s: from %(first)s to %(last)s")
        % {"label": label, "first": said(values[0]), "last": said(values[-1])},
        line,
        end,
    )


@register.simple_tag
def bars(
    values: Sequence[Number] | Sequence[Pair], label: str, first: str = "", last: str = ""
) -> SafeString:
    """Bars from zero, with their values in a table; `first` and `last` name the ends of the axis.

    Values are numbers, or pairs of a name and a number.
    """
    pairs = [
        value if isinstance(value, tuple) else (str(index), value) for index, value in enumerate(values, 1)
    ]
    if not pairs:
        return format_html('<span class="quiet">{}</span>', "–")
    top = max(*(number for _name, number in pairs), 0) or 1
    step = _WIDTH / len(pairs)
    drawn = format_html_join(
        "",
        '<rect class="chart-bar" x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>',
        (
            (
                f"{index * step + step * 0.1:.2f}",
                f"{_HEIGHT - max(number, 0) / top * _HEIGHT:.2f}",
                f"{step * 0.8:.2f}",
                f"{max(number, 0) / top * _HEIGHT:.2f}",
                name,
                said(number),
            )
            for index, (name, number) in enumerate(pairs)
        ),
    )
    axis = (
        format_html('<p class="chart-axis"><span>{}</span><span>{}</span></p>', first, last)
        if first or last
        else ""
    )
    return format_html(
        '<figure class="beckon-chart"><svg class="chart-bars" viewBox="0 0 {0} {1}" preserveAspectRatio="none"'
        ' role="img" aria-label="{2}">{3}<path class="chart-zero" d="M0 {1}H{0}"/></svg>{4}{5}</figure>',
        _WIDTH,
        _HEIGHT,
        _("%(label)s: highest %(top)s of %(n)s values")
        % {"label": label, "top": said(max(number for _name, number in pairs)), "n": len(pairs)},
        drawn,
        axis,
        _details(label, [(name, said(number)) for name, number in pairs]),
    )


@register.simple_tag
def funnel(stages: Sequence[Stage], label: str) -> SafeString:
    """Stages (name, count) as bars from zero, each with its share of the stage before.

    Who went further was here, too: a stage never counts fewer than one after it. The stage named "opened" is greyed,
    because mail programs open by themselves.
    """
    counts = [max(count for _name, count in stages[index:]) for index in range(len(stages))]
    top = max(counts, default=0) or 1
    shares = [""] + [
        _("%(share)s of the stage before") % {"share": percent(after / before)} if before else ""
        for before, after in pairwise(counts)
    ]
    doubtful = [name.lower() == DOUBTFUL for name, _count in stages]
    rows = format_html_join(
        "",
        '<tr{}><th scope="row">{}</th><td class="chart-cell">'
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="chart-bar" width="{}" height="10"/></svg></td>'
        '<td class="beckon-number">{}</td><td class="quiet">{}</td></tr>',
        (
            (
                mark_safe(' class="chart-doubtful"') if is_doubtful else "",
                f"{name} *" if is_doubtful else name,
                f"{count / top * 100:.1f}",
                said(count),
                share,
            )
            for (name, _count), count, share, is_doubtful in zip(
                stages, counts, shares, doubtful, strict=True
            )
        ),
    )
    note = _("* Mail programs that load pictures by themselves count as opened; decide on clicks and orders.")
    return format_html(
        '<figure class="beckon-chart"><table class="chart-table"><caption class="visually-hidden">{}</caption>'
        "<tbody>{}</tbody></table>{}</figure>",
        label,
        rows,
        format_html('<figcaption class="quiet">{}</figcaption>', note) if any(doubtful) else "",
    )


@register.simple_tag
def heatmap(
    rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[Cell]], label: str
) -> SafeString:
    """Shares by row and column: stronger is more. Cells measured on fewer than MIN_CELL are hatched."""
    top = max((cell[0] for line in cells for cell in line if cell), default=0.0) or 1.0
    left, width = 40, 40 + _CELL * len(columns)
    drawn = []
    for down, (name, line) in enumerate(zip(rows, cells, strict=True)):
        drawn.append(format_html('<text x="0" y="{}">{}</text>', down * _CELL + 14, name))
        for along, (column, cell) in enumerate(zip(columns, line, strict=True)):
            if cell is not None:
                drawn.append(_heat(left + along * _CELL, down * _CELL, cell, top, f"{name} {column}"))
    foot = len(rows) * _CELL + 14
    drawn.extend(
        format_html('<text x="{}" y="{}">{}</text>', left + along * _CELL + 2, foot, column)
        for along, column in enumerate(columns)
        if along % max(1, len(columns) // 8) == 0
    )
    table = [
        (f"{name} {column}", _("%(share)s of %(n)s") % {"share": percent(cell[0]), "n": said(cell[1])})
        for name, line in zip(rows, cells, strict=True)
        for column, cell in zip(columns, line, strict=True)
        if cell is not None
    ]
    note = _("Stronger is more; hatched where fewer than %(n)s were counted.") % {"n": MIN_CELL}
    return format_html(
        '<figure class="beckon-chart"><div class="beckon-scroll" tabindex="0" role="group" aria-label="{2}">'
        '<svg class="chart-heat" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">{3}</svg>'
        '</div><figcaption class="quiet">{4}</figcaption>{5}</figure>',
        width,
        foot + 4,
        label,
        format_html_join("", "{}", ((one,) for one in drawn)),
        note,
        _details(label, table),
    )


def _heat(x: int, y: int, cell: tuple[float, int], top: float, name: str) -> SafeString:
    share, n = cell
    level = min(LEVELS, 1 + int(share / top * LEVELS)) if share else 0
    side = _CELL - 2
    hatch = format_html('<path class="chart-hatch" d="M{} {}l{} -{}"/>', x, y + side, side, side)
    return format_html(
        '<g><rect class="heat-{}" x="{}" y="{}" width="{}" height="{}" rx="3"/>{}<title>{}: {} ({})</title></g>',
        level,
        x,
        y,
        side,
        side,
        hatch if n < MIN_CELL else "",
        name,
        percent(share),
        f"n = {said(n)}",
    )


@register.simple_tag
def intervals(rows: Sequence[Interval], label: str) -> SafeString:
    """One interval a row (name, low, best guess, high, note) on a common scale with a line at zero.

    Shares are fractions: 0.14 is +14 %. Good or bad colour only where the interval excludes zero.
    """
    low = min((row[1] for row in rows), default=0.0)
    high = max((row[3] for row in rows), default=0.0)
    low, high = min(low, 0.0), max(high, 0.0)
    span = (high - low) or 1.0

    def at(value: float) -> str:
        return f"{2 + (value - low) / span * 96:.1f}"

    drawn = format_html_join(
        "",
        '<tr><th scope="row">{0}</th><td class="chart-cell">'
        '<svg class="{1}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="chart-zero" d="M{2} 0V10"/><path class="chart-interval" d="M{3} 5H{4}"/>'
        '<path class="chart-end" d="M{5} 5h0"/></svg></td>'
        '<td class="beckon-number">{6}</td><td class="quiet">{7}</td></tr>',
        (
            (
                name,
                "chart-good" if lowest > 0 else "chart-bad" if highest < 0 else "chart-open",
                at(0.0),
                at(lowest),
                at(highest),
                at(middle),
                f"{middle:+.0%} [{lowest:+.0%}, {highest:+.0%}]".replace("%", " %"),
                note,
            )
            for name, lowest, middle, highest, note in rows
        ),
    )
    return format_html(
        '<figure class="beckon-chart"><table class="chart-table"><caption class="visually-hidden">{}</caption>'
        '<tbody>{}</tbody></table><figcaption class="quiet">{}</figcaption></figure>',
        label,
        drawn,
        _("Coloured only where the interval excludes zero."),
    )


def said(number: Number) -> str:
    """A number for reading: thousands separated, two decimals at most."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """0.125 → 13 %; below ten per cent one decimal."""
    return f"{share * 100:.0f} %" if share >= 0.1 or share == 0 else f"{share * 100:.1f} %"


def _details(label: str, rows: Sequence[tuple[str, str]]) -> SafeString:
    lines = format_html_join("", '<tr><th scope="row">{}</th><td class="beckon-number">{}</td></tr>', rows)
    return format_html(
        '<details class="chart-values"><summary>{}</summary><div class="beckon-scroll"><table>'
        '<caption class="visually-hidden">{}</caption><tbody>{}</tbody></table></div></details>',
        _("The numbers"),
        label,
        lines,
    )
