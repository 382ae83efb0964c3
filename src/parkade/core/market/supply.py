"""The supply of spot: in each fabric a stack of floors, cheapest first.

A floor is what its owner receives; here every floor is the guest's, fee included. What is not
lent by a reservation is offered at the public floor. If nodes failed, the public step shrinks
first, then the lent steps in proportion, by largest remainder. Where an owner stands on nodes that
another lends, because its own fabric was full, that other lends what the first left at home.

Example: public floor 1, fee 2/7; owner one lends 2 nodes of a fabric at floor 5, owner two lends 1
at floor 3. With 6 nodes left by the reserved stage its guest floors are [1, 1, 1, 4.2, 7, 7], with
3 left [4.2, 7, 7]. With one left, one's part is 2/3 of it and two's 1/3: it is one's, [7].
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from parkade.core.market.entitlement import Entitlement
from parkade.core.market.market_state import MarketState
from parkade.core.market.reserved_room import ReservedStage
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import ceil_div

PUBLIC = ""
"""The source of what no reservation lends; sorts before every reservation."""

LentOffer = tuple[int, str, int]
"""Guest floor, reservation, nodes."""


class Supply(NamedTuple):
    """What spot may draw; floors in micro-units per GPU-hour."""

    floors: list[list[int]]
    """The guest floor of each node of each fabric, ascending."""

    offered: dict[tuple[int, str], int]
    """Nodes by (guest floor, reservation or PUBLIC) in the whole market."""


def guest_floor(floor_micros: int, fee: Fraction) -> int:
    """The least price at which the owner receives its floor: floor / (1 - fee), rounded up.

    Micro-units per GPU-hour, both.
    """
    kept = fee.denominator - fee.numerator
    assert kept > 0, "a fee of all leaves no owner anything"
    assert floor_micros >= 0, "a floor below zero"
    return ceil_div(floor_micros * fee.denominator, kept)


def stack_supply(state: MarketState, reserved: ReservedStage) -> Supply:
    """The floors of each fabric, one for each open node that the reserved stage left there.

    Closed nodes are not supplied, as if they had failed. Grows with nodes, and fabrics x
    reservations.
    """
    fee, entitlements = state.terms.fee, reserved.entitlements
    wanted = _lent_by_fabric(entitlements, len(reserved.room.free), fee)
    lent = [
        _lent_offers(offers, nodes)
        for offers, nodes in zip(wanted, reserved.room.free, strict=True)
    ]
    for fabric, offer in _lent_for_owners_abroad(entitlements, lent, reserved.room.free, fee):
        lent[fabric].append(offer)
    floors = []
    offered: dict[tuple[int, str], int] = {}
    for fabric, offers in enumerate(lent):
        nodes = reserved.room.free[fabric]
        public = nodes - sum(count for _, _, count in offers)
        offers.append((state.terms.public_floor_micros, PUBLIC, public))
        floors_here: list[int] = []
        for floor, source, count in sorted(offers):
            floors_here.extend([floor] * count)
            if count:
                offered[floor, source] = offered.get((floor, source), 0) + count
        assert len(floors_here) == nodes, "the steps do not add up to the nodes in play"
        floors.append(floors_here)
    return Supply(floors, offered)


def _lent_for_owners_abroad(
    entitlements: dict[str, Entitlement],
    lent: list[list[LentOffer]],
    free: list[int],
    fee: Fraction,
) -> Iterator[tuple[int, LentOffer]]:
    """(fabric, offer) of lenders whose nodes an owner of another fabric stands on: they lend what
    it left at home instead, where that owner's floor was no lower than theirs."""
    if not any(it.abroad for it in entitlements.values()):
        return
    missing = [_not_offered(entitlements, fabric, offers) for fabric, offers in enumerate(lent)]
    public = [
        nodes - sum(count for _, _, count in offers)
        for nodes, offers in zip(free, lent, strict=True)
    ]
    for guest in entitlements.values():
        left = {fabric: guest.left_at_home(fabric) for fabric in sorted(guest.left_in)}
        most = guest.terms.floor_micros
        for fabric, abroad in sorted(guest.abroad.items()):
            for host, wanted in sorted(missing[fabric].items()):
                floor = entitlements[host].terms.floor_micros
                if floor is None or most is None or floor > most:
                    continue
                for home in left:
                    given = min(wanted, abroad, left[home], public[home])
                    if given > 0:
                        wanted, abroad = wanted - given, abroad - given
                        left[home] -= given
                        public[home] -= given
                        missing[fabric][host] = wanted
                        yield home, (guest_floor(floor, fee), host, given)


def _not_offered(
    entitlements: dict[str, Entitlement], fabric: int, offers: list[LentOffer]
) -> dict[str, int]:
    """How many nodes less than it lends each reservation can offer in a fabric."""
    here = {name: count for _, name, count in offers}
    lends = {name: it.offered.get(fabric, 0) for name, it in entitlements.items()}
    return {name: lends[name] - here.get(name, 0) for name in lends if lends[name]}


def _lent_by_fabric(
    entitlements: dict[str, Entitlement], fabrics: int, fee: Fraction
) -> list[list[LentOffer]]:
    """Of each fabric (guest floor, reservation, nodes) of what is lent there, by name."""
    found: list[list[LentOffer]] = [[] for _ in range(fabrics)]
    for name, entitlement in sorted(entitlements.items()):
        micros = entitlement.terms.floor_micros
        if micros is not None and entitlement.offered:
            floor = guest_floor(micros, fee)
            for fabric, nodes in entitlement.offered.items():
                if nodes:
                    found[fabric].append((floor, name, nodes))
    return found


def _lent_offers(wanted: list[LentOffer], nodes: int) -> list[LentOffer]:
    """What is lent in a fabric, `nodes` in all at most.

    Where more is lent than there is, nodes are divided pro rata by largest remainder, ties by name.
    """
    total = sum(count for _, _, count in wanted)
    if total <= nodes:
        return wanted
    exact = [(count * nodes // total, count * nodes % total) for _, _, count in wanted]
    missing = nodes - sum(whole for whole, _ in exact)
    by_remainder = sorted(range(len(wanted)), key=lambda at: (-exact[at][1], wanted[at][1]))
    assert 0 <= missing < len(wanted), "remainders do not add up"
    raised = set(by_remainder[:missing])
    return [
        (floor, name, exact[at][0] + (at in raised)) for at, (floor, name, _) in enumerate(wanted)
    ]


def highest_floor(state: MarketState) -> int:
    """The highest guest floor of a market, whether drawn or not."""
    lent = (it.floor_micros for it in state.reservations if it.floor_micros is not None)
    floors = (guest_floor(floor, state.terms.fee) for floor in lent)
    return max([state.terms.public_floor_micros, *floors])


class DrawnFloors:
    """Which floors the named nodes of a seating draw: in each fabric the lowest first.

    `floor_beyond`: that of a node past the floors of a fabric (the seating may fill a fabric that
    the allocation left room in). `is_one`: whether one floor holds everywhere, so that every price
    covers it.
    """

    __slots__ = ("_beyond", "_drawn", "_floors", "is_one")

    def __init__(self, floors: list[list[int]], floor_beyond: int) -> None:
        self.is_one = all(not it or it[0] == it[-1] == floor_beyond for it in floors)
        self._floors = floors
        self._beyond = floor_beyond
        self._drawn: list[dict[str, int]] = [{} for _ in floors]

    def copy(self) -> "DrawnFloors":
        """An independent state with the same floors."""
        twin = DrawnFloors([], self._beyond)
        twin.is_one, twin._floors = self.is_one, self._floors
        twin._drawn = [drawn.copy() for drawn in self._drawn]
        return twin

    def highest(self, fabric: int, nodes: Iterable[str]) -> int:
        """The highest floor these nodes would draw if they were seated next."""
        drawn = self._drawn[fabric]
        opened = [node for node in nodes if node not in drawn]
        if not opened:
            return max((drawn[node] for node in nodes), default=0)
        return self._at(fabric, len(drawn) + len(opened) - 1)

    def release(self, fabric: int, node: str) -> None:
        """Undo a draw, as if the dearest of those drawn in the fabric were free again."""
        assert node in self._drawn[fabric], "a floor is released that was not drawn"
        del self._drawn[fabric][node]

    def forget(self, fabric: int) -> None:
        """Undo all draws of a fabric."""
        self._drawn[fabric] = {}

    def draw(self, fabric: int, node: str) -> int:
        """The floor of a node; draws one if it has none yet."""
        drawn = self._drawn[fabric]
        level = drawn.get(node)
        if level is None:
            level = drawn[node] = self._at(fabric, len(drawn))
            assert level <= self._beyond, "a floor above the highest"
        return level

    def _at(self, fabric: int, position: int) -> int:
        """The floor of the node that is drawn after so many others."""
        floors = self._floors[fabric]
        return floors[position] if position < len(floors) else self._beyond
