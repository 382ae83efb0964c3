"""How answers look: tables without lines, numbers to the right, colour only for states."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from parkade.core.units.visible import visible
from parkade.wire.scalars import format_amount

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")
COLOURS = {
    "running": "green",
    "healthy": "green",
    "in_force": "green",
    "succeeded": "green",
    "failed": "red",
    "suspect": "yellow",
    "preempting": "yellow",
    "degraded": "yellow",
    "healing": "yellow",
    "stopping": "yellow",
    "starting": "cyan",
    "placed": "cyan",
    "lapsed": "red",
    "refuses": "red",
}
GAP = 2
KIBI = 1024
# Into a pipe nothing is left out and no line is broken, unless COLUMNS says how wide it is.
PIPE_WIDTH = 20_000
_width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH


class VisibleConsole(Console):
    """A console whose texts show control characters; only its own styles reach the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of what is printed, without a control character in a text."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


console = VisibleConsole(highlight=False, width=_width)


def show(answer: M, render: Callable[[M], None], *, as_json: bool) -> None:
    """The answer for people, or as the API's JSON."""
    if as_json:
        print(answer.model_dump_json(indent=2))
    else:
        render(answer)


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Rows as CSV with a head, byte by byte as the API writes it."""
    from parkade.wire.csv_text import csv_head, csv_lines

    sys.stdout.flush()
    sys.stdout.buffer.write((csv_head(columns) + csv_lines(columns, rows)).encode())
    sys.stdout.buffer.flush()


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    empty: str,
    right: str = "",
    drops: str = "",
    whole: str = "",
) -> None:
    """A table; `right` names the columns of numbers, `drops` those that a narrow screen can do
    without, the first to go first, `whole` those whose words are not broken while others can be
    folded. Names are separated by spaces."""
    lines = [[cell(value) for value in row] for row in rows]
    if not lines:
        console.print(Text(empty, style="dim"))
        return
    widths = {
        column: max(len(column), *(line[index].cell_len for line in lines)) + GAP
        for index, column in enumerate(columns)
    }
    for column in drops.split():
        if sum(widths.values()) - GAP > console.width:
            widths.pop(column, None)
    grid = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in widths:
        justify: JustifyMethod = "right" if column in right.split() else "left"
        is_whole = column in whole.split()
        grid.add_column(column, justify=justify, overflow="fold", no_wrap=is_whole)
    for line in lines:
        grid.add_row(*(line[columns.index(column)] for column in widths))
    console.print(grid)


def entry(head: Text, words: str) -> None:
    """One line of a log as it happens; on a terminal its words stay beside its head."""
    if not console.is_terminal:
        console.print(head + Text(visible(words)), soft_wrap=True)
        return
    grid = Table.grid()
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, Text(visible(words)))
    console.print(grid)


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one a line; what is None is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None and value != "":
            grid.add_row(name, cell(value))
    console.print(grid)


def say(text: str) -> None:
    """A line; its text is never read as markup."""
    console.print(Text(visible(text)))


def lines(text: str) -> Text:
    """A text of several lines as such, in a cell."""
    return Text("\n".join(visible(line) for line in text.split("\n")))


def cell(value: object) -> Text:
    """A value as people read it."""
    match value:
        case Text():
            return value
        case None:
            return Text("–", style="dim")
        case bool():
            return Text("yes" if value else "no")
        case Decimal():
            return Text(format_amount(value))
        case datetime():
            return Text(f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
        case timedelta():
            return Text(brief(value))
        case str():
            shown = value.replace("_", " ") if value in COLOURS else visible(value)
            return Text(shown, style=COLOURS.get(value, ""))
        case _:
            return Text(visible(str(value)))


def brief(span: timedelta) -> str:
    """A span in its two largest units: `3d4h`, `12m5s`."""
    seconds = max(0, round(span.total_seconds()))
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return "".join(parts[:2]) or "0s"


def storage(count: int) -> str:
    """Bytes in the largest unit of which there is one: `12.3 GiB`."""
    held = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if held < KIBI:
            return f"{held:.0f} {unit}" if unit == "B" else f"{held:.1f} {unit}"
        held /= KIBI
    return f"{held:.1f} TiB"


def short(text: str, most: int = 24) -> str:
    """A text that fits a column."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def minute(instant: datetime | None) -> str | None:
    """An instant to the minute, in UTC."""
    return None if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}"


def since(instant: datetime | None) -> timedelta | None:
    """How long ago, by this machine's clock."""
    return None if instant is None else datetime.now(UTC) - instant


def seats(seats: Sequence[Any]) -> str:
    """Nodes and GPUs: `n1:8 n2:8`, and `n1:4×2` where four ranks of two GPUs share a node."""
    ranks = Counter((seat.node, seat.gpus) for seat in seats)
    found = [
        f"{node}:{gpus}" if count == 1 else f"{node}:{count}×{gpus}"
        for (node, gpus), count in ranks.items()
    ]
    shown = " ".join(found[:6])
    return f"{shown} +{len(found) - 6}" if len(found) > 6 else shown


def nodes(seats: Sequence[Any]) -> str:
    """The nodes alone, each once, a few of many."""
    names = list(dict.fromkeys(seat.node for seat in seats))
    shown = " ".join(names[:4])
    return f"{shown} +{len(names) - 4}" if len(names) > 4 else shown


def shape(workload: Any) -> str:
    """`4 × 8 GPUs`; of an elastic workload also between how many nodes it runs."""
    asked = workload.spec.nodes
    elastic = "" if isinstance(asked, int) else f" ({asked.min} to {asked.max} nodes)"
    return f"{workload.nodes} × {workload.gpus} GPUs{elastic}"
