"""Replays every fault and repair of 400 servers over 174 days against ways to size the buffer.

    PARKADE_SHARED_DATA=FOLDER python benchmarks/mars_buffer.py

The trace is InfiniteHBD-Trace (SIGCOMM 2025, Apache-2.0), first half. Each way walks forward from
day 30 and is resized daily from what was known. Printed: nodes held, time with more nodes down than
held, the worst deficit; goodput of gangs of several sizes on 320 reserved nodes; node-hours lent or
idle.
"""

import csv
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parkade.core.healing.buffer_size import (
    Steps,
    fixed_size,
    growths_of,
    mean_of,
    poisson_size,
    state_conditional_size,
    steps_of,
)
from parkade.core.healing.gangs import NodeOutage, Setting, play
from parkade.core.healing.walk_forward import Size, replay
from parkade.core.units.fraction import Fraction
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US

TRACE = "stepfun_node_faults.csv"
NODES, RESERVED = 400, 320
START_US, END_US = 30 * DAY_US, 174 * DAY_US
GANG_SIZES = (1, 8, 32, 128)
LOST_US, RECALL_US = 15 * MINUTE_US, 3 * MINUTE_US
"""Restart 5 min and half a checkpoint interval of 20 min; a lent spare is recalled in 3 min."""
GPUS, FLOOR_PRICE = 8, 5
QUANTILE = 0.99
EVERY_US = 6 * HOUR_US


def trace_path() -> Path | None:
    """Where the trace lies; None where it is absent."""
    root = Path(__file__).resolve().parents[1]
    told = os.environ.get("PARKADE_SHARED_DATA")
    folders = (
        [Path(told)] if told else [root.parent / "shared/data", root.parents[1] / "shared/data"]
    )
    return next((folder / TRACE for folder in folders if (folder / TRACE).exists()), None)


def read_faults(path: Path) -> tuple[NodeOutage, ...]:
    """Each fault with its end; one that is open when the next begins goes on."""
    open_since: dict[int, int] = {}
    faults = []
    with path.open(encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            node, at_us = int(row["node"]), round(float(row["t_days"]) * DAY_US)
            if row["event"] == "fault_start":
                open_since.setdefault(node, at_us)
            elif node in open_since:
                faults.append(NodeOutage(node, open_since.pop(node), at_us))
    faults += [NodeOutage(node, since_us, None) for node, since_us in open_since.items()]
    return tuple(sorted(faults, key=lambda fault: (fault.start_us, fault.node)))


def down_of(faults: tuple[NodeOutage, ...]) -> Steps:
    """The number of nodes down over time."""
    starts = [(fault.start_us, 1) for fault in faults]
    ends = [(fault.end_us, -1) for fault in faults if fault.end_us is not None]
    return steps_of([*starts, *ends])


def ways() -> dict[str, Size]:
    """Every way to size the buffer, by its name."""

    def fixed(percent: int) -> Size:
        held = fixed_size(NODES, Fraction(numerator=percent, denominator=100))
        return lambda _past, _now: held

    def poisson(quantile: float, days: int | None) -> Size:
        def size(past: Steps, now_us: int) -> int:
            since_us = 0 if days is None else max(0, now_us - days * DAY_US)
            mean = mean_of(past, start_us=since_us, end_us=now_us)
            return poisson_size(mean, quantile=quantile)

        return size

    def conditional(days: int) -> Size:
        def size(past: Steps, now_us: int) -> int:
            growths = growths_of(
                past, start_us=0, end_us=now_us, horizon_us=days * DAY_US, every_us=EVERY_US
            )
            return state_conditional_size(past.at(now_us), growths, quantile=QUANTILE, least=1)

        return size

    return {
        **{f"fixed {percent} %": fixed(percent) for percent in (5, 8, 10, 15, 20)},
        "Poisson 99 %": poisson(0.99, None),
        "Poisson 99.9 %": poisson(0.999, None),
        "Poisson 99 %, last 30 days": poisson(0.99, 30),
        "state-conditional, 1 day": conditional(1),
        "state-conditional, 3 days": conditional(3),
        "state-conditional, 7 days": conditional(7),
    }


def table(path: Path) -> str:
    """The replay as a table in Markdown."""
    faults = read_faults(path)
    down = down_of(faults)
    gangs = " | ".join(f"goodput {size}" for size in GANG_SIZES)
    lines = [
        f"| way | held | short | worst | {gangs} | lent, node-hours | earned |",
        "|---|--:|--:|--:|" + "--:|" * (len(GANG_SIZES) + 2),
    ]
    for name, size in ways().items():
        held = replay(down, size, start_us=START_US, end_us=END_US, resize_us=DAY_US)
        played = [
            play(
                faults,
                held.sizes,
                Setting(
                    nodes=NODES,
                    reserved=RESERVED,
                    gang_size=gang,
                    lost_us=LOST_US,
                    recall_us=RECALL_US,
                ),
                end_us=END_US,
            )
            for gang in GANG_SIZES
        ]
        goodputs = " | ".join(f"{each.goodput * 100:.2f} %" for each in played)
        lent = played[0].lent_us / HOUR_US
        lines.append(
            f"| {name} | {held.mean_held:.1f} ({held.mean_held / NODES * 100:.2f} %)"
            f" | {held.short_share * 100:.2f} % | {held.worst} | {goodputs}"
            f" | {lent:,.0f} | {lent * GPUS * FLOOR_PRICE:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    path = trace_path()
    if path is None:
        sys.exit(f"{TRACE} is not here; set PARKADE_SHARED_DATA to the folder that has it")
    print(table(path))


if __name__ == "__main__":
    main()
