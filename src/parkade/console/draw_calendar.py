"""The weeks of a calendar as SVG without a viewBox: what lies across is in shares of the width, so
that it fits a phone, and text keeps its size. Text that is longer than its bar goes on over empty
ground of its lane, to the right or to the left; where there is not enough of it, the bar cuts it
off."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Literal
from urllib.parse import quote

from markupsafe import Markup, escape

from parkade.console import words
from parkade.console.calendar import Bar, Calendar, Part, View, Week, is_over
from parkade.core.units.phrases import counted

Room = tuple[float, float]
"""From where to where a lane is empty but for one bar, in shares of the week."""

HEAD = 24
LANE = {"week": 46, "month": 26}
GAP = 4
FOOT = 22
LETTER_PX = 7.0
NARROWEST_PX = {"week": 704, "month": 312}
"""The width of a week on a phone; `console.css` has it too."""


def week(
    calendar: Calendar, which: Week, *, earned: Mapping[date, str], may_change: bool
) -> Markup:
    """One week. `earned`: by day, what lending earned, as shown."""
    lane = LANE[calendar.view]
    foot = HEAD + max(1, which.lanes) * lane + (FOOT if which.left_out else 0)
    height = foot + FOOT
    parts = [_hatch(which)]
    for number, day in enumerate(which.days):
        parts += _day(calendar, day, number, height, earned.get(day, ""))
    for bar, room in _with_room(which.bars):
        parts.append(_bar(calendar, bar, room, lane, _id(which), may_change))
    if which.left_out:
        more = counted(which.left_out, "reservation")
        parts.append(f'<text class="axis" x="6" y="{foot - 7}">and {more} more</text>')
    if which.now is not None:
        x = f"{which.now:.3%}"
        parts.append(f'<line class="now" x1="{x}" x2="{x}" y1="{HEAD - 4}" y2="{foot}"/>')
    label = f"Week from {which.days[0]:%-d %B %Y}: {counted(len(which.bars), 'reservation')}"
    return Markup(
        f'<svg class="week" height="{height}" role="group" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _id(which: Week) -> str:
    return f"offered-{which.days[0]:%Y%m%d}"


def _hatch(which: Week) -> str:
    return (
        f'<defs><pattern id="{_id(which)}" width="7" height="7" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><line class="hatch" x1="0" x2="0" y1="0" y2="7"/>'
        "</pattern></defs>"
    )


def _day(calendar: Calendar, day: date, number: int, height: int, earned: str) -> Iterator[str]:
    x = f"{number / 7:.3%}"
    is_beside = calendar.month is not None and day.month != calendar.month
    if is_beside:
        yield f'<rect class="beside" x="{x}" y="0" width="{1 / 7:.3%}" height="{height}"/>'
    if number:
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height}"/>'
    middle = f"{(number + 0.5) / 7:.3%}"
    name = f"{day:%a} {day.day}" if calendar.view == "week" else f"{day.day}"
    yield (
        f'<a href="/reservations?view=week&amp;on={day}"><text class="axis" x="{middle}" y="16"'
        f' text-anchor="middle"><title>{day:%A, %-d %B}</title>{name}</text></a>'
    )
    if earned:
        yield (
            f'<text class="axis earned" x="{middle}" y="{height - 7}" text-anchor="middle">'
            f"+{escape(earned)}</text>"
        )


def _with_room(bars: Iterable[Bar]) -> Iterator[tuple[Bar, Room]]:
    """Each bar, with where the one before it in its lane ends and the next one begins, or the week
    does. Cost: as sorting them."""
    lanes: dict[int, list[Bar]] = {}
    for bar in bars:
        lanes.setdefault(bar.lane, []).append(bar)
    for those in lanes.values():
        those.sort(key=lambda it: it.start)
        ends = [0.0, *(it.end for it in those)]
        starts = [*(it.start for it in those[1:]), 1.0]
        yield from zip(those, zip(ends, starts, strict=False), strict=False)


def _side(
    bar: Bar, room: Room, view: View, letters: int
) -> Literal["fits", "left", "right", "cut"]:
    """Where text that is longer than the bar goes on."""
    share = (letters * LETTER_PX + 14) / NARROWEST_PX[view]
    if share <= bar.end - bar.start:
        return "fits"
    if share <= room[1] - bar.start:
        return "right"
    return "left" if share <= bar.end - room[0] else "cut"


def _bar(calendar: Calendar, bar: Bar, room: Room, lane: int, hatch: str, may_change: bool) -> str:
    """A nested drawing."""
    it, tall = bar.reservation, lane - GAP
    width = max(bar.end - bar.start, 0.004)
    first, second = (words.shown(it) for it in _texts(bar))
    lines = [("name", 16, first), ("more", 33, second)][: 2 if calendar.view == "week" else 1]
    sides = [_side(bar, room, calendar.view, len(text)) for _, _, text in lines]
    drawn = [_reach(side, len(text), tall) for (_, _, text), side in zip(lines, sides, strict=True)]
    drawn.append(f'<rect class="whole" x="0" y="0" width="100%" height="{tall}"/>')
    drawn += [_part(bar, part, tall, hatch) for part in bar.parts]
    for (name, y, text), side in zip(lines, sides, strict=True):
        x = 'x="100%" dx="-7" text-anchor="end"' if side == "left" else 'x="7"'
        drawn.append(f'<text class="{name}" {x} y="{y}">{escape(text)}</text>')
    for is_here, at in ((bar.begins_here, "0"), (bar.ends_here, "100%")):
        if is_here:
            drawn.append(f'<line class="edge" x1="{at}" x2="{at}" y1="0" y2="{tall}"/>')
    title = f"<title>{escape(f'{first}: {second}')}</title>"
    # Where a line has to be cut, the whole bar cuts.
    overflow = "" if "cut" in sides else ' overflow="visible"'
    svg = (
        f'<svg class="bar {escape(it.state)}" x="{bar.start:.3%}" y="{HEAD + bar.lane * lane}"'
        f' width="{width:.3%}" height="{tall}"{overflow}>{title}{"".join(drawn)}</svg>'
    )
    return f'<a href="{escape(_leads_to(bar, may_change))}">{svg}</a>'


def _reach(side: str, letters: int, tall: int) -> str:
    """What is unseen beside a bar, where its text goes on there: a finger that lands between two
    lines of it means the bar as well."""
    if side not in ("left", "right"):
        return ""
    wide = letters * LETTER_PX + 14
    x = f'x="100%" transform="translate(-{wide} 0)"' if side == "left" else 'x="0"'
    return (
        f'<rect {x} y="0" width="{wide}" height="{tall}" fill="none" stroke="none"'
        ' pointer-events="all"/>'
    )


def _leads_to(bar: Bar, may_change: bool) -> str:
    it = bar.reservation
    name = quote(it.reservation, safe="")
    if may_change and it.state == "in_force":
        return f"/reservations/{name}/claim"
    return f"#reservation-{name}"


def _part(bar: Bar, part: Part, tall: int, hatch: str) -> str:
    nodes, width = bar.reservation.nodes, max(bar.end - bar.start, 1e-9)
    x, wide = (part.start - bar.start) / width, (part.end - part.start) / width
    height = tall * min(part.nodes, nodes) / nodes
    y = max(0.0, tall - tall * part.below / nodes - height)
    fill = f' fill="url(#{hatch})"' if part.kind == "offered" else ""
    title = f"<title>{escape(part.says)}</title>" if part.says else ""
    return (
        f'<rect class="{part.kind}" x="{x:.3%}" width="{wide:.3%}" y="{y:.1f}"'
        f' height="{height:.1f}"{fill}>{title}</rect>'
    )


def _texts(bar: Bar) -> tuple[str, str]:
    """(its name and size, what is true of it) in words."""
    it = bar.reservation
    first = f"{it.reservation} · {counted(it.nodes, 'node')}"
    if is_over(it):
        return first, "has ended" if it.state == "ended" else "lapsed: a period was not paid"
    says = []
    if it.state == "sold":
        says.append(f"starts {it.start:%-d %b %H:%M}")
    claimed = sum(part.nodes for part in bar.parts if part.kind == "claimed")
    if claimed:
        says.append(f"{claimed} claimed")
    if it.lending is not None:
        says.append(f"lends from {it.lending.floor}")
    says.append("open end" if it.end is None else f"ends {it.end:%-d %b %H:%M}")
    return first, ", ".join(says)
