"""Newcomers that take a fabric with idle nodes, because running work would lose its nodes else.

A newcomer takes the tightest of the fabrics that are alike to it. That may be one whose other nodes
weaker work holds, which then finds no room for its whole gang in any fabric, although the newcomer
fits into idle nodes elsewhere. This module names such work, the newcomers in its way, and for each
of them the fabric that it takes first so that the work stays. Whether it then stays, and no winner
loses or draws a higher floor by it, is found by taking all turns anew (`allocation`).

In its way are the newcomers of its own fabric, and of the fabric from which another running bid was
counted there because it found no room at home.

Example: gang runs on the 2 nodes of amber; birch has 3 nodes, on 2 of which other work runs. A
newcomer of 1 node bids more than gang. Amber is the tighter, so it is counted there, and gang finds
2 nodes nowhere. If it takes birch first, it is counted on the idle node there, and gang stays.

Where no fabric has idle nodes enough for one in its way, other newcomers may leave theirs to it and
take what it leaves, as far as the running work does not need that. So a newcomer of 2 nodes in
birch goes to amber, of whose 2 nodes one is idle, and the newcomer of 1 node there goes to birch.

The one surprising rule: only nodes that all turns left idle, or that another newcomer leaves in
exchange, are a place to step aside to, so that no other bid is touched. Decision records 97 and
185.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from parkade.core.market.beside import lost_nodes
from parkade.core.market.layout import Parts, floors_drawn
from parkade.core.market.spot import Bid
from parkade.core.placement.room import Room

MOST_ASIDE = 2
"""Running bids for which newcomers step aside, or are tried to, in one clearing."""


class Aside(NamedTuple):
    """A running bid that lost nodes, and the newcomers that step aside for it."""

    loser: Bid

    goes_to: dict[str, int]
    """The fabric that each newcomer takes before all others."""


class _InFabric:
    """What bids so far took in one fabric. `newcomers`: those that may step aside. `come_from`: the
    own fabrics of running bids that are counted here."""

    __slots__ = ("come_from", "newcomers")

    def __init__(self) -> None:
        self.newcomers: list[tuple[Bid, Parts]] = []
        self.come_from: dict[int, None] = {}


def asides(bids: Sequence[Bid], parts: Sequence[Parts | None], room: Room) -> Iterator[Aside]:
    """What is worth a try, for the strongest running bid first; `room`: what all turns left.

    Grows with the bids, and with fabrics x newcomers in the way of each running bid that lost.
    """
    if max(room.free, default=0) == 0:
        return
    here = [_InFabric() for _ in room.free]
    for bid, taken in zip(bids, parts, strict=True):
        if bid.own and lost_nodes(bid, taken):
            found = _aside_for(bid, taken, here, room)
            if found is not None:
                yield found
        if taken is None or len(taken) > 1:
            continue
        if bid.own:
            here[taken[0].fabric].come_from.update(dict.fromkeys(bid.own))
        elif not (bid.shape.any_fabric or bid.sizes is not None or bid.goes_to >= 0):
            here[taken[0].fabric].newcomers.append((bid, taken))


def _aside_for(loser: Bid, taken: Parts | None, here: list[_InFabric], room: Room) -> Aside | None:
    """The weakest newcomers in its way that make as much room as it lacks, each with a place."""
    if len(loser.own) != 1 or loser.shape.any_fabric:
        return None
    (fabric,) = loser.own
    missing = _nodes_lost(loser, taken, fabric) - room.free[fabric]
    left = room.free.copy()
    goes_to: dict[str, int] = {}
    for home in (fabric, *(it for it in here[fabric].come_from if it != fabric)):
        for bid, parts in reversed(here[home].newcomers):
            other = _other_place(bid, parts, home, room, left) if missing > 0 else -1
            if other >= 0:
                left[other] -= bid.shape.nodes_for(bid.shape.nodes)
                missing -= len(set(parts[0].tokens)) or bid.shape.nodes
                goes_to[bid.name] = other
    if missing > 0 and not goes_to:
        goes_to = _exchange(fabric, missing, here, left)
        missing = 0
    return Aside(loser, goes_to) if goes_to and missing <= 0 else None


def _exchange(home: int, missing: int, here: list[_InFabric], left: list[int]) -> dict[str, int]:
    """A newcomer of whole nodes in the way, and those that make room for it in another fabric and
    fit into what it leaves beside the `missing` nodes; empty: none. Floors are not looked at: all
    turns tell. Cost: newcomers of the fabric x fabrics x newcomers there, up to the first."""
    for bid, _ in reversed(here[home].newcomers):
        nodes = bid.shape.nodes
        if bid.shape.tenant is not None or nodes <= missing:
            continue
        for other in range(len(here)):
            if other == home or left[other] >= nodes:
                continue
            short, spare = nodes - left[other], nodes + left[home] - missing
            coming = _as_many(here[other].newcomers, short, min(spare, nodes - 1))
            if coming:
                return {bid.name: other} | dict.fromkeys(coming, home)
    return {}


def _as_many(newcomers: list[tuple[Bid, Parts]], short: int, spare: int) -> list[str]:
    """The weakest of whole nodes that hold at least `short` nodes and at most `spare`."""
    found, held = list[str](), 0
    for bid, _ in reversed(newcomers):
        if bid.shape.tenant is None and held + bid.shape.nodes <= spare:
            found.append(bid.name)
            held += bid.shape.nodes
        if held >= short:
            return found
    return []


def _nodes_lost(loser: Bid, taken: Parts | None, fabric: int) -> int:
    """How many nodes it lacks in its fabric."""
    if loser.sizes is not None:
        here = sum(len(it.levels) for it in taken or () if it.fabric == fabric)
        return max(loser.sizes.stands, loser.sizes.least) - here
    return loser.shape.nodes_for(loser.shape.open_ranks(fabric))


def _other_place(bid: Bid, parts: Parts, home: int, room: Room, left: list[int]) -> int:
    """Another fabric with so many idle nodes at no higher floor, the tightest; -1: none."""
    nodes = bid.shape.nodes_for(bid.shape.nodes)
    highest = max(floors_drawn(bid.shape, parts))
    places = [
        (free, other)
        for other, free in enumerate(left)
        if other != home and free >= nodes
        if room.levels[other][len(room.levels[other]) - free + nodes - 1] <= highest
    ]
    return min(places)[1] if places else -1
