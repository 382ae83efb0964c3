"""Alike bids of an org exchange their turns, so that none moves only to push out another.

Among equals the older comes first. Where its own fabric has no room left it takes another, and may
push out a younger one there, although it is all the same to the org which of the two goes. So the
two exchange turns once all turns are taken: the younger has that of the older, in which it keeps
its seats, and the older has what the younger got: nothing, or another fabric.

*Alike* are bids of one org, key, limit, shape, priority and array: all run, on whole and open nodes
of one fabric, and none was told where to go. Each would have done in the other's turn what the
other did: the older finds no more room at home later, for room only shrinks, and elsewhere it ranks
fabrics as the younger does. So no other bid finds other room, and no key comes before another that
did not before.

Example: a0 to a3 run on the four nodes of amber, b0 and b1 on the two of birch, all of one org, a
node each at one limit. An owner takes three nodes of amber. By age a0 keeps amber, a1 and a2 are
counted in birch, and a3, b0 and b1 lose. a1 exchanges with b0 and a2 with b1: so a1 to a3 leave,
whose nodes are gone. Decision record 235; `test_allocation.py` computes it.
"""

from collections.abc import Sequence

from parkade.core.market.layout import Parts
from parkade.core.market.spot import Bid
from parkade.core.placement.room import Shape

Kind = tuple[str, int, int, Shape, int, str]


def exchanged(bids: Sequence[Bid], parts: Sequence[Parts | None]) -> list[Bid] | None:
    """The bids in the order of their turns after all exchanges, `parts` as they stand; None where
    none is to be made. Each exchange leaves one more at home. Grows with the bids, and with those
    that exchange times the rounds, which are few."""
    found = list(bids)
    entered = _entered(bids, parts)
    alike: dict[Kind, list[int]] = {}
    for at, bid in enumerate(bids):
        if _takes_part(bid):
            alike.setdefault(_kind(bid), []).append(at)
    made = False
    for places in alike.values():
        while len(places) > 1 and (pairs := _pairs(found, parts, places, entered)):
            made = True
            for older, younger in pairs:
                found[older], found[younger] = found[younger], found[older]
    return found if made else None


def _entered(bids: Sequence[Bid], parts: Sequence[Parts | None]) -> set[int]:
    """The fabrics in which running bids of others are counted. Who leaves one of these in the count
    need not move: the seating may leave both where they are."""
    taken = zip(bids, parts, strict=True)
    return {
        it.fabric
        for bid, all_of in taken
        for it in all_of or ()
        if bid.own and it.fabric not in bid.own
    }


def _takes_part(bid: Bid) -> bool:
    shape = bid.shape
    is_whole = shape.tenant is None and shape.held is None and not shape.any_fabric
    is_free = bid.leaves < 0 and bid.goes_to < 0 and not bid.moves_if_cheaper
    return len(bid.own) == 1 and is_whole and is_free and bid.sizes is None and not bid.shared_node


def _kind(bid: Bid) -> Kind:
    return bid.org, bid.key, bid.limit, bid.shape, bid.priority, bid.array


def _pairs(
    bids: Sequence[Bid], parts: Sequence[Parts | None], places: list[int], entered: set[int]
) -> list[tuple[int, int]]:
    """(turn of one that took a fabric, turn of one that lost its seats there), each in order."""
    came: dict[int, list[int]] = {}
    went: dict[int, list[int]] = {}
    for at in places:
        taken = parts[at]
        (own,) = bids[at].own
        if taken is None or taken[0].fabric != own:
            went.setdefault(own, []).append(at)
            if taken is not None and own not in entered:
                came.setdefault(taken[0].fabric, []).append(at)
    found: list[tuple[int, int]] = []
    used = set[int]()
    for fabric, older in came.items():
        for pair in zip(older, went.get(fabric, ()), strict=False):
            if pair[0] < pair[1] and used.isdisjoint(pair):
                used.update(pair)
                found.append(pair)
    return found
