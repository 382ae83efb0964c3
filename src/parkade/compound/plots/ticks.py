"""Where an axis begins, ends and is marked, and how a mark reads."""

import math
from typing import NamedTuple

from parkade.compound.plots.chart import Chart, Scale

_MOST_TICKS = 6


class Range(NamedTuple):
    """An axis from `low` to `high` with its marks, all in values."""

    low: float
    high: float
    marks: tuple[float, ...]
    scale: Scale

    def place(self, value: float) -> float:
        """Where a value stands, 0 at the low end and 1 at the high one."""
        if self.scale is Scale.LOG:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def ranges(chart: Chart) -> tuple[Range, Range]:
    """The ranges of x and y that hold all points and bands."""
    xs = [x for line in chart.lines for x, _ in line.points]
    ys = [y for line in chart.lines for _, y in line.points]
    ys += [end for line in chart.lines for band in line.band for end in band]
    return _range(xs, chart.x.scale), _range(ys, chart.y.scale)


def _range(values: list[float], scale: Scale) -> Range:
    match scale:
        case Scale.PERCENT:
            return _percent(max(values))
        case Scale.LOG:
            return _log(min(values), max(values))
        case Scale.LINEAR:
            return _linear(min(0.0, *values), max(values))


def _percent(most: float) -> Range:
    high = next((top for top in (0.05, 0.1, 0.2, 0.5) if most <= top), 1.0)
    return Range(0.0, high, tuple(high * i / 5 for i in range(6)), Scale.PERCENT)


def _log(least: float, most: float) -> Range:
    """Ends at the values themselves; marked at powers of ten, between them where those are few."""
    low, high = (least, most) if most >= 2 * least else (least / 2, most * 2)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    step = math.ceil(len(powers) / _MOST_TICKS)
    marks = [10.0**power for power in powers[::step]]
    if sum(low <= mark <= high for mark in marks) < 2:
        marks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    # A mark that misses an end by a rounding stands on it.
    near = [mark for mark in marks if low * (1 - 1e-9) <= mark <= high * (1 + 1e-9)]
    inside = tuple(min(high, max(low, mark)) for mark in near)
    return Range(low, high, inside if len(inside) >= 2 else (low, high), Scale.LOG)


def _linear(least: float, most: float) -> Range:
    span = most - least or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span / _MOST_TICKS))
    step = next(m * magnitude for m in (1, 2, 5, 10) if span / (m * magnitude) <= _MOST_TICKS)
    low = math.floor(least / step) * step
    count = math.ceil((most - low) / step) or 1
    marks = tuple(low + i * step for i in range(count + 1))
    return Range(low, marks[-1], marks, Scale.LINEAR)


def wording(value: float, scale: Scale) -> str:
    """A mark as people read it: `40 %`, `1,000`, `10^7`."""
    if scale is Scale.PERCENT:
        return f"{100 * value:g} %"
    if value and not 1e-3 <= abs(value) < 1e6:
        power = math.floor(math.log10(abs(value)) + 1e-9)
        digits = value / 10.0**power
        return f"10^{power}" if abs(digits - 1) < 1e-9 else f"{digits:g}e{power}"
    return f"{value:,.10g}"
