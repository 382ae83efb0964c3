"""A book in a file: orders for windows and what an operator offers, and the batch that they are.

Limits and prices are per GPU-hour, as everywhere outside the core; a batch has them per node.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from parkade.core.book.curve import Curve, CurveStep, asks_of, bids_of, is_curve
from parkade.core.book.grid import MOST_HOURS_AHEAD, grid
from parkade.core.book.orders import (
    MOST_ORDERS,
    BadBatch,
    Batch,
    Buy,
    Order,
    Sell,
    Step,
    check_batch,
)
from parkade.core.units.fraction import parse_fraction
from parkade.core.units.money import MICROS
from parkade.wire.model import Request
from parkade.wire.problems import Fault, invalid
from parkade.wire.scalars import Gpus, Instant, LimitPrice, Name, Nodes, NodesKept, Price, Share
from parkade.wire.yaml import Unreadable, parse

HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_ROOMS = 1000


class BookOrder(Request):
    """An order for whole nodes over [start, end), whole hours.

    A buy pays at most `limit` per GPU-hour, a sell takes at least that. `whole`: a buy of all nodes
    or none. `whole_window`: a sell whose nodes go for the whole window only; else each hour may be
    sold apart.
    """

    name: Name
    org: Name
    side: Literal["buy", "sell"]
    nodes: Nodes
    start: Instant
    end: Instant
    limit: LimitPrice
    whole: bool = False
    whole_window: bool = False

    @model_validator(mode="after")
    def _has_what_its_side_has(self) -> Self:
        if self.whole and self.side == "sell":
            raise ValueError("a sell is never all or nothing; leave `whole` out")
        if self.whole_window and self.side == "buy":
            raise ValueError("a buy is always of the whole window; leave `whole_window` out")
        return self


class BookRoom(Request):
    """What the operator can sell over [start, end); `sold` nodes of it are sold already."""

    nodes: Nodes
    sold: NodesKept = 0
    start: Instant
    end: Instant

    @model_validator(mode="after")
    def _has_what_is_sold(self) -> Self:
        if self.sold > self.nodes:
            raise ValueError("`sold` counts among `nodes`, and is not more")
        return self


class BookCurveStep(Request):
    """Up to this share of what can be sold, a node costs `price` per GPU-hour."""

    up_to: Share
    price: Price


class BookOperator(Request):
    """The operator's room and its curve: the shares ascend to 1, and the prices with them.

    `spread`: what a node that is bought back loses of the price of the step below. `bought_back`:
    the share of the room that is bought back at most.
    """

    room: tuple[BookRoom, ...] = Field((), max_length=MOST_ROOMS)
    curve: tuple[BookCurveStep, ...] = Field(max_length=32)
    spread: Share = "1/10"
    bought_back: Share = "0"


class Book(Request):
    """A book of one fabric, at one moment: its orders, oldest first, and the operator's offer."""

    gpus_per_node: Gpus
    orders: tuple[BookOrder, ...] = Field(max_length=MOST_ORDERS)
    operator: BookOperator | None = None


def read_book(text: str) -> tuple[Book, Batch]:
    """A document as a book and its batch; raises Unreadable with what is wrong."""
    book = parse(text, Book)
    return book, batch_of(book)


def batch_of(book: Book) -> Batch:
    """The batch of a book; raises Unreadable where its orders are none."""
    windows = [
        *((f"orders[{place}]", it.start, it.end) for place, it in enumerate(book.orders)),
        *(
            (f"operator.room[{place}]", it.start, it.end)
            for place, it in enumerate(book.operator.room if book.operator else ())
        ),
    ]
    if not windows:
        raise _wrong("document", "the book is empty; write an order, or room of the operator")
    spans = {place: _hours(place, start, end) for place, start, end in windows}
    first = min(start for start, _ in spans.values())
    last = max(end for _, end in spans.values())
    if last - first > MOST_HOURS_AHEAD:
        raise _wrong("document", "a book reaches 26 weeks from its first hour, and not further")
    boundaries = grid(first, last)
    slots = {hour: slot for slot, hour in enumerate(boundaries)}
    for place, hours in spans.items():
        for hour in hours:
            if hour not in slots:
                raise _wrong(
                    place,
                    f"{_instant(hour)} is no boundary: four weeks after the book's first hour"
                    " windows begin and end at midnight UTC",
                )
    orders = tuple(
        _order(it, book.gpus_per_node, *(slots[hour] for hour in spans[f"orders[{place}]"]))
        for place, it in enumerate(book.orders)
    )
    asks, bids = _offer(book, slots, spans)
    batch = Batch(boundaries=boundaries, orders=orders, asks=asks, bids=bids)
    try:
        check_batch(batch)
    except BadBatch as error:
        raise _wrong("orders", str(error)) from None
    return batch


def _hours(place: str, start: datetime, end: datetime) -> tuple[int, int]:
    if any((instant - EPOCH) % HOUR for instant in (start, end)):
        raise _wrong(place, "windows begin and end at whole hours UTC")
    if not EPOCH <= start < end:
        raise _wrong(place, "the window ends before it begins, or at once")
    return (start - EPOCH) // HOUR, (end - EPOCH) // HOUR


def _instant(hour: int) -> datetime:
    return EPOCH + hour * HOUR


def _wrong(place: str, message: str) -> Unreadable:
    return Unreadable(invalid([Fault(place=place, message=message)]))


def _micros(price: Decimal, gpus: int) -> int:
    return int(price * MICROS) * gpus


def _order(order: BookOrder, gpus: int, start: int, end: int) -> Order:
    limit = _micros(order.limit, gpus)
    if order.side == "buy":
        return Buy(
            order=order.name, org=order.org, start=start, end=end, nodes=order.nodes,
            limit_micros=limit, is_whole=order.whole,
        )  # fmt: skip
    return Sell(
        order=order.name, org=order.org, start=start, end=end, nodes=order.nodes,
        limit_micros=limit, is_by_slot=not order.whole_window,
    )  # fmt: skip


def _offer(
    book: Book, slots: dict[int, int], spans: dict[str, tuple[int, int]]
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """What the operator asks and bids in each slot."""
    operator = book.operator
    if operator is None:
        return (), ()
    curve = Curve(
        steps=tuple(
            CurveStep(
                up_to=parse_fraction(step.up_to),
                price_micros=_micros(step.price, book.gpus_per_node),
            )
            for step in operator.curve
        ),
        spread=parse_fraction(operator.spread),
        bought_back=parse_fraction(operator.bought_back),
    )
    if not is_curve(curve):
        raise _wrong("operator.curve", "shares ascend to 1, and prices with them")
    asks: list[Step] = []
    bids: list[Step] = []
    taken: dict[int, int] = {}
    for place, room in enumerate(operator.room):
        start, end = (slots[hour] for hour in spans[f"operator.room[{place}]"])
        for slot in range(start, end):
            if taken.setdefault(slot, place) != place:
                raise _wrong(
                    f"operator.room[{place}]",
                    f"it overlaps room {taken[slot]}; write each hour once",
                )
            asks += asks_of(curve, slot=slot, sellable=room.nodes, sold=room.sold)
            bids += bids_of(curve, slot=slot, sellable=room.nodes, sold=room.sold)
    return tuple(asks), tuple(bids)
