"""Which running bids are tried where they stand, because the winners may fit beside them.

The allocation packs work below a node anew in each clearing, the strongest first, so that small
jobs do not scatter over nodes for ever. The seating moves running work only where it must. So the
allocation may count a node for a bid that fits into free GPUs as the nodes are now, and refuse a
running bid its room for nothing. This module names the running bids with which it is worth to try
otherwise: *pinned*, they are counted on their very nodes before the first turn. Whether no winner
loses by it is found by taking all turns anew (`allocation`).

A bid below a node is pinned together with all winners that share nodes with it, directly or by
others; if that does not help, with all running winners below a node. A bid of whole nodes is not
pinned, but those are.

Example, nodes of 8 GPUs: amber has 2 nodes; gang (2 x 5 GPUs, limit 4) stands on both, 3 GPUs of
each are free. new (2 x 3 GPUs, limit 10) comes, of the same org. Its ranks share a node, and it
comes first, so it is counted 6 GPUs of one node; then gang finds one node only, and loses. With
gang pinned there are two gaps of 3 GPUs, and new takes these.

The one surprising rule: pinned work is outbid as before. A stronger bid that needs its room wins in
the allocation without pins, and loses in the one with them, so that does not stand. Decision
record 94.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from parkade.core.market.layout import Layout, Parts, own_fabrics
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.running_seats import NamedNodes, is_on_open_nodes
from parkade.core.market.spot import Bid
from parkade.core.placement.room import Room

MOST_PINNINGS = 6
"""Sets of bids that are tried where they stand, in one clearing."""

MOST_PINNED = 64
"""Bids of one such set; a larger one is not tried."""

Turn = tuple[Bid, Parts | None]

Pins = tuple[Bid, frozenset[str]]
"""A running bid that lost, and the bids that are pinned for it."""


def pins_to_try(
    ordered: Iterable[Demand], layout: Layout, answered: Sequence[Turn], free: Sequence[int]
) -> Iterator[Pins]:
    """What is worth a try, for the strongest running bid that lost first.

    `answered`: the turns of the allocation without pins. `free`: nodes of each fabric before the
    first of them. Grows with the demands, once.
    """
    losers = [bid for bid, parts in answered if bid.own and lost_nodes(bid, parts)]
    if not losers:
        return iter(())
    running = {it.demand: it for it in ordered if it.tier is PriorityTier.SPOT and it.seats}
    return islice(_pins_of_each(losers, running, layout, answered, sum(free)), MOST_PINNINGS)


def lost_nodes(bid: Bid, parts: Parts | None) -> bool:
    """Whether a running bid lost, or an elastic one has fewer nodes than it stands on."""
    if parts is None or bid.sizes is None:
        return parts is None
    return sum(len(it.levels) for it in parts) < bid.sizes.stands


def _pins_of_each(
    losers: list[Bid],
    running: dict[str, Demand],
    layout: Layout,
    answered: Sequence[Turn],
    free: int,
) -> Iterator[Pins]:
    """As `pins_to_try`; `free`: nodes of all fabrics."""
    place = {bid.name: at for at, (bid, _) in enumerate(answered)}
    winners = [(bid, parts) for bid, parts in answered if parts is not None]
    small = [bid.name for bid, _ in winners if bid.shape.tenant is not None]
    if not small:
        return
    whole = {
        bid.name: sum(len(it.levels) for it in parts)
        for bid, parts in winners
        if not bid.shape.tenant
    }
    taken = sum(whole.values())
    sharing = _Sharing([running[it] for it in small if it in running], layout)
    for loser in losers:
        if place[loser.name] < place[small[0]]:
            continue
        for names in sharing.sets_for(running[loser.name]):
            held = {seat.node for it in (*names, loser.name) for seat in running[it].seats}
            if taken - whole.get(loser.name, 0) + len(held) <= free:
                yield loser, names


class _Sharing:
    """Running winners below a node by the nodes on which they stand."""

    def __init__(self, winners: list[Demand], layout: Layout) -> None:
        self._layout = layout
        self._winners = {it.demand: it for it in winners}
        self._on: dict[str, list[str]] = {}
        for demand in winners:
            for node in dict.fromkeys(seat.node for seat in demand.seats):
                self._on.setdefault(node, []).append(demand.demand)

    def sets_for(self, loser: Demand) -> Iterator[frozenset[str]]:
        """What may be pinned for one that lost: it and those with which it shares nodes; then all
        work below a node, or where that is too much, all in its fabrics."""
        own = {} if loser.gpus == self._layout.node_gpus else {loser.demand: None}
        if own and not is_on_open_nodes(loser, self._layout):
            return
        beside = self._reached(it for seat in loser.seats for it in self._on.get(seat.node, ()))
        every = self._winners
        if len(every) > MOST_PINNED:
            fabrics = own_fabrics(loser, self._layout).keys()
            every = {
                name: it
                for name, it in self._winners.items()
                if not fabrics.isdisjoint(own_fabrics(it, self._layout))
            }
        tried = set()
        for found in ({**beside, **own}, {**every, **own}):
            names = frozenset(found)
            if names and names not in tried and self._may_be_pinned(names - own.keys()):
                tried.add(names)
                yield names

    def _may_be_pinned(self, names: frozenset[str]) -> bool:
        """Whether they are few and stand on open nodes with all their ranks."""
        return len(names) < MOST_PINNED and all(
            is_on_open_nodes(self._winners[it], self._layout) for it in names
        )

    def _reached(self, names: Iterable[str]) -> dict[str, None]:
        """These, and all that share nodes with them; stops once there are too many."""
        found = dict.fromkeys(names)
        todo = list(found)
        while todo and len(found) <= MOST_PINNED:
            for seat in self._winners[todo.pop()].seats:
                for name in self._on.get(seat.node, ()):
                    if name not in found:
                        found[name] = None
                        todo.append(name)
        return found


def take_pinned(
    room: Room,
    bids: Iterable[Bid],
    demands: dict[str, Demand],
    layout: Layout,
    named: NamedNodes,
) -> list[tuple[Bid, Parts]] | None:
    """Counts these bids where they stand, the strongest first, and changes `room` and `named`, the
    nodes that are counted so already; None where one does not fit there, or draws a floor above its
    limit."""
    found: list[tuple[Bid, Parts]] = []
    for bid in bids:
        standing = named.standing(demands[bid.name], bid.shape, layout, room, room.free)
        if standing is None or named.highest_floor(standing, bid.shape, room) > bid.limit:
            return None
        found.append((bid, named.take(standing, bid.shape, room)))
    return found
