"""The live picture: who sits where, at what price, and what happened last."""

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from parkade.client import Client, ParkadeError
from parkade.wire.pools import Node, Nodes
from parkade.wire.workloads import Workload, Workloads

COLOURS = {"acme": "green", "lab": "cyan", "student": "magenta", "studio": "yellow"}
REFRESH_SECONDS = 0.5
EVENTS_SHOWN = 9
ROW_LINES = 4
"""Of a fabric on the floor plan, with the edge."""
MOST_WIDE = 4
"""With more nodes in a fabric, each has a narrow column."""
QUIET = frozenset(
    {
        "EpochOpened",
        "OrgCreated",
        "UserCreated",
        "TokenAdded",
        "MoneyMoved",
        "ReservationPaid",
        "Checkpointed",
    }
)
NOTHING_NEW = "0 won, 0 left, 0 repriced"


class Picture:
    """Follows the events in one thread and draws in another; without a terminal it prints a line
    an event, and the whole picture when asked."""

    def __init__(self, operator: Client, console: Console) -> None:
        self._operator = operator
        self._console = console
        self._began = time.monotonic()
        self._lines: deque[Text] = deque(maxlen=EVENTS_SHOWN)
        self._act = "the parkade opens"
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._follow, daemon=True)]
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        if self._live is not None:
            self._threads.append(threading.Thread(target=self._redraw, daemon=True))

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        if self._live is not None:
            self._threads[1].join(timeout=5)
            if error is None:
                self._live.update(self._drawn(), refresh=True)
            self._live.stop()

    def act(self, title: str) -> None:
        """What the story does now."""
        with self._lock:
            self._act = title
        self._say(Text(f"» {title}", style="bold"))

    def show(self) -> None:
        """The whole picture now, where nothing is redrawn by itself."""
        if self._live is None:
            self._console.print(self._drawn())

    def _say(self, line: Text) -> None:
        clock = Text(f"{time.monotonic() - self._began:5.1f}s  ", style="dim")
        with self._lock:
            self._lines.append(clock + line)
        if self._live is None:
            self._console.print(clock + line)

    def _follow(self) -> None:
        try:
            for event in self._operator.events(after=0):
                if self._is_over.is_set():
                    return
                if event.type not in QUIET and not event.says.endswith(NOTHING_NEW):
                    self._say(Text(event.says, style=COLOURS.get(event.org or "", "")))
        except (ParkadeError, RuntimeError):
            # RuntimeError: the client was closed under it when the day was over.
            if not self._is_over.is_set():
                raise

    def _redraw(self) -> None:
        assert self._live is not None
        while not self._is_over.wait(REFRESH_SECONDS):
            try:
                self._live.update(self._drawn(), refresh=True)
            except ParkadeError:
                if not self._is_over.is_set():
                    raise

    def _drawn(self) -> RenderableType:
        nodes = self._operator.list_nodes()
        workloads = self._operator.list_workloads(all=True)
        with self._lock:
            title, lines = self._act, Text("\n").join(self._lines)
        height = ROW_LINES * len({node.fabric for node in nodes.nodes}) + 1
        floor_plan = Panel(_floor_plan(nodes, workloads), title=f"[b]{title}", height=height)
        waiting = Panel(_queue(workloads), title="workloads", height=len(COLOURS) + 5)
        return Group(floor_plan, waiting, Panel(lines, title="the day", height=EVENTS_SHOWN + 2))


def _floor_plan(nodes: Nodes, workloads: Workloads) -> Table:
    known = {workload.workload: workload for workload in workloads.workloads}
    table = Table(expand=True, show_edge=False, show_header=False, box=None)
    fabrics = sorted({node.fabric for node in nodes.nodes})
    longest = max(sum(node.fabric == fabric for node in nodes.nodes) for fabric in fabrics)
    for _ in range(1 + longest):
        table.add_column(ratio=1)
    for fabric in fabrics:
        is_narrow = longest > MOST_WIDE
        cells = [
            _cell(node, known, is_narrow=is_narrow) for node in nodes.nodes if node.fabric == fabric
        ]
        table.add_row(Text(f"fabric {fabric}", style="bold"), *cells)
    return table


def _cell(node: Node, known: dict[str, Workload], *, is_narrow: bool) -> Text:
    """In a narrow column what a workload pays takes a line of its own, and only what is not running
    says so."""
    cell = Text(f"{node.node} ")
    if node.health != "healthy":
        cell.append(node.health, style="bold red")
    elif node.cordons:
        cell.append("closed", style="bold red")
    for name in node.seated:
        workload = known.get(name)
        if workload is None:
            cell.append(f"\n{name}")
            continue
        seats = workload.attempt.seats if workload.attempt is not None else workload.promised
        gpus = sum(seat.gpus for seat in seats if seat.node == node.node)
        price = f"{workload.price:.2f}" if workload.price else "own"
        words = f"{'■' * gpus} {workload.org} {workload.phase} {price}"
        if is_narrow:
            says = price if workload.phase == "running" else workload.phase
            words = f"{'■' * gpus}\n{workload.org} {says}"
        cell.append(f"\n{words}", style=COLOURS.get(workload.org, ""))
    if not node.seated:
        cell.append("\n" + "□" * node.gpus, style="dim")
    return cell


def _queue(workloads: Workloads) -> Table:
    table = Table(expand=True, show_edge=False, box=None)
    for column in ("", "who", "what", "capacity", "phase", "step", "pays", "spent"):
        table.add_column(column)
    for workload in reversed(workloads.workloads[-(len(COLOURS) + 2) :]):
        price = f"{workload.price:.2f}" if workload.price else ""
        phase = workload.phase
        if workload.why and workload.phase in ("queued", "held", "preempting"):
            phase = f"{phase}: {workload.why}"
        table.add_row(
            workload.workload,
            workload.org,
            workload.name,
            workload.capacity,
            phase,
            "" if workload.checkpoint_step is None else str(workload.checkpoint_step),
            price,
            f"{workload.spent:.4f}",
            style=COLOURS.get(workload.org, ""),
        )
    return table
