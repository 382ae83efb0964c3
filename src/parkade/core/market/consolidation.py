"""Work below a node that leaves a fabric so that a waiting gang fits there, where GPUs idle.

A gang of whole nodes needs whole nodes of one fabric. Small jobs with a stronger key hold a few
GPUs of a node each, and stay in the fabric in which they run; so a market may have as many idle
GPUs as the gang wants, scattered. This module names the jobs with the fewest GPUs whose leaving
empties enough nodes of a fabric, at most half as many GPUs as the gang has. Whether the gang then
wins, and no winner loses or draws a higher floor by it, is found by allocating anew with these jobs
taking that fabric last (`allocation`).

Example, nodes of 8 GPUs: amber has 2 nodes, one of them with a job of 1 GPU at limit 90, which
counts 90 x 1/8 x 1.05 = 11.8; birch has 2 nodes, one with a job of the same org. A gang of 2 nodes
at 10 waits: neither fabric has 2 empty nodes. The job of amber goes to the node of birch that its
org shares already, 1 GPU moved for 16, and the gang runs in amber.

The one surprising rule: only running spot leaves that stands on open nodes of one fabric; a node
that also holds other work is not emptied. Decision record 60.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import structs

from parkade.core.market.layout import Layout
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.placement.room import Shape

MOST_CONSOLIDATIONS = 3
"""Fabrics that are tried for one gang."""


class Consolidation(NamedTuple):
    """Jobs that leave a fabric."""

    moved_gpus: int
    fabric: str
    jobs: frozenset[str]


def consolidations(
    state: MarketState, layout: Layout, free: Sequence[int], gang: Shape
) -> list[Consolidation]:
    """What is worth a try, the fewest GPUs first; `free`: empty nodes of each fabric by number.

    Grows with the demands, and N log N of the shared nodes.
    """
    most = gang.nodes * gang.gpus // 2
    found = []
    jobs_on, gpus_of = _jobs_by_node(state, layout)
    for fabric, name in enumerate(layout.fabrics):
        missing = gang.nodes - free[fabric]
        here = [it for it in jobs_on if layout.fabric_of[it] == fabric]
        if not 0 < missing <= len(here):
            continue
        here.sort(key=lambda node: (sum(gpus_of[it] for it in jobs_on[node]), node))
        leaving = frozenset(job for node in here[:missing] for job in jobs_on[node])
        moved_gpus = sum(gpus_of[it] for it in leaving)
        if moved_gpus <= most:
            found.append(Consolidation(moved_gpus, name, leaving))
    found.sort(key=lambda it: (it.moved_gpus, it.fabric))
    return found[:MOST_CONSOLIDATIONS]


def leaving(state: MarketState, consolidation: Consolidation) -> MarketState:
    """The state in which these jobs take their fabric last."""
    demands = tuple(
        structs.replace(it, leaves_fabric=consolidation.fabric)
        if it.demand in consolidation.jobs
        else it
        for it in state.demands
    )
    return structs.replace(state, demands=demands)


def _jobs_by_node(
    state: MarketState, layout: Layout
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """The jobs of each node that only such jobs hold as may leave, and the GPUs of each job."""
    jobs_on: dict[str, list[str]] = {}
    gpus_of: dict[str, int] = {}
    others: set[str] = set()
    for demand in state.demands:
        nodes = {seat.node for seat in demand.seats}
        if _may_leave(demand, layout):
            gpus_of[demand.demand] = demand.nodes * demand.gpus
            for node in sorted(nodes):
                jobs_on.setdefault(node, []).append(demand.demand)
        else:
            others |= nodes
    return {node: jobs for node, jobs in jobs_on.items() if node not in others}, gpus_of


def _may_leave(demand: Demand, layout: Layout) -> bool:
    """Whether it is running spot below a node, whole, on open nodes of one fabric."""
    if demand.tier is not PriorityTier.SPOT or demand.gpus == layout.node_gpus:
        return False
    if demand.any_fabric or not demand.seats or len(demand.seats) < demand.nodes:
        return False
    nodes = {seat.node for seat in demand.seats}
    fabrics = {layout.fabric_of.get(node) for node in nodes}
    return len(fabrics) == 1 and None not in fabrics and layout.closed.isdisjoint(nodes)
