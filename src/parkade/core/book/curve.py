"""What the operator sells and buys back of a slot, from its published curve.

A curve says at which price each share of what can be sold is sold: the first half at 2.00, the rest
at 2.50. What is sold already has used the lowest steps. A node of a step is bought back at the
price of the step below, less the spread: so a round trip always loses.

Example: 10 nodes can be sold, the curve is 1/2 at 2.00 and 1 at 2.50, 6 are sold, the spread is
1/10 and a fifth is bought back. Asks: 4 nodes at 2.50. Bids: 1 node at 1.80, which is 2.00 less a
tenth, and one more at 1.80, because nothing is below the first step.
"""

import itertools

import msgspec

from parkade.core.book.orders import Step
from parkade.core.units.fraction import Fraction


class CurveStep(msgspec.Struct, frozen=True, kw_only=True):
    """Up to this share of what can be sold the price is this one."""

    up_to: Fraction
    price_micros: int
    """Per node and hour."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's standing offer."""

    steps: tuple[CurveStep, ...]
    """Ascending by share and price, the last up to 1."""
    spread: Fraction
    """What a round trip loses, of the price."""
    bought_back: Fraction
    """The share of what can be sold that is bought back at most; 0: none is."""


def is_curve(curve: Curve) -> bool:
    """Whether its steps ascend to 1, and spread and share are at most 1."""
    shares = [step.up_to for step in curve.steps]
    prices = [step.price_micros for step in curve.steps]
    return (
        bool(shares)
        and shares[0].numerator > 0
        and all(_below(a, b) for a, b in itertools.pairwise(shares))
        and shares[-1].numerator == shares[-1].denominator
        and all(a < b for a, b in itertools.pairwise(prices))
        and curve.spread.is_share
        and curve.bought_back.is_share
    )


def asks_of(curve: Curve, *, slot: int, sellable: int, sold: int) -> tuple[Step, ...]:
    """What is left, step by step; `sellable` counts what is sold."""
    found = []
    for start, end, price in _ranges(curve, sellable):
        nodes = end - max(start, sold)
        if nodes > 0:
            found.append(Step(slot=slot, nodes=nodes, price_micros=price))
    return tuple(found)


def bids_of(curve: Curve, *, slot: int, sellable: int, sold: int) -> tuple[Step, ...]:
    """What is bought back of what is sold, the dearest step first."""
    share = curve.bought_back
    left = min(sold, sellable * share.numerator // share.denominator)
    found = []
    ranges = list(_ranges(curve, sellable))
    for place, (start, end, _) in reversed(list(enumerate(ranges))):
        nodes = min(left, min(end, sold) - start)
        if nodes > 0:
            below = ranges[max(place - 1, 0)][2]
            kept = curve.spread.denominator - curve.spread.numerator
            price = below * kept // curve.spread.denominator
            found.append(Step(slot=slot, nodes=nodes, price_micros=price))
            left -= nodes
    return tuple(found)


def _ranges(curve: Curve, sellable: int) -> list[tuple[int, int, int]]:
    """(first node, node after the last, price) of each step that has nodes."""
    found, start = [], 0
    for step in curve.steps:
        end = sellable * step.up_to.numerator // step.up_to.denominator
        if end > start:
            found.append((start, end, step.price_micros))
            start = end
    return found


def _below(a: Fraction, b: Fraction) -> bool:
    return a.numerator * b.denominator < b.numerator * a.denominator
