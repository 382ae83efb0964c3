"""Sentences of the console, each of the figures that it is given and of nothing else."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from parkade.api.views.reasons import SENTENCES
from parkade.core.units.phrases import counted
from parkade.core.units.visible import visible
from parkade.wire.lot import Lot, LotHolder
from parkade.wire.reservations import Reservation
from parkade.wire.scalars import format_amount
from parkade.wire.shown import command_shown

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


class Headline(NamedTuple):
    """The sentence at the top. `broken`: promises that were not kept; where there is none, nothing
    on the page is red."""

    says: str
    broken: tuple[str, ...]


def headline(
    lot: Lot,
    *,
    org: str,
    troubles: Iterable[str] = (),
    reserved: Sequence[Reservation] = (),
    today: Decimal | None = None,
) -> Headline:
    """What is true of the lot now, for an operator or for an org. `reserved`: the org's
    reservations; `today`: what was posted to it for lending since midnight, None if not known."""
    if lot.sums is None or lot.promises is None:
        return Headline("; ".join([_of_org(lot, org), *_lends(reserved, today)]), ())
    sums, promises = lot.sums, lot.promises
    works = sums.owner + sums.lent + sums.spot + sums.on_demand
    parts = [f"{works:,} of {counted(sums.gpus, 'GPU')} {_verb(works)}, {sums.lent:,} lent"]
    if promises.waits:
        parts.append(f"owners waited at most {span(promises.longest_wait)}")
    else:
        parts.append("no owner has waited")
    broken = list(troubles)
    if promises.longest_wait > promises.longest_allowed:
        broken.append(
            f"an owner waited {span(promises.longest_wait)}, the terms promise at most"
            f" {span(promises.longest_allowed)}"
        )
    if promises.books_are_balanced:
        parts.append("books balanced")
    else:
        broken.append("the accounts do not add up to zero")
    return Headline("; ".join(parts), tuple(broken))


def _of_org(lot: Lot, org: str) -> str:
    holding = [each for each in lot.holders if each.phase not in WAITING]
    waiting = [each for each in lot.holders if each.phase in WAITING]
    held = sum(seat.gpus for node in lot.nodes for seat in node.seats)
    if not lot.holders:
        return f"{org} runs nothing now"
    claims = sum(each.kind == "claim" for each in holding)
    kinds = [(len(holding) - claims, "workload"), (claims, "claim")]
    by = " and ".join(counted(count, kind) for count, kind in kinds if count)
    parts = [f"{org} holds {counted(held, 'GPU')} with {by}" if by else f"{org} holds nothing now"]
    if waiting:
        claims = sum(each.kind == "claim" for each in waiting)
        kinds = [(len(waiting) - claims, "workload"), (claims, "claim")]
        by = " and ".join(counted(count, kind) for count, kind in kinds if count)
        parts.append(f"{by} {'waits' if len(waiting) == 1 else 'wait'}")
    leaving = sum(each.notice is not None for each in holding)
    if leaving:
        parts.append(f"{leaving} {'was' if leaving == 1 else 'were'} told to leave")
    return "; ".join(parts)


def _lends(reserved: Sequence[Reservation], today: Decimal | None) -> list[str]:
    """What an org's reservations lend and earn."""
    lending = [it for it in reserved if it.lent_gpus is not None]
    if not lending:
        return []
    gpus = sum(it.nodes * it.gpus_per_node for it in lending)
    lent = sum(it.lent_gpus or 0 for it in lending)
    an_hour = sum((it.earns_per_hour or Decimal(0) for it in lending), Decimal(0))
    says = [f"lends {lent} of {counted(gpus, 'reserved GPU')} for {format_amount(an_hour)} an hour"]
    if today is not None:
        says.append(f"{format_amount(today)} was posted for lending today")
    return says


WAITING = frozenset({"held", "queued", "placed", "waiting"})
"""Phases in which nothing is held yet."""


def holds(holder: LotHolder) -> bool:
    """Whether it has its seats."""
    return holder.phase not in WAITING


def _verb(count: int) -> str:
    return "works" if count == 1 else "work"


def span(length: timedelta) -> str:
    """A length of time in its two largest units: `41 s`, `2 min 5 s`, `1 d 3 h`."""
    seconds = length.total_seconds()
    if 0 < seconds < 10:
        return f"{seconds:.1f} s"
    left = round(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts)) or "0 s"


def shown(text: object) -> str:
    """A user's text on one line: control characters are written out."""
    return visible(str(text))


def command(text: str) -> str:
    """A command as `command_shown` has it, each of its lines as a user's text."""
    return "\n".join(shown(line) for line in command_shown(text).split("\n"))


def reason(why: str) -> str:
    """Why a workload waits or leaves, as a sentence where there is one."""
    return SENTENCES.get(why, phrase(why))


def phrase(text: object) -> str:
    """A word of the machine for people: `price_to_win` is `price to win`."""
    return str(text).replace("_", " ")
