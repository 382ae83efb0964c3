"""One clearing's record, decided again from the journal before it: does it hold?

Theory of operation. The journal is read from its first entry, each entry checked against the digest
of the one before, and evolved into the world as it was when the clearing began. There the clearing
is decided once more. A decision's events share an instant, and the record may stand behind others
of them; so each place of that instant is tried until the decided events are the journal's own. They
may stand behind submissions that were taken while it was decided (`control.beside`). Whatever was
submitted at that instant and is named in the record was there before, so that is the first try.

The record *holds* where they are: winners, seats, prices, the rivals that set them and the ladder.
Where they are not, the nearest decision tells the first line that differs: the record was changed
together with all that follows, or another version of this program decided it.

Cost: to evolve all events before it, and one clearing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from parkade.api.translate.scalars import instant
from parkade.control.recover import check_link
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events, lines
from parkade.core.state.chain import GENESIS
from parkade.core.state.codec import decode_event
from parkade.core.state.world import Records, World
from parkade.core.units.refusal import Refusal
from parkade.ports import Store
from parkade.sim.whatif.reading import PAGE

MOST_OF_A_DECISION = 2_000
"""Events of one decision that are looked at behind the record."""

RECORD_VERSION = 1


class NotAClearing(ValueError):
    """There is no such entry, or it is none of a clearing; the message says which."""


class CheckedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; the form of `--json`, version 1: a field is added with a default.

    `before`: entries that were read and checked before it. `digest`: that of its entry. `won`,
    `left`, `repriced`, `waiting`: lines of the record; `priced_by_bids`: how many of its prices a
    rival's bid set. `difference`: the first line that is decided otherwise, empty where it holds.
    """

    sequence: int
    market: str
    at: str
    before: int
    digest: str
    holds: bool
    won: int
    left: int
    repriced: int
    waiting: int
    priced_by_bids: int
    difference: str = ""
    version: int = RECORD_VERSION


def check_record(store: Store, sequence: int) -> CheckedRecord:
    """Decides it again. StoreError where the journal is not whole up to it; NotAClearing."""
    entry = next(iter(store.entries(after=sequence - 1, limit=1)), None) if sequence > 0 else None
    if entry is None or entry.sequence != sequence:
        raise NotAClearing(f"the journal has no entry {sequence}")
    record = decode_event(entry.body, entry.version)
    if not isinstance(record, events.Cleared):
        raise NotAClearing(f"entry {sequence} is no clearing: it is {entry.type}")
    world, tail = _world_before(store, sequence, record.at_us)
    made, holds = _decided_again(world, tail, record)
    return CheckedRecord(
        sequence=sequence,
        market=record.market,
        at=instant(record.at_us).isoformat().replace("+00:00", "Z"),
        before=sequence - 1,
        digest=entry.digest,
        holds=holds,
        won=len(record.won),
        left=len(record.left),
        repriced=len(record.repriced),
        waiting=len(record.waiting),
        priced_by_bids=sum(it.price_set_by is not None for it in record.won)
        + sum(it.price_set_by is not None for it in record.repriced),
        difference="" if holds else _difference(record, made),
    )


def _world_before(store: Store, sequence: int, at_us: int) -> tuple[World, list[events.AnyEvent]]:
    """(the world before the record's instant, the events of that instant up to a decision's length
    behind the record)."""
    world, held = World(Records()), deque[events.AnyEvent]()
    behind = 0
    for number, event in _checked(store):
        if number > sequence:
            behind += 1
            if event.at_us != at_us or behind > MOST_OF_A_DECISION:
                break
        held.append(event)
        while number < sequence and held and held[0].at_us != at_us:
            evolve(world, held.popleft())
    while held and held[0].at_us != at_us:
        evolve(world, held.popleft())
    return world, list(held)


def _checked(store: Store) -> Iterator[tuple[int, events.AnyEvent]]:
    digest, sequence = GENESIS, 0
    while entries := store.entries(after=sequence, limit=PAGE):
        for entry in entries:
            digest = check_link(entry, sequence, digest)
            sequence = entry.sequence
            yield sequence, decode_event(entry.body, entry.version)


def _decided_again(
    world: World, tail: list[events.AnyEvent], record: events.Cleared
) -> tuple[events.Cleared | None, bool]:
    """(the record as it is decided now, whether the journal's events are those decided)."""
    end = next(at for at, event in enumerate(tail) if event == record)
    likely = named_until(tail[:end], record)
    nearest: events.Cleared | None = None
    for first, last in ((likely, end), (0, likely - 1)):
        then = world.copy()
        for event in tail[:first]:
            evolve(then, event)
        for at in range(first, last + 1):
            made = _clearing(then, record)
            decided = next((it for it in made if isinstance(it, events.Cleared)), None)
            place = _behind_submissions(tail, at)
            if record in made and tuple(tail[place : place + len(made)]) == made:
                return decided, True
            nearest = nearest or decided
            if at < last:
                evolve(then, tail[at])
    return nearest, False


def named_until(instant: Sequence[events.AnyEvent], record: events.Cleared) -> int:
    """How many of the events of an instant before a record end with the last submission that it
    names."""
    named = {_name(it) for _, of in _LINES[:-1] for it in of(record)}
    return max(
        (
            at
            for at, event in enumerate(instant, 1)
            if isinstance(event, events.Submitted) and event.workload.workload in named
        ),
        default=0,
    )


def _behind_submissions(tail: Sequence[events.AnyEvent], at: int) -> int:
    while at < len(tail) and isinstance(tail[at], events.Submitted):
        at += 1
    return at


def _clearing(world: World, record: events.Cleared) -> tuple[events.AnyEvent, ...]:
    command = commands.RunClearing(by=None, market=record.market, is_apart=record.is_apart)
    made = decide(world, command, max(world.records.now_us, record.at_us))
    return () if isinstance(made, Refusal) else made


_LINES: tuple[tuple[str, Callable[[events.Cleared], Iterable[object]]], ...] = (
    ("won", lambda it: it.won),
    ("left", lambda it: it.left),
    ("repriced", lambda it: it.repriced),
    ("waits", lambda it: it.waiting),
    ("claim", lambda it: it.claims),
    ("price to win", lambda it: it.ladder),
)


def _difference(record: events.Cleared, made: events.Cleared | None) -> str:
    """The first line of the record that is decided otherwise, or is there once alone."""
    if made is None:
        return "decided again it changes nothing"
    for says, of in _LINES:
        recorded, decided = ({_name(it): it for it in of(which)} for which in (record, made))
        for name in recorded | decided:
            if name not in decided:
                return f"{says}: {name} is in the record alone"
            if name not in recorded:
                return f"{says}: {name} is not in the record"
            if recorded[name] != decided[name]:
                return f"{says}: {name} is decided otherwise"
    return "the same lines, in another order or beside other events"


def _name(line: object) -> str:
    match line:
        case lines.Won(demand=demand) | lines.Leaving(demand=demand):
            return lines.name_of(demand)
        case lines.Waiting(demand=demand):
            return lines.name_of(demand)
        case lines.Repriced(workload=name) | lines.ClaimKept(claim=name):
            return name
        case (int(nodes), _):
            return f"{nodes} nodes"
        case _:
            return str(line)[:80]
