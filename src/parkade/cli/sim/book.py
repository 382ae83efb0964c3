"""`parkade sim book`: what a book of windows would do with orders in a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import explaining, server_extra

if TYPE_CHECKING:
    from parkade.sim.book.report import BookReport, OrderReport, SlotReport


def book(
    file: Annotated[Path, typer.Argument(help="The orders, a YAML file; - for stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Match orders for windows of nodes as one batch: fills, prices, and what would fill the rest.

    Nothing is bought or sold: there is no book in the marketplace yet.
    """
    with server_extra():
        import msgspec

        from parkade.cli.files import named_in_faults, read_text
        from parkade.sim.book.file import read_book
        from parkade.sim.book.report import report_of
    with explaining(as_json=as_json):
        with named_in_faults(file):
            asked, batch = read_book(read_text(file))
        found = report_of(asked, batch)
        if as_json:
            sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
            return
        _show(found)


def _show(found: "BookReport") -> None:
    from parkade.cli import screen
    from parkade.sim.book.report import why

    screen.table(
        ("ORDER", "SIDE", "NODES", "LIMIT", "PRICE", "TRADES"),
        [(it.name, it.side, it.nodes, it.limit, it.price, _trades(it)) for it in found.orders],
        empty="no orders",
        right="NODES LIMIT PRICE",
    )
    screen.say("")
    screen.table(
        ("FROM", "TO", "PRICE", "BOUGHT", "SOLD", "OPERATOR"),
        [
            (first.start, last.end, first.price, first.bought, first.sold, first.by_operator)
            for first, last in _alike(found.slots)
        ],
        empty="no hours",
        right="PRICE BOUGHT SOLD OPERATOR",
    )
    if found.advice:
        screen.say("")
    for each in found.advice:
        screen.say(f"{each.name}: {why(each)}")
    if found.not_advised:
        screen.say(f"and {found.not_advised} more all-or-nothing buys trade nothing")


def _trades(order: "OrderReport") -> str:
    """`all`, `none`, or how many nodes of which windows."""
    nodes = [fill.nodes for fill in order.fills]
    if not nodes:
        return "none"
    if len(nodes) == 1 and order.side == "buy":
        return "all" if nodes[0] == order.nodes else str(nodes[0])
    return ", ".join(f"{it.nodes} from {it.start} to {it.end}" for it in order.fills)


def _alike(slots: "tuple[SlotReport, ...]") -> "list[tuple[SlotReport, SlotReport]]":
    """(first, last) of hours in a row with the same price and trades."""
    found: list[tuple[SlotReport, SlotReport]] = []
    for slot in slots:
        if found and _traits(found[-1][0]) == _traits(slot):
            found[-1] = found[-1][0], slot
        else:
            found.append((slot, slot))
    return found


def _traits(slot: "SlotReport") -> tuple[object, ...]:
    return slot.price, slot.bought, slot.sold, slot.by_operator
