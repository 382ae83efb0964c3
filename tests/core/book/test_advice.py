"""Advice is true of the batch that it is about."""

import random

from hypothesis import given
from msgspec import structs

from parkade.core.book.advice import advise
from parkade.core.book.matching import match
from parkade.core.book.orders import Batch, Buy
from tests.core.book.test_matching import SEEDS, buy, filled, of_blocks, one_slot


def test_a_block_hears_of_fewer_nodes_of_parts_and_of_a_limit() -> None:
    batch = one_slot(buy("gang", 16, 15, whole=True), buy("b", 5, 16), asks=((16, 10),))
    assert match(batch).left_out == ("gang",)
    found = advise(batch, 0)
    assert (found.nodes, found.in_parts, found.limit_micros) == (11, 11, 16)


def test_where_there_are_too_few_nodes_no_limit_is_named() -> None:
    batch = one_slot(buy("gang", 16, 15, whole=True), asks=((11, 10),))
    found = advise(batch, 0)
    assert (found.nodes, found.in_parts, found.limit_micros) == (11, 11, None)


def test_a_block_below_the_price_hears_of_the_limit_alone() -> None:
    batch = one_slot(buy("gang", 2, 9, whole=True), asks=((11, 10),))
    found = advise(batch, 0)
    assert (found.nodes, found.in_parts, found.limit_micros) == (None, None, 10)


@given(SEEDS)
def test_each_answer_fills_the_order_in_the_same_batch(seed: int) -> None:
    batch = of_blocks(seed)
    left_out = match(batch).left_out
    if not left_out:
        return
    name = random.Random(seed).choice(left_out)
    place = next(at for at, order in enumerate(batch.orders) if order.order == name)
    order = batch.orders[place]
    assert isinstance(order, Buy)
    found = advise(batch, place)
    if found.nodes is not None:
        assert traded(batch, place, structs.replace(order, nodes=found.nodes)) == found.nodes
    if found.in_parts is not None:
        assert traded(batch, place, structs.replace(order, is_whole=False)) == found.in_parts
    if found.limit_micros is not None:
        dearer = structs.replace(order, limit_micros=found.limit_micros)
        assert found.limit_micros > order.limit_micros
        assert traded(batch, place, dearer) == order.nodes


def traded(batch: Batch, place: int, order: Buy) -> int:
    """Nodes of an order in place of another."""
    orders = (*batch.orders[:place], order, *batch.orders[place + 1 :])
    found = filled(match(structs.replace(batch, orders=orders)))
    return found.get(order.order, 0) // (order.end - order.start)
