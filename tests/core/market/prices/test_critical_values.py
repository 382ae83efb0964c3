"""Critical values, case by case: what each winner pays and what each loser would have to bid."""

from dataclasses import dataclass, field

import pytest

from parkade.core.market.allocation import allocate
from parkade.core.market.market_state import MarketState
from parkade.core.market.prices.critical_values import price_all
from tests.core.market.story import (
    MICROS,
    bid,
    claim,
    given_market,
    incumbents,
    on,
    on_demand,
    reserved,
    terms,
    worked_example,
)

FLOOR = terms(floor=1)
LENDS_AT_7 = reserved("acme", {"amber": 1}, lends_at=5)
"""Guests pay at least 7: the owner receives 5, the fee is 2/7."""


@dataclass(frozen=True)
class Case:
    """A market, and by hand its prices in whole units."""

    market: MarketState
    paid: dict[str, tuple[float, str | None]]
    to_win: dict[str, float] = field(default_factory=dict)
    ladder: tuple[float | None, ...] = ()


CASES = {
    "the example of the module": Case(
        worked_example(),
        paid={"a": (8, "b"), "b": (7, None)},
        to_win={"c": 8.000001},
        ladder=(8.000001, 10.000001),
    ),
    "the example of the module once it runs: b left for acme's own demand": Case(
        incumbents(worked_example(claim("own", "acme"))),
        paid={"a": (7.619048, "b")},
        to_win={"b": 10.500001, "c": 10.500001},
        ladder=(10.500001, 10.500001),
    ),
    "a single winner of the last node pays the next bid": Case(
        given_market(bid("a", 9), bid("b", 4), fabrics={"amber": 1}),
        paid={"a": (4, "b")},
        to_win={"b": 9.000001},
        ladder=(9.000001,),
    ),
    "a running winner's credit divides the next bid, rounded up": Case(
        given_market(on(bid("a", 9), "amber-0"), bid("b", 4), fabrics={"amber": 1}),
        paid={"a": (3.809524, "b")},
        to_win={"b": 9.450001},
        ladder=(9.450001,),
    ),
    "a winner without a rival pays the floor": Case(
        given_market(bid("a", 9), fabrics={"amber": 2}, on=FLOOR),
        paid={"a": (1, None)},
        ladder=(1, 9.000001),
    ),
    "winning a tie is not charged": Case(
        given_market(
            bid("a", 9, submitted_us=1), bid("b", 9, submitted_us=2), fabrics={"amber": 1}
        ),
        paid={"a": (9, "b")},
        to_win={"b": 9.000001},
        ladder=(9.000001,),
    ),
    "a gang pays the rival that takes the first node too many": Case(
        given_market(bid("gang", 9, 2), bid("x", 5), bid("y", 3), fabrics={"amber": 3}),
        # Without the gang, x and y leave it one node; without x, y takes the node of x.
        paid={"gang": (3, "y"), "x": (3, "y")},
        to_win={"y": 5.000001},
        ladder=(5.000001, 9.000001),
    ),
    "a single pays the gang that it keeps out": Case(
        given_market(bid("gang", 6, 3), bid("x", 8), fabrics={"amber": 3}),
        paid={"x": (6, "gang")},
        to_win={"gang": 8.000001},
        # A newcomer that leaves x its node takes what the gang cannot use.
        ladder=(0, 0),
    ),
    "a rival that finds room elsewhere sets no price": Case(
        given_market(bid("a", 9), bid("b", 4), fabrics={"amber": 1, "birch": 1}),
        paid={"a": (0, None), "b": (0, None)},
        ladder=(4.000001,),
    ),
    "a rival below the floor sets no price": Case(
        given_market(bid("a", 9), bid("b", 0.5), fabrics={"amber": 1}, on=FLOOR),
        paid={"a": (1, None)},
        to_win={"b": 9.000001},
        ladder=(9.000001,),
    ),
    "the dearer floor is the price once the cheaper node is gone": Case(
        given_market(
            bid("a", 9),
            bid("b", 8),
            fabrics={"amber": 1, "birch": 1},
            reservations=(LENDS_AT_7,),
            on=FLOOR,
        ),
        # Without a, b takes birch at 1, and amber at 7 is left: a would win it from 7 on, and
        # birch from the tie with b on.
        paid={"a": (7, None), "b": (7, None)},
        ladder=(8.000001,),
    ),
    "a rival that cannot pay the dearer floor sets the price of the cheaper node": Case(
        given_market(
            bid("a", 9),
            bid("b", 5),
            fabrics={"amber": 1, "birch": 1},
            reservations=(LENDS_AT_7,),
            on=FLOOR,
        ),
        paid={"a": (5, "b")},
        to_win={"b": 7},
        ladder=(7,),
    ),
    "a gang over two floors pays at least the dearer": Case(
        given_market(bid("gang", 9, 2), fabrics={"amber": 2}, reservations=(LENDS_AT_7,), on=FLOOR),
        paid={"gang": (7, None)},
        ladder=(9.000001, 9.000001),
    ),
    "a gang over any fabrics is priced by running the turns again": Case(
        given_market(
            bid("gang", 9, 2, any_fabric=True),
            bid("x", 5),
            bid("y", 3),
            fabrics={"amber": 1, "birch": 1},
        ),
        paid={"gang": (5, "x")},
        to_win={"x": 9.000001, "y": 9.000001},
        ladder=(9.000001,),
    ),
    "a loser over any fabrics is told what both nodes cost": Case(
        given_market(
            bid("x", 5),
            bid("y", 3),
            bid("gang", 2, 2, any_fabric=True),
            fabrics={"amber": 1, "birch": 1},
        ),
        # The gang cannot use one node, so it sets no price.
        paid={"x": (0, None), "y": (0, None)},
        to_win={"gang": 5.000001},
        ladder=(3.000001,),
    ),
    "work of one org below a node shares the node, so its last GPUs are not contested": Case(
        given_market(
            bid("a", 9, gpus=4, org="ant"),
            bid("b", 8, gpus=4, org="ant"),
            bid("c", 6, gpus=4, org="ant"),
            fabrics={"amber": 1},
        ),
        paid={"a": (6, "c"), "b": (6, "c")},
        to_win={"c": 8.000001},
        # A whole node is twice as many GPUs as a takes of it.
        ladder=(4.500001,),
    ),
    "work below a node of another org needs a node of its own": Case(
        given_market(
            bid("a", 9, gpus=2, org="ant"), bid("b", 6, gpus=2, org="bee"), fabrics={"amber": 1}
        ),
        paid={"a": (6, "b")},
        to_win={"b": 9.000001},
        ladder=(2.250001,),
    ),
    "work below a node needs a limit that is worth the whole node": Case(
        given_market(bid("whole", 2), bid("part", 9, gpus=1), fabrics={"amber": 1}),
        paid={"whole": (1.125, "part")},
        to_win={"part": 16.000001},
        ladder=(2.000001,),
    ),
    "jobs of a shared node together keep out what none of them could alone": Case(
        given_market(
            on(bid("a", 9, gpus=4, org="ant"), "amber-0"),
            on(bid("b", 9, gpus=4, org="ant"), "amber-0"),
            bid("rival", 8),
            fabrics={"amber": 1},
        ),
        paid={"a": (7.619048, "rival"), "b": (7.619048, "rival")},
        to_win={"rival": 9.450001},
        ladder=(9.450001,),
    ),
    "a gang with a closed node pays what its open node would cost": Case(
        given_market(
            on(bid("stays", 50, 2), "amber-0", "amber-1"),
            bid("rival", 6),
            fabrics={"amber": 2},
            closed=("amber-0",),
        ),
        paid={"stays": (5.714286, "rival")},
        to_win={"rival": 52.500001},
        ladder=(52.500001, None),
    ),
    "a gang with a closed node loses its open node to a better bid": Case(
        given_market(
            on(bid("leaves", 2, 2), "amber-0", "amber-1"),
            bid("rival", 6),
            fabrics={"amber": 2},
            closed=("amber-0",),
        ),
        paid={"rival": (2.1, "leaves")},
        to_win={"leaves": 5.714286},
        ladder=(6.000001, None),
    ),
    "a gang whose nodes are all closed pays the floor that they drew": Case(
        given_market(
            on(bid("stays", 50, 2, floor_micros=7 * MICROS), "amber-0", "amber-1"),
            bid("rival", 60),
            fabrics={"amber": 2},
            closed=("amber-0", "amber-1"),
            on=FLOOR,
        ),
        paid={"stays": (7, None)},
        ladder=(None, None),
    ),
    "a limit below the floor that a closed node drew loses it": Case(
        given_market(
            on(bid("leaves", 6, floor_micros=7 * MICROS), "amber-0"),
            fabrics={"amber": 1},
            closed=("amber-0",),
            on=FLOOR,
        ),
        paid={},
        to_win={"leaves": 7},
        ladder=(None,),
    ),
    "a gang with a closed node that finds no room beside it asks elsewhere for all of it": Case(
        given_market(
            on(bid("moves", 9, 2), "amber-0", "amber-1"),
            claim("own", "acme"),
            bid("rival", 5),
            fabrics={"amber": 2, "birch": 2},
            closed=("amber-0",),
            reservations=(reserved("acme", {"amber": 1}),),
        ),
        paid={"moves": (4.761905, "rival")},
        to_win={"rival": 9.450001},
        ladder=(9.450001, 9.450001),
    ),
    "owners and on-demand set no price": Case(
        given_market(
            claim("own", "acme"),
            on_demand("now"),
            bid("a", 9),
            fabrics={"amber": 3},
            reservations=(reserved("acme", {"amber": 1}),),
            on=FLOOR,
        ),
        paid={"a": (1, None)},
        ladder=(9.000001, None),
    ),
    "a gang larger than every fabric has no price to win": Case(
        given_market(bid("huge", 50, 3), fabrics={"amber": 2, "birch": 2}),
        paid={},
        ladder=(0, 0),
    ),
}


def micros(units: float | None) -> int | None:
    return None if units is None else round(units * MICROS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_winner_pays_its_critical_value_and_each_loser_is_told_one(case: Case) -> None:
    prices = price_all(case.market, allocate(case.market))
    paid = {name: (micros(price), rival) for name, (price, rival) in case.paid.items()}
    assert prices.paid == paid
    assert prices.to_win == {name: micros(price) for name, price in case.to_win.items()}
    assert [price for _, price in prices.ladder] == [micros(price) for price in case.ladder]
    assert [nodes for nodes, _ in prices.ladder] == [1 << at for at in range(len(case.ladder))]
