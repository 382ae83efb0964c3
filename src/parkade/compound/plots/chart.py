"""What a plot shows: lines with points, optional bands of error, axes with their kind."""

import math
from enum import StrEnum
from typing import NamedTuple

MOST_LINES = 8
MOST_POINTS = 10_000


class Scale(StrEnum):
    """How an axis is divided."""

    LINEAR = "linear"
    # Powers of ten are equally far apart; all values must be above 0.
    LOG = "log"
    # Linear from 0 to 1, marked in percent.
    PERCENT = "percent"


class Line(NamedTuple):
    """Points in order of x; `band` holds low and high for each of them."""

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...] = ()
    is_dashed: bool = False


class Axis(NamedTuple):
    """What is measured, with its unit, and how it is divided."""

    label: str
    scale: Scale


class Chart(NamedTuple):
    """A plot; colours follow the order of lines."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]


class CannotDraw(ValueError):
    """The chart has nothing to draw, or more than can be read; the message says which."""


def check(chart: Chart) -> None:
    """Raise `CannotDraw` unless the chart can be drawn."""
    if not 1 <= len(chart.lines) <= MOST_LINES:
        raise CannotDraw(f"a chart has 1 to {MOST_LINES} lines, not {len(chart.lines)}")
    for line in chart.lines:
        if not 1 <= len(line.points) <= MOST_POINTS:
            raise CannotDraw(f"line {line.name!r} has {len(line.points)} points")
        if not all(math.isfinite(value) for pair in line.points + line.band for value in pair):
            raise CannotDraw(f"line {line.name!r} has a value that is not finite")
        if line.band and len(line.band) != len(line.points):
            raise CannotDraw(f"line {line.name!r} has a band of another length")
        for at, axis in ((0, chart.x), (1, chart.y)):
            if axis.scale is Scale.LOG and min(point[at] for point in line.points) <= 0:
                raise CannotDraw(f"line {line.name!r} is not above 0 on the axis {axis.label!r}")
