"""The pass: every demand's turn in the order of right, by count of room and without names.

Who stays put is seated first, wherever it is; then reservations and on-demand (`rights`); what they
leave is stacked by floors (`supply`), and spot takes its turns on it (`spot`).
"""

from typing import NamedTuple

from parkade.core.market.layout import Ground, Parts, seat_who_stays, survey
from parkade.core.market.market_state import Book, Demand, Right
from parkade.core.market.priority import in_order_of_right
from parkade.core.market.reserved import Rights, exercise
from parkade.core.market.spot import Bid, bid_of, spot_pass
from parkade.core.market.supply import Supply, stack_floors
from parkade.core.placement.room import Room


class Pass(NamedTuple):
    """One pass over a book: `start` is spot's room before the first bid, `room` what is left.

    `bids` are those that took a turn, with their `outcome`; `parts` holds every winner's.
    """

    ground: Ground
    ordered: tuple[Demand, ...]
    rights: Rights
    supply: Supply
    start: Room
    room: Room
    bids: list[Bid]
    outcome: list[Parts | None]
    parts: dict[str, Parts]
    pinned: dict[int, str]


def run_pass(book: Book) -> Pass:
    """All turns; grows with N log N of the demands, and those that do not stay x fabrics."""
    ground = survey(book)
    ordered = in_order_of_right(book)
    _check_seats(ordered, ground)
    possible = tuple(demand for demand in ordered if demand.gpus <= ground.node_gpus)
    rights = exercise(book, ground, possible)
    supply = stack_floors(book, ground, rights)
    spot = [demand for demand in possible if demand.right is Right.SPOT]
    staying = [demand for demand in spot if demand.stays_put]
    tokens: dict[str, int] = {}
    start = Room(supply.ladders, book.gpus_per_node)
    start.tokens = rights.room.tokens
    parts = dict(rights.parts)
    for demand in staying:
        parts[demand.demand] = seat_who_stays(start, ground, demand, tokens, count_closed=True)
    for node, token in tokens.items():
        if node in ground.closed:
            start.close(token)
    bids = [bid_of(demand, ground, book.terms) for demand in spot if not demand.stays_put]
    room = start.copy()
    outcome = spot_pass(room, bids)
    for bid, taken in zip(bids, outcome, strict=True):
        if taken is not None:
            parts[bid.name] = taken
    pinned = {token: node for node, token in (rights.tokens | tokens).items()}
    return Pass(ground, ordered, rights, supply, start, room, bids, outcome, parts, pinned)


def _check_seats(ordered: tuple[Demand, ...], ground: Ground) -> None:
    """What must be true of a book: no node held beyond its GPUs, closed ones by who stays only."""
    held: dict[str, int] = {}
    for demand in ordered:
        assert demand.nodes > 0 and demand.gpus > 0, f"{demand.demand} asks for nothing"
        for seat in demand.seats:
            held[seat.node] = held.get(seat.node, 0) + seat.gpus
            assert demand.stays_put or seat.node not in ground.closed, (
                f"{demand.demand} sits on closed {seat.node} and does not stay put"
            )
    for node, gpus in held.items():
        assert gpus <= ground.node_gpus, f"{node} is held beyond its GPUs"
