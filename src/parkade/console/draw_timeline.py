"""The life of a workload as SVG: attempts as bars over time, checkpoints, and the price below.

What lies across is in shares of the width, so that its begin and now are in sight at any width, and
text keeps its size.
"""

from collections.abc import Iterator
from typing import NamedTuple

from markupsafe import Markup, escape

from parkade.console.draw import time_axis

HEAD, ROW, BAR = 8, 26, 18
PRICES = 70
WIDTH = 1_000
"""Of the price's line, which is stretched."""


class Run(NamedTuple):
    """One attempt on a timeline. `ended_s` None: it runs."""

    attempt: str
    ordered_s: float
    started_s: float | None
    noticed_s: float | None
    ended_s: float | None
    says: str


class Priced(NamedTuple):
    """A price that was paid for a time, in seconds since 1970."""

    from_s: float
    to_s: float
    price: float


class Life(NamedTuple):
    """What is drawn of a workload. `prices` in order of time, where it ran; times are seconds since
    1970."""

    start_s: float
    end_s: float
    runs: tuple[Run, ...]
    checkpoints: tuple[tuple[float, int], ...]
    prices: tuple[Priced, ...]


class Scale(NamedTuple):
    """From times to shares of the width."""

    start_s: float
    length_s: float

    def share(self, at_s: float) -> float:
        """Of a time, in seconds since 1970; what is outside is at the edge."""
        return min(1.0, max(0.0, (at_s - self.start_s) / self.length_s))


def timeline(life: Life) -> Markup:
    """Attempts as bars, notices marked at their ends, checkpoints as ticks, the price below."""
    scale = Scale(life.start_s, max(life.end_s - life.start_s, 1.0))
    times, ticks = time_axis(life.start_s, life.start_s + scale.length_s)
    foot = HEAD + max(1, len(life.runs)) * ROW
    dear = max((each.price for each in life.prices), default=0.0)
    height = foot + (PRICES if dear else 6)
    names, parts = [], [_tick(it, height) for it in ticks]
    for index, run in enumerate(life.runs):
        y = HEAD + index * ROW
        names.append(_name(escape(run.attempt), y + 14, "axis"))
        parts += _run(run, y, life.end_s, scale)
    for at_s, step in life.checkpoints:
        x = f"{scale.share(at_s):.2%}"
        parts.append(
            f'<line class="checkpoint" x1="{x}" x2="{x}" y1="{HEAD - 4}" y2="{foot}">'
            f"<title>checkpoint at step {step}</title></line>"
        )
    if dear:
        names.append(_name(f"{dear:.2f}", foot + 16, "axis price"))
        parts.append(_prices(life, scale, dear, foot + 8, PRICES - 14))
    return Markup(
        '<div class="timeline" role="img" aria-label="Attempts, checkpoints and price over time">'
        f'<svg class="names" height="{height}" aria-hidden="true">{"".join(names)}</svg>'
        f'<svg class="plot" height="{height}">{"".join(parts)}</svg><span></span>{times}</div>'
    )


def _tick(share: float, height: int) -> str:
    x = f"{share:.2%}"
    return f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height}"/>'


def _name(text: str, y: int, kind: str) -> str:
    return f'<text class="{kind}" x="100%" dx="-8" y="{y}" text-anchor="end">{text}</text>'


def _run(run: Run, y: int, now_s: float, scale: Scale) -> Iterator[str]:
    end_s = now_s if run.ended_s is None else run.ended_s
    starts_s = run.started_s if run.started_s is not None else end_s
    if starts_s > run.ordered_s:
        yield _bar("run starting", run.ordered_s, starts_s, y, scale, "starts")
    if run.started_s is not None:
        until_s = end_s if run.noticed_s is None else run.noticed_s
        yield _bar("run", run.started_s, until_s, y, scale, run.says)
    if run.noticed_s is not None:
        yield _bar("run notice", run.noticed_s, end_s, y, scale, "told to leave")


def _bar(kind: str, from_s: float, to_s: float, y: int, scale: Scale, says: str) -> str:
    x, wide = scale.share(from_s), max(0.002, scale.share(to_s) - scale.share(from_s))
    return (
        f'<rect class="{kind}" x="{x:.2%}" y="{y}" width="{wide:.2%}" height="{BAR}" rx="2">'
        f"<title>{escape(says)}</title></rect>"
    )


def _prices(life: Life, scale: Scale, dear: float, top: int, height: int) -> str:
    """The price's line, in a drawing of its own that is stretched."""
    lines: list[list[str]] = []
    ended_s = None
    for each in life.prices:
        if each.from_s != ended_s:
            lines.append([])
        ended_s = each.to_s
        y = round(height - height * each.price / (dear * 1.1), 1)
        ends = (each.from_s, each.to_s)
        lines[-1] += [f"{round(scale.share(it) * WIDTH, 1)},{y}" for it in ends]
    drawn = "".join(f'<polyline class="price" points="{" ".join(line)}"/>' for line in lines)
    return (
        f'<svg y="{top}" width="100%" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' preserveAspectRatio="none"><line class="grid" x1="0" x2="{WIDTH}" y1="{height - 1}"'
        f' y2="{height - 1}"/>{drawn}</svg>'
    )
