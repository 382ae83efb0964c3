"""The operator's room of a book, from the calendar of a marketplace that there is.

Of each slot it can sell what `reserve` would: nodes less the buffer, less what is sold, makes room
or is in maintenance at some moment of the slot. Hours that have begun are left out, as are those
before the journal's last event.
"""

import itertools

from parkade.control.recover import from_snapshot, one_page
from parkade.core.book.curve import Curve, CurveStep
from parkade.core.fleet.market import Market
from parkade.core.state.world import World
from parkade.core.steps.buffers import held_in
from parkade.core.steps.capacity import sellable
from parkade.core.units.fraction import Fraction
from parkade.core.units.time import HOUR_US, Window
from parkade.ports import Store


class NoCalendar(Exception):
    """The journal has no such market or fabric; the message says which there are."""


class Calendar:
    """What one fabric's operator has left to sell."""

    def __init__(self, world: World, market: Market, fabric: str) -> None:
        self._world, self._market, self.fabric = world, market, fabric

    @property
    def market(self) -> str:
        """The market's name."""
        return self._market.market

    @property
    def gpus_per_node(self) -> int:
        """Of its instance type."""
        return self._market.instance_type.gpus_per_node

    def price_sheet(self) -> Curve:
        """The curve of an operator that sells at the price sheet and buys nothing back."""
        price = self._market.terms.reservation_rate_micros * self.gpus_per_node
        one, none = (Fraction(numerator=part, denominator=1) for part in (1, 0))
        return Curve(
            steps=(CurveStep(up_to=one, price_micros=price),), spread=none, bought_back=none
        )

    def room(self, boundaries: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """(nodes that can be sold in all, those of them that are sold) of each slot; `boundaries`
        are hours since 1970. Cost: slots x what is sold."""
        sizes = self._world.sizes[self.market]
        most = max(0, sizes[self.fabric] - held_in(self._world, self._market)[self.fabric])
        found = []
        for start, end in itertools.pairwise(boundaries):
            window = Window(start_us=start * HOUR_US, end_us=end * HOUR_US)
            if window.start_us < self._world.records.now_us:
                found.append((0, 0))
                continue
            left = sellable(self._world, self._market, window)[self.fabric]
            found.append((most, most - min(left, most)))
        return tuple(found)


def world_of(store: Store) -> World:
    """The world at the journal's end; StoreError where its chain is broken."""
    found = from_snapshot(store)
    while (further := one_page(store, found)) is not None:
        found = further
    return found.world


def calendar_of(world: World, market: str | None, fabric: str | None) -> Calendar:
    """The calendar of a fabric of a market; where none is named, of the only one."""
    markets = world.records.markets
    chosen = _the_only("market", market, sorted(markets))
    fabrics = sorted(world.sizes.get(chosen, {}))
    return Calendar(world, markets[chosen], _the_only("fabric", fabric, fabrics))


def _the_only(what: str, name: str | None, there: list[str]) -> str:
    if name is not None and name in there:
        return name
    if name is None and len(there) == 1:
        return there[0]
    names = ", ".join(there) or "none"
    if name is None:
        raise NoCalendar(f"name one with --{what}: {names}")
    raise NoCalendar(f"there is no {what} {name!r}; there are: {names}")
