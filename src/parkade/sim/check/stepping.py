"""One step of the search: an act on a branch, as the production cycle would carry it out.

Deadlines that are due come first and each at its own time, then the command is decided and its
events are evolved; then the deadlines that it made due at once. Rules are asked about every event
before it is evolved, the core's own `check` afterwards.

The clearing of a state is asked for again and again in states that differ in nothing that a market
sees. So its pure middle, `market.clear`, is remembered by what it was given, with instants counted
from the present.
"""

from typing import Any

import msgspec

from parkade.core.clearing import changes
from parkade.core.clearing.evacuation import with_evacuees
from parkade.core.clearing.input import build_input
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.market import clear as market
from parkade.core.market.market_state import Demand, MarketState
from parkade.core.market.outcome import Clearing
from parkade.core.state import commands, events
from parkade.core.steps.refusals import Decision
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import DAY_US
from parkade.sim.check import rules
from parkade.sim.check.acts import Act, Kind
from parkade.sim.check.breach import Violation, violation_of
from parkade.sim.check.scenarios import TICK_US
from parkade.sim.check.state import State

MOST_DEADLINES = 64
"""At one instant; more is a deadline that comes again and again."""
HORIZON_US = DAY_US
"""A deadline that is further away is none: the periods and retentions of the worlds."""
MOST_REMEMBERED = 200_000

_OF_DEMAND = tuple(field for field in Demand.__struct_fields__ if field != "submitted_us")
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
        return state, happened

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
        """As `changes.run_clearing`, with the market's answer remembered."""
        record = state.world.records.markets[command.market]
        given = with_evacuees(state.world, build_input(state.world, record, state.now_us))
        key = _encode(_shifted(given.state, state.now_us))
        answer = self._clearings.get(key)
        if answer is None:
            if len(self._clearings) >= MOST_REMEMBERED:
                self._clearings.clear()
            answer = self._clearings[key] = market.clear(given.state)
        return changes.difference(state.world, record, given, answer, state.now_us)


def apply(
    state: State, outcome: tuple[events.AnyEvent, ...], happened: list[events.AnyEvent]
) -> None:
    """Evolves events, each looked at before."""
    for event in outcome:
        rules.look_at(state.world, event)
        evolve(state.world, event)
        happened.append(event)


def take_due(state: State, happened: list[events.AnyEvent]) -> None:
    """All deadlines up to now, in order of their time, as the cycle takes them."""
    for _ in range(MOST_DEADLINES):
        due_us = next_deadline_us(state.world)
        if due_us is None or due_us > state.now_us:
            return
        apply(state, take_deadline(state.world), happened)
    raise Violation(0, f"{MOST_DEADLINES} deadlines at one instant")


def _shifted(state: MarketState, now_us: int) -> tuple[Any, ...]:
    """All that a clearing is given, its instants from the present."""
    nodes = [
        (
            it.node,
            it.fabric,
            it.gpus,
            it.is_open,
            it.free_from_us and it.free_from_us - now_us,
            it.free_from_us == 0,
            it.last_org,
            it.clean_from_us and it.clean_from_us - now_us,
        )
        for it in state.nodes
    ]
    demands = [_timeless(it) for it in state.demands]
    ages = [it.submitted_us - now_us for it in state.demands]
    return (nodes, demands, ages, state.gpus_per_node, state.terms, state.reservations)


def _timeless(demand: Demand) -> tuple[Any, ...]:
    return tuple([getattr(demand, field) for field in _OF_DEMAND])
