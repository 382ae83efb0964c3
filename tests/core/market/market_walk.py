"""A walk through a small random market: each clearing's outcome is where the next one begins.

Two fabrics of 2 to 5 nodes with whole gangs, work below a node, elastic work, lenders with floors,
on-demand, and nodes that close, fail and come back. `walk` yields the state before each clearing.
What no clearing may do with one is asked in `market_findings`.
"""

import random
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from parkade.core.market.clear import clear
from parkade.core.market.market_state import (
    Demand,
    MarketState,
    PriorityTier,
    ReservationInForce,
)
from parkade.core.market.outcome import Clearing
from tests.core.market.story import (
    MICROS,
    bid,
    claim,
    given_market,
    incumbents,
    on_demand,
    reserved,
    terms,
    with_demands,
)

STEPS = 4
"""Clearings of one walk."""

ORGS = ("ant", "bee", "cow")


def walk(seed: int, steps: int = STEPS) -> Iterator[MarketState]:
    """The states before each clearing of one walk."""
    market = _Walk(seed)
    for _ in range(steps):
        state = market.state()
        yield state
        market.go_on(carried_out(state, clear(state)))


def carried_out(state: MarketState, clearing: Clearing) -> MarketState:
    """The market in which winners sit as the clearing says; what sits neither waits nor grows."""
    now = incumbents(state, clearing)
    return with_demands(
        now,
        *(replace(it, has_waited=False, grows_by=0) if it.seats else it for it in now.demands),
    )


class _Walk:
    """The market of one walk. `_nodes`: all of them, those that failed as well. `_sizes`: least and
    most nodes of elastic workloads, which are gangs while one of their nodes is closed."""

    def __init__(self, seed: int) -> None:
        self._chance = chance = random.Random(seed)
        self._fabrics = {name: chance.randint(2, 5) for name in ("amber", "birch")}
        self._gpus = chance.choice((4, 8))
        self._owners = _owners(chance, self._fabrics)
        self._first = given_market(
            fabrics=self._fabrics,
            gpus=self._gpus,
            reservations=self._owners,
            on=terms(
                floor=chance.choice((0, 1, 2)),
                fee=chance.choice(("0/1", "1/10")),
                shared_nodes=chance.random() < 0.3,
            ),
        )
        self._nodes = {node.node: node for node in self._first.nodes}
        self._failed: set[str] = set()
        self._demands: list[Demand] = []
        self._sizes: dict[str, tuple[int, int]] = {}
        self._submitted = 0
        self._submit(chance.randint(2, 8))

    def state(self) -> MarketState:
        """What the next clearing finds."""
        nodes = tuple(it for it in self._nodes.values() if it.node not in self._failed)
        return replace(self._first, nodes=nodes, demands=tuple(self._demands))

    def go_on(self, cleared: MarketState) -> None:
        """Work ends and comes, bids change, and some nodes are other than before."""
        chance = self._chance
        self._change_nodes({it.node for demand in cleared.demands for it in demand.seats})
        self._demands = [self._later(it) for it in cleared.demands if chance.random() > 0.15]
        self._submit(chance.choice((0, 1, 1, 2, 3)))

    def _change_nodes(self, held: set[str]) -> None:
        chance = self._chance
        for name, node in self._nodes.items():
            if chance.random() < (0.5 if name in self._failed else 0.05):
                self._failed ^= {name}
            is_open = chance.random() < (0.94 if node.is_open else 0.5)
            free_from_us = 0 if name in held else chance.choice((0, 0, 150))
            self._nodes[name] = replace(node, is_open=is_open, free_from_us=free_from_us)

    def _later(self, demand: Demand) -> Demand:
        chance = self._chance
        if demand.limit_micros is not None and chance.random() < 0.15:
            demand = replace(demand, limit_micros=chance.randint(1, 12) * MICROS)
        if not demand.seats and demand.demand in self._sizes:
            least, most = self._sizes[demand.demand]
            return replace(demand, nodes=least, most_nodes=most)
        if not demand.seats:
            is_gang = demand.nodes > 1 and demand.gpus == self._gpus
            has_waited = demand.tier is PriorityTier.SPOT and is_gang and chance.random() < 0.5
            return replace(demand, has_waited=has_waited)
        seats = demand.seats
        if any(seat.node in self._failed for seat in seats):
            # A broken gang starts anew, and nothing starts on a closed node.
            seats = tuple(it for it in seats if self._nodes[it.node].is_open)
        if demand.demand not in self._sizes:
            return replace(demand, seats=seats)
        least, most = self._sizes[demand.demand]
        if any(not self._nodes[it.node].is_open for it in seats):
            return replace(demand, seats=seats, nodes=len(seats), most_nodes=0, grows_by=0)
        grows_by = chance.choice((0, 1, 2))
        return replace(demand, seats=seats, nodes=least, most_nodes=most, grows_by=grows_by)

    def _submit(self, demands: int) -> None:
        for _ in range(demands):
            kind, name = self._chance.random(), f"w{self._submitted:02d}"
            self._submitted += 1
            if kind < 0.12 and self._owners:
                self._demands.append(self._owners_demand(name))
            elif kind < 0.22:
                self._ask_for_window(name)
            else:
                self._demands.append(self._bid(name))

    def _owners_demand(self, name: str) -> Demand:
        chance, gpus = self._chance, self._gpus
        owner = chance.choice(self._owners)
        changes: dict[str, Any] = {"org": owner.org, "priority": chance.randint(0, 1)}
        if chance.random() < 0.25:
            gpus = chance.randint(1, gpus - 1)
            changes["ranks_per_node"] = chance.choice((1, self._gpus // gpus))
        return claim(name, owner.reservation, chance.choice((1, 1, 2, 3)), gpus=gpus, **changes)

    def _ask_for_window(self, name: str) -> None:
        """On-demand in a fabric whose calendar has so many nodes left; else none."""
        chance = self._chance
        fabric, nodes = chance.choice(("amber", "birch")), chance.choice((1, 1, 2))
        sold = sum(dict(it.shape).get(fabric, 0) for it in self._owners)
        sold += sum(it.nodes_alone for it in self._demands if it.only_fabric == fabric)
        gpus = self._gpus if chance.random() < 0.7 else chance.randint(1, self._gpus - 1)
        if sold + nodes <= self._fabrics[fabric]:
            org = chance.choice(ORGS)
            made = on_demand(name, nodes, gpus=gpus, org=org, only_fabric=fabric)
            self._demands.append(made)

    def _bid(self, name: str) -> Demand:
        chance = self._chance
        changes: dict[str, Any] = {
            "org": chance.choice(ORGS),
            "submitted_us": chance.randint(0, 3),
            "use_7_days": chance.randint(0, 1),
        }
        limit = chance.randint(1, 12) + chance.choice((0, 0, 0.25, 0.5))
        nodes = chance.choice((1, 1, 1, 2, 2, 3, 4))
        kind = chance.random()
        if kind < 0.25:
            most = nodes + chance.randint(1, 4)
            self._sizes[name] = (nodes, most)
            return bid(name, limit, nodes, gpus=self._gpus, most_nodes=most, **changes)
        changes["moves_if_cheaper"] = chance.random() < 0.2
        changes["any_fabric"] = chance.random() < 0.1
        if kind > 0.6:
            return bid(name, limit, nodes, gpus=self._gpus, **changes)
        gpus = chance.randint(1, self._gpus - 1)
        changes["ranks_per_node"] = chance.choice((1, self._gpus // gpus))
        return bid(name, limit * chance.choice((1, 1, 3)), nodes, gpus=gpus, **changes)


def _owners(chance: random.Random, fabrics: dict[str, int]) -> tuple[ReservationInForce, ...]:
    """Up to two reservations beside each other, most of them lent."""
    left = dict(fabrics)
    found = []
    for n in range(chance.choice((0, 0, 1, 1, 2))):
        shape = {}
        for fabric, size in left.items():
            if size and chance.random() < 0.6:
                shape[fabric] = chance.randint(1, size)
                left[fabric] -= shape[fabric]
        if shape:
            lends_at, keep = chance.choice((None, 2.0, 3.0, 3.03, 5.0)), chance.choice((0, 0, 1))
            found.append(reserved(f"r{n}", shape, lends_at=lends_at, keep=keep))
    return tuple(found)
