"""Breadth-first search: every state that can be reached in so many acts, each form once.

Theory of operation
-------------------
A *state* is a world and the present. From each state of a level, every act (`acts`) is tried on a
branch (`stepping`); what comes out is looked at by the rules and the core's `check`, and belongs to
the next level if its canonical form (`canonical`) is new.

    kept for each state           8 bytes of digest in a table, 8 of the parent's number and the act
    kept for each of two levels   the snapshot, in a temporary file, in the codec of production

A state of the next level is read back with `decode_snapshot`, so a restart of the writer happens
before each step: its form and its next deadline must be those that the running world had.

A breach ends the search. Breadth first, its story is one of the shortest: the numbers of the acts
on the way from the root, tried again from there (`story`).
"""

import pickle
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import msgspec

from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.kernel.decide import decide
from parkade.core.state import events
from parkade.core.state.codec import decode_snapshot, encode_snapshot
from parkade.core.state.world import Records, World
from parkade.core.units.refusal import Refusal
from parkade.sim.check.acts import Act, Kind, acts
from parkade.sim.check.agents import AgentSide
from parkade.sim.check.breach import Violation, require
from parkade.sim.check.canonical import digest_of
from parkade.sim.check.liveness import Liveness
from parkade.sim.check.looking import look_at_state
from parkade.sim.check.scenarios import START_US, Scenario
from parkade.sim.check.seen import Seen
from parkade.sim.check.state import State
from parkade.sim.check.stepping import Stepper, apply, take_due

MOST_ACTS = 1 << 8
"""Of one state: an act's number takes 8 bits beside its parent's."""


CLEARING_FIRST = 0
"""The number of the clearing among the acts of every state."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How far a search goes; it ends at the first bound that it reaches. None: no such bound."""

    depth: int | None = None
    states: int | None = None
    seconds: float | None = None
    rest_depth: int | None = 3
    """Of every state to this depth it is looked whether it comes to rest; None: of none at all."""
    rest_every: int = 100
    """And of each so many-th beyond it."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one depth."""

    depth: int
    states: int
    """New ones."""
    transitions: int
    """Acts that led to a state, new or not, from the depth before."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found."""

    world: str
    states: int
    transitions: int
    levels: tuple[Level, ...]
    complete_depth: int
    """Every state of this depth was reached and looked at."""
    cpu_s: float
    wall_s: float
    invariant: int | None
    """Of the breach; None: there is none."""
    says: str
    path: tuple[int, ...]
    """The numbers of the acts that lead to the breach."""
    is_at_rest: bool
    """Whether the breach shows on the way to rest, with arrivals stopped after these acts."""
    rested: int
    """States from which the way to rest was looked at."""
    most_rounds: int
    """Clearings until the world was at rest, at most."""


def root_of(scenario: Scenario) -> State:
    """The state from which a world is searched."""
    agent = AgentSide(START_US) if scenario.has_agent else None
    state = State(World(Records()), START_US, agent)
    for command in scenario.setup:
        outcome = decide(state.world, command, state.now_us)
        assert not isinstance(outcome, Refusal), f"the setup is refused: {outcome}"
        apply(state, outcome, [])
        take_due(state, [])
    look_at_state(state)
    return state


class Search:
    """One search of one world."""

    def __init__(self, scenario: Scenario, bounds: Bounds) -> None:
        self._scenario = scenario
        self._bounds = bounds
        self._stepper = Stepper()
        self._liveness = Liveness(scenario, self._stepper)
        self._seen = Seen()
        self._parents = array("Q")
        self._levels: list[Level] = []
        self._transitions = 0
        self._began = (time.process_time(), time.monotonic())

    def run(self) -> Found:
        """Searches until a bound or a breach."""
        root = root_of(self._scenario)
        digest = digest_of(root, self._scenario)
        self._seen.add(digest)
        self._parents.append(0)
        self._levels.append(Level(depth=0, states=1, transitions=0))
        level, following = _Frontier(), _Frontier()
        level.put(0, root, digest)
        try:
            while len(level) and not self._is_deep_enough():
                if self._search_level(level, following):
                    break
                level.close()
                level, following = following, _Frontier()
        except _Stopped as stopped:
            return self._found(stopped)
        finally:
            level.close()
            following.close()
        return self._found(None)

    def _search_level(self, level: "_Frontier", following: "_Frontier") -> bool:
        """Expands every state of a level; true where a bound is reached before its end."""
        transitions, first = self._transitions, len(self._parents)
        for number, state, before in level.states():
            self._look_at_restart(number, state, before)
            self._look_at_rest(number, state)
            if self._expand(number, state, following):
                return True
        made = Level(
            depth=len(self._levels),
            states=len(self._parents) - first,
            transitions=self._transitions - transitions,
        )
        self._levels.append(made)
        return False

    def _expand(self, number: int, state: State, following: "_Frontier") -> bool:
        """Tries every act; true where a bound is reached."""
        is_last = self._bounds.depth is not None and len(self._levels) >= self._bounds.depth
        for index, act in enumerate(acts(state, self._scenario)):
            assert index < MOST_ACTS
            try:
                after = self._look(number, state, act)
            except Violation as violation:
                raise _Stopped(violation, (*self._path(number), index)) from violation
            if after is None:
                continue
            self._parents.append(number << 8 | index)
            if not is_last:
                following.put(len(self._parents) - 1, *after)
        return self._is_over()

    def _look_at_restart(self, number: int, state: State, before: "_Before") -> None:
        """A writer that reads its snapshot goes on where it was."""
        due_us = next_deadline_us(state.world) or 0
        try:
            says = f"a restart moves the next deadline from {before.due_us} to {due_us}"
            require(due_us == before.due_us, 15, says)
            is_same = digest_of(state, self._scenario) == before.digest
            require(is_same, 15, "a restart of the writer changes the world")
        except Violation as violation:
            raise _Stopped(violation, self._path(number)) from violation

    def _look_at_rest(self, number: int, state: State) -> None:
        """Of all states near the root, and of a sample beyond."""
        rest_depth = self._bounds.rest_depth
        if rest_depth is None:
            return
        is_near = len(self._levels) - 1 <= rest_depth
        if not is_near and number % self._bounds.rest_every:
            return
        try:
            self._liveness.look(state)
        except Violation as violation:
            raise _Stopped(violation, self._path(number), is_at_rest=True) from violation

    def _look(self, number: int, state: State, act: Act) -> tuple[State, int] | None:
        """The state after an act, where it is new, and its digest; every rule is asked. Raises
        Violation."""
        made = self._stepper.step(state, act)
        if made is None:
            return None
        after, happened = made
        self._transitions += 1
        if act.kind is Kind.CLEARING:
            self._look_at_repeated(number, happened)
        try:
            digest = digest_of(after, self._scenario)
        except (AssertionError, KeyError):
            # Its indexes contradict its records, so it has no form; what is wrong is told by name.
            look_at_state(after)
            raise
        if not self._seen.add(digest):
            return None
        look_at_state(after)
        return after, digest

    def _look_at_repeated(self, number: int, happened: Sequence[events.AnyEvent]) -> None:
        """The third clearing in a row moves nothing; the second may, where two floors bind."""
        for _ in range(2):
            if number == 0 or self._parents[number] & 0xFF != CLEARING_FIRST:
                return
            number = self._parents[number] >> 8
        for event in happened:
            if isinstance(event, events.Cleared):
                says = "the third clearing in a row gives other seats"
                require(not event.left and not event.won, 4, says)

    def _path(self, number: int) -> tuple[int, ...]:
        """The numbers of the acts from the root to a state."""
        path: list[int] = []
        while number:
            packed = self._parents[number]
            path.append(packed & 0xFF)
            number = packed >> 8
        return tuple(reversed(path))

    def _is_deep_enough(self) -> bool:
        return self._bounds.depth is not None and len(self._levels) > self._bounds.depth

    def _is_over(self) -> bool:
        bounds = self._bounds
        if bounds.states is not None and len(self._parents) >= bounds.states:
            return True
        return bounds.seconds is not None and time.monotonic() - self._began[1] >= bounds.seconds

    def _found(self, stopped: "_Stopped | None") -> Found:
        return Found(
            world=self._scenario.name,
            states=len(self._parents),
            transitions=self._transitions,
            levels=tuple(self._levels),
            complete_depth=len(self._levels) - 1,
            cpu_s=round(time.process_time() - self._began[0], 3),
            wall_s=round(time.monotonic() - self._began[1], 3),
            invariant=None if stopped is None else stopped.violation.invariant,
            says="" if stopped is None else stopped.violation.says,
            path=() if stopped is None else stopped.path,
            is_at_rest=stopped is not None and stopped.is_at_rest,
            rested=self._liveness.states,
            most_rounds=self._liveness.rounds,
        )


class _Stopped(Exception):
    """A breach and the way to it."""

    def __init__(
        self, violation: Violation, path: tuple[int, ...], *, is_at_rest: bool = False
    ) -> None:
        super().__init__(violation.says)
        self.violation = violation
        self.path = path
        self.is_at_rest = is_at_rest


class _Frontier:
    """The states of one level, in a file that goes when it is dropped."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="parkade-check-")  # noqa: SIM115
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """The file is gone."""
        self._file.close()

    def put(self, number: int, state: State, digest: int) -> None:
        """Keeps a state; its form and its next deadline are compared when it is read back."""
        body = encode_snapshot(state.world)
        agent = b"" if state.agent is None else pickle.dumps(state.agent)
        due_us = next_deadline_us(state.world) or 0
        head = (number, state.now_us, due_us, digest, len(body), len(agent))
        self._file.write(b"".join(it.to_bytes(8, "little") for it in head) + body + agent)
        self._count += 1

    def states(self) -> Iterator[tuple[int, State, "_Before"]]:
        """Each with its number, in order, as a restarted writer would have it, and what it was
        before the restart."""
        self._file.seek(0)
        for _ in range(self._count):
            head = self._file.read(48)
            number, now_us, due_us, digest, of_world, of_agent = (
                int.from_bytes(head[at : at + 8], "little") for at in range(0, 48, 8)
            )
            world = decode_snapshot(self._file.read(of_world))
            # Written by this process into a file that no other one can open.
            agent = pickle.loads(self._file.read(of_agent)) if of_agent else None
            state = State(world, now_us, agent)
            yield number, state, _Before(due_us, digest)


class _Before(NamedTuple):
    """What a state was before the restart."""

    due_us: int
    digest: int
