"""One step of the search: an act on a branch, as the production cycle would carry it out.

Deadlines that are due come first and each at its own time, then the command is decided and its
events are evolved; then the deadlines that it made due at once. Rules are asked about every event
before it is evolved, the core's own `check` afterwards.

The clearing of a state is asked for again and again in states that differ in nothing that a market
sees. So its pure middle, `market.clear`, is remembered by what it was given, instants and use by
their order alone.
"""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.clearing import changes
from parkade.core.clearing.entries import cleared_by_entries, entries_taken
from parkade.core.clearing.linking import clear_together, linked_with
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.market import clear as market
from parkade.core.market.market_state import MarketState
from parkade.core.market.outcome import Clearing
from parkade.core.state import commands, events
from parkade.core.steps.refusals import Decision
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import DAY_US
from parkade.ports import Observation
from parkade.sim.check import arrays, elastic, rules, span_rules
from parkade.sim.check.acts import Act, Kind
from parkade.sim.check.agents import AgentSide, plane_intake
from parkade.sim.check.breach import Violation, violation_of
from parkade.sim.check.scenarios import TICK_US
from parkade.sim.check.state import State

MOST_DEADLINES = 64
"""At one instant; more is a deadline that comes again and again."""
HORIZON_US = DAY_US
"""A deadline that is further away is none: the periods and retentions of the worlds."""
MOST_REMEMBERED = 20_000

_encode = msgspec.msgpack.Encoder().encode


class Stepper:
    """Carries out acts; it keeps the clearings that it has seen."""

    def __init__(self) -> None:
        self._clearings: dict[bytes, Clearing] = {}

    def step(self, before: State, act: Act) -> tuple[State, list[events.AnyEvent]] | None:
        """The state after an act and what happened; None where nothing follows (refused, or no
        event and no time that passes). Raises Violation."""
        try:
            return self._step(before, act)
        except Violation:
            raise
        except Exception as error:
            raise violation_of(error) from error

    def _step(self, before: State, act: Act) -> tuple[State, list[events.AnyEvent]] | None:
        decided: tuple[events.AnyEvent, ...] = ()
        due_us = None
        if act.command is not None:
            # A decision changes nothing, so a refused command needs no branch.
            decided = self._decided(before, act.command)
            if not decided:
                return None
        else:
            due_us = next_deadline_us(before.world)
            if due_us is not None and due_us > before.now_us + HORIZON_US:
                due_us = None
            if act.kind is Kind.DEADLINE and due_us is None:
                return None
        state = before.copy()
        happened: list[events.AnyEvent] = []
        if act.kind is Kind.TICK:
            state.now_us = min(due_us or state.now_us + TICK_US, state.now_us + TICK_US)
        elif act.kind is Kind.DEADLINE:
            assert due_us is not None
            state.now_us = max(due_us, state.now_us)
        apply(state, decided, happened)
        take_due(state, happened)
        if state.agent is not None:
            self._of_agent(state, state.agent, act, happened)
            take_due(state, happened)
        return state, happened

    def _of_agent(
        self, state: State, agent: AgentSide, act: Act, happened: list[events.AnyEvent]
    ) -> None:
        """What agent, network and engine do, and what the plane notices of silence."""
        now_us = state.now_us
        match act.kind:
            case Kind.COMMAND | Kind.CLEARING:
                return
            case Kind.TICK | Kind.DEADLINE:
                agent.pass_time(now_us)
            case Kind.HEARS:
                agent.hear(state.world, now_us)
            case Kind.ACTS:
                agent.act(now_us)
            case Kind.REPORTS | Kind.UNANSWERED:
                seen = agent.observe(now_us)
                self._hear(state, agent, seen, happened)
                if act.kind is Kind.REPORTS:
                    agent.answered(seen, now_us)
            case Kind.SENDS:
                agent.sent = agent.observe(now_us)
            case Kind.ARRIVES:
                assert agent.sent is not None
                self._hear(state, agent, agent.sent, happened)
            case Kind.AGENT_RESTARTS:
                agent.restart()
            case Kind.PLANE_RESTARTS:
                agent.intake = plane_intake(now_us)
            case Kind.STARTS:
                agent.start(act.name, now_us)
            case Kind.SUCCEEDS | Kind.FAILS:
                agent.end(act.name, int(act.kind is Kind.FAILS), now_us)
            case Kind.LEAVES:
                agent.end(act.name, None, now_us)
            case _:
                assert_never(act.kind)
        pools = state.world.records.pools.values()
        for command in tuple(agent.intake.reachability(pools, now_us)):
            apply(state, self._decided(state, command), happened)

    def _hear(
        self, state: State, agent: AgentSide, seen: Observation, happened: list[events.AnyEvent]
    ) -> None:
        """The plane hears an observation, as `control.plane` does."""
        sequence, now_us = state.world.records.sequence, state.now_us
        taken = agent.intake.take(seen, desired=sequence, now_us=now_us, steady_us=now_us)
        if taken.command is not None:
            decided = self._decided(state, taken.command)
            apply(state, decided, happened)
            agent.intake.decided(seen, decided, desired=sequence, steady_us=now_us)

    def _decided(self, state: State, command: commands.AnyCommand) -> tuple[events.AnyEvent, ...]:
        outcome: Decision
        if isinstance(command, commands.RunClearing):
            outcome = self.clearing(state, command)
        else:
            outcome = decide(state.world, command, state.now_us)
        if isinstance(outcome, Refusal):
            return ()
        rules.look_at_decision(state.world, command, outcome, state.now_us)
        return outcome

    def clearing(self, state: State, command: commands.RunClearing) -> tuple[events.AnyEvent, ...]:
        """As `changes.run_clearing`, with the markets' answers remembered."""
        world, now_us = state.world, state.now_us
        markets = linked_with(world, command.market)
        then, _, together = cleared_by_entries(
            world,
            markets,
            lambda then, _: clear_together(then, markets, now_us, clear=self._cleared),
            now_us,
        )
        postings = Postings(then)
        taken = entries_taken(world, markets, then, postings, now_us)
        return (*taken, *changes.difference(then, together, now_us, postings))

    def _cleared(self, asked: MarketState) -> Clearing:
        key = _encode(_as_ranked(asked))
        answer = self._clearings.get(key)
        if answer is None:
            if len(self._clearings) >= MOST_REMEMBERED:
                self._clearings.clear()
            answer = self._clearings[key] = market.clear(asked)
            elastic.look_at_prices(asked, answer, market.clear)
            arrays.look_at_prices(asked, answer, market.clear)
        return answer


def apply(
    state: State, outcome: tuple[events.AnyEvent, ...], happened: list[events.AnyEvent]
) -> None:
    """Evolves events, each looked at before."""
    for event in outcome:
        rules.look_at(state.world, event)
        looks = (
            arrays.look_before(state.world, event),
            span_rules.look_before(state.world, event),
        )
        evolve(state.world, event)
        for look_after in looks:
            if look_after is not None:
                look_after(state.world)
        happened.append(event)


def take_due(state: State, happened: list[events.AnyEvent]) -> None:
    """All deadlines up to now, in order of their time, as the cycle takes them."""
    for _ in range(MOST_DEADLINES):
        due_us = next_deadline_us(state.world)
        if due_us is None or due_us > state.now_us:
            return
        apply(state, take_deadline(state.world), happened)
    raise Violation(0, f"{MOST_DEADLINES} deadlines at one instant")


def _as_ranked(state: MarketState) -> MarketState:
    """The same market where instants and use are counted from 0 in their order: a clearing compares
    them, and an instant that is 0 means now."""
    instants = {0}
    for it in state.nodes:
        instants.add(it.free_from_us)
        instants.add(it.clean_from_us)
    place = _ranks(instants)
    age = _ranks({it.submitted_us for it in state.demands})
    use = _ranks({it.use_7_days for it in state.demands})
    nodes = [
        replace(it, free_from_us=place[it.free_from_us], clean_from_us=place[it.clean_from_us])
        for it in state.nodes
    ]
    demands = [
        replace(it, submitted_us=age[it.submitted_us], use_7_days=use[it.use_7_days])
        for it in state.demands
    ]
    return replace(state, nodes=tuple(nodes), demands=tuple(demands))


def _ranks(values: set[int]) -> dict[int, int]:
    return {value: rank for rank, value in enumerate(sorted(values))}
