"""How answers look: tables without lines, numbers to the right, colour only where it tells."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
}
console = Console(highlight=False, soft_wrap=False)


def show(answer: M, render: Callable[[M], None], *, as_json: bool) -> None:
    """The answer for people, or as the API's JSON."""
    if as_json:
        print(answer.model_dump_json(indent=2))
    else:
        render(answer)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str, right: str = ""
) -> None:
    """A table; `right` names the columns of numbers, separated by spaces."""
    lines = [[cell(value) for value in row] for row in rows]
    if not lines:
        console.print(Text(empty, style="dim"))
        return
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    numbers = right.split()
    for column in columns:
        is_number = column in numbers
        grid.add_column(
            column, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold"
        )
    for line in lines:
        grid.add_row(*line)
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
    console.print(Text(text))


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
            return Text(
                value.replace("_", " ") if value in COLOURS else value, style=COLOURS.get(value, "")
            )
        case _:
            return Text(str(value))


def brief(span: timedelta) -> str:
    """A span in its two largest units: `3d 4h`, `12m 5s`."""
    seconds = max(0, round(span.total_seconds()))
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return " ".join(part for part in parts[:2] if part) or "0s"


def since(instant: datetime | None) -> timedelta | None:
    """How long ago, by this machine's clock."""
    return None if instant is None else datetime.now(UTC) - instant


def seats(seats: Sequence[Any]) -> str:
    """Nodes and GPUs: `n1:8 n2:8`."""
    shown = " ".join(f"{seat.node}:{seat.gpus}" for seat in seats[:6])
    return f"{shown} +{len(seats) - 6}" if len(seats) > 6 else shown
