"""From a book in a file to the batch of the core; what is wrong is named with its place.

Limits and prices are per GPU-hour in the file, as everywhere outside the core; a batch has them per
node.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from parkade.core.book.curve import Curve, CurveStep, asks_of, bids_of, is_curve
from parkade.core.book.grid import MOST_HOURS_AHEAD, grid
from parkade.core.book.orders import BadBatch, Batch, Buy, Order, Sell, Step, check_batch
from parkade.core.units.fraction import parse_fraction
from parkade.core.units.money import MICROS
from parkade.sim.book.calendar import Calendar
from parkade.sim.book.file import Book, BookOperator, BookOrder
from parkade.wire.problems import Fault, invalid
from parkade.wire.yaml import Unreadable, parse

HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_book(text: str, calendar: Calendar | None = None) -> tuple[Book, Batch]:
    """A document as a book and its batch; raises Unreadable with what is wrong. `calendar`: the
    operator's room is taken from it, and its price sheet where the book has no curve."""
    book = parse(text, Book)
    return book, batch_of(book, calendar)


def batch_of(book: Book, calendar: Calendar | None = None) -> Batch:
    """The batch of a book; raises Unreadable where its orders are none."""
    if calendar is not None:
        _check_fits(book, calendar)
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
    if calendar is not None:
        asks, bids = _calendar_offer(book, calendar, boundaries)
    else:
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


def _check_fits(book: Book, calendar: Calendar) -> None:
    if book.gpus_per_node != calendar.gpus_per_node:
        raise _wrong(
            "gpus_per_node", f"nodes of market {calendar.market} have {calendar.gpus_per_node} GPUs"
        )
    if book.operator is not None and book.operator.room:
        raise _wrong("operator.room", "the room is the calendar's; leave it out")


def _curve(book: Book, operator: BookOperator) -> Curve:
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
    return curve


def _calendar_offer(
    book: Book, calendar: Calendar, boundaries: tuple[int, ...]
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    operator = book.operator
    curve = calendar.price_sheet() if operator is None else _curve(book, operator)
    asks: list[Step] = []
    bids: list[Step] = []
    for slot, (sellable, sold) in enumerate(calendar.room(boundaries)):
        asks += asks_of(curve, slot=slot, sellable=sellable, sold=sold)
        bids += bids_of(curve, slot=slot, sellable=sellable, sold=sold)
    return tuple(asks), tuple(bids)


def _offer(
    book: Book, slots: dict[int, int], spans: dict[str, tuple[int, int]]
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """What the operator asks and bids in each slot, by the book's own word."""
    operator = book.operator
    if operator is None:
        return (), ()
    curve = _curve(book, operator)
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
