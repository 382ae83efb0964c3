"""Lemon nodes: those that fail again and again, whatever is repaired.

Two rules. A node with two fatal incidents within 14 days is held for an extended burn-in. And, as
on Meta's RSC clusters (arXiv 2410.21680, 40 nodes found with more than 85 % right, jobs of 512 and
more GPUs failing 4 % instead of 14 %): a node that is in the worst five per cent of the fleet in at
least three of seven signals over 28 days. A signal counts only where the node's value is above the
least that means anything, so that a healthy fleet has no lemons.
"""

import enum
from typing import NamedTuple

import msgspec

from parkade.core.units.time import DAY_US


class Signal(enum.StrEnum):
    """What is counted of a node over the window."""

    EXCLUDED_BY_JOBS = "excluded_by_jobs"
    XIDS = "xids"
    TICKETS = "tickets"
    TIMES_OUT = "times_out"
    MULTI_NODE_FAILURES = "multi_node_failures"
    SINGLE_NODE_FAILURES = "single_node_failures"
    SINGLE_NODE_FAILURE_PER_MILLE = "single_node_failure_per_mille"


class LemonLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Knobs; `least` is the value below which no signal counts."""

    incidents: int = 2
    incident_window_us: int = 14 * DAY_US
    quantile_per_mille: int = 950
    signals: int = 3
    least: int = 2


class NodeRecord(NamedTuple):
    """A node's fatal incidents and its signals over the last 28 days; a missing signal is 0."""

    node: str
    incidents_us: tuple[int, ...]
    signals: dict[Signal, int]


class Lemon(NamedTuple):
    """A node to hold, and why."""

    node: str
    reasons: tuple[str, ...]


def find_lemons(
    records: tuple[NodeRecord, ...], now_us: int, *, limits: LemonLimits
) -> tuple[Lemon, ...]:
    """The lemons in the order of the records; grows with seven sorts of the fleet."""
    bars = {signal: _bar(records, signal, limits) for signal in Signal}
    found = []
    for record in records:
        reasons = _reasons(record, bars, now_us, limits)
        if reasons:
            found.append(Lemon(record.node, reasons))
    return tuple(found)


def _reasons(
    record: NodeRecord, bars: dict[Signal, int], now_us: int, limits: LemonLimits
) -> tuple[str, ...]:
    recent = [at_us for at_us in record.incidents_us if now_us - at_us < limits.incident_window_us]
    days = limits.incident_window_us // DAY_US
    reasons = []
    if len(recent) >= limits.incidents:
        reasons.append(f"{len(recent)} fatal incidents within {days} days")
    high = [signal for signal in Signal if record.signals.get(signal, 0) > bars[signal]]
    if len(high) >= limits.signals:
        reasons.append("among the worst of the fleet in " + ", ".join(each.value for each in high))
    return tuple(reasons)


def _bar(records: tuple[NodeRecord, ...], signal: Signal, limits: LemonLimits) -> int:
    """A value above this counts: the fleet's quantile, at least the least."""
    values = sorted(record.signals.get(signal, 0) for record in records)
    if not values:
        return limits.least
    rank = min(len(values) - 1, len(values) * limits.quantile_per_mille // 1_000)
    return max(limits.least - 1, values[rank])
