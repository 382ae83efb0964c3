"""What befell a node day by day, for the signals by which lemons are found.

Six of the seven signals of arXiv 2410.21680 follow from the journal. The seventh, how often jobs
exclude the node, does not exist here: a workload cannot name nodes that it will not have.
"""

import msgspec
from msgspec.structs import replace

from parkade.core.healing.lemons import Signal
from parkade.core.units.time import DAY_US

WINDOW_DAYS = 28


class WearOfDay(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One node on one day (since 1970). `xids`: bursts of driver errors; `times_out`: it left play;
    failures are attempts that it broke; `single_node_runs`: attempts on it alone."""

    day: int
    xids: int = 0
    tickets: int = 0
    times_out: int = 0
    multi_node_failures: int = 0
    single_node_failures: int = 0
    single_node_runs: int = 0


Wear = tuple[WearOfDay, ...]
"""Of one node, the last `WINDOW_DAYS` at most, in order."""


def with_one_more(wear: Wear, what: str, at_us: int) -> Wear:
    """With one more of a field counted; days before the window are forgotten."""
    day = at_us // DAY_US
    if wear and wear[-1].day >= day:
        last = wear[-1]
        return (*wear[:-1], replace(last, **{what: getattr(last, what) + 1}))
    kept = tuple(each for each in wear if each.day > day - WINDOW_DAYS)
    return (*kept, replace(WearOfDay(day=day), **{what: 1}))


def signals_of(wear: Wear, now_us: int) -> dict[Signal, int]:
    """The signals over the window that ends now."""
    since = now_us // DAY_US - WINDOW_DAYS
    days = [each for each in wear if each.day > since]
    failures = sum(each.single_node_failures for each in days)
    runs = sum(each.single_node_runs for each in days)
    return {
        Signal.XIDS: sum(each.xids for each in days),
        Signal.TICKETS: sum(each.tickets for each in days),
        Signal.TIMES_OUT: sum(each.times_out for each in days),
        Signal.MULTI_NODE_FAILURES: sum(each.multi_node_failures for each in days),
        Signal.SINGLE_NODE_FAILURES: failures,
        Signal.SINGLE_NODE_FAILURE_PER_MILLE: failures * 1_000 // max(1, runs),
    }
