"""What the operator asks and bids from its curve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.book.curve import Curve, CurveStep, asks_of, bids_of, is_curve
from parkade.core.units.fraction import Fraction, parse_fraction

CENT = 10_000


def curve(*steps: tuple[str, int], spread: str = "1/10", bought_back: str = "1/5") -> Curve:
    return Curve(
        steps=tuple(
            CurveStep(up_to=parse_fraction(share), price_micros=price) for share, price in steps
        ),
        spread=parse_fraction(spread),
        bought_back=parse_fraction(bought_back),
    )


HALVES = curve(("1/2", 200 * CENT), ("1", 250 * CENT))


def test_the_example_of_the_theory() -> None:
    asks = asks_of(HALVES, slot=3, sellable=10, sold=6)
    assert [(it.slot, it.nodes, it.price_micros) for it in asks] == [(3, 4, 250 * CENT)]
    bids = bids_of(HALVES, slot=3, sellable=10, sold=6)
    assert [(it.nodes, it.price_micros) for it in bids] == [(1, 180 * CENT), (1, 180 * CENT)]


@pytest.mark.parametrize(
    "bad",
    [
        curve(),
        curve(("1/2", 1)),
        curve(("0", 1), ("1", 2)),
        curve(("1", 1), ("1/2", 2)),
        curve(("1/2", 2), ("1", 2)),
        curve(("1", 1), spread="2"),
        curve(("1", 1), bought_back="3/2"),
    ],
)
def test_what_does_not_ascend_to_1_is_no_curve(bad: Curve) -> None:
    assert is_curve(HALVES) and not is_curve(bad)


@given(
    sellable=st.integers(1, 200),
    sold_percent=st.integers(0, 100),
    cuts=st.lists(st.integers(1, 99), max_size=4, unique=True),
    spread=st.integers(1, 10),
)
def test_a_round_trip_at_one_step_always_loses(
    sellable: int, sold_percent: int, cuts: list[int], spread: int
) -> None:
    """A node that is bought at an ask and sold back brings less than it cost."""
    steps = tuple(
        CurveStep(up_to=Fraction(numerator=cut, denominator=100), price_micros=100 + at)
        for at, cut in enumerate((*sorted(cuts), 100))
    )
    one = Curve(
        steps=steps,
        spread=Fraction(numerator=spread, denominator=100),
        bought_back=Fraction(numerator=1, denominator=1),
    )
    assert is_curve(one)
    sold = sellable * sold_percent // 100
    asks = asks_of(one, slot=0, sellable=sellable, sold=sold)
    assert sum(step.nodes for step in asks) == sellable - sold
    assert [step.price_micros for step in asks] == sorted(step.price_micros for step in asks)
    if not asks:
        return
    bids = bids_of(one, slot=0, sellable=sellable, sold=sold + 1)
    assert sum(step.nodes for step in bids) == sold + 1
    assert bids[0].price_micros < asks[0].price_micros
