"""A second opinion on moves: every set of runners that might give way is tried, the cheapest first.

Written apart from the repair: a set of movers, newcomers, broken gangs and kept nodes are placed in
every way that differs, and each outcome is judged by the two rules of a seating: prices cover the
floors drawn in priority order, and the allocation repeated with these seats has the same winners
and leaves the kept nodes their room.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.market.allocation import Allocation, allocate
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.outcome import Clearing
from parkade.core.market.prices.critical_values import price_all
from parkade.core.market.supply import highest_floor

MOST_STEPS = 20_000
"""Placements tried for one market; beyond it the answer is unknown."""


class Unknown(Exception):
    """The search is too large."""


def moved_gpus(state: MarketState, clearing: Clearing) -> int:
    """GPUs of runners that have left a node of theirs that is in play."""
    seats = {line.demand: line.seats for line in clearing.lines}
    return sum(
        demand.nodes * demand.gpus
        for demand in state.demands
        if seats[demand.demand]
        and not set(survivors(state, demand)) <= {it.node for it in seats[demand.demand]}
    )


def survivors(state: MarketState, demand: Demand) -> tuple[str, ...]:
    """The nodes that a runner can keep: none if a gang of one fabric would stand in two."""
    fabric_of = {node.node: node.fabric for node in state.nodes if node.is_open}
    found = tuple(seat.node for seat in demand.seats if seat.node in fabric_of)
    if not demand.any_fabric and len({fabric_of[node] for node in found}) > 1:
        return ()
    return found


def intact(state: MarketState) -> list[Demand]:
    """Runners that have all their seats, and may be moved."""
    in_play = {node.node for node in state.nodes if node.is_open}
    return [
        it
        for it in state.demands
        if len(it.seats) == it.nodes and all(seat.node in in_play for seat in it.seats)
    ]


def least_moved_gpus(state: MarketState, clearing: Clearing) -> int:
    """GPUs that move in the best seating, which is this clearing's if no other moves fewer. No
    owner waits longer than in it. Raises Unknown."""
    allocation = allocate(state)
    gpus = moved_gpus(state, clearing)
    whole = {it.demand for it in intact(state)}
    movable = [
        it
        for it in state.demands
        if survivors(state, it)
        and it.demand in allocation.parts
        and (it.tier is PriorityTier.SPOT or it.demand not in whole)
    ]
    sets = [
        (sum(it.nodes * it.gpus for it in chosen), chosen)
        for size in range(len(movable) + 1)
        for chosen in combinations(movable, size)
    ]
    times = {it.node: it.free_from_us for it in state.nodes}
    waits = {
        it.demand: max(times.get(seat.node, 0) for seat in line.seats)
        for it, line in zip(allocation.ordered, clearing.lines, strict=True)
        if it.tier is PriorityTier.RESERVED and line.seats
    }
    search = _Search(state, allocation, waits)
    return next(
        (
            cost
            for cost, chosen in sorted(sets, key=lambda it: it[0])
            if cost < gpus and search.holds_with({it.demand for it in chosen})
        ),
        gpus,
    )


@dataclass
class _Search:
    state: MarketState
    allocation: Allocation
    waits: dict[str, int]
    steps: int = 0
    fabric_of: dict[str, str] = field(default_factory=dict)
    open_nodes: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prices = price_all(self.state, self.allocation)
        self.winners = [it for it in self.allocation.ordered if it.demand in self.allocation.parts]
        self.staying = {
            it.demand
            for it in self.winners
            if sum(len(part.levels) for part in self.allocation.parts[it.demand]) < it.nodes
        }
        self.times = {it.node: it.free_from_us for it in self.state.nodes}
        for node in sorted(self.state.nodes, key=lambda it: (it.free_from_us, it.node)):
            self.fabric_of[node.node] = node.fabric
            if node.is_open:
                self.open_nodes.setdefault(node.fabric, []).append(node.node)
        self.kept: dict[str, set[str]] = {}
        self.left: dict[str, int] = {}
        self.tenant: dict[str, object] = {}
        self.seats: dict[str, tuple[str, ...]] = {}

    def holds_with(self, movers: set[str]) -> bool:
        """Whether some placement holds in which only these runners move."""
        gpus = self.state.gpus_per_node
        self.left = {node: gpus for nodes in self.open_nodes.values() for node in nodes}
        self.tenant, self.seats = {}, {}
        keeping = {it.demand for it in intact(self.state)} - movers
        self.kept = {
            it.demand: set(survivors(self.state, it))
            for it in self.winners
            if it.demand not in movers and it.demand not in keeping
        }
        unplaced = []
        for demand in self.winners:
            nodes = tuple(it.node for it in demand.seats)
            if demand.demand in self.staying or demand.demand in keeping:
                self._put(demand, nodes)
            else:
                unplaced.append(demand)
        return self._place(unplaced)

    def _put(self, demand: Demand, nodes: tuple[str, ...], sign: int = 1) -> None:
        for node in nodes:
            if node in self.left:
                self.left[node] -= sign * demand.gpus
                assert self.left[node] >= 0
                self.tenant[node] = self._tenant(demand)
                if self.left[node] == self.state.gpus_per_node:
                    del self.tenant[node]
        self.seats[demand.demand] = nodes

    def _tenant(self, demand: Demand) -> object:
        if demand.gpus == self.state.gpus_per_node:
            return None
        return (demand.org, demand.tier, demand.reservation)

    def _place(self, unplaced: list[Demand]) -> bool:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Unknown
        if not unplaced:
            return self._is_valid()
        demand, rest = unplaced[0], unplaced[1:]
        for nodes in self._options(demand):
            most = self.waits.get(demand.demand)
            if most is not None and max(self.times[it] for it in nodes) > most:
                continue
            if not self.kept.get(demand.demand, set()) <= set(nodes):
                continue
            self._put(demand, nodes)
            if self._place(rest):
                return True
            self._put(demand, nodes, -1)
        return False

    def _options(self, demand: Demand) -> Iterator[tuple[str, ...]]:
        """Nodes for the whole gang; of empty nodes in one fabric the first stand for all."""
        fabrics = [[it] for it in self.open_nodes if demand.only_fabric in (None, it)]
        if demand.any_fabric and demand.nodes > 1:
            fabrics = [sorted(self.open_nodes)]
        for group in fabrics:
            slots: list[str] = []
            for fabric in group:
                nodes = self.open_nodes[fabric]
                empty = [it for it in nodes if self.left[it] == self.state.gpus_per_node]
                shared = [
                    it
                    for it in nodes
                    if self._tenant(demand) is not None
                    and self.tenant.get(it) == self._tenant(demand)
                    and self.left[it] >= demand.gpus
                ]
                own = self.kept.get(demand.demand, set())
                shared += [it for it in empty[demand.nodes :] if it in own]
                slots += shared + empty[: demand.nodes]
            seen = set()
            for nodes_chosen in combinations(slots, demand.nodes):
                empties = tuple(
                    self.fabric_of[it]
                    for it in nodes_chosen
                    if self.left[it] == self.state.gpus_per_node
                )
                shared_chosen = tuple(
                    it for it in nodes_chosen if self.left[it] < self.state.gpus_per_node
                )
                own_chosen = self.kept.get(demand.demand, set()).intersection(nodes_chosen)
                key = (empties, shared_chosen, tuple(sorted(own_chosen)))
                if key not in seen:
                    seen.add(key)
                    yield nodes_chosen

    def _is_valid(self) -> bool:
        return (
            self._leaves_room(self.allocation) and self._covers_floors() and self._is_repeatable()
        )

    def _leaves_room(self, allocation: Allocation) -> bool:
        """Whether kept blocks fit, each whole in its own or any other fabric."""
        empty = {
            fabric: sum(self.left[it] == self.state.gpus_per_node for it in nodes)
            for fabric, nodes in self.open_nodes.items()
        }
        blocks = [it.nodes for it in allocation.reserved.kept_room().blocks]
        return _fit(sorted(blocks, reverse=True), list(empty.values()))

    def _covers_floors(self) -> bool:
        beyond = highest_floor(self.state)
        floors = dict(
            zip(self.allocation.layout.fabrics, self.allocation.supply.floors, strict=True)
        )
        drawn: dict[str, int] = {}
        position: dict[str, int] = {}
        for demand in self.winners:
            price = self.prices.paid_micros(demand.demand)
            if price is None:
                continue
            for node in self.seats[demand.demand]:
                fabric = self.fabric_of[node]
                if node not in self.left:
                    drawn[node] = demand.floor_micros
                elif node not in drawn:
                    at = position.get(fabric, 0)
                    position[fabric] = at + 1
                    drawn[node] = floors[fabric][at] if at < len(floors[fabric]) else beyond
                if drawn[node] > price:
                    return False
        return True

    def _is_repeatable(self) -> bool:
        demands = []
        is_as_counted = True
        for demand in self.state.demands:
            nodes = self.seats.get(demand.demand, ())
            seats = tuple(Seat(node=node, gpus=demand.gpus) for node in nodes)
            demands.append(msgspec.structs.replace(demand, seats=seats))
            if nodes:
                names = self.allocation.layout.fabrics
                counted = sorted(
                    names[part.fabric]
                    for part in self.allocation.parts[demand.demand]
                    for _ in part.levels
                )
                seated = sorted(self.fabric_of[it] for it in nodes if it in self.left)
                is_as_counted = is_as_counted and counted == seated
        if is_as_counted:
            return True
        again = allocate(msgspec.structs.replace(self.state, demands=tuple(demands)))
        kept = self.allocation.reserved.kept_room().totals()
        return (
            again.parts.keys() == self.allocation.parts.keys()
            and again.reserved.kept_room().totals() == kept
            and self._leaves_room(again)
        )


def _fit(blocks: list[int], rooms: list[int]) -> bool:
    if not blocks:
        return True
    for at, room in enumerate(rooms):
        if room >= blocks[0] and _fit(
            blocks[1:], [*rooms[:at], room - blocks[0], *rooms[at + 1 :]]
        ):
            return True
    return False
