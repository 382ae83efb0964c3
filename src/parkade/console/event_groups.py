"""Events by what they are about, and the choice among them: by kind, subject, type and time.

An event is about the first of these that it names: a workload, a claim's or its own reservation, a
node, a clearing's market, an org; else it is of the server. A clearing is found by each workload
and claim of its lines too.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from parkade.wire.feed import Event

MOST_GROUPS = 100
MOST_OF_A_GROUP = 20
MOST_IN_ORDER = 200
KINDS = ("workload", "reservation", "node", "market", "org", "server")


class Subject(NamedTuple):
    """What an event is about; `to`: its page, empty where it has none."""

    kind: str
    name: str
    to: str


class Group(NamedTuple):
    """The events about a subject, the newest first; `left_out`: how many more there are."""

    subject: Subject
    events: tuple[Event, ...]
    left_out: int


class Asked(NamedTuple):
    """What is chosen; empty or None: all."""

    kind: str
    about: str
    type: str
    start: datetime | None
    end: datetime | None


def subject_of(event: Event) -> Subject:
    """What it is about."""
    if event.workload:
        return Subject("workload", event.workload, f"/workloads/{_path(event.workload)}")
    if event.reservation:
        to = f"/reservations/{_path(event.reservation)}"
        return Subject("reservation", event.reservation, to)
    if event.claim:
        return Subject("reservation", event.claim, "/reservations")
    if event.node:
        return Subject("node", event.node, "/incidents")
    if event.market:
        return Subject("market", event.market, f"/market?market={_path(event.market)}")
    if event.org:
        return Subject("org", event.org, "")
    return Subject("server", "server", "")


def page_of(event: Event) -> str:
    """Where a single event is told in full; empty where nowhere."""
    if event.type == "Cleared":
        return f"/market/clearings/{event.sequence}"
    return subject_of(event).to


def chosen(found: Iterable[Event], asked: Asked) -> list[Event]:
    """Those that are asked for, in their order."""
    return [each for each in found if _is_asked(each, asked)]


def groups(found: Iterable[Event]) -> tuple[list[Group], int]:
    """(by subject, the one with the newest event first; how many subjects are left out)."""
    by_subject: dict[Subject, list[Event]] = {}
    for each in found:
        by_subject.setdefault(subject_of(each), []).append(each)
    made = [
        Group(subject, tuple(those[:MOST_OF_A_GROUP]), max(0, len(those) - MOST_OF_A_GROUP))
        for subject, those in by_subject.items()
    ]
    return made[:MOST_GROUPS], max(0, len(made) - MOST_GROUPS)


def types_of(found: Sequence[Event]) -> list[str]:
    """The types that occur, in order."""
    return sorted({each.type for each in found})


def _is_asked(event: Event, asked: Asked) -> bool:
    if asked.kind and subject_of(event).kind != asked.kind:
        return False
    if asked.type and event.type != asked.type:
        return False
    if asked.start is not None and event.at < asked.start:
        return False
    if asked.end is not None and event.at >= asked.end:
        return False
    return not asked.about or asked.about in _named(event)


def _named(event: Event) -> Iterator[str]:
    names = (event.workload, event.node, event.reservation, event.claim, event.org, event.market)
    yield from (it for it in (*names, event.by, event.type) if it)
    for line in event.detail.get("lines", ()):
        yield from (line[kind] for kind in ("workload", "claim") if line.get(kind))


def _path(name: str) -> str:
    return quote(name, safe="")
