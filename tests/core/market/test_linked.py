"""Markets that are cleared together: where each bid stands, whatever the markets are called."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.core.market.clear import clear, winners
from parkade.core.market.linked import LinkedClearing, clear_linked
from parkade.core.market.market_state import Demand, MarketState
from parkade.core.market.outcome import Clearing, ClearingLine
from parkade.core.market.remembered import Memory
from parkade.core.units.money import MICROS
from tests.core.market.story import bid, given_market, line_of, on

Lists = dict[str, tuple[str, ...]]


def cleared(states: Mapping[str, MarketState], lists: Lists) -> LinkedClearing:
    """What it comes to, whether who wins is known before the whole outcome or not."""

    def asked(market: str, asking: frozenset[str]) -> MarketState:
        known = states[market]
        demands = tuple(it for it in known.demands if it.demand not in lists or it.demand in asking)
        return replace(known, demands=demands)

    def one(market: str, asking: frozenset[str]) -> Clearing:
        return clear(asked(market, asking))

    def remembering(market: str, asking: frozenset[str]) -> Clearing:
        return clear(asked(market, asking), memories[market])

    def winning(market: str, asking: frozenset[str]) -> frozenset[str] | None:
        return winners(asked(market, asking), memories[market])

    memories = {market: Memory() for market in states}
    markets = tuple(sorted(states))
    found = clear_linked(markets, lists, one)
    assert clear_linked(markets, lists, remembering, winning) == found
    return found


def line(found: LinkedClearing, market: str, name: str) -> ClearingLine:
    return line_of(found.outcomes[market], name)


def state(nodes: int, *demands: Demand) -> MarketState:
    return given_market(*demands, fabrics={"amber": nodes})


def test_the_worked_example_of_the_theory_of_operation() -> None:
    states = {
        "a": state(1, bid("x", 5), bid("y", 7)),
        "b": state(1, bid("x", 5), bid("z", 3)),
    }
    found = cleared(states, {"x": ("a", "b")})
    assert found.stands_in == {"x": "b"} and found.asked == {"x": ("a", "b")}
    assert line(found, "a", "y").price_micros == 5 * MICROS
    assert line(found, "b", "x").price_micros == 3 * MICROS
    assert not line(found, "a", "x").seats and not line(found, "b", "z").seats
    assert found.rounds == 2


def test_a_gang_that_loses_makes_room_and_the_one_before_it_returns() -> None:
    # g takes both nodes of a from x, and loses them to y, beside which x fits.
    states = {
        "a": state(2, bid("x", 4), bid("g", 5, 2), bid("y", 9)),
        "b": state(2, bid("x", 4), bid("g", 9, 2)),
        "c": state(1, bid("y", 2), bid("k", 3)),
    }
    found = cleared(states, {"x": ("a", "b"), "g": ("a", "b"), "y": ("c", "a")})
    assert found.stands_in == {"x": "a", "g": "b", "y": "a"}


def drawn(chance: random.Random) -> tuple[dict[str, MarketState], Lists]:
    markets = [f"m{at}" for at in range(chance.choice((2, 2, 3)))]
    demands: dict[str, list[Demand]] = {market: [] for market in markets}
    room = {market: chance.choice((1, 2, 4, 6)) for market in markets}
    free = {market: [f"amber-{it}" for it in range(room[market])] for market in markets}
    lists: Lists = {}
    for at in range(chance.choice((4, 8, 14))):
        named = tuple(chance.sample(markets, chance.choice((1, 1, 2, len(markets)))))
        size, name = chance.choice((1, 1, 2, 3)), f"w{at}"
        home = chance.choice((None, None, *named))
        seats: tuple[str, ...] = ()
        if home is not None and len(free[home]) >= size:
            seats = tuple(free[home].pop() for _ in range(size))
            named = (home, *(it for it in named if it != home))
        for market in named:
            stands = seats if market == home else ()
            limit = chance.choice((1, 2, 3, 5, 7, 9))
            demands[market].append(on(bid(name, limit, size), *stands))
        if len(named) > 1:
            lists[name] = named
    return {it: state(room[it], *demands[it]) for it in markets}, lists


@settings(max_examples=200)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_a_bid_stands_in_the_first_of_its_list_that_it_wins(seed: int) -> None:
    states, lists = drawn(random.Random(seed))
    found = cleared(states, lists)
    for name, named in lists.items():
        refused = found.refused.get(name, ())
        won = [
            market
            for market in found.asked[name]
            if market not in refused and line(found, market, name).seats
        ]
        assert won == ([] if found.stands_in[name] is None else [found.stands_in[name]])
        if won:
            assert set(found.asked[name]) <= set(named[: named.index(won[0]) + 1])
        else:
            assert {*found.asked[name], *refused} == set(named)


@settings(max_examples=200)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_the_names_of_the_markets_and_the_order_of_the_bids_decide_nothing(seed: int) -> None:
    chance = random.Random(seed)
    states, lists = drawn(chance)
    called = {it: f"{10 - at}-{it}" for at, it in enumerate(states)}
    others = {called[it]: known for it, known in reversed(states.items())}
    other_lists = {it: tuple(map(called.__getitem__, lists[it])) for it in reversed(lists)}
    found, other = cleared(states, lists), cleared(others, other_lists)
    assert {called[it]: outcome for it, outcome in found.outcomes.items()} == other.outcomes
    assert found.rounds == other.rounds


@settings(max_examples=100)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_each_market_is_what_it_would_be_alone_among_those_that_ask_there(seed: int) -> None:
    states, lists = drawn(random.Random(seed))
    found = cleared(states, lists)
    for market, known in states.items():
        asking = tuple(
            it for it in known.demands if it.demand not in lists or market in found.asked[it.demand]
        )
        assert clear(replace(known, demands=asking)) == found.outcomes[market]


def test_bids_of_one_market_each_need_one_round() -> None:
    states = {it: state(1, bid(f"{it}1", 3)) for it in "ab"}
    found = cleared(states, {})
    assert found.rounds == 1 and not found.stands_in


@pytest.mark.parametrize("named", [(), ("a", "a")])
def test_a_list_names_markets_and_each_once(named: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError):
        cleared({"a": state(1)}, {"x": named})
