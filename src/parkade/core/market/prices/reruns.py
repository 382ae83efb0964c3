"""A price found by running the rest of an allocation again: the definition written out.

`sweep` answers most questions for all bids at once. What it does not hold is asked here: gangs that
may use any fabrics, and pinned bids (`pinned`).
"""

from collections.abc import Callable
from typing import NamedTuple

from parkade.core.market.allocation import Allocation
from parkade.core.market.layout import Parts
from parkade.core.market.spot import FITS_NOWHERE, Bid, choose, least_floor
from parkade.core.placement.room import Room, Shape
from parkade.core.units.money import ceil_div


class CriticalValue(NamedTuple):
    """The least limit that wins, before floors drawn and the own limit bound it."""

    micros: int | None
    """Per GPU-hour; None where no limit would win."""

    set_by: str | None
    """The rival whose key set it; None where a floor did."""


def price_by_rerun(
    room: Room,
    rivals: list[Bid],
    *,
    floor: Callable[[Room], int],
    limit_to_reach: Callable[[int], int],
) -> CriticalValue:
    """Let `rivals` take their turns in `room`, which is consumed, until the shape fits no more.

    `floor(room)` is the least floor at which the shape fits; `limit_to_reach(key)` the least limit
    that comes before a rival's key. Grows with rivals x fabrics, but for rivals of a shape that was
    refused before: as room only shrinks, they cost one look.
    """
    current = floor(room)
    if current >= FITS_NOWHERE:
        return CriticalValue(None, None)
    bound: dict[Shape, int] = {}
    for rival in rivals:
        asked = limit_to_reach(rival.key)
        if current >= asked:
            break
        if bound.get(rival.shape, 0) > rival.limit:
            continue
        division = choose(room, rival, 0)
        if division is None:
            bound[rival.shape] = least_floor(room, rival.shape)
            continue
        for fabric, nodes in division:
            room.take(fabric, rival.shape, nodes)
        after = floor(room)
        assert after >= current, "a floor fell as room was taken"
        if after > asked:
            return CriticalValue(asked, rival.name)
        current = after
    return CriticalValue(current, None)


def price_winner(allocation: Allocation, at: int) -> CriticalValue:
    """The critical value of the bid at this place, by running again the turns below it."""
    assert allocation.bid_parts[at] is not None, "only winners have a critical value"
    room = allocation.start.copy()
    for bid, parts in zip(allocation.bids[:at], allocation.bid_parts[:at], strict=True):
        for part in parts or ():
            room.take(part.fabric, bid.shape, len(part.levels))
    me = allocation.bids[at]
    return price_by_rerun(
        room,
        rivals_of(me, allocation.bids[at + 1 :], allocation.bid_parts[at + 1 :]),
        floor=lambda room: least_floor(room, me.shape),
        limit_to_reach=lambda key: ceil_div(key, me.factor),
    )


def rivals_of(me: Bid, bids: list[Bid], parts: list[Parts | None]) -> list[Bid]:
    """Those of these bids that may set a winner's price: not what lost of its own array."""
    if not me.array:
        return bids
    answered = zip(bids, parts, strict=True)
    return [it for it, taken in answered if taken is not None or it.array != me.array]


def price_newcomer(allocation: Allocation, shape: Shape, factor: int) -> CriticalValue:
    """The least limit with which a bid that is not there would win, whatever the ties."""
    assert factor > 0, "a limit that counts nothing"
    return price_by_rerun(
        allocation.start.copy(),
        allocation.bids,
        floor=lambda room: least_floor(room, shape),
        limit_to_reach=lambda key: key // factor + 1,
    )
