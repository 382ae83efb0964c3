"""A chart as SVG text: self-contained, the same bytes every time, legible in light and dark pages.

Line names stand at the ends of lines where there is room beside each other, so no legend is needed.
Text is escaped; nothing is loaded from elsewhere.
"""

import re
from html import escape

from parkade.compound.plots.chart import Chart, Line, check
from parkade.compound.plots.ticks import Range, ranges, wording

WIDTH, HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 210, 48, 56
# Wong 2011, told apart with every common colour blindness.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f7f7f",
    "#000000",
)
_NAME_HEIGHT = 16
_MOST_DOTS = 16
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def svg(chart: Chart) -> str:
    """The text of the file; raises `CannotDraw`."""
    check(chart)
    x, y = ranges(chart)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, DejaVu Sans, sans-serif"'
        ' font-size="12">'
    )
    heading = _text(_LEFT, 24, chart.title, 'font-size="15" font-weight="600" fill="#1a1a1a"')
    parts = [
        opening,
        f"<title>{_escaped(chart.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        heading,
        *_axes(chart, x, y),
    ]
    for line, colour in zip(chart.lines, COLOURS, strict=False):
        parts += _line(line, colour, x, y)
    parts += _names(chart, y)
    return "\n".join([*parts, "</svg>", ""])


def _across(x: Range, value: float) -> float:
    return _LEFT + x.place(value) * (WIDTH - _LEFT - _RIGHT)


def _down(y: Range, value: float) -> float:
    return HEIGHT - _BOTTOM - y.place(value) * (HEIGHT - _TOP - _BOTTOM)


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    """Text that XML can hold: what it has no way to write becomes a space."""
    return escape(_NOT_IN_XML.sub(" ", text))


def _axes(chart: Chart, x: Range, y: Range) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    middle, dark = 'text-anchor="middle" fill="#1a1a1a"', 'fill="#1a1a1a" font-size="11"'
    parts = []
    for mark in y.marks:
        at, word = _down(y, mark), wording(mark, y.scale)
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{right}" stroke="#e3e3e3"/>')
        parts.append(_text(_LEFT - 8, at + 4, word, 'text-anchor="end" fill="#4d4d4d"'))
    for mark in x.marks:
        at, word = _across(x, mark), wording(mark, x.scale)
        parts.append(f'<path d="M{at:.1f} {bottom}v5" stroke="#4d4d4d"/>')
        parts.append(_text(at, bottom + 19, word, 'text-anchor="middle" fill="#4d4d4d"'))
    parts.append(f'<path d="M{_LEFT} {bottom}H{right}" stroke="#4d4d4d"/>')
    parts.append(_text((_LEFT + right) / 2, HEIGHT - 14, chart.x.label, middle))
    parts.append(_text(_LEFT, _TOP - 8, chart.y.label, dark))
    return parts


def _line(line: Line, colour: str, x: Range, y: Range) -> list[str]:
    parts = []
    if line.band:
        ends = list(zip(line.points, line.band, strict=True))
        upper = [f"{_across(x, a):.1f} {_down(y, high):.1f}" for (a, _), (_, high) in ends]
        lower = [f"{_across(x, a):.1f} {_down(y, low):.1f}" for (a, _), (low, _) in ends]
        outline = "L".join([*upper, *reversed(lower)])
        parts.append(f'<path d="M{outline}Z" fill="{colour}" fill-opacity="0.15"/>')
    places = [f"{_across(x, a):.1f} {_down(y, b):.1f}" for a, b in line.points]
    dash = ' stroke-dasharray="6 4"' if line.is_dashed else ""
    if len(places) > 1:
        parts.append(
            f'<path d="M{"L".join(places)}" fill="none" stroke="{colour}" stroke-width="2"'
            f' stroke-linejoin="round"{dash}/>'
        )
    if not line.is_dashed and len(places) <= _MOST_DOTS:
        radius = 3 if len(places) > 1 else 5
        parts += [
            f'<circle cx="{across}" cy="{down}" r="{radius}" fill="{colour}"/>'
            for across, down in (place.split() for place in places)
        ]
    if len(places) == 1:
        across, down = (float(part) for part in places[0].split())
        parts.append(_text(across + 9, down + 16, line.name, f'fill="{colour}"'))
    return parts


def _names(chart: Chart, y: Range) -> list[str]:
    """Names at the ends of lines, pushed apart where they would overlap; a point names itself."""
    wanted = sorted(
        (_down(y, line.points[-1][1]), place)
        for place, line in enumerate(chart.lines)
        if len(line.points) > 1
    )
    heights: list[float] = []
    for at, _ in wanted:
        heights.append(max(at, heights[-1] + _NAME_HEIGHT) if heights else at)
    # Names that were pushed below the axis move up, and those above them as far as they must.
    lowest = float(HEIGHT - _BOTTOM)
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], lowest)
        lowest = heights[i] - _NAME_HEIGHT
    return [
        _text(
            WIDTH - _RIGHT + 10,
            height + 4,
            chart.lines[place].name,
            f'fill="{COLOURS[place]}"',
        )
        for (_, place), height in zip(wanted, heights, strict=True)
    ]
