"""Drawings as SVG: colours are classes of the style sheet, so that dark and light are its choice.

Each drawing has a label that says in words what it shows. A chart fits any width: what lies across
is in shares of it, so that now and both axes are in sight on a phone, and text keeps its size. Its
areas and lines stand in a drawing of their own that is stretched, beside one for each axis.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup, escape

from parkade.console.history import Point
from parkade.core.units.phrases import counted
from parkade.wire.pools import Step
from parkade.wire.scalars import format_amount

WIDTH, HEIGHT = 1_000, 202
"""Of what is stretched; the height is pixels."""

TOP, BOTTOM = 10, 6
LONGEST_GAP_S = 180
MOST_POINTS = 480
MICROS = 1_000_000
TICKS_S = (10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 14_400)
MOST_TICKS = 8
ROUND = (1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
MARGIN = 0.14
"""The part of a narrow chart at each end in which a time would be written over other text."""


class Plot(NamedTuple):
    """From times and shares of the height to what is stretched."""

    start_s: int
    end_s: int

    def x(self, at_s: float) -> float:
        """Of a time, in seconds since 1970."""
        return round(self.share(at_s) * WIDTH, 1)

    def share(self, at_s: float) -> float:
        """Of the width."""
        return (at_s - self.start_s) / (self.end_s - self.start_s)

    def y(self, share: float) -> float:
        """Of a share of the height, 0 at the bottom."""
        return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)


def usage_chart(points: Sequence[Point], names: Sequence[str], *, unit: str) -> Markup:
    """GPUs by use, stacked over time, and the price as a line, from the first point to the last.

    A gap of more than three minutes stays empty. Empty where there are less than two points."""
    if len(points) < 2:
        return Markup("")
    plot = Plot(points[0].at_s, max(points[-1].at_s, points[0].at_s + 60))
    most = max(1, max(sum(it.layers) for it in points))
    top = _even_above(most)
    dear = _round_above(max((it.price_micros or 0 for it in points), default=0) * 1.1 / MICROS)
    times, ticks = time_axis(plot.start_s, plot.end_s)
    parts = [_upright(round(WIDTH * it, 1)) for it in ticks]
    parts += [_across(plot.y(share)) for share in (0.0, 0.5, 1.0)]
    for part in _without_gaps(_thinned(points)):
        parts += _areas(plot, part, names, top)
        parts += _price_line(plot, part, dear)
    label = f"GPUs by use and the price from {_time(plot.start_s)} to {_time(plot.end_s)} UTC"
    left, right = _side("gpus", _gpus(plot, top)), _side("prices", _prices(plot, dear))
    return Markup(
        f'<div class="chart" role="img" aria-label="{escape(label)}">'
        f"{left}{_stretched(parts)}{right}"
        f'<span class="axis">GPUs</span>{times}<span class="axis">{escape(unit) if dear else ""}'
        "</span></div>"
    )


def _round_above(value: float) -> float:
    """The end of an axis: no less than a value, and it and its half are short numbers."""
    if value <= 0:
        return 0.0
    tens = 10.0 ** math.floor(math.log10(value))
    return next(it * tens for it in ROUND if it * tens >= value)


def _even_above(gpus: int) -> int:
    """The same for GPUs, of which there are no halves."""
    if gpus <= 10:
        return gpus + gpus % 2
    top = round(_round_above(gpus))
    return top + top % 2


def _upright(x: float) -> str:
    return f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'


def _across(y: float) -> str:
    return f'<line class="grid" x1="0" x2="{WIDTH}" y1="{y}" y2="{y}"/>'


def _stretched(parts: Iterable[str]) -> str:
    return (
        f'<svg class="plot" height="{HEIGHT}"><svg viewBox="0 0 {WIDTH} {HEIGHT}" height="100%"'
        f' width="100%" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg></svg>'
    )


def _side(kind: str, parts: Iterable[str]) -> str:
    """The names of an axis beside what is stretched."""
    return f'<svg class="{kind}" height="{HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'


def _gpus(plot: Plot, top: int) -> Iterator[str]:
    for share in (0.0, 0.5, 1.0):
        gpus = _short(round(top * share))
        y = plot.y(share) + 4
        yield f'<text class="axis" x="100%" dx="-6" y="{y}" text-anchor="end">{gpus}</text>'


def _prices(plot: Plot, dear: float) -> Iterator[str]:
    for share in (0.5, 1.0) if dear else ():
        y = plot.y(share) + 4
        yield f'<text class="axis price" x="6" y="{y}">{_price(dear * share)}</text>'


def _price(amount: float) -> str:
    """With two decimals, and more where it has more."""
    whole, _, part = f"{amount:.6f}".partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"


def time_axis(start_s: float, end_s: float) -> tuple[str, list[float]]:
    """(the names of an axis of times, the shares of the width where they stand). Every second one
    and those near the ends are left out where there is little room; what would be cut off at an end
    has no name."""
    length_s = end_s - start_s
    tick = next((it for it in (*TICKS_S, 86_400) if length_s / it <= MOST_TICKS), 604_800)
    shares, parts = [], []
    for number, at in enumerate(range(-(-int(start_s) // tick) * tick, int(end_s) + 1, tick)):
        share = (at - start_s) / length_s
        shares.append(share)
        if not 0.03 <= share <= 0.97:
            continue
        is_spared = number % 2 or not MARGIN <= share <= 1 - MARGIN
        kind = "axis odd" if is_spared else "axis"
        name = _time(at, with_seconds=tick < 60)
        parts.append(
            f'<text class="{kind}" x="{share:.2%}" y="14" text-anchor="middle">{name}</text>'
        )
    return f'<svg class="times" height="20" aria-hidden="true">{"".join(parts)}</svg>', shares


def _areas(plot: Plot, part: Sequence[Point], names: Sequence[str], top: int) -> Iterator[str]:
    """One area for each layer, the first at the bottom. Each point holds until the next."""
    below = [0] * len(part)
    for index, name in enumerate(names):
        above = [low + it.layers[index] for low, it in zip(below, part, strict=True)]
        if above != below:
            line = _steps(plot, part, [it / top for it in above])
            back = _steps(plot, part, [it / top for it in below])
            outline = " ".join([*line, *reversed(back)])
            kind = name.replace(" ", "-")
            yield f'<polygon class="use {kind}" points="{outline}"><title>{name}</title></polygon>'
        below = above


def _price_line(plot: Plot, part: Sequence[Point], dear: float) -> Iterator[str]:
    """The price where there is one; broken where no price would win."""
    run: list[Point] = []
    for each in (*part, Point(0, (), None)):
        if each.price_micros is not None:
            run.append(each)
            continue
        if len(run) > 1:
            shares = [(it.price_micros or 0) / MICROS / dear if dear else 0.0 for it in run]
            yield f'<polyline class="price" points="{" ".join(_steps(plot, run, shares))}"/>'
        run = []


def _steps(plot: Plot, part: Sequence[Point], shares: Sequence[float]) -> list[str]:
    """The corners of a line that holds each value until the next; equal ones are one step."""
    y = plot.y(shares[0])
    found = [f"{plot.x(part[0].at_s)},{y}"]
    for index in range(1, len(part)):
        if shares[index] != shares[index - 1]:
            x, before, y = plot.x(part[index].at_s), y, plot.y(shares[index])
            found += [f"{x},{before}", f"{x},{y}"]
    return [*found, f"{plot.x(part[-1].at_s)},{y}"]


def _short(gpus: int) -> str:
    return f"{gpus:,}" if gpus < 10_000 else f"{gpus / 1_000:,.3g}k"


def _without_gaps(points: Sequence[Point]) -> Iterator[list[Point]]:
    part: list[Point] = []
    for each in points:
        if part and each.at_s - part[-1].at_s > LONGEST_GAP_S:
            yield part
            part = []
        part.append(each)
    yield part


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """At most `MOST_POINTS` and the last: more than pixels are not seen."""
    if len(points) <= MOST_POINTS:
        return points
    step = len(points) / MOST_POINTS
    return [points[int(index * step)] for index in range(MOST_POINTS)] + [points[-1]]


def ladder(steps: Sequence[Step]) -> Markup:
    """A bar for each step of a price ladder; wide is dear. Its prices win, so none is rounded."""
    row, width, left, right = 24, 320, 76, 84
    dear = max((it.price for it in steps if it.price is not None), default=Decimal(0))
    parts = []
    for index, step in enumerate(steps):
        y = index * row
        nodes = counted(step.nodes, "node")
        parts.append(
            f'<text class="axis" x="{left - 8}" y="{y + 16}" text-anchor="end">{nodes}</text>'
        )
        if step.price is None:
            parts.append(f'<text class="axis none" x="{left}" y="{y + 16}">not to be had</text>')
            continue
        share = float(step.price / dear) if dear else 0.0
        long = round(max(2.0, share * (width - left - right)), 1)
        parts.append(
            f'<rect class="step" x="{left}" y="{y + 4}" width="{long}" height="16" rx="3"/>'
        )
        price = format_amount(step.price)
        parts.append(f'<text class="axis value" x="{left + long + 6}" y="{y + 16}">{price}</text>')
    says = ", ".join(f"{it.nodes}: {'none' if it.price is None else it.price}" for it in steps)
    return svg(
        "ladder", (width, max(1, len(steps)) * row), f"Price to win so many nodes: {says}", parts
    )


def svg(kind: str, size: tuple[int, int], label: str, parts: Iterable[str]) -> Markup:
    width, height = size
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _time(at_s: float, *, with_seconds: bool = False) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):{'%H:%M:%S' if with_seconds else '%H:%M'}}"
