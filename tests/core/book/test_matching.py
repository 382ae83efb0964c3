"""A matched book against all fills there are, and against what its orders say of its prices."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from parkade.core.book.building import Built
from parkade.core.book.certificate import check_certificate
from parkade.core.book.matching import match, outcome_of
from parkade.core.book.orders import Batch, Buy, Order, Sell, Step
from parkade.core.book.outcome import Matched
from tests.core.book.drawn import (
    best_worth,
    draw_batch,
    needed_of_operator,
    operator_worth,
    supporting_span,
    worth,
)

SEEDS = st.integers(0, 1_000_000)


def one_slot(*orders: Order, asks: tuple[tuple[int, int], ...] = ()) -> Batch:
    """`asks`: (nodes, price) of the operator."""
    steps = tuple(Step(slot=0, nodes=nodes, price_micros=price) for nodes, price in asks)
    return Batch(boundaries=(0, 1), orders=orders, asks=steps, bids=())


def buy(name: str, nodes: int, limit: int, *, end: int = 1, whole: bool = False) -> Buy:
    return Buy(
        order=name, org=name, start=0, end=end, nodes=nodes, limit_micros=limit, is_whole=whole
    )


def sell(name: str, nodes: int, limit: int, *, end: int = 1, by_slot: bool = True) -> Sell:
    return Sell(
        order=name, org=name, start=0, end=end, nodes=nodes, limit_micros=limit, is_by_slot=by_slot
    )


def filled(matched: Matched) -> dict[str, int]:
    """Node-slots of each order that trades."""
    found: dict[str, int] = {}
    for fill in matched.fills:
        found[fill.order] = found.get(fill.order, 0) + fill.nodes * (fill.end - fill.start)
    return found


def test_the_example_of_the_theory() -> None:
    asks = ((11, 10),)
    together = match(one_slot(buy("a", 6, 16, whole=True), buy("b", 6, 12), asks=asks))
    assert filled(together) == {"a": 6, "b": 5} and together.prices_micros == (0, 12)
    apart = match(one_slot(buy("a", 12, 16, whole=True), buy("b", 6, 12), asks=asks))
    assert filled(apart) == {"b": 6} and apart.prices_micros == (0, 10)
    assert apart.left_out == ("a",)


def test_a_price_between_a_sell_and_a_buy_lies_in_the_middle_rounded_down() -> None:
    found = match(one_slot(sell("s", 1, 8), buy("b", 1, 15), buy("c", 1, 9)))
    assert filled(found) == {"s": 1, "b": 1} and found.prices_micros == (0, 12)


def test_a_window_costs_what_its_hours_cost() -> None:
    orders = (buy("b", 2, 10, end=2), sell("s", 1, 4, end=2), sell("t", 1, 6, end=2))
    found = match(Batch(boundaries=(0, 1, 4), orders=orders, asks=(), bids=()))
    assert filled(found) == {"b": 4, "s": 2, "t": 2}
    assert found.price_of(0, 2) == found.price_of(0, 1) + found.price_of(1, 2)
    assert 4 * 6 <= found.price_of(0, 2) <= 4 * 10


def test_hours_that_none_buys_leave_a_sold_window_for_nothing() -> None:
    orders = (buy("b", 1, 30), sell("s", 1, 10, end=2, by_slot=False))
    found = match(Batch(boundaries=(0, 1, 2), orders=orders, asks=(), bids=()))
    assert filled(found) == {"b": 1, "s": 2}
    assert found.price_of(1, 2) == 0 and found.price_of(0, 1) >= 20


def test_a_sell_by_the_hour_keeps_what_none_buys() -> None:
    orders = (buy("b", 1, 30), sell("s", 1, 10, end=2))
    found = match(Batch(boundaries=(0, 1, 2), orders=orders, asks=(), bids=()))
    assert filled(found) == {"b": 1, "s": 1}


def test_an_empty_book_has_prices_of_nothing() -> None:
    assert match(one_slot()) == Matched(fills=(), prices_micros=(0, 0), left_out=())


@given(SEEDS)
def test_no_fills_are_worth_more_where_all_orders_are_divisible(seed: int) -> None:
    chance = random.Random(seed)
    batch = draw_batch(
        chance, slots=chance.randint(1, 3), orders=chance.randint(1, 4), nodes=2, whole_share=0
    )
    assert worth(batch, match(batch)) == best_worth(batch)


@given(SEEDS)
def test_with_blocks_no_fills_are_worth_more_than_the_best_and_most_reach_it(seed: int) -> None:
    batch = draw_batch(random.Random(seed), slots=2, orders=4, nodes=3, whole_share=1)
    found = match(batch)
    assert 0 <= worth(batch, found) <= best_worth(batch)
    if not found.left_out:
        assert worth(batch, found) == best_worth(batch)


@given(SEEDS)
def test_orders_trade_inside_their_limits_and_whole_where_prices_are_better(seed: int) -> None:
    batch = drawn(seed)
    found = match(batch)
    traded = filled(found)
    for order in batch.orders:
        nodes = traded.get(order.order, 0)
        match order:
            case Sell(is_by_slot=True):
                check_by_slot(batch, found, order)
            case Sell():
                gain = found.price_of(order.start, order.end) - batch.limit_of(order)
                check_divisible(order, nodes // (order.end - order.start), gain)
            case Buy():
                gain = batch.limit_of(order) - found.price_of(order.start, order.end)
                nodes //= order.end - order.start
                if not order.is_whole:
                    check_divisible(order, nodes, gain)
                else:
                    assert nodes in (0, order.nodes)
                    assert gain >= 0 or not nodes
                    assert nodes or gain <= 0 or order.order in found.left_out


def check_divisible(order: Order, nodes: int, gain: int) -> None:
    assert not nodes if gain < 0 else True
    assert nodes == order.nodes if gain > 0 else nodes <= order.nodes


def check_by_slot(batch: Batch, found: Matched, order: Sell) -> None:
    for slot in range(order.start, order.end):
        nodes = sum(
            it.nodes for it in found.fills if it.order == order.order and it.start <= slot < it.end
        )
        limit = order.limit_micros * batch.hours(slot, slot + 1)
        check_divisible(order, nodes, found.price_of(slot, slot + 1) - limit)


@given(SEEDS)
def test_the_operator_trades_its_steps_and_gives_no_node_below_an_ask(seed: int) -> None:
    batch = drawn(seed)
    found = match(batch)
    for slot, nodes in enumerate(needed_of_operator(batch, found)):
        price = found.price_of(slot, slot + 1)
        own = operator_worth(batch, slot, nodes)
        assert price >= 0 and own is not None
        for more in (-1, 1):
            other = operator_worth(batch, slot, nodes + more)
            assert other is None or own + nodes * price >= other + (nodes + more) * price


@given(SEEDS)
def test_prices_are_the_floored_middle_of_those_that_support_the_fills(seed: int) -> None:
    batch = drawn(seed)
    found = match(batch)
    most = supporting_span(batch, found)
    for start, end in itertools.combinations(range(len(batch.boundaries)), 2):
        at_most, at_least = most[start][end], most[end][start]
        assert at_least is not None and -at_least <= found.price_of(start, end)
        assert at_most is None or found.price_of(start, end) <= at_most
    for boundary in range(len(batch.boundaries)):
        at_most, at_least = most[0][boundary], most[boundary][0]
        if at_most is not None and all(
            named_prices_hold(batch, most, slot) for slot in range(boundary)
        ):
            assert at_least is not None
            assert found.prices_micros[boundary] == (at_most - at_least) // 2


def named_prices_hold(batch: Batch, most: list[list[int | None]], slot: int) -> bool:
    """Whether no price that is named is needed to bound the slot."""
    hours = batch.hours(slot, slot + 1)
    named = [it.limit_micros for it in batch.orders if it.start <= slot < it.end]
    named += [it.price_micros for it in (*batch.asks, *batch.bids) if it.slot == slot]
    at_most = most[slot][slot + 1]
    return at_most is not None and at_most <= max(named, default=0) * hours


@given(SEEDS)
def test_of_two_alike_orders_the_younger_trades_only_beside_the_whole_older(seed: int) -> None:
    batch = draw_batch(random.Random(seed), slots=2, orders=12, nodes=3, whole_share=0, prices=3)
    found = match(batch)
    traded = filled(found)
    for older, younger in itertools.combinations(batch.orders, 2):
        kind = (type(older), older.start, older.end, older.limit_micros)
        if kind != (type(younger), younger.start, younger.end, younger.limit_micros):
            continue
        is_long = older.end - older.start > 1
        if is_long and any(isinstance(it, Sell) and it.is_by_slot for it in (older, younger)):
            continue
        if traded.get(younger.order):
            assert traded.get(older.order) == older.nodes * (older.end - older.start)


@given(SEEDS)
def test_the_order_in_which_steps_come_changes_nothing(seed: int) -> None:
    batch = drawn(seed)
    turned = Batch(
        boundaries=batch.boundaries,
        orders=batch.orders,
        asks=tuple(sorted(batch.asks, key=lambda it: (-it.slot, it.price_micros))),
        bids=batch.bids,
    )
    assert match(turned) == match(batch)


@given(SEEDS)
def test_orders_may_be_filled_in_any_order(seed: int) -> None:
    """Ranks leave one best fill, so a network that was filled another way comes to the same."""
    batch = drawn(seed)
    batch = Batch(
        boundaries=batch.boundaries,
        orders=tuple(
            structs.replace(it, is_whole=False) if isinstance(it, Buy) else it
            for it in batch.orders
        ),
        asks=batch.asks,
        bids=batch.bids,
    )
    shuffled = Built(batch)
    places = list(shuffled.arcs)
    random.Random(seed).shuffle(places)
    for place in places:
        shuffled.network.fill(shuffled.arcs[place], shuffled.nodes(place))
    assert outcome_of(shuffled, frozenset()) == match(batch)


@given(SEEDS)
def test_what_is_taken_out_leaves_the_book_as_without_it(seed: int) -> None:
    batch = drawn(seed)
    whole, without = Built(batch), Built(batch)
    gone = random.Random(seed).choice([None, *whole.arcs])
    for place in whole.arcs:
        whole.network.fill(whole.arcs[place], whole.nodes(place))
        if place != gone:
            without.network.fill(without.arcs[place], without.nodes(place))
    if gone is not None:
        whole.network.take_out(whole.arcs[gone])
    assert whole.network.cost == without.network.cost
    assert whole.network.room == without.network.room


@given(SEEDS)
def test_every_matched_book_passes_its_check(seed: int) -> None:
    batch = drawn(seed)
    check_certificate(batch, match(batch))


def drawn(seed: int) -> Batch:
    """A book of some size with ties, blocks, and a few steps of the operator."""
    chance = random.Random(seed)
    return draw_batch(
        chance, slots=chance.randint(1, 6), orders=chance.randint(1, 14), nodes=chance.randint(1, 5)
    )


@pytest.mark.parametrize("seed", [38, 81, 115, 125])
def test_blocks_that_were_taken_out_come_back_where_that_is_worth_more(seed: int) -> None:
    batch = of_blocks(seed)
    once, more = (match(batch, reinsertions=reinsertions) for reinsertions in (0, 40))
    assert worth(batch, more) > worth(batch, once)
    check_certificate(batch, more)


@given(SEEDS)
def test_blocks_that_are_tried_again_never_make_it_worse(seed: int) -> None:
    batch = of_blocks(seed)
    once, more = (match(batch, reinsertions=reinsertions) for reinsertions in (0, 3))
    assert worth(batch, more) >= worth(batch, once)


def of_blocks(seed: int) -> Batch:
    """A book of which every buy is all or nothing, and large beside what is sold."""
    chance = random.Random(seed)
    return draw_batch(
        chance, slots=chance.randint(3, 8), orders=chance.randint(15, 40), nodes=12,
        whole_share=1, steps=1, prices=200,
    )  # fmt: skip
