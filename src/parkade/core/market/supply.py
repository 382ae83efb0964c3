"""The supply of spot: in each fabric a stack of floors, cheapest first.

A floor is what its owner receives; here every floor is the guest's, fee included. What is not
lent by a reservation is offered at the public floor. If nodes failed, the public step shrinks
first, then the lent steps in proportion, by largest remainder.
"""

from typing import NamedTuple

from parkade.core.market.layout import Layout
from parkade.core.market.market_state import MarketState
from parkade.core.market.reserved import ReservationQuota, ReservedStage
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import ceil_div

PUBLIC = ""


class Supply(NamedTuple):
    """`floors[f]`: the guest floor of each node of a fabric, ascending.

    `offered`: nodes by (guest floor, reservation or PUBLIC) in the whole market.
    """

    floors: list[list[int]]
    offered: dict[tuple[int, str], int]


def guest_floor(floor_micros: int, fee: Fraction) -> int:
    """What a guest pays at least so that the owner receives its floor: floor / (1 - fee)."""
    kept = fee.denominator - fee.numerator
    assert kept > 0, "a fee of all leaves no owner anything"
    return ceil_div(floor_micros * fee.denominator, kept)


def stack_supply(state: MarketState, layout: Layout, reserved: ReservedStage) -> Supply:
    """The steps of each fabric, adding up to what stronger reserved leave in play there."""
    pinned: dict[int, set[str]] = {}
    for demand in state.demands:
        if demand.is_pinned and demand.limit_micros is not None:
            for seat in demand.seats:
                if seat.node in layout.fabric_of:
                    pinned.setdefault(layout.fabric_of[seat.node], set()).add(seat.node)
    floors = []
    offered: dict[tuple[int, str], int] = {}
    for fabric in range(len(layout.fabrics)):
        nodes = reserved.room.free[fabric] + len(pinned.get(fabric, ()))
        offers = _lent_offers(reserved.quotas, fabric, nodes, state.terms.fee)
        public = nodes - sum(count for _, _, count in offers)
        offers.append((state.terms.public_floor_micros, PUBLIC, public))
        floors_here: list[int] = []
        for floor, source, count in sorted(offers):
            floors_here.extend([floor] * count)
            if count:
                offered[floor, source] = offered.get((floor, source), 0) + count
        floors.append(floors_here)
    return Supply(floors, offered)


def _lent_offers(
    quotas: dict[str, ReservationQuota], fabric: int, nodes: int, fee: Fraction
) -> list[tuple[int, str, int]]:
    """(guest floor, reservation, nodes) of what is lent in this fabric, `nodes` in all at most."""
    wanted = []
    for name, quota in sorted(quotas.items()):
        floor = quota.terms.floor_micros
        if floor is not None and quota.offered.get(fabric):
            wanted.append((guest_floor(floor, fee), name, quota.offered[fabric]))
    total = sum(count for _, _, count in wanted)
    if total <= nodes:
        return wanted
    exact = [(count * nodes // total, count * nodes % total) for _, _, count in wanted]
    missing = nodes - sum(whole for whole, _ in exact)
    by_remainder = sorted(range(len(wanted)), key=lambda at: (-exact[at][1], wanted[at][1]))
    raised = set(by_remainder[:missing])
    return [
        (floor, name, exact[at][0] + (at in raised)) for at, (floor, name, _) in enumerate(wanted)
    ]
