"""Elastic bids: how many nodes they get, and what each costs, against a market played by hand.

The oracle below shares nothing with the core: it plays lists of floors, and finds the price of a
node by trying every limit at which anything could change. `PARKADE_LONG=1` searches at length.
"""

import os
import random
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand, MarketState
from parkade.core.market.outcome import Change, ClearingLine
from tests.core.market.story import (
    MICROS,
    bid,
    changes,
    given_market,
    incumbents,
    line_of,
    nodes_of,
    on,
    rebid,
    reserved,
    terms,
    with_demands,
)

LONG = bool(os.environ.get("PARKADE_LONG")) or os.environ.get("HYPOTHESIS_PROFILE") == "long"
seeds = st.integers(min_value=0, max_value=1 << 40)


def tried(times: int) -> settings:
    return settings(max_examples=times * 100 if LONG else times)


def elastic(name: str, limit: float, least: int, most: int, **changes: Any) -> Demand:
    return bid(name, limit, least, most_nodes=most, **changes)


@dataclass(frozen=True)
class Asked:
    """What one bid asks, as the oracle sees it: plain numbers."""

    name: str
    limit: int
    least: int
    most: int
    own: str
    stands: int
    grows_by: int
    is_chosen: bool = False

    @property
    def key(self) -> int:
        return self.limit * (21 if self.stands else 20)


def asked(demand: Demand) -> Asked:
    assert demand.limit_micros is not None
    own = demand.seats[0].node.split("-")[0] if demand.seats else ""
    most = demand.most_nodes or demand.nodes
    stands = len(demand.seats)
    return Asked(
        demand.demand, demand.limit_micros, demand.nodes, most, own, stands, demand.grows_by
    )


def play(stacks: dict[str, list[int]], bids: list[Asked]) -> dict[str, tuple[str, list[int]]]:
    """(fabric, floors) of each winner: each bid in its turn takes from the front of a stack."""
    left = {name: sorted(floors) for name, floors in stacks.items()}
    found = {}
    for it in sorted(bids, key=lambda it: (-it.key, not it.is_chosen, not it.stands, it.name)):
        fits = {name: [floor for floor in left[name] if floor <= it.limit] for name in left}
        most = it.most
        here = len(fits[it.own]) if it.own else 0
        if it.own and here >= it.stands:
            grown = min(here, max(it.most, it.stands))
            is_worth = it.grows_by and grown >= it.stands + it.grows_by
            nodes, fabric = (grown if is_worth else it.stands), it.own
        else:
            most = it.stands or it.most
            options = [
                (
                    -min(most, len(fits[name])),
                    name != it.own,
                    fits[name][: min(most, len(fits[name]))][-1],
                    len(left[name]),
                    name,
                )
                for name in sorted(left)
                if len(fits[name]) >= it.least
            ]
            if not options:
                continue
            nodes, fabric = -min(options)[0], min(options)[-1]
        found[it.name] = (fabric, left[fabric][:nodes])
        left[fabric] = left[fabric][nodes:]
    return found


def limits_that_matter(stacks: dict[str, list[int]], bids: list[Asked], me: Asked) -> list[int]:
    factor = 21 if me.stands else 20
    floors = {floor for stack in stacks.values() for floor in stack}
    return sorted({0} | floors | {-(-it.key // factor) for it in bids if it.name != me.name})


def size_at(stacks: dict[str, list[int]], bids: list[Asked], me: Asked, limit: int) -> int:
    """How many nodes it has with that limit, winning every tie."""
    told = [replace(it, limit=limit, is_chosen=True) if it == me else it for it in bids]
    return len(play(stacks, told).get(me.name, ("", []))[1])


def prices_of(stacks: dict[str, list[int]], bids: list[Asked], me: Asked) -> list[int]:
    """What each of its nodes costs: the least limit that gets as many, at least its floor."""
    _, floors = play(stacks, bids)[me.name]
    sizes = [(at, size_at(stacks, bids, me, at)) for at in limits_that_matter(stacks, bids, me)]
    return [
        max(next(at for at, size in sizes if size >= number), floor)
        for number, floor in enumerate(floors, 1)
    ]


def stacks_of(state: MarketState) -> dict[str, list[int]]:
    """The floors of each fabric where nothing but spot is asked for: fee 2/7, all lent."""
    found: dict[str, list[int]] = {}
    for node in state.nodes:
        found.setdefault(node.fabric, []).append(state.terms.public_floor_micros)
    for right in state.reservations:
        for fabric, nodes in right.shape:
            assert right.floor_micros is not None and right.keep == 0
            for _ in range(nodes):
                found[fabric].remove(state.terms.public_floor_micros)
                found[fabric].append(-(-right.floor_micros * 7 // 5))
    return found


def chance_market(seed: int, *, fabrics: int = 3, floors: bool = True) -> MarketState:
    chance = random.Random(seed)
    names = ("amber", "birch", "cedar")[: chance.randint(1, fabrics)]
    sizes = {name: chance.randint(1, 8) for name in names}
    rights = [
        reserved(f"right-{name}", {name: chance.randint(1, size)}, lends_at=chance.randint(1, 6))
        for name, size in sizes.items()
        if floors and chance.random() < 0.6
    ]
    free = {name: [f"{name}-{at}" for at in range(size)] for name, size in sizes.items()}
    demands = []
    for number in range(chance.randint(2, 8)):
        least = chance.randint(1, 3)
        limit = chance.randint(1, 12) + chance.choice((0, 0, 0.25, 0.5))
        most = least + chance.randint(1, 6) if chance.random() < 0.6 else 0
        made = bid(f"b{number}", limit, least, most_nodes=most)
        if most and chance.random() < 0.5:
            made = msgspec.structs.replace(made, grows_by=chance.randint(1, 3))
        fabric = chance.choice(names)
        held = chance.randint(least, most) if most else least
        if chance.random() < 0.5 and len(free[fabric]) >= held:
            seats, free[fabric] = free[fabric][:held], free[fabric][held:]
            made = on(made, *seats)
        demands.append(made)
    return given_market(
        *demands, fabrics=sizes, reservations=tuple(rights), on=terms(floor=chance.choice((0, 1)))
    )


def elastic_ones(state: MarketState) -> list[Demand]:
    return [it for it in state.demands if it.most_nodes]


def is_decided_anew(*states: MarketState) -> bool:
    """Whether a newcomer steps aside in one of these: then a lie may decide which allocation stands
    (`test_stepping_aside.py`)."""
    return any(allocate(state).plain is not None for state in states)


def gain(state: MarketState, line: ClearingLine, limit_micros: int) -> int:
    return sum(limit_micros - price for price in line.node_prices)


def test_each_node_costs_the_least_limit_that_gets_as_many() -> None:
    state = given_market(
        elastic("e", 10, 2, 5), bid("g", 7, 3), fabrics={"amber": 6}, on=terms(floor=1)
    )
    line = line_of(clear(state), "e")
    assert line.node_prices == tuple(it * MICROS for it in (1, 1, 1, 7, 7))
    assert line.price_micros == round(17 * MICROS / 5)
    assert sum(earned for _, earned in line.shares) == 17 * 8 * MICROS
    assert len(line_of(clear(rebid(state, "e", 6 * MICROS)), "e").seats) == 3


def test_it_shrinks_to_what_is_left_of_its_fabric_and_keeps_rank_0() -> None:
    running = on(elastic("e", 5, 1, 4), *(f"amber-{at}" for at in range(4)))
    state = given_market(running, bid("g", 9, 2), fabrics={"amber": 4})
    clearing = clear(state)
    assert changes(clearing) == {"g": Change.START, "e": Change.RESIZE}
    assert nodes_of(clearing, "e") == ("amber-0", "amber-1")
    assert line_of(clearing, "e").moved is None


def test_below_its_least_it_loses_all() -> None:
    running = on(elastic("e", 5, 3, 4), *(f"amber-{at}" for at in range(4)))
    state = given_market(running, bid("g", 9, 2), fabrics={"amber": 4})
    assert changes(clear(state))["e"] is Change.PREEMPT


def test_it_does_not_shrink_where_the_newcomer_finds_idle_nodes() -> None:
    running = on(elastic("e", 5, 1, 4), *(f"amber-{at}" for at in range(4)))
    state = given_market(running, bid("g", 9, 2), fabrics={"amber": 4, "birch": 6})
    assert changes(clear(state)) == {"g": Change.START, "e": Change.KEEP}


@pytest.mark.parametrize(
    ("idle", "grows_by", "nodes"), [(3, 2, 7), (2, 2, 6), (1, 2, 4), (3, 0, 4), (1, 1, 5)]
)
def test_it_grows_where_it_stands_by_as_many_as_outweigh_a_restart(
    idle: int, grows_by: int, nodes: int
) -> None:
    running = on(elastic("e", 5, 1, 8, grows_by=grows_by), *(f"amber-{at}" for at in range(4)))
    clearing = clear(given_market(running, fabrics={"amber": 4 + idle}))
    assert changes(clearing)["e"] is (Change.KEEP if nodes == 4 else Change.RESIZE)
    assert nodes_of(clearing, "e")[:4] == tuple(f"amber-{at}" for at in range(4))
    assert len(nodes_of(clearing, "e")) == nodes


@tried(150)
@given(seeds)
def test_sizes_and_prices_are_those_of_the_market_played_by_hand(seed: int) -> None:
    state = chance_market(seed)
    if is_decided_anew(state):
        return  # The oracle knows no newcomer that steps aside: test_stepping_aside.py.
    clearing, stacks = clear(state), stacks_of(state)
    bids = [asked(it) for it in state.demands]
    for demand in elastic_ones(state):
        me = next(it for it in bids if it.name == demand.demand)
        won = play(stacks, bids).get(demand.demand)
        line = line_of(clearing, demand.demand)
        assert len(line.seats) == (0 if won is None else len(won[1]))
        if won is not None:
            assert list(line.node_prices) == prices_of(stacks, bids, me)


@tried(150)
@given(seeds)
def test_a_higher_limit_never_gets_fewer_nodes(seed: int) -> None:
    state = chance_market(seed)
    stacks, bids = stacks_of(state), [asked(it) for it in state.demands]
    for me in bids:
        limits = limits_that_matter(stacks, bids, me)
        sizes = [size_at(stacks, bids, me, at) for at in limits]
        assert sizes == sorted(sizes)


@tried(100)
@given(seeds)
def test_no_misreport_of_an_elastic_bid_gains_at_one_floor_or_within_one_fabric(seed: int) -> None:
    chance = random.Random(seed)
    is_one_floor = chance.random() < 0.5
    state = chance_market(seed, fabrics=3 if is_one_floor else 1, floors=not is_one_floor)
    truthful = clear(state)
    for demand in elastic_ones(state):
        assert demand.limit_micros is not None
        honest = gain(state, line_of(truthful, demand.demand), demand.limit_micros)
        for _ in range(3):
            told = chance.randint(0, 13) * MICROS + chance.choice((-1, 0, 1))
            lie = rebid(state, demand.demand, max(0, told))
            line = line_of(clear(lie), demand.demand)
            is_gain = gain(state, line, demand.limit_micros) > honest
            assert not is_gain or is_decided_anew(state, lie)


@tried(100)
@given(seeds)
def test_every_node_is_paid_between_its_floor_and_the_limit_and_shares_add_up(seed: int) -> None:
    state = chance_market(seed)
    clearing = clear(state)
    for demand in elastic_ones(state):
        line = line_of(clearing, demand.demand)
        assert demand.limit_micros is not None
        assert all(price <= demand.limit_micros for price in line.node_prices)
        assert len(line.node_prices) == len(line.seats)
        assert sum(earned for _, earned in line.shares) == sum(line.node_prices) * demand.gpus
        if line.seats:
            assert demand.nodes <= len(line.seats) <= max(demand.most_nodes, len(demand.seats))
            assert line.floor_micros <= line.node_prices[-1] <= demand.limit_micros


@tried(100)
@given(seeds)
def test_a_second_clearing_of_an_unchanged_market_starts_at_most_what_waited(seed: int) -> None:
    """A bid that was counted elsewhere than it was seated can leave room that is seen only then."""
    state = chance_market(seed, floors=False)
    once = incumbents(without_growth(state), clear(state))
    again = changes(clear(once))
    assert all(it in (Change.KEEP, Change.WAIT, Change.START) for it in again.values())


def without_growth(state: MarketState) -> MarketState:
    return with_demands(state, *(msgspec.structs.replace(it, grows_by=0) for it in state.demands))
