"""What follows from a state: every act is tried, looked at, and given its form.

This is the work of a search, and it needs nothing but the states that it is handed. So it may be
done by several processes (`search`), each with a table of what it has told already.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.state import events
from parkade.sim.check.acts import Act, Kind, acts
from parkade.sim.check.breach import Violation, require
from parkade.sim.check.canonical import digest_of
from parkade.sim.check.frontier import Kept, Shelves, kept
from parkade.sim.check.liveness import Liveness
from parkade.sim.check.looking import look_at_state
from parkade.sim.check.scenarios import Scenario
from parkade.sim.check.seen import Seen
from parkade.sim.check.state import State
from parkade.sim.check.stepping import Stepper

MOST_ACTS = 1 << 8
"""Of one state: an act's number takes 8 bits beside its parent's."""


class Work(NamedTuple):
    """States of a level to expand: those at `places`, numbered from `first` on. `rest_every`: of
    each so many-th, by its number, it is looked whether it comes to rest; 0: of none. `is_last`:
    what follows is not expanded, so only its digest is told."""

    level: int
    first: int
    places: "array[int]"
    rest_every: int
    is_last: bool


class BreachAfter(NamedTuple):
    """Where an invariant does not hold: after these acts from a state."""

    invariant: int
    says: str
    number: int
    acts: tuple[int, ...]
    is_at_rest: bool


class Expanded(NamedTuple):
    """What came of some work. Of each state that followed and is new as far as the teller knows:
    its parent's number and the act in the last 8 bits, its digest, and its place unless the work is
    the last. The breach is the first in its order."""

    ways: "array[int]"
    digests: "array[int]"
    places: "array[int]"
    transitions: int
    breach: BreachAfter | None
    rested: int
    most_rounds: int


class Expander:
    """Tries acts; it keeps what it has told, the clearings that it knows and the ways to rest."""

    def __init__(self, scenario: Scenario, shelves: Shelves) -> None:
        self._scenario = scenario
        self._shelves = shelves
        self._stepper = Stepper()
        self._liveness = Liveness(scenario, self._stepper)
        self._ways, self._digests, self._places = (array("Q") for _ in range(3))
        self.seen = Seen()

    def expand(self, work: Work) -> Expanded:
        """All that follows from the states, in order, up to the first breach."""
        self._ways, self._digests, self._places = (array("Q") for _ in range(3))
        transitions = 0
        breach = None
        for number, place in enumerate(work.places, work.first):
            one = self._shelves.read(work.level, place)
            made, breach = self._expand(number, one, work)
            transitions += made
            if breach is not None:
                break
        self._shelves.flush()
        live = self._liveness
        return Expanded(
            ways=self._ways,
            digests=self._digests,
            places=self._places,
            transitions=transitions,
            breach=breach,
            rested=live.states,
            most_rounds=live.rounds,
        )

    def _expand(self, number: int, one: Kept, work: Work) -> tuple[int, BreachAfter | None]:
        state = one.state()
        transitions = 0
        try:
            self._look_at_restart(state, one)
        except Violation as violation:
            return 0, BreachAfter(violation.invariant, violation.says, number, (), False)
        if work.rest_every and number % work.rest_every == 0:
            try:
                self._liveness.look(state)
            except Violation as violation:
                return 0, BreachAfter(violation.invariant, violation.says, number, (), True)
        for index, act in enumerate(acts(state, self._scenario)):
            assert index < MOST_ACTS
            try:
                made = self._stepper.step(state, act)
                if made is None:
                    continue
                transitions += 1
                self._take(number << 8 | index, act, one, made, work)
            except Violation as violation:
                breach = BreachAfter(violation.invariant, violation.says, number, (index,), False)
                return transitions, breach
        return transitions, None

    def _take(
        self,
        way: int,
        act: Act,
        one: Kept,
        made: tuple[State, list[events.AnyEvent]],
        work: Work,
    ) -> None:
        """What follows from one act, where it is new. Raises Violation."""
        after, happened = made
        is_clearing = act.kind is Kind.CLEARING
        if is_clearing and one.clearings == 2:
            _look_at_repeated(happened)
        try:
            digest = digest_of(after, self._scenario)
        except (AssertionError, KeyError):
            # Its indexes contradict its records, so it has no form; what is wrong is told by name.
            look_at_state(after)
            raise
        if not self.seen.add(digest):
            return
        look_at_state(after)
        self._ways.append(way)
        self._digests.append(digest)
        if not work.is_last:
            # A node that turns suspect at that instant makes it another world.
            is_same = is_clearing and not any(
                isinstance(it, events.NodeHealthSet) for it in happened
            )
            clearings = min(2, one.clearings + 1) if is_same else 0
            new = kept(after, digest, clearings)
            self._places.append(self._shelves.put(work.level + 1, new))

    def _look_at_restart(self, state: State, before: Kept) -> None:
        """A writer that reads its snapshot goes on where it was."""
        due_us = next_deadline_us(state.world) or 0
        says = f"a restart moves the next deadline from {before.due_us} to {due_us}"
        require(due_us == before.due_us, 15, says)
        is_same = digest_of(state, self._scenario) == before.digest
        require(is_same, 15, "a restart of the writer changes the world")


def _look_at_repeated(happened: Sequence[events.AnyEvent]) -> None:
    """The third clearing in a row moves nothing; the second may, where two floors bind."""
    for event in happened:
        if isinstance(event, events.Cleared):
            says = "the third clearing in a row gives other seats"
            require(not event.left and not event.won and not event.claims, 4, says)
