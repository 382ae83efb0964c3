"""A bid that fits into free GPUs displaces no running work, though the allocation packs anew."""

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand, MarketState
from parkade.core.market.outcome import Change
from parkade.core.market.prices.critical_values import price_all
from tests.core.market.fitting import fit_together
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
    winners,
)

GANG = on(bid("gang", 4, 2, gpus=5, org="ant"), "amber-0", "amber-1")
NEW = bid("new", 10, 2, gpus=3, org="ant", ranks_per_node=2)
LOSER = bid("loser", 2, 2, gpus=5, org="ant")
TWO = {"amber": 2}
seeds = st.integers(min_value=0, max_value=1 << 40)


def test_a_newcomer_takes_the_gaps_beside_a_gang_that_it_would_outbid() -> None:
    found = clear(given_market(GANG, NEW, fabrics=TWO, on=terms(floor=1)))
    assert changes(found) == {"new": Change.START, "gang": Change.KEEP}
    assert sorted(nodes_of(found, "new")) == ["amber-0", "amber-1"]
    assert winners(found) == {"new": MICROS, "gang": MICROS}


def test_a_second_clearing_changes_no_seat() -> None:
    market = incumbents(given_market(GANG, NEW, fabrics=TWO))
    assert set(changes(clear(market)).values()) == {Change.KEEP}


def test_a_running_bid_that_is_raised_does_not_displace_what_runs_beside_it() -> None:
    beside = on(msgspec.structs.replace(NEW, limit_micros=2 * MICROS), "amber-0", "amber-1")
    market = given_market(GANG, beside, fabrics=TWO)
    for limit in (2, 10, 50):
        found = clear(rebid(market, "new", limit * MICROS))
        assert set(changes(found).values()) == {Change.KEEP}, limit


def test_a_stronger_bid_that_needs_the_room_displaces_as_ever() -> None:
    rival = bid("rival", 9, gpus=8, org="bee")
    found = clear(given_market(GANG, NEW, rival, fabrics=TWO))
    assert changes(found) == {
        "new": Change.START,
        "rival": Change.START,
        "gang": Change.PREEMPT,
    }


def test_whole_node_work_stays_where_a_newcomer_fits_into_gaps() -> None:
    job = on(bid("job", 12, gpus=4, org="ant"), "amber-0")
    gang = on(bid("gang", 2, 2, gpus=5, org="ant"), "amber-1", "amber-2")
    whole = on(bid("whole", 1, org="bee"), "amber-3")
    new = bid("new", 8, 3, gpus=3, org="ant", ranks_per_node=2)
    found = clear(given_market(job, gang, whole, new, fabrics={"amber": 4}))
    assert changes(found) == {
        "job": Change.KEEP,
        "new": Change.START,
        "gang": Change.KEEP,
        "whole": Change.KEEP,
    }


def test_what_stays_pays_the_best_loser_that_would_have_its_room() -> None:
    found = clear(given_market(GANG, NEW, LOSER, fabrics=TWO, on=terms(floor=1)))
    assert changes(found)["loser"] is Change.WAIT
    assert winners(found) == {"new": MICROS, "gang": 1_904_762}  # 2 / 1.05
    assert line_of(found, "gang").price_set_by == "loser"


def test_what_a_loser_would_need_is_what_wins() -> None:
    market = given_market(GANG, NEW, LOSER, fabrics=TWO, on=terms(floor=1))
    price = line_of(clear(market), "loser").price_to_win_micros
    assert price is not None
    assert line_of(clear(rebid(market, "loser", price)), "loser").seats


def test_elastic_work_keeps_its_nodes_beside_what_a_newcomer_fits_into() -> None:
    """Packed anew the newcomer and the gang take three nodes; as they stand, two."""
    elastic = on(bid("elastic", 3, most_nodes=2), "amber-2", "amber-3")
    gang = msgspec.structs.replace(GANG, limit_micros=6 * MICROS)
    market = given_market(gang, NEW, elastic, fabrics={"amber": 4}, on=terms(floor=1))
    found = clear(market)
    assert changes(found) == {"new": Change.START, "gang": Change.KEEP, "elastic": Change.KEEP}
    assert set(changes(clear(incumbents(market, found))).values()) == {Change.KEEP}


def test_what_stays_draws_its_floor_before_those_that_take_turns_and_moves_none() -> None:
    """Packed anew, strong draws 1 and 7, new 7, and weak finds no node at its limit; counted where
    it stands, weak draws 1, new is beside it, and strong draws 7 and 7."""
    market = given_market(
        on(bid("strong", 20, 2, org="bee"), "amber-1", "amber-2"),
        on(bid("weak", 4, gpus=5, org="ant"), "amber-0"),
        bid("new", 10, gpus=3, org="ant"),
        fabrics={"amber": 3},
        reservations=(reserved("acme", {"amber": 2}, lends_at=5),),
        on=terms(floor=1),
    )
    found = clear(market)
    assert changes(found) == {"strong": Change.KEEP, "weak": Change.KEEP, "new": Change.START}
    assert {line.demand: line.floor_micros for line in found.lines} == {
        "strong": 7 * MICROS,
        "weak": MICROS,
        "new": MICROS,
    }
    assert not found.used_fallback_seating
    again = clear(incumbents(market, found))
    assert set(changes(again).values()) == {Change.KEEP}
    assert not again.used_fallback_seating


def crowded_market(seed: int) -> MarketState:
    """A few nodes with running work below a node, gangs as well, and one to three newcomers."""
    chance = random.Random(seed)
    fabrics = {name: chance.randint(1, 4) for name in ("amber", "birch")[: chance.randint(1, 2)]}
    left = {f"{fabric}-{n}": 8 for fabric, nodes in fabrics.items() for n in range(nodes)}
    org_of: dict[str, str] = {}
    demands = []
    for number in range(chance.randint(1, 7)):
        demand = _small(chance, f"r{number}", chance.choice((1, 1, 2, 2, 3, 4)))
        fabric = chance.choice(list(fabrics))
        seats: list[str] = []
        for node in sorted(left, key=lambda _: chance.random()):
            if node.startswith(fabric) and org_of.get(node, demand.org) == demand.org:
                most = min(demand.ranks_per_node, demand.nodes - len(seats))
                seats += [node] * min(most, left[node] // demand.gpus)
        if len(seats) == demand.nodes:
            for node in seats:
                left[node] -= demand.gpus
                org_of[node] = demand.org
            demands.append(on(demand, *seats))
    for number in range(chance.randint(1, 3)):
        whole = bid(f"n{number}", chance.randint(1, 12), chance.randint(1, 2), org="bee")
        small = _small(chance, f"n{number}", chance.choice((1, 1, 2, 3, 4)))
        demands.append(whole if chance.random() < 0.25 else small)
    return given_market(*demands, fabrics=fabrics, on=terms(floor=chance.choice((0, 1))))


def _small(chance: random.Random, name: str, ranks: int) -> Demand:
    gpus = chance.choice((1, 2, 3, 4, 5))
    each = chance.choice((1, 8 // gpus))
    org = chance.choice(("ant", "ant", "bee"))
    return bid(name, chance.randint(1, 12), ranks, gpus=gpus, ranks_per_node=each, org=org)


def displaced_for_nothing(state: MarketState) -> list[str]:
    """Running demands that lost though they fit beside all winners, all where they stand."""
    lines = {line.demand: line for line in clear(state).lines}
    won = {name for name, line in lines.items() if line.seats}
    floor = state.terms.public_floor_micros
    return [
        it.demand
        for it in state.demands
        if it.seats
        and it.demand not in won
        and (it.limit_micros or 0) >= floor
        and fit_together(
            state, [other for other in state.demands if other.demand in won | {it.demand}]
        )
    ]


def test_next_to_no_running_work_is_displaced_by_what_fits_beside_it() -> None:
    """Of 4,000 such markets 42 had one before, and 3 have: newcomers choose one after the other."""
    lost = [seed for seed in range(160) if displaced_for_nothing(crowded_market(seed))]
    assert not lost
    pinned = [seed for seed in range(160) if allocate(crowded_market(seed)).plain]
    assert len(pinned) >= 2


@settings(max_examples=60)
@given(seeds)
def test_whoever_wins_plain_wins_with_them_at_no_higher_floor(seed: int) -> None:
    allocation = allocate(crowded_market(seed))
    if allocation.plain is not None:
        assert allocation.parts.keys() > allocation.plain.parts.keys()


@settings(max_examples=60)
@given(seeds)
def test_a_clearing_of_its_own_outcome_changes_no_seat(seed: int) -> None:
    state = incumbents(crowded_market(seed))
    again = clear(incumbents(state))
    assert {line.change for line in again.lines} <= {Change.KEEP, Change.WAIT}


@settings(max_examples=60)
@given(seeds, st.integers(min_value=0, max_value=13))
def test_no_pinned_bid_sets_its_own_price(seed: int, limit: int) -> None:
    state = crowded_market(seed)
    allocation = allocate(state)
    prices = price_all(state, allocation)
    for pinned, parts in allocation.pinned:
        told = rebid(state, pinned.name, limit * MICROS)
        other = allocate(told)
        if not pinned.mates and other.parts == allocation.parts and other.pinned:
            paid = price_all(told, other).paid[pinned.name]
            bound = min(limit * MICROS, pinned.limit)
            assert min(paid[0], bound) == min(prices.paid[pinned.name][0], bound), parts
