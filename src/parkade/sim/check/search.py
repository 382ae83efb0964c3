"""Breadth-first search: every state that can be reached in so many acts, each form once.

Theory of operation
-------------------
A *state* is a world and the present. From each state of a level, every act (`acts`) is tried on a
branch (`stepping`); what comes out is looked at by the rules and the core's `check`, and belongs to
the next level if its canonical form (`canonical`) is new.

    kept for each state           8 bytes of digest in a table that is 3/10 to 3/5 full, 8 of the
                                  parent's number and the act; and in each process that found it,
                                  the digest again
    kept for each of two levels   8 bytes of its place, and the snapshot in a file (`frontier`)

A state of the next level is read back with `decode_snapshot`, so a restart of the writer happens
before each step: its form and its next deadline must be those that the running world had.

The acts are tried by `expanding`, in this process or in several. They are handed the places of
states in order and answer in order, so which of two ways to a form is kept does not depend on their
number. They hand each other no states: each writes what it finds into files that all can read.

A breach ends the search. Breadth first, its story is one of the shortest: the numbers of the acts
on the way from the root, tried again from there (`story`).
"""

import gc
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from parkade.sim.check.canonical import digest_of
from parkade.sim.check.expanding import BreachAfter, Expanded, Work
from parkade.sim.check.frontier import MOST_WRITERS, Shelves, drop_level, kept
from parkade.sim.check.processes import Expand, expanders
from parkade.sim.check.root import root_of
from parkade.sim.check.scenarios import Scenario
from parkade.sim.check.seen import Seen
from parkade.sim.check.state import State
from parkade.sim.spent import cpu_s

AT_A_TIME = 32
"""States that a process is handed at once."""


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

    version: int = 1
    world: str
    states: int
    transitions: int
    levels: tuple[Level, ...]
    complete_depth: int
    """Every state of this depth was reached and looked at."""
    processes: int
    cpu_s: float
    """Of all processes together."""
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


class Search:
    """One search of one world, by this process or, with more than one, by so many others."""

    def __init__(
        self,
        scenario: Scenario,
        bounds: Bounds,
        *,
        processes: int = 1,
        on_level: Callable[[Level], None] | None = None,
    ) -> None:
        """`on_level` hears of each depth when all of it was reached."""
        self._scenario = scenario
        self._bounds = bounds
        self._on_level = on_level
        self._processes = processes
        assert 1 <= processes < MOST_WRITERS
        self._seen = Seen()
        self._ways = array("Q")
        """Of each state: its parent's number, and the act in the last 8 bits."""
        self._levels: list[Level] = []
        self._transitions = 0
        self._breach: BreachAfter | None = None
        self._rest: dict[int, tuple[int, int]] = {}
        self._began = (cpu_s(), time.monotonic())

    def run(self) -> Found:
        """Searches until a bound or a breach."""
        root = root_of(self._scenario)
        digest = digest_of(root, self._scenario)
        self._seen.add(digest)
        self._ways.append(0)
        self._levels.append(Level(depth=0, states=1, transitions=0))
        collected = gc.isenabled()
        gc.disable()  # A search makes no cycles.
        try:
            with tempfile.TemporaryDirectory(prefix="parkade-check-") as name:
                self._search(Path(name), root, digest)
        finally:
            if collected:
                gc.enable()
        return self._found()

    def _search(self, folder: Path, root: State, digest: int) -> None:
        """Level by level; the files of one go when it is searched."""
        shelves = Shelves(folder, root, writer=0)
        level = array("Q", [shelves.put(0, kept(root, digest, 0))])
        shelves.flush()
        with expanders(self._scenario, folder, self._processes) as expand:
            while len(level) and not self._is_deep_enough():
                following = array("Q")
                depth = len(self._levels) - 1
                if not self._search_level(level, following, expand):
                    break
                drop_level(folder, depth)
                level = following
        shelves.close()

    def _search_level(self, level: "array[int]", following: "array[int]", expand: Expand) -> bool:
        """Expands every state of a level, each at its place; false where a bound or a breach is
        reached before."""
        transitions, first = self._transitions, len(self._ways)
        for process, expanded in expand(self._work(level)):
            self._transitions += expanded.transitions
            self._rest[process] = (expanded.rested, expanded.most_rounds)
            self._keep(expanded, following)
            if expanded.breach is not None:
                self._breach = expanded.breach
                return False
            if self._is_over():
                return False
        made = Level(
            depth=len(self._levels),
            states=len(self._ways) - first,
            transitions=self._transitions - transitions,
        )
        self._levels.append(made)
        if self._on_level is not None:
            self._on_level(made)
        return True

    def _work(self, level: "array[int]") -> Iterator[Work]:
        """A level in parts. What is asked here is known before the first is handed out, for parts
        are made while others are answered."""
        bounds, depth = self._bounds, len(self._levels) - 1
        rest_every = 0
        if bounds.rest_depth is not None:
            rest_every = 1 if depth <= bounds.rest_depth else bounds.rest_every
        is_last = bounds.depth is not None and depth + 1 >= bounds.depth
        first = len(self._ways) - len(level)
        return (
            Work(depth, first + at, level[at : at + AT_A_TIME], rest_every, is_last)
            for at in range(0, len(level), AT_A_TIME)
        )

    def _keep(self, expanded: Expanded, following: "array[int]") -> None:
        """What is new of it. O(1) for each state."""
        add, ways, places = self._seen.add, self._ways, expanded.places
        for index, digest in enumerate(expanded.digests):
            if add(digest):
                ways.append(expanded.ways[index])
                if places:
                    following.append(places[index])

    def _path(self, number: int) -> tuple[int, ...]:
        """The numbers of the acts from the root to a state."""
        path: list[int] = []
        while number:
            packed = self._ways[number]
            path.append(packed & 0xFF)
            number = packed >> 8
        return tuple(reversed(path))

    def _is_deep_enough(self) -> bool:
        return self._bounds.depth is not None and len(self._levels) > self._bounds.depth

    def _is_over(self) -> bool:
        bounds = self._bounds
        if bounds.states is not None and len(self._ways) >= bounds.states:
            return True
        return bounds.seconds is not None and time.monotonic() - self._began[1] >= bounds.seconds

    def _found(self) -> Found:
        breach = self._breach
        path = () if breach is None else (*self._path(breach.number), *breach.acts)
        return Found(
            world=self._scenario.name,
            states=len(self._ways),
            transitions=self._transitions,
            levels=tuple(self._levels),
            complete_depth=len(self._levels) - 1,
            processes=self._processes,
            cpu_s=round(cpu_s() - self._began[0], 3),
            wall_s=round(time.monotonic() - self._began[1], 3),
            invariant=None if breach is None else breach.invariant,
            says="" if breach is None else breach.says,
            path=path,
            is_at_rest=breach is not None and breach.is_at_rest,
            rested=sum(states for states, _ in self._rest.values()),
            most_rounds=max((rounds for _, rounds in self._rest.values()), default=0),
        )
