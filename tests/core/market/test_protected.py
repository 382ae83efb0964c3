"""Seats that no bid takes for a while (`min_runtime`): who keeps them, what they cost, and what is
left to others."""

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand, MarketState, PriorityTier, Protection
from parkade.core.market.outcome import Change, WaitReason
from parkade.core.market.prices.critical_values import price_all
from parkade.core.market.prices.protected import critical_value
from tests.core.market.story import (
    MICROS,
    bid,
    chance_market,
    changes,
    claim,
    given_market,
    incumbents,
    line_of,
    nodes_of,
    on,
    reserved,
    terms,
    winners,
    with_demands,
)
from tests.core.market.test_truthful import gain, is_a_tie_of_several, is_decided_anew, misreports

seeds = st.integers(min_value=0, max_value=1 << 40)


def protected(demand: Demand, *nodes: str, at: float, by_node: tuple[float, ...] = ()) -> Demand:
    """The demand, running on these nodes, which cost at most so much while it is protected."""
    protection = Protection(
        price_micros=round(at * MICROS), node_prices=tuple(round(it * MICROS) for it in by_node)
    )
    return msgspec.structs.replace(on(demand, *nodes), protection=protection)


P = protected(bid("p", 2, 2), "amber-0", "amber-1", at=1.5)
Q = bid("q", 9, 2)


def test_a_higher_bid_waits_and_is_told_why() -> None:
    found = clear(given_market(P, Q, fabrics={"amber": 3}, on=terms(floor=1)))
    assert changes(found) == {"p": Change.KEEP, "q": Change.WAIT}
    waits = line_of(found, "q")
    assert (waits.reason, waits.price_to_win_micros) == (WaitReason.PROTECTED, None)
    assert line_of(found, "p").price_micros == round(1.5 * MICROS), "q would pay more for it"


def test_it_pays_less_than_it_was_seated_with_where_its_rivals_left() -> None:
    found = clear(given_market(P, fabrics={"amber": 3}, on=terms(floor=1)))
    assert winners(found) == {"p": MICROS}
    rival = bid("q", 1.2, 2)
    found = clear(given_market(P, rival, fabrics={"amber": 3}, on=terms(floor=1)))
    # 1.2 x 20 / 21, for it counts as running.
    assert (line_of(found, "p").price_micros, line_of(found, "p").price_set_by) == (1_142_858, "q")


def test_a_floor_that_rises_is_paid_up_to_the_limit() -> None:
    for floor, change, price in ((1.75, Change.KEEP, 1.75), (2.5, Change.PREEMPT, 0)):
        found = clear(given_market(P, fabrics={"amber": 3}, on=terms(floor=floor)))
        assert (line_of(found, "p").change, line_of(found, "p").price_micros) == (
            change,
            round(price * MICROS),
        )


def test_rights_come_before_it() -> None:
    acme = reserved("acme", {"amber": 2}, lends_at=1)
    owner = claim("o", "acme", 2)
    market = given_market(P, Q, owner, fabrics={"amber": 3}, reservations=(acme,))
    assert changes(clear(market)) == {"o": Change.START, "p": Change.PREEMPT, "q": Change.WAIT}
    wider = given_market(P, Q, owner, fabrics={"amber": 4}, reservations=(acme,))
    found = clear(wider)
    assert changes(found) == {"o": Change.START, "p": Change.KEEP, "q": Change.WAIT}
    assert nodes_of(found, "p") == ("amber-0", "amber-1")


def test_of_two_where_one_fits_the_stronger_stays() -> None:
    weak = protected(bid("weak", 5, 2), "amber-0", "amber-1", at=1)
    strong = protected(bid("strong", 6, 2), "amber-2", "amber-3", at=1)
    owner = claim("o", "acme", 1)
    acme = reserved("acme", {"amber": 1}, lends_at=1)
    found = clear(given_market(weak, strong, owner, fabrics={"amber": 4}, reservations=(acme,)))
    assert changes(found) == {"o": Change.START, "strong": Change.KEEP, "weak": Change.PREEMPT}


def test_a_node_of_it_that_is_closed_ends_the_protection_of_the_gang() -> None:
    market = given_market(P, Q, fabrics={"amber": 3}, closed=("amber-0",))
    assert line_of(clear(market), "p").change is Change.PREEMPT


def test_work_below_a_node_keeps_its_node_and_its_mates_stand_for_themselves() -> None:
    kept = protected(bid("kept", 2, gpus=4, org="ant"), "amber-0", at=0.5)
    mate = on(bid("mate", 3, gpus=4, org="ant"), "amber-0")
    rival = bid("rival", 50, gpus=8, org="bee")
    found = clear(given_market(kept, mate, rival, fabrics={"amber": 1}))
    assert changes(found) == {"kept": Change.KEEP, "mate": Change.KEEP, "rival": Change.WAIT}
    newcomer = bid("new", 40, gpus=4, org="ant")
    found = clear(given_market(kept, mate, newcomer, fabrics={"amber": 1}))
    assert changes(found) == {"kept": Change.KEEP, "new": Change.START, "mate": Change.PREEMPT}


def test_elastic_work_keeps_the_nodes_that_it_has_each_at_its_price() -> None:
    wide = bid("wide", 9, 2, most_nodes=6, grows_by=1)
    kept = protected(wide, "amber-0", "amber-1", "amber-2", at=3, by_node=(1, 2, 6))
    rival = bid("rival", 20, 4)
    found = clear(given_market(kept, rival, fabrics={"amber": 6}, on=terms(floor=1)))
    assert changes(found) == {"wide": Change.KEEP, "rival": Change.WAIT}
    assert line_of(found, "wide").node_prices == (1_000_000, 1_000_000, 6_000_000)


def with_protection(state: MarketState, seed: int) -> MarketState:
    """The market in which some of what runs whole is protected."""
    chance = random.Random(seed)
    demands = []
    for demand in state.demands:
        is_whole = len(demand.seats) == demand.nodes and demand.tier is PriorityTier.SPOT
        if is_whole and chance.random() < 0.6:
            limit = demand.limit_micros or 0
            demand = msgspec.structs.replace(
                demand, protection=Protection(price_micros=chance.randint(0, limit))
            )
        demands.append(demand)
    return with_demands(state, *demands)


@settings(max_examples=150)
@given(seeds)
def test_what_is_counted_where_it_stands_stays_there_at_a_price_within_its_bounds(
    seed: int,
) -> None:
    state = with_protection(chance_market(seed), seed)
    allocation, found = allocate(state), clear(state)
    for it in state.demands:
        line = line_of(found, it.demand)
        if it.demand not in allocation.protected.names:
            continue
        assert line.change is Change.KEEP and line.seats == it.seats
        assert it.protection is not None and it.limit_micros is not None
        most = max(it.protection.price_micros, line.floor_micros)
        assert line.floor_micros <= line.price_micros <= min(most, it.limit_micros)
        assert sum(amount for _, amount in line.shares) == line.price_micros * it.nodes * it.gpus


@settings(max_examples=150)
@given(seeds)
def test_rights_win_what_they_would_win_without_it(seed: int) -> None:
    state = chance_market(seed)
    plain, found = clear(state), clear(with_protection(state, seed))
    for it in state.demands:
        if it.tier is not PriorityTier.SPOT:
            has_won = [bool(line_of(each, it.demand).seats) for each in (plain, found)]
            assert has_won[0] == has_won[1]


@settings(max_examples=150)
@given(seeds)
def test_its_price_is_that_of_playing_all_turns_without_it(seed: int) -> None:
    state = with_protection(chance_market(seed), seed)
    allocation = allocate(state)
    prices = price_all(state, allocation)
    agreed = {it.demand: it.protection for it in state.demands}
    for turn, parts in allocation.protected.counted:
        value = critical_value(allocation, turn, parts).micros
        assert value is not None, "its shape fits without it"
        protection = agreed[turn.name]
        assert protection is not None
        floor = max(level for part in parts for level in part.levels)
        expected = min(max(value, floor), turn.limit, max(protection.price_micros, floor))
        assert prices.paid[turn.name][0] == expected


@settings(max_examples=150)
@given(seeds)
def test_a_clearing_of_its_own_outcome_changes_no_seat_of_it(seed: int) -> None:
    state = with_protection(chance_market(seed, any_fabric=False, has_closed=False), seed)
    names = allocate(state).protected.names
    again = clear(incumbents(state))
    assert all(line_of(again, name).change is Change.KEEP for name in names)


@settings(max_examples=150)
@given(seeds)
def test_beside_it_no_misreport_of_a_newcomer_gains(seed: int) -> None:
    state = with_protection(chance_market(seed), seed)
    truthful = clear(state)
    for demand, limit in misreports(state, seed):
        if not demand.seats:
            told = [
                msgspec.structs.replace(it, limit_micros=limit) if it is demand else it
                for it in state.demands
            ]
            lie = with_demands(state, *told)
            if gain(lie, clear(lie), demand) > gain(state, truthful, demand):
                assert is_decided_anew(state, lie) or is_a_tie_of_several(demand, state, lie)
