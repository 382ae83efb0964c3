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
    nodes_before = {each.node: each for each in before.nodes}
    holders_before = {each.holder: each for each in before.holders}
    is_whole = before is NOTHING or nodes_before.keys() != {each.node for each in now.nodes}
    if is_whole:
        nodes_before, holders_before = {}, {}
    nodes = [_node(each) for each in now.nodes if not _is_same(nodes_before.get(each.node), each)]
    holders = [
        _holder(each)
        for each in now.holders
        if (known := holders_before.get(each.holder)) is not each and known != each
    ]
    gone = sorted(holders_before.keys() - {each.holder for each in now.holders})
    fabrics = [
        [each.market, each.fabric, each.buffer]
        for each in (now.fabrics if is_whole or before.fabrics != now.fabrics else ())
    ]
    if not (is_whole or nodes or holders or gone or fabrics):
        return None
    return {
        "whole": is_whole,
        "at": now.at.timestamp(),
        "nodes": nodes,
        "holders": holders,
        "gone": gone,
        "fabrics": fabrics,
    }


def _is_same(before: LotNode | None, now: LotNode) -> bool:
    return before is now or (before is not None and before == now)


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
