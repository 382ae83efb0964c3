"""A journal as what was asked and what followed by itself.

Theory of operation. A journal keeps events, not commands. But `decide` is pure: of a command that
is guessed from an event, deciding it in the world as it was then shows whether it is the one. So
the journal is walked once, with the world that it gives. Where the next deadline's own events come
next, they followed by themselves. Else the commands that the next few events may come from are
decided, and the first whose events are the journal's next is taken. What no guess explains is kept
as a fact and counted: a clock that jumped, and what an older program decided otherwise.

A clearing may have been decided before submissions of its instant that come before its events
(`control.beside`). So where a run of them comes before one, the world before the run is kept, and
such a clearing is a fact that is explained.

Example: `WithdrawalCharged`, `PhaseChanged(cancelled)`. The first gives no guess that fits; the
second gives `Cancel`, which makes both. So one command explains two events.
"""

from collections.abc import Iterable, Sequence

import msgspec

from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events
from parkade.core.state.world import Records, World
from parkade.core.units.refusal import Refusal
from parkade.sim.whatif.guesses import guesses
from parkade.sim.whatif.one_clearing import named_until

MOST_AHEAD = 40
"""Events of one decision before the one that tells which command it was."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A command, with the instant at which it is decided; `gives`: the id or name that the
    workload, claim or reservation got which it made, if it made one."""

    now_us: int
    command: commands.AnyCommand
    gives: str | None = None


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """The earliest deadline is taken."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is taken as it stands. `is_explained`: of a clearing that is decided so before
    submissions of its instant, which come before it."""

    event: events.AnyEvent
    is_explained: bool = False


Step = Asked | Deadline | Fact


def explain(journal: Sequence[events.AnyEvent]) -> list[Step]:
    """The steps whose events are the journal, in order. Cost: each decision once, and a few guesses
    that do not fit."""
    world = World(Records())
    steps: list[Step] = []
    at = 0
    kept: tuple[int, World] | None = None
    while at < len(journal):
        if _begins_before_a_clearing(journal, at):
            kept = at, world.copy()
        step, made = _next_step(world, journal, at)
        found: list[Step] = [step]
        if isinstance(step, Fact) and kept is not None:
            if beside := _decided_before(*kept, journal, at):
                made = beside
                found = [Fact(event=event, is_explained=True) for event in made]
            kept = None
        for event in made:
            evolve(world, event)
        steps += found
        at += len(made)
    return steps


def _next_step(
    world: World, journal: Sequence[events.AnyEvent], at: int
) -> tuple[Step, tuple[events.AnyEvent, ...]]:
    event = journal[at]
    if isinstance(event, events.ClockJumped | events.ClockAdvanced):
        return Fact(event=event), (event,)
    due_us = next_deadline_us(world)
    if due_us is not None and due_us <= max(world.records.now_us, event.at_us):
        made = take_deadline(world)
        if _is_next(journal, at, made):
            return Deadline(), made
    for key in journal[at : at + MOST_AHEAD]:
        now_us = max(world.records.now_us, key.at_us)
        for command in guesses(world, key):
            decided = _decided(world, command, now_us)
            if _is_next(journal, at, decided):
                gives = _name_given(decided)
                return Asked(now_us=now_us, command=command, gives=gives), decided
        if key.by != event.by:
            break
    return Fact(event=event), (event,)


def _begins_before_a_clearing(journal: Sequence[events.AnyEvent], at: int) -> bool:
    """Whether a run of submissions begins here, behind which a clearing stands at their instant."""
    if not _is_submission(journal[at], journal[at]):
        return False
    if at and _is_submission(journal[at - 1], journal[at]):
        return False
    end = at
    while end < len(journal) and _is_submission(journal[end], journal[at]):
        end += 1
    return _record_at(journal, end, journal[at].at_us) is not None


def _is_submission(event: events.AnyEvent, other: events.AnyEvent) -> bool:
    return isinstance(event, events.Submitted) and event.at_us == other.at_us


def _record_at(journal: Sequence[events.AnyEvent], at: int, at_us: int) -> events.Cleared | None:
    """The clearing among the events that one decision may have made from here on."""
    for event in journal[at : at + MOST_AHEAD]:
        if event.at_us != at_us:
            break
        if isinstance(event, events.Cleared):
            return event
    return None


def _decided_before(
    first: int, world: World, journal: Sequence[events.AnyEvent], at: int
) -> tuple[events.AnyEvent, ...]:
    """The events of the clearing that comes next, where it was decided before submissions that come
    before it; `world` is that before `first`, and is used up."""
    record = _record_at(journal, at, journal[at].at_us)
    run = journal[first:at]
    if record is None or not all(_is_submission(it, journal[at]) for it in run):
        return ()
    for event in run[: named_until(run, record)]:
        evolve(world, event)
    command = commands.RunClearing(by=None, market=record.market)
    decided = _decided(world, command, max(world.records.now_us, record.at_us))
    return decided if _is_next(journal, at, decided) else ()


def _name_given(made: Iterable[events.AnyEvent]) -> str | None:
    for event in made:
        match event:
            case events.Submitted(workload=it):
                return it.workload
            case events.Claimed(claim=claim):
                return claim.claim
            case (
                events.Reserved(reservation=reservation)
                | events.ReservationDivided(part=reservation)
            ):
                return reservation.reservation
            case _:
                pass
    return None


def _decided(
    world: World, command: commands.AnyCommand, now_us: int
) -> tuple[events.AnyEvent, ...]:
    """What a guess gives; nothing where it is refused or cannot be."""
    try:
        made = decide(world, command, now_us)
    except (AssertionError, KeyError):
        return ()
    return () if isinstance(made, Refusal) else made


def _is_next(journal: Sequence[events.AnyEvent], at: int, made: Iterable[events.AnyEvent]) -> bool:
    found = tuple(made)
    return bool(found) and tuple(journal[at : at + len(found)]) == found


def facts_of(steps: Iterable[Step]) -> dict[str, int]:
    """What was taken as it stands and is not explained, by kind of event."""
    found: dict[str, int] = {}
    for step in steps:
        if isinstance(step, Fact) and not step.is_explained:
            kind = type(step.event).__name__
            found[kind] = found.get(kind, 0) + 1
    return dict(sorted(found.items()))
