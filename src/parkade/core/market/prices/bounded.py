"""A price within its bounds, at least the floors drawn and at most the limit: of a bid of one size,
and of each node of an elastic one."""

from itertools import pairwise

from parkade.core.market.layout import Parts, floors_drawn
from parkade.core.market.prices.counterfactuals import Difference, Name, PriceQuery, shifted
from parkade.core.market.prices.reruns import CriticalValue
from parkade.core.market.prices.sweep import Answer, CounterfactualSweep
from parkade.core.market.sizes import Sizes, asked_for
from parkade.core.market.spot import Bid


def ask_by_node(
    sweep: CounterfactualSweep, bid: Bid, sizes: Sizes, parts: Parts, taken: Difference
) -> None:
    """Ask what each node of an elastic winner costs, in the market without the whole of it."""
    (part,) = parts
    without = shifted({}, {}, taken)
    for number, shape in enumerate(asked_for(sizes, bid.shape, part.fabric, len(part.levels))):
        query = PriceQuery(bid.factor, False, (bid.name, number))
        sweep.add_query(without, shape, query, bid.array)


def bound_by_node(
    bid: Bid, parts: Parts, answers: dict[Name, Answer]
) -> tuple[tuple[int, str | None], ...]:
    """(price, rival) of each node: its critical value, at least the floor that it draws."""
    (part,) = parts
    found: list[tuple[int, str | None]] = []
    for number, level in enumerate(part.levels):
        micros, set_by = answers[bid.name, number]
        assert micros is not None, "a node of a winner fits without it"
        assert level <= bid.limit, "a node draws a floor that the limit does not meet"
        found.append((min(max(micros, level), bid.limit), set_by if micros >= level else None))
    assert all(a[0] <= b[0] for a, b in pairwise(found)), "a further node costs less"
    return tuple(found)


def bound_price(price: CriticalValue, bid: Bid, parts: Parts) -> tuple[int, str | None]:
    """(price, rival) of a winner: its critical value bounded by floors drawn and by its limit.

    The rival is None where a floor is the greater.
    """
    assert price.micros is not None, "a winner's shape fits without it"
    drawn = max(floors_drawn(bid.shape, parts))
    micros = max(price.micros, drawn)
    assert drawn <= bid.limit, "a winner draws floors that its limit does not meet"
    return min(micros, bid.limit), price.set_by if price.micros >= drawn else None
