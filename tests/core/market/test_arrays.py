"""Members of an array in one clearing: what they pay beside each other, and what others pay."""

import random

import msgspec
from hypothesis import given

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand, MarketState
from parkade.core.market.prices.critical_values import price_all
from tests.core.market.oracle import least_winning_limit
from tests.core.market.story import (
    MICROS,
    bid,
    chance_market,
    given_market,
    incumbents,
    line_of,
    terms,
    winners,
    with_demands,
)
from tests.core.market.test_truthful import is_decided_anew, seeds, tried


def array(count: int, limit: float, *, name: str = "w1", **changes: object) -> list[Demand]:
    return [
        msgspec.structs.replace(
            bid(f"{name}_{index}", limit, **changes),  # type: ignore[arg-type]
            org=name,
            array=name,
        )
        for index in range(count)
    ]


def array_market(seed: int) -> MarketState:
    """A chance market with one or two arrays, some of whose members run."""
    chance = random.Random(f"array {seed}")
    state = chance_market(seed)
    for name in ("v1", "v2")[: chance.choice((1, 1, 2))]:
        shape = {"nodes": chance.choice((1, 1, 2)), "gpus": chance.choice((8, 8, 8, 4))}
        any_fabric = shape["nodes"] > 1 and chance.random() < 0.2
        made = array(
            chance.randint(2, 7), chance.randint(0, 12), name=name, **shape, any_fabric=any_fabric
        )
        state = with_demands(state, *state.demands, *made)
    if chance.random() < 0.5:
        state = incumbents(state)
    return state


def test_an_array_larger_than_the_market_does_not_pay_its_own_limit() -> None:
    state = given_market(*array(6, 5), fabrics={"amber": 3}, on=terms(floor=1))
    assert set(winners(clear(state)).values()) == {1 * MICROS}


def test_members_pay_what_the_best_other_loser_bids_and_others_pay_what_a_waiting_member_bids() -> (
    None
):
    state = given_market(
        *array(6, 5), bid("late", 3), bid("rich", 9), fabrics={"amber": 3}, on=terms(floor=1)
    )
    assert winners(clear(state)) == {
        "rich": 5 * MICROS,
        "w1_0": 3 * MICROS,
        "w1_1": 3 * MICROS,
    }


@tried(30)
@given(seeds)
def test_winners_of_an_array_pay_as_if_its_losers_had_not_been_there(seed: int) -> None:
    state = array_market(seed)
    clearing = clear(state)
    lost = {it.demand for it in state.demands if not line_of(clearing, it.demand).seats}
    for name in {it.array for it in state.demands if it.array is not None}:
        left = [it for it in state.demands if it.array != name or it.demand not in lost]
        without = with_demands(state, *left)
        if is_decided_anew(state, without):
            continue
        alone = clear(without)
        for demand in left:
            if demand.array == name:
                line = line_of(clearing, demand.demand)
                assert line.price_micros == line_of(alone, demand.demand).price_micros


@tried(40)
@given(seeds)
def test_each_member_pays_its_critical_value_without_the_members_that_wait(seed: int) -> None:
    state = array_market(seed)
    allocation = allocate(state)
    prices = price_all(state, allocation)
    for asked, parts in zip(allocation.bids, allocation.bid_parts, strict=True):
        if parts is None or not asked.array:
            continue
        least = least_winning_limit(allocation, asked)
        assert least is not None
        drawn = max(level for part in parts for level in (*part.levels, 0))
        assert prices.paid[asked.name][0] == min(asked.limit, max(least, drawn))
