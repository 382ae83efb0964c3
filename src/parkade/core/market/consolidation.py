"""Work below a node that leaves a fabric so that a waiting gang fits there, where GPUs idle.

A gang of whole nodes needs whole nodes of one fabric. Small jobs with a stronger key hold a few
GPUs of a node each, and stay in the fabric in which they run; so a market may have as many idle
GPUs as the gang wants, scattered. This module names sets of jobs whose leaving empties enough nodes
of a fabric, at most half as many GPUs as the gang has, the fewest GPUs first. A job counts only if
it has a place in another fabric at no higher floor in what all turns left. Whether the gang then
wins, and no winner loses or draws a higher floor, is found by taking all turns again with these
jobs taking that fabric last (`allocation`).

Example, nodes of 8 GPUs: amber has 2 nodes, one of them with a job of 1 GPU at limit 90, which
counts 90 x 1/8 x 1.05 = 11.8; birch has 2 nodes, one with a job of the same org. A gang of 2 nodes
at 10 waits: neither fabric has 2 empty nodes. The job of amber goes to the node of birch that its
org shares already, 1 GPU moved for 16, and the gang runs in amber.

The one surprising rule: a node is one as the allocation counted it, which packs the jobs of an org
anew; so as many nodes are emptied as it lacks. Only spot leaves that is new or stands on open nodes
of one fabric; what is new moves no GPU. Decision records 60 and 98.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import combinations, islice
from typing import NamedTuple

from parkade.core.market.layout import Layout, Parts, floors_drawn
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.spot import Bid
from parkade.core.placement.room import Room, Shape

MOST_CONSOLIDATIONS = 8
"""Sets of jobs that are tried for one gang."""

MOST_SPARE_NODES = 3
"""Beside the nodes with the fewest GPUs that would move, so many more of a fabric are looked at."""

MOST_SETS = 64
"""Sets of nodes that are looked at in one fabric."""


class Consolidation(NamedTuple):
    """Jobs that leave a fabric."""

    moved_gpus: int
    fabric: int
    jobs: frozenset[str]


def consolidations(
    demands: Sequence[Demand],
    layout: Layout,
    answered: Sequence[tuple[Bid, Parts | None]],
    room: Room,
    gang: Shape,
) -> list[Consolidation]:
    """What is worth a try, the fewest GPUs first; `room`: what all turns left.

    Grows with the demands, N log N of the shared nodes, and fabrics x `MOST_SETS`.
    """
    most = gang.nodes * gang.gpus // 2
    found: dict[frozenset[str], Consolidation] = {}
    moved_by = {it.demand: _moved_gpus(it) for it in demands if _may_leave(it, layout)}
    jobs_of = _jobs_by_token(answered, moved_by.keys(), room)
    for fabric, jobs_on in enumerate(jobs_of):
        here = sorted(
            (sum(moved_by[it] for it in jobs), token) for token, jobs in jobs_on.items() if jobs
        )
        for tokens in _sets(here, gang.nodes - room.free[fabric]):
            jobs = frozenset(job for token in tokens for job in jobs_on[token])
            moved_gpus = sum(moved_by[it] for it in jobs)
            if moved_gpus <= most:
                found.setdefault(jobs, Consolidation(moved_gpus, fabric, jobs))
    ordered = sorted(found.values(), key=lambda it: (it.moved_gpus, it.fabric, sorted(it.jobs)))
    return ordered[:MOST_CONSOLIDATIONS]


def _sets(here: Sequence[tuple[int, int]], missing: int) -> Iterator[tuple[int, ...]]:
    """Sets of as many nodes as are missing, of those with the fewest GPUs that would move."""
    if 0 < missing <= len(here):
        tokens = [token for _, token in here[: missing + MOST_SPARE_NODES]]
        yield from islice(combinations(tokens, missing), MOST_SETS)


def _jobs_by_token(
    answered: Sequence[tuple[Bid, Parts | None]], may_leave: Container[str], room: Room
) -> list[dict[int, list[str]]]:
    """For each fabric its shared nodes as they were counted, and the jobs of each; none where one
    of them stays."""
    found: list[dict[int, list[str]]] = [{} for _ in room.free]
    stay: set[int] = set()
    for bid, parts in answered:
        for part in parts or ():
            tokens = dict.fromkeys(part.tokens)
            leaves = bid.name in may_leave and _has_other_place(bid, parts or (), room)
            for token in tokens:
                found[part.fabric].setdefault(token, []).append(bid.name)
            if not leaves:
                stay.update(tokens)
    return [
        {token: [] if token in stay else jobs for token, jobs in here.items()} for here in found
    ]


def _has_other_place(bid: Bid, parts: Parts, room: Room) -> bool:
    """Whether another fabric holds it in what is left, at no higher floor than it draws."""
    highest = max(floors_drawn(bid.shape, parts))
    here = {part.fabric for part in parts}
    offers = (room.offer(it, bid.shape) for it in range(len(room.free)) if it not in here)
    return any(offer is not None and offer.level <= highest for offer in offers)


def _moved_gpus(demand: Demand) -> int:
    return demand.nodes * demand.gpus if demand.seats else 0


def _may_leave(demand: Demand, layout: Layout) -> bool:
    """Whether it is spot below a node, and new or whole on open nodes of one fabric."""
    if demand.tier is not PriorityTier.SPOT or demand.gpus == layout.node_gpus:
        return False
    if demand.any_fabric or len(demand.seats) not in (0, demand.nodes):
        return False
    if demand.protection is not None:
        return False
    nodes = {seat.node for seat in demand.seats}
    fabrics = {layout.fabric_of.get(node) for node in nodes}
    return len(fabrics) <= 1 and None not in fabrics and layout.closed.isdisjoint(nodes)
