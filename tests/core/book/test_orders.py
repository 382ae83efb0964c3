"""What no batch may hold is refused with words."""

import pytest
from msgspec import structs

from parkade.core.book.orders import MOST_STEPS, BadBatch, Batch, Step, check_batch
from tests.core.book.test_matching import buy, one_slot, sell

STEP = Step(slot=0, nodes=1, price_micros=1)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (structs.replace(one_slot(), boundaries=(0,)), "a grid is 1 to"),
        (structs.replace(one_slot(), boundaries=(0, 0)), "ascending hours"),
        (one_slot(buy("b", 1, 1), buy("b", 1, 1)), "two orders are named b"),
        (one_slot(buy("b", 1, 1, end=2)), "b: the window lies outside"),
        (one_slot(buy("b", 1, 1, end=0)), "b: the window lies outside the grid, or is empty"),
        (one_slot(buy("b", 0, 1)), "b: 1 to 100000 nodes"),
        (one_slot(buy("b", 1, 0)), "b: the limit is more than 0"),
        (one_slot(asks=((0, 1),)), "has no nodes"),
        (structs.replace(one_slot(), bids=(STEP,) * (MOST_STEPS + 1)), "more than 64 steps"),
        (structs.replace(one_slot(), bids=(structs.replace(STEP, slot=1),)), "outside the grid"),
    ],
)
def test_it_is_refused(batch: Batch, words: str) -> None:
    with pytest.raises(BadBatch, match=words):
        check_batch(batch)


def test_an_org_does_not_trade_with_itself() -> None:
    mine = structs.replace(sell("s", 1, 5, end=2), org="b")
    batch = Batch(boundaries=(0, 1, 2, 3), orders=(buy("b", 1, 8), mine), asks=(), bids=())
    with pytest.raises(BadBatch, match="b buys with b and sells with s in the same hours"):
        check_batch(batch)
    later = structs.replace(mine, start=1)
    check_batch(structs.replace(batch, orders=(batch.orders[0], later)))
