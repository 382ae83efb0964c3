"""Drawings as SVG: colours are classes of the style sheet, so that dark and light are its choice.

Each drawing has a label that says in words what it shows. Coordinates are pixels of the viewBox.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup, escape

from parkade.console.history import Point
from parkade.core.units.phrases import counted
from parkade.wire.pools import Step

WIDTH, HEIGHT = 960, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 60, 10, 28
CLEAR = 60
"""Beside the name of the values' axis, which no time is written over."""
LONGEST_GAP_S = 180
LONG, EDGE = 1_320, 64
MOST_POINTS = 480
MICROS = 1_000_000
_TICKS_S = (10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 14_400)


class Plot(NamedTuple):
    """From times and shares of the height to pixels."""

    start_s: int
    end_s: int

    def x(self, at_s: float) -> float:
        """Of a time, in seconds since 1970."""
        share = (at_s - self.start_s) / (self.end_s - self.start_s)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, share: float) -> float:
        """Of a share of the height, 0 at the bottom."""
        return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)


def usage_chart(points: Sequence[Point], names: Sequence[str], *, unit: str) -> Markup:
    """GPUs by use, stacked over time, and the price as a line, from the first point to the last.

    A gap of more than three minutes stays empty. Empty where there are less than two points."""
    if len(points) < 2:
        return Markup("")
    plot = Plot(points[0].at_s, max(points[-1].at_s, points[0].at_s + 60))
    top = max(1, max(sum(it.layers) for it in points))
    dear = max((it.price_micros or 0 for it in points), default=0) * 1.25 / MICROS
    parts = [*_time_axis(plot), *_value_axis(plot, top, dear, unit)]
    for part in _without_gaps(_thinned(points)):
        parts += _areas(plot, part, names, top)
        parts += _price_line(plot, part, dear)
    label = f"GPUs by use and the price from {_time(plot.start_s)} to {_time(plot.end_s)} UTC"
    return svg("chart", (WIDTH, HEIGHT), label, parts)


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


def _time_axis(plot: Plot) -> Iterator[str]:
    length = plot.end_s - plot.start_s
    tick = next((it for it in _TICKS_S if length / it <= 8), _TICKS_S[-1])
    for at in range(-(-plot.start_s // tick) * tick, plot.end_s + 1, tick):
        x = plot.x(at)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        if x < LEFT + CLEAR:
            continue
        yield (
            f'<text class="axis" x="{x}" y="{HEIGHT - 6}" text-anchor="middle">'
            f"{_time(at, with_seconds=tick < 60)}</text>"
        )


def _value_axis(plot: Plot, top: int, dear: float, unit: str) -> Iterator[str]:
    for share in (0.0, 0.5, 1.0):
        y = plot.y(share)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        gpus = _short(round(top * share))
        yield f'<text class="axis" x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{gpus}</text>'
        if dear and share:
            price = f"{dear * share:.2f}"
            yield f'<text class="axis price" x="{WIDTH - RIGHT + 6}" y="{y + 4}">{price}</text>'
    yield f'<text class="axis" x="2" y="{HEIGHT - 6}">GPUs</text>'
    if dear:
        x, y = WIDTH - RIGHT + 6, plot.y(0.0) + 4
        yield f'<text class="axis price" x="{x}" y="{y}">{escape(unit)}</text>'


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
    """A bar for each step of a price ladder; wide is dear."""
    row, width, left, right = 24, 320, 76, 64
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
        price = f"{step.price:.2f}"
        parts.append(f'<text class="axis value" x="{left + long + 6}" y="{y + 16}">{price}</text>')
    says = ", ".join(f"{it.nodes}: {'none' if it.price is None else it.price}" for it in steps)
    return svg(
        "ladder", (width, max(1, len(steps)) * row), f"Price to win so many nodes: {says}", parts
    )


class Run(NamedTuple):
    """One attempt on a timeline. `ended_s` None: it runs."""

    attempt: str
    ordered_s: float
    started_s: float | None
    noticed_s: float | None
    ended_s: float | None
    says: str


class Life(NamedTuple):
    """What is drawn of a workload. `prices`: (from when, price); times are seconds since 1970."""

    start_s: float
    end_s: float
    runs: tuple[Run, ...]
    checkpoints: tuple[tuple[float, int], ...]
    prices: tuple[tuple[float, float], ...]


def timeline(life: Life) -> Markup:
    """Attempts as bars, notices marked at their ends, checkpoints as ticks, the price below."""
    scale = Scale(life.start_s, max(life.end_s - life.start_s, 1.0))
    bottom = 30 + max(1, len(life.runs)) * 26
    height = bottom + (88 if any(price for _, price in life.prices) else 26)
    parts = [*_hours(scale, life, height)]
    for index, run in enumerate(life.runs):
        parts += _run(run, 26 + index * 26, life.end_s, scale)
    for at_s, step in life.checkpoints:
        x = scale.x(at_s)
        parts.append(
            f'<line class="checkpoint" x1="{x}" x2="{x}" y1="24" y2="{bottom}">'
            f"<title>checkpoint at step {step}</title></line>"
        )
    parts += _prices(life, scale, bottom + 10, height - 14)
    return svg("timeline", (LONG, height), "Attempts, checkpoints and price over time", parts)


class Scale(NamedTuple):
    """From times to pixels of a timeline."""

    start_s: float
    length_s: float

    def x(self, at_s: float) -> float:
        """Of a time, in seconds since 1970; what is outside is at the edge."""
        share = min(1.0, max(0.0, (at_s - self.start_s) / self.length_s))
        return round(EDGE + share * (LONG - EDGE - 20), 1)


def _hours(scale: Scale, life: Life, height: int) -> Iterator[str]:
    tick = next((it for it in (*_TICKS_S, 86_400) if scale.length_s / it <= 8), 604_800)
    for at in range(-(-int(life.start_s) // tick) * tick, int(life.end_s) + 1, tick):
        x = scale.x(at)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="20" y2="{height - 20}"/>'
        label = _time(at, with_seconds=tick < 60)
        yield f'<text class="axis" x="{x}" y="12" text-anchor="middle">{label}</text>'


def _run(run: Run, y: int, now_s: float, scale: Scale) -> Iterator[str]:
    end_s = now_s if run.ended_s is None else run.ended_s
    starts_s = run.started_s if run.started_s is not None else end_s
    name = escape(run.attempt)
    yield f'<text class="axis" x="{EDGE - 8}" y="{y + 14}" text-anchor="end">{name}</text>'
    if starts_s > run.ordered_s:
        yield _bar("run starting", run.ordered_s, starts_s, y, scale, "starts")
    if run.started_s is not None:
        until_s = end_s if run.noticed_s is None else run.noticed_s
        yield _bar("run", run.started_s, until_s, y, scale, run.says)
    if run.noticed_s is not None:
        yield _bar("run notice", run.noticed_s, end_s, y, scale, "told to leave")


def _bar(kind: str, from_s: float, to_s: float, y: int, scale: Scale, says: str) -> str:
    x, wide = scale.x(from_s), max(1.5, round(scale.x(to_s) - scale.x(from_s), 1))
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{wide}" height="18" rx="2">'
        f"<title>{escape(says)}</title></rect>"
    )


def _prices(life: Life, scale: Scale, top: int, bottom: int) -> Iterator[str]:
    dear = max((price for _, price in life.prices), default=0.0)
    if not dear:
        return
    points = []
    for index, (at_s, price) in enumerate(life.prices):
        y = round(bottom - (bottom - top) * price / (dear * 1.1), 1)
        until_s = life.prices[index + 1][0] if index + 1 < len(life.prices) else life.end_s
        points += [f"{scale.x(at_s)},{y}", f"{scale.x(until_s)},{y}"]
    y = round(bottom - (bottom - top) / 1.1, 1)
    yield f'<text class="axis price" x="{EDGE - 8}" y="{y + 4}" text-anchor="end">{dear:.2f}</text>'
    yield f'<line class="grid" x1="{EDGE}" x2="{LONG - 20}" y1="{bottom}" y2="{bottom}"/>'
    yield f'<polyline class="price" points="{" ".join(points)}"/>'


def svg(kind: str, size: tuple[int, int], label: str, parts: Iterable[str]) -> Markup:
    width, height = size
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _time(at_s: float, *, with_seconds: bool = False) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):{'%H:%M:%S' if with_seconds else '%H:%M'}}"
