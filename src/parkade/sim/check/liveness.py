"""Whether the world comes to rest: from a state on, with arrivals stopped and machines that obey.

A *round*: the agent reports what it is due (first processes, releases of what was told to leave
or is broken), a clearing runs, and time passes to the next deadline or the end of a back-off. At
rest a round changes nothing. Then nothing may be on its way, and every claim that fits has its
nodes. At last all is cancelled and given up: then nothing is held, promised or set aside.

Roads to rest meet: what is known to come to rest from a state is remembered by its digest, so a
state costs about two rounds.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from parkade.core.billing.commitments import available_micros
from parkade.core.kernel.deadlines import next_deadline_us
from parkade.core.ledger.accounts import org_account
from parkade.core.state import commands
from parkade.core.workloads.life import Phase
from parkade.core.workloads.observed import EnginePhase
from parkade.core.workloads.workload import Attempt, Workload
from parkade.sim.check import arrays, elastic, jobs, live, span_rules
from parkade.sim.check.acts import CLEAR, DEADLINE, KILLED, Act, Kind, report, seen
from parkade.sim.check.agents import AgentSide
from parkade.sim.check.breach import require
from parkade.sim.check.canonical import digest_of
from parkade.sim.check.homes import fits_at_home
from parkade.sim.check.looking import look_at_state
from parkade.sim.check.rules import came_about
from parkade.sim.check.scenarios import Scenario
from parkade.sim.check.state import State
from parkade.sim.check.stepping import Stepper

MOST_ROUNDS = 16
"""To rest, for the worlds that are searched; more is a world that does not come to rest."""

_RESTS = (Phase.HELD, Phase.QUEUED, Phase.RUNNING)


class Liveness:
    """Looks for the rest of many states; `rounds`: the most that any of them took."""

    def __init__(self, scenario: Scenario, stepper: Stepper) -> None:
        self.rounds = 0
        self.states = 0
        self._scenario = scenario
        self._stepper = stepper
        self._known: dict[int, int] = {}

    def look(self, state: State) -> None:
        """Raises Violation where the state does not come to rest, or rests where it must not."""
        self.states += 1
        way: list[int] = []
        further = 0
        digest = digest_of(state, self._scenario)
        while True:
            if digest in self._known:
                further = self._known[digest] + 1
                break
            way.append(digest)
            require(len(way) <= MOST_ROUNDS, 0, f"no rest after {MOST_ROUNDS} clearings")
            after = self._round(state)
            following = digest_of(after, self._scenario)
            if following == digest:
                look_at_rest(state)
                self._wind_down(state)
                break
            state, digest = after, following
        for behind, passed in enumerate(reversed(way)):
            self._known[passed] = further + behind
        self.rounds = max(self.rounds, further + len(way) - 1)

    def _round(self, state: State) -> State:
        """The state after a round."""
        after = state
        for part in ROUND:
            for act in part(after):
                made = self._stepper.step(after, act)
                if made is not None:
                    after, _ = made
        waits_us = _wakes_us(after)
        if waits_us is not None:
            after = after.copy()
            after.now_us = waits_us
            made = self._stepper.step(after, DEADLINE)
            due_us = next_deadline_us(after.world)
            if made is not None and due_us is not None and due_us <= waits_us:
                after, _ = made
        look_at_state(after)
        return after

    def _wind_down(self, state: State) -> None:
        """With all cancelled and given up, nothing is held, promised or set aside."""
        for act in winding_down(state):
            made = self._stepper.step(state, act)
            if made is not None:
                state, _ = made
        digest = 0
        for _ in range(MOST_ROUNDS):
            state = self._round(state)
            before, digest = digest, digest_of(state, self._scenario)
            if digest == before:
                break
        world = state.world
        held = [node for node, holders in world.held_on.items() if holders]
        promised = [node for node, holders in world.promised_on.items() if holders]
        require(not held, 2, f"all is cancelled, and {', '.join(held)} is held")
        require(not promised, 3, f"all is cancelled, and {', '.join(promised)} is promised")
        require(not world.live, 12, f"all is cancelled, and {', '.join(world.live)} lives")
        for org in world.records.orgs:
            balance = world.ledger.balance(org_account(org))
            free = available_micros(world, org, state.now_us)
            require(free == balance, 13, f"{org} runs nothing and {balance - free} is set aside")


def _reports(state: State) -> Iterator[Act]:
    """What obedient machines report, then a clearing."""
    if state.agent is not None:
        yield from _round_of_agent(state.agent)
        yield CLEAR
        yield Act(Kind.HEARS)
        yield Act(Kind.REPORTS)
        return
    for name in list(state.world.live):
        workload = state.world.records.workloads[name]
        attempt = workload.attempt
        if attempt is None:
            continue
        if attempt.stop is not None or attempt.broken_us is not None:
            yield _reported(workload, state.now_us, KILLED)
        elif attempt.started_us is None:
            yield _reported(workload, state.now_us, None)
        elif live.is_changing(attempt):
            yield _changed(attempt, state.now_us)
    known = jobs.known_jobs(state.world)
    if known:
        yield Act(Kind.COMMAND, jobs.reported(known))
    yield CLEAR


def _starts(state: State) -> Iterator[Act]:
    """What the machines report to have begun of what was launched, then time to the next
    deadline."""
    for name in () if state.agent is not None else list(state.world.live):
        workload = state.world.records.workloads[name]
        attempt = workload.attempt
        if attempt is None or attempt.stop is not None or attempt.broken_us is not None:
            continue
        if attempt.started_us is None:
            yield _reported(workload, state.now_us, None)
        elif any(not it.has_begun for it in attempt.ranks):
            yield _changed(attempt, state.now_us)
    yield DEADLINE


ROUND = (_reports, _starts)
"""Of one round, each part once the part before it has happened."""


def _changed(attempt: Attempt, now_us: int) -> Act:
    """All that is to leave has left, and what joined has begun."""
    left, begun = live.all_left(attempt, now_us), live.all_begun(attempt, now_us)
    return Act(Kind.COMMAND, report(replace(seen(attempt, now_us, None), left=left, begun=begun)))


def _round_of_agent(agent: AgentSide) -> Iterator[Act]:
    """It hears, obeys and reports; nothing is lost."""
    yield Act(Kind.HEARS)
    for one in list(agent.live()):
        if one.stop is not None:
            yield Act(Kind.LEAVES, name=one.attempt)
        elif one.phase is EnginePhase.STARTING:
            yield Act(Kind.STARTS, name=one.attempt)
    yield Act(Kind.REPORTS)


def winding_down(state: State) -> Iterator[Act]:
    """People cancel all that lives, jobs of owners too, and give up their claims."""
    for name in state.world.live:
        yield Act(Kind.COMMAND, commands.Cancel(by=None, workload=name, now=True))
    for claim in state.world.records.claims:
        yield Act(Kind.COMMAND, commands.Unclaim(by=None, claim=claim))
    if jobs.known_jobs(state.world):
        yield Act(Kind.COMMAND, jobs.reported({}))


def _reported(workload: Workload, now_us: int, code: int | None) -> Act:
    assert workload.attempt is not None
    return Act(Kind.COMMAND, report(seen(workload.attempt, now_us, code)))


def _wakes_us(state: State) -> int | None:
    """The first end of a back-off, or when an elastic workload may grow; None where there is none.
    A deadline of its own neither has: the next clearing looks at it."""
    ends = []
    for name in state.world.live:
        workload = state.world.records.workloads[name]
        if workload.phase is Phase.QUEUED:
            ends.append(workload.not_before_us)
        ends.append(elastic.grows_from_us(state.world, workload))
    return min((at_us for at_us in ends if at_us > state.now_us), default=None)


def look_at_rest(state: State) -> None:
    """Raises Violation where something is still on its way, or a claim that fits waits."""
    world = state.world
    elastic.look_at_grown(world, state.now_us)
    arrays.look_at_rest(world)
    span_rules.look_at_rest(world)
    for name in world.live:
        workload = world.records.workloads[name]
        phase = workload.phase
        live.look_at_rest(workload)
        require(phase in _RESTS, 12, f"{name} stays {phase} for ever")
        for one in workload.waits_for:
            is_open = came_about(world.records.workloads[one.workload], one.condition) is None
            require(is_open, 36, f"{name} waits for {one} for ever")
    for claim in world.records.claims.values():
        is_promised = bool(claim.seats) and claim.seated_us is None
        require(not is_promised, 1, f"{claim.claim} stays placed for ever")
        require(not claim.replacements, 1, f"{claim.claim} is promised nodes for ever")
        if not claim.seats:
            require(
                not fits_at_home(world, claim, claim.nodes, frozenset()),
                1,
                f"{claim.claim} fits and is never served",
            )
        if claim.missing:
            has_room = fits_at_home(world, claim, 1, frozenset())
            require(not has_room, 1, f"a node for {claim.claim} is there and never given")
