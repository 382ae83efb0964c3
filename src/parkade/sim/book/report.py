"""What a book came to, for people and programs: fills, prices by the hour, and why blocks are out.

It is written for ever: it carries a version, and new fields have a default.
"""

from datetime import timedelta

import msgspec

from parkade.core.book.advice import Advice, advise
from parkade.core.book.matching import match
from parkade.core.book.orders import Batch, Buy, Order
from parkade.core.book.outcome import Matched
from parkade.core.units.money import ceil_div, format_amount
from parkade.sim.book.file import EPOCH, Book
from parkade.wire.scalars import format_instant

VERSION = 1
MOST_ADVISED = 20
"""All-or-nothing buys that are explained; each costs some matchings."""


class FillReport(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that an order trades over a window."""

    start: str
    end: str
    nodes: int
    amount_micros: int
    """What its nodes cost, or bring, over the window."""


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """An order and what it trades; none: `fills` is empty."""

    name: str
    org: str
    side: str
    nodes: int
    limit: str
    """Per GPU-hour."""
    price: str
    """Of its window, per GPU-hour, rounded down; for a sell by the hour the mean of its hours."""
    fills: tuple[FillReport, ...]


class SlotReport(msgspec.Struct, frozen=True, kw_only=True):
    """An hour, or a day far ahead, and its one price."""

    start: str
    end: str
    price: str
    """Per GPU-hour, rounded down."""
    price_micros_per_node: int
    """For all of the slot; exact."""
    bought: int
    sold: int
    by_operator: int
    """Nodes that the operator sells, less those that it takes."""


class AdviceReport(msgspec.Struct, frozen=True, kw_only=True):
    """An all-or-nothing buy that trades nothing; each answer fills it in the same batch."""

    name: str
    is_inside: bool
    """Its limit is above the price, and it trades nothing all the same."""
    nodes: int | None
    in_parts: int | None
    limit: str | None
    """Per GPU-hour, rounded up."""


class BookReport(msgspec.Struct, frozen=True, kw_only=True):
    """A batch."""

    version: int
    orders: tuple[OrderReport, ...]
    slots: tuple[SlotReport, ...]
    advice: tuple[AdviceReport, ...]
    not_advised: int
    """All-or-nothing buys that trade nothing beyond those."""


def report_of(book: Book, batch: Batch) -> BookReport:
    """Matches a book."""
    matched = match(batch)
    traded = {fill.order for fill in matched.fills}
    waiting = [
        place
        for place, order in enumerate(batch.orders)
        if isinstance(order, Buy) and order.is_whole and order.order not in traded
    ]
    return BookReport(
        version=VERSION,
        orders=tuple(_order_report(book, batch, matched, order) for order in batch.orders),
        slots=_slot_reports(book, batch, matched),
        advice=tuple(
            _advice_report(book, batch, matched, place, advise(batch, place))
            for place in waiting[:MOST_ADVISED]
        ),
        not_advised=len(waiting[MOST_ADVISED:]),
    )


def why(advice: AdviceReport) -> str:
    """The advice as a sentence."""
    found = []
    if advice.nodes is not None:
        found.append(f"with {advice.nodes} nodes")
    if advice.in_parts is not None:
        found.append(f"without `whole` ({advice.in_parts} nodes now)")
    if advice.limit is not None:
        found.append(f"at a limit of {advice.limit}")
    head = (
        "its limit is above the price, but not all its nodes can be had at it"
        if advice.is_inside
        else "the price is not below its limit"
    )
    return f"{head}; it fills {', or '.join(found)}" if found else f"{head}; no change was found"


def _per_gpu_hour(book: Book, micros: int, hours: int) -> str:
    return format_amount(micros // (book.gpus_per_node * hours))


def _at(hour: int) -> str:
    return format_instant(EPOCH + timedelta(hours=hour))


def _order_report(book: Book, batch: Batch, matched: Matched, order: Order) -> OrderReport:
    hours = batch.hours(order.start, order.end)
    return OrderReport(
        name=order.order,
        org=order.org,
        side="buy" if isinstance(order, Buy) else "sell",
        nodes=order.nodes,
        limit=format_amount(order.limit_micros // book.gpus_per_node),
        price=_per_gpu_hour(book, matched.price_of(order.start, order.end), hours),
        fills=tuple(
            FillReport(
                start=_at(batch.boundaries[fill.start]),
                end=_at(batch.boundaries[fill.end]),
                nodes=fill.nodes,
                amount_micros=fill.nodes * matched.price_of(fill.start, fill.end),
            )
            for fill in matched.fills
            if fill.order == order.order
        ),
    )


def _slot_reports(book: Book, batch: Batch, matched: Matched) -> tuple[SlotReport, ...]:
    buys = {order.order for order in batch.orders if isinstance(order, Buy)}
    bought, sold = [0] * batch.slots, [0] * batch.slots
    for fill in matched.fills:
        side = bought if fill.order in buys else sold
        for slot in range(fill.start, fill.end):
            side[slot] += fill.nodes
    return tuple(
        SlotReport(
            start=_at(batch.boundaries[slot]),
            end=_at(batch.boundaries[slot + 1]),
            price=_per_gpu_hour(
                book, matched.price_of(slot, slot + 1), batch.hours(slot, slot + 1)
            ),
            price_micros_per_node=matched.price_of(slot, slot + 1),
            bought=bought[slot],
            sold=sold[slot],
            by_operator=bought[slot] - sold[slot],
        )
        for slot in range(batch.slots)
    )


def _advice_report(
    book: Book, batch: Batch, matched: Matched, place: int, advice: Advice
) -> AdviceReport:
    order = batch.orders[place]
    limit = advice.limit_micros
    return AdviceReport(
        name=advice.order,
        is_inside=batch.limit_of(order) > matched.price_of(order.start, order.end),
        nodes=advice.nodes,
        in_parts=advice.in_parts,
        limit=None if limit is None else format_amount(ceil_div(limit, book.gpus_per_node)),
    )
