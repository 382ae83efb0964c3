"""What changed from one lot to the next, as the page's script takes it: short keys, a node a line.

A node or holder that is the same object did not change, so only the others are compared. `whole`
means that what was known before is void.
"""

from datetime import UTC, datetime
from typing import Any

from parkade.wire.lot import Lot, LotHolder, LotNode, LotSeat
from parkade.wire.scalars import format_amount

NOTHING = Lot.model_construct(
    sequence=-1,
    at=datetime(1970, 1, 1, tzinfo=UTC),
    nodes=(),
    holders=(),
    fabrics=(),
    sums=None,
    promises=None,
)


def change(before: Lot, now: Lot) -> dict[str, Any] | None:
    """Of what was told last, to what is now; None where nothing that is shown differs."""
    is_whole = before is NOTHING or not _are_of_same_names(before.nodes, now.nodes)
    if is_whole:
        changed, holders, gone = list(now.nodes), list(now.holders), set[str]()
    else:
        pairs = zip(before.nodes, now.nodes, strict=True)
        changed = [each for known, each in pairs if known is not each and known != each]
        holders, gone = _changed_holders(before.holders, now.holders)
    fabrics = [
        [each.market, each.fabric, each.buffer, each.lent, each.kept]
        for each in (now.fabrics if is_whole or before.fabrics != now.fabrics else ())
    ]
    if not (is_whole or changed or holders or gone or fabrics):
        return None
    return {
        "whole": is_whole,
        "at": now.at.timestamp(),
        "nodes": [_node(each) for each in changed],
        "holders": [_holder(each) for each in holders],
        "gone": sorted(gone),
        "fabrics": fabrics,
    }


def _are_of_same_names(before: tuple[LotNode, ...], now: tuple[LotNode, ...]) -> bool:
    """Whether they are the same nodes in the same order; most are the same objects."""
    if len(before) != len(now):
        return False
    pairs = zip(before, now, strict=True)
    return all(known is each or known.node == each.node for known, each in pairs)


def _changed_holders(
    before: tuple[LotHolder, ...], now: tuple[LotHolder, ...]
) -> tuple[list[LotHolder], set[str]]:
    """Those that are new or other than before, and the names of those that are gone."""
    ids_before, ids_now = {id(each) for each in before}, {id(each) for each in now}
    left = {each.holder: each for each in before if id(each) not in ids_now}
    fresh = [each for each in now if id(each) not in ids_before]
    gone = left.keys() - {each.holder for each in fresh}
    return [each for each in fresh if left.get(each.holder) != each], gone


def _node(node: LotNode) -> dict[str, Any]:
    return {
        "n": node.node,
        "m": node.market,
        "f": node.fabric,
        "g": node.gpus,
        "st": node.state,
        "y": node.says,
        "s": _seats(node.seats),
        "p": _seats(node.promised),
    }


def _seats(seats: tuple[LotSeat, ...]) -> list[list[object]]:
    return [[seat.holder, seat.gpus] for seat in seats]


def _holder(each: LotHolder) -> dict[str, Any]:
    notice = each.notice
    return {
        "h": each.holder,
        "k": each.kind,
        "name": each.name,
        "o": each.org,
        "user": each.user,
        "use": each.use,
        "cap": each.capacity,
        "ph": each.phase,
        "g": each.gpus,
        "price": None if each.price is None else format_amount(each.price),
        "limit": None if each.limit_price is None else format_amount(each.limit_price),
        "lent": each.lent or 0,
        "y": each.says,
        "notice": notice
        and {
            "from": notice.noticed.timestamp(),
            "to": notice.deadline.timestamp(),
            "kill": notice.kill.timestamp(),
            "cause": notice.cause,
        },
    }
