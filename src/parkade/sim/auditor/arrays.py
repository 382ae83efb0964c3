"""What arrays are, told from the events alone: each index is in one place, no more members are open
than asked for, and an array ends as its members did.

The other auditors know workloads and nothing of arrays. So this one also tells what they shall
read: a member that is opened as the submission of a workload, an array's own end and start as that
of a workload. It reads no record of the world but to compare.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.indexes import Spans
from parkade.core.workloads.choice import Choice
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload
from parkade.sim.findings import require

ENDS = ("failed", "expired", "cancelled", "succeeded")
"""An array ends as the first of these that a member did."""

INVARIANT = 37


class Expanded(NamedTuple):
    """What an event is to the auditors of workloads, and to the one of chains."""

    demands: tuple[events.AnyEvent, ...]
    chains: tuple[events.AnyEvent, ...]


@dataclass
class ArrayBook:
    """An array: its submission, its limit, and where each index is."""

    submitted: Workload
    limit_micros: int | None
    place: dict[int, str]
    """By index: `waiting`, `open`, or how it ended."""

    limits: dict[int, int] = field(default_factory=dict)
    in_markets: dict[str, int] = field(default_factory=dict)
    """By market, the limit of an array with several where it has changed."""

    of_members: dict[tuple[int, str], int] = field(default_factory=dict)
    """The same of single members."""

    max_duration_us: int | None = None
    durations: dict[int, int | None] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    retried: set[int] = field(default_factory=set)
    """Of those that wait, the ones that ended before: their attempts are numbered on."""

    is_held: bool = False
    has_started: bool = False

    def named(self, where: str) -> set[int]:
        """The indexes that are there."""
        return {index for index, place in self.place.items() if place == where}


class ArrayAuditor:
    """Follows one journal from its first entry. Raises Breach."""

    def __init__(self) -> None:
        self._arrays: dict[str, ArrayBook] = {}

    def read(self, event: events.AnyEvent) -> Expanded:
        """Takes the next event in, and says what the others shall read in its place."""
        name = getattr(event, "workload", None)
        if isinstance(event, events.Submitted) and event.workload.spec.array is not None:
            self._submit(event.workload)
            return Expanded((), (event,))
        if not isinstance(name, str):
            return Expanded((event,), (event,))
        array, _, index = name.partition("_")
        book = self._arrays.get(array)
        if book is None:
            return Expanded((event,), (event,))
        if index:
            self._read_member(book, int(index), event)
            return Expanded((event,), (event, *self._of_array(book, event)))
        return self._read_array(book, event)

    def check_world(self, world: World) -> None:
        """Every array of the world is where its events say."""
        for name, book in self._arrays.items():
            record = world.records.workloads.get(name)
            if record is None:
                continue
            state = record.array
            assert state is not None
            for where in ("waiting", *ENDS):
                found, known = set(_each(getattr(state, where))), book.named(where)
                says = f"{name}: {where} are {sorted(found)}, and by rights {sorted(known)}"
                require(found == known, INVARIANT, says)
            opened = {int(it.partition("_")[2]) for it in world.members.of(name).names}
            require(opened == book.named("open"), INVARIANT, f"{name}: {sorted(opened)} are open")
            has_ended = not opened and not book.named("waiting")
            require(record.phase.is_ended == has_ended, INVARIANT, f"{name} is {record.phase}")
            if has_ended:
                says = f"{name} ended as {record.phase}, and its members as {_end(book)}"
                require(record.phase.value == _end(book), INVARIANT, says)

    def _submit(self, workload: Workload) -> None:
        terms = workload.spec.array
        assert terms is not None
        self._arrays[workload.workload] = ArrayBook(
            submitted=workload,
            limit_micros=workload.spec.bid_limit_micros,
            max_duration_us=workload.spec.max_duration_us,
            place=dict.fromkeys(_each(terms.members), "waiting"),
            is_held=workload.phase is Phase.HELD,
        )

    def _read_member(self, book: ArrayBook, index: int, event: events.AnyEvent) -> None:
        says = f"{book.submitted.workload}_{index} is {book.place.get(index)}"
        require(book.place.get(index) == "open", INVARIANT, f"{says}, and {type(event).__name__}")
        match event:
            case events.Started():
                book.started.add(index)
            case events.Ended(phase=phase) | events.PhaseChanged(phase=phase) if phase.is_ended:
                book.place[index] = phase.value
            case _:
                pass

    def _read_array(self, book: ArrayBook, event: events.AnyEvent) -> Expanded:
        match event:
            case events.MembersOpened(members=members):
                opened = tuple(self._open(book, index, event) for index in _each(members))
                self._check_most(book)
                return Expanded(opened, (event, *opened))
            case events.MembersEnded(members=members, phase=phase):
                self._move(book, members, ("waiting",), phase.value)
                book.retried.difference_update(_each(members))
                return Expanded((), (event, *self._of_array(book, event)))
            case events.MembersRetried(members=members):
                self._move(book, members, ENDS, "waiting")
                book.retried.update(_each(members))
                return Expanded((), (event,))
            case events.BidChanged(members=members, limit_price_micros=limit, market=str(market)):
                book.of_members |= {(index, market): limit for index in _each(members)}
                if not members:
                    book.in_markets[market] = limit
                    kept = {it: one for it, one in book.of_members.items() if it[1] != market}
                    book.of_members = kept
            case events.BidChanged(members=members, limit_price_micros=limit):
                book.limits |= dict.fromkeys(_each(members), limit)
                if not members:
                    book.limit_micros, book.limits = limit, {}
            case events.BoundsChanged(members=members, max_duration_us=lasts_us):
                book.durations |= dict.fromkeys(_each(members), lasts_us)
                if not members:
                    book.max_duration_us = lasts_us
            case events.PhaseChanged(phase=phase) | events.DependenciesMet(phase=phase):
                book.is_held = phase is Phase.HELD
            case _:
                pass
        return Expanded((), (event,))

    @staticmethod
    def _limit_in(book: ArrayBook, index: int, choice: Choice) -> int:
        own = book.in_markets.get(choice.market, choice.limit_price_micros)
        return book.of_members.get((index, choice.market), own)

    def _open(self, book: ArrayBook, index: int, event: events.MembersOpened) -> events.Submitted:
        name = book.submitted.workload
        is_waiting = book.place.get(index) == "waiting"
        require(is_waiting and not book.is_held, INVARIANT, f"{name}_{index} is opened")
        book.place[index] = "open"
        spec, limit = book.submitted.spec, book.limits.get(index, book.limit_micros)
        choices = tuple(
            replace(it, limit_price_micros=self._limit_in(book, index, it)) for it in spec.choices
        )
        limit = choices[0].limit_price_micros if choices else limit
        spec = replace(
            spec,
            array=None,
            after=(),
            choices=choices,
            limit_price_micros=None if spec.entries else limit,
            spot_limit_micros=limit if spec.entries else None,
            max_duration_us=book.durations.get(index, book.max_duration_us),
        )
        member = replace(
            book.submitted,
            workload=f"{name}_{index}",
            spec=spec,
            phase=Phase.QUEUED,
            array=None,
            member_of=name,
            index=index,
            waits_for=(),
            attempts_before=event.attempts_before if index in book.retried else 0,
        )
        book.retried.discard(index)
        return events.Submitted(at_us=event.at_us, workload=member)

    def _move(self, book: ArrayBook, members: Spans, before: tuple[str, ...], after: str) -> None:
        for index in _each(members):
            says = f"{book.submitted.workload}_{index} is {book.place.get(index)}, then {after}"
            require(book.place.get(index) in before, INVARIANT, says)
            book.place[index] = after

    def _check_most(self, book: ArrayBook) -> None:
        terms = book.submitted.spec.array
        assert terms is not None
        opened = len(book.named("open"))
        is_within = terms.most_running is None or opened <= terms.most_running
        says = f"{book.submitted.workload} has {opened} open members of at most {terms}"
        require(is_within, INVARIANT, says)

    def _of_array(self, book: ArrayBook, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        """What else an event of a member is to those that wait for its array."""
        name, places = book.submitted.workload, set(book.place.values())
        if "waiting" in places:
            return
        is_begun = book.named("open") <= book.started
        if is_begun and not book.has_started:
            book.has_started = True
            yield events.Started(at_us=event.at_us, workload=name, attempt="")
        if "open" not in places:
            why = getattr(event, "why", "") or _end(book)
            yield events.PhaseChanged(
                at_us=event.at_us, workload=name, phase=Phase(_end(book)), why=why
            )


def _end(book: ArrayBook) -> str:
    return next(it for it in ENDS if it in book.place.values())


def _each(spans: Spans) -> Iterator[int]:
    for first, last in spans:
        yield from range(first, last + 1)
