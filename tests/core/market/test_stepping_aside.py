"""A newcomer takes idle nodes of another fabric where running work would lose its nodes else."""

import random

import pytest

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import MarketState
from parkade.core.market.outcome import Change
from parkade.core.market.prices.critical_values import price_all
from tests.core.market.market_findings import squeezed
from tests.core.market.market_walk import walk
from tests.core.market.oracle import least_winning_limit, play, start_of
from tests.core.market.story import (
    MICROS,
    bid,
    changes,
    given_market,
    incumbents,
    nodes_of,
    on,
    reserved,
    terms,
    winners,
    with_demands,
)

GANG = on(bid("gang", 2, 2), "amber-0", "amber-1")
OTHER = on(bid("other", 9, 2), "birch-0", "birch-1")
NEW = bid("new", 10)
FABRICS = {"amber": 2, "birch": 3}


def test_a_newcomer_takes_the_idle_node_beside_a_gang_that_it_would_outbid() -> None:
    """Amber is the tighter fabric: counted there, the newcomer leaves the gang one node."""
    market = given_market(GANG, OTHER, NEW, fabrics=FABRICS)
    found = clear(market)
    assert changes(found) == {"new": Change.START, "other": Change.KEEP, "gang": Change.KEEP}
    assert nodes_of(found, "new") == ("birch-2",)
    assert winners(found) == {"new": 0, "other": 0, "gang": 0}
    assert set(changes(clear(incumbents(market, found))).values()) == {Change.KEEP}


GUEST = on(bid("guest", 4, 2), "birch-0", "birch-1")
ONE = bid("one", 8)
TWO = bid("two", 6, 2)


def test_two_newcomers_change_places_where_neither_has_room_alone() -> None:
    """One is counted in amber, which leaves two no room there; birch holds one and the gang."""
    market = given_market(GUEST, ONE, TWO, fabrics=FABRICS)
    found = clear(market)
    assert changes(found) == {"one": Change.START, "two": Change.START, "guest": Change.KEEP}
    assert nodes_of(found, "one") == ("birch-2",)
    assert nodes_of(found, "two") == ("amber-0", "amber-1")
    assert winners(found) == {"one": 0, "two": 0, "guest": 0}
    assert set(changes(clear(incumbents(market, found))).values()) == {Change.KEEP}


def test_they_do_not_where_the_running_work_would_still_lack_a_node() -> None:
    """Whatever they do, five nodes hold no six."""
    big = on(bid("guest", 4, 3), "birch-0", "birch-1", "birch-2")
    found = clear(given_market(big, ONE, TWO, fabrics=FABRICS))
    assert changes(found)["guest"] is Change.PREEMPT


def test_elastic_work_does_not_shrink_for_it() -> None:
    elastic = on(bid("elastic", 1, most_nodes=2), "amber-0", "amber-1")
    found = clear(given_market(elastic, OTHER, NEW, fabrics=FABRICS))
    assert changes(found) == {"new": Change.START, "other": Change.KEEP, "elastic": Change.KEEP}


def test_work_below_a_node_steps_aside_as_well() -> None:
    small = bid("small", 90, 2, gpus=2, ranks_per_node=4)
    found = clear(given_market(GANG, OTHER, small, fabrics=FABRICS))
    assert changes(found)["gang"] is Change.KEEP
    assert nodes_of(found, "small") == ("birch-2", "birch-2")


def test_a_weaker_newcomer_that_has_the_idle_node_keeps_it() -> None:
    """Else what a loser needs to win could not be told (decision 94)."""
    market = given_market(GANG, OTHER, NEW, bid("weaker", 1), fabrics=FABRICS)
    found = clear(market)
    assert changes(found)["weaker"] is Change.START
    assert changes(found)["gang"] is Change.PREEMPT


def test_it_steps_aside_to_no_higher_floor() -> None:
    market = given_market(
        GANG,
        OTHER,
        NEW,
        fabrics=FABRICS,
        reservations=(reserved("acme", {"birch": 1}, lends_at=3),),
        on=terms(floor=1),
    )
    assert changes(clear(market))["gang"] is Change.PREEMPT


def test_it_displaces_where_no_node_idles() -> None:
    market = given_market(GANG, OTHER, NEW, fabrics={"amber": 2, "birch": 2})
    assert changes(clear(market))["gang"] is Change.PREEMPT


def stepping_market(seed: int) -> MarketState:
    """Two or three fabrics with running gangs, some idle nodes, and newcomers that bid more."""
    chance = random.Random(seed)
    fabrics = {name: chance.randint(2, 4) for name in ("amber", "birch", "cedar")[: 2 + seed % 2]}
    demands = []
    for fabric, size in fabrics.items():
        at = 0
        while at < size:
            nodes = chance.choice((1, 2, 2, 3))
            if at + nodes <= size and chance.random() < 0.8:
                made = bid(f"{fabric}-{at}", chance.randint(1, 4), nodes, org=chance.choice("ab"))
                seats = [f"{fabric}-{at + n}" for n in range(nodes)]
                demands.append(on(made, *seats))
            at += nodes
    demands += [bid(f"new{n}", chance.randint(3, 12), org="c") for n in range(chance.randint(1, 2))]
    if chance.random() < 0.5:
        demands.append(bid("loser", chance.randint(1, 4), 4, org="d"))
    return given_market(*demands, fabrics=fabrics, on=terms(floor=1))


def test_prices_stay_those_of_playing_the_market_again() -> None:
    aside = 0
    for seed in range(300):
        allocation = allocate(stepping_market(seed))
        if all(it.goes_to < 0 for it in allocation.bids):
            continue
        aside += 1
        prices = price_all(stepping_market(seed), allocation)
        answered = list(zip(allocation.bids, allocation.bid_parts, strict=True))
        won = {it.name for it, parts in answered if parts}
        assert play(start_of(allocation), allocation.bids) == won
        for asked, parts in answered:
            if parts is not None:
                least = least_winning_limit(allocation, asked)
                assert least is not None
                assert prices.paid[asked.name][0] == min(asked.limit, max(least, MICROS)), seed
    assert aside >= 10


def test_its_outcome_is_that_of_the_next_clearing() -> None:
    for seed in range(150):
        state = stepping_market(seed)
        assert set(changes(clear(incumbents(state))).values()) <= {Change.KEEP, Change.WAIT}


def test_next_to_no_running_work_loses_nodes_to_what_fits_beside_it() -> None:
    lost = [
        seed
        for seed in range(150)
        if list(squeezed(stepping_market(seed), clear(stepping_market(seed))))
    ]
    assert len(lost) <= 3


@pytest.mark.slow
def test_of_many_walks_few_markets_squeeze_running_work() -> None:
    lost = [
        (seed, step)
        for seed in range(60_000, 61_000)
        for step, state in enumerate(walk(seed))
        if list(squeezed(state, clear(state)))
    ]
    assert len(lost) <= 3


def test_the_outcome_does_not_depend_on_the_order_of_the_state() -> None:
    for seed in range(100):
        state = stepping_market(seed)
        assert clear(with_demands(state, *reversed(state.demands))) == clear(state)
