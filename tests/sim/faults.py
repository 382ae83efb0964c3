"""Faults planted into the shipped program, one at a time, for the fuzz to find.

Each is a change of a production function or of what a decision gives, as a wrong line of code would
be. `FAULTS` says with each which troubles a story needs to meet it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

import parkade.agent.agent as agent
import parkade.control.clock as clock
import parkade.control.cycle as cycle
import parkade.control.recover as recovering
import parkade.core.clearing.changes as changes
import parkade.core.clearing.displacement as displacement
import parkade.core.clearing.input as clearing_input
import parkade.core.kernel.deadlines as deadlines
import parkade.core.market.prices.protected as protected_prices
import parkade.core.running.dependencies as dependencies
import parkade.core.running.ending as ending
import parkade.core.running.expiry as expiry
import parkade.core.running.observations as observations
import parkade.core.running.promises as promises
import parkade.core.steps.notices as notices
from parkade.agent.plan import HandOver, plan
from parkade.control.rules import RULES
from parkade.core.billing.metering import billed_to_us
from parkade.core.billing.slow_starts import NO_SLOW_START, SlowStart
from parkade.core.clearing.debts import Debts
from parkade.core.fleet.node import Health, Node
from parkade.core.ledger.accounts import TransferKind
from parkade.core.running.unstarted import SlowStarts, slow_start_at_end
from parkade.core.state import commands, events, lines
from parkade.core.state.codec import decode_snapshot
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.dependency import Condition, Settled, settled
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Workload
from parkade.sim import story

Patch = pytest.MonkeyPatch
Events = tuple[events.AnyEvent, ...]
Change = Callable[[World, events.AnyEvent], Iterator[events.AnyEvent]]


def in_decisions(patch: Patch, change: Change) -> None:
    """Changes what every decision and deadline gives."""

    def changed(world: World, made: Events) -> Events:
        return tuple(it for event in made for it in change(world, event))

    def decide(world: World, command: commands.AnyCommand, now_us: int) -> Events | Refusal:
        made = RULES.decide(world, command, now_us)
        return made if isinstance(made, Refusal) else changed(world, made)

    def take(world: World) -> Events:
        return changed(world, RULES.take_deadline(world))

    patch.setattr(story, "RULES", replace(RULES, decide=decide, take_deadline=take))


def in_clearings(patch: Patch, change: Callable[[World, events.Cleared], events.Cleared]) -> None:
    """Changes what every clearing gives."""

    def changed(world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        yield change(world, event) if isinstance(event, events.Cleared) else event

    in_decisions(patch, changed)


def pays_a_floor_twice(patch: Patch) -> None:
    """What lenders earn is paid out double."""

    def change(_world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        if isinstance(event, events.UsePosted):
            paid = [it for it in event.transfers if it.kind is TransferKind.PAYOUT]
            yield replace(event, transfers=(*event.transfers, *paid))
        else:
            yield event

    in_decisions(patch, change)


def charges_use_twice(patch: Patch) -> None:
    """Each posting is charged and paid out a second time."""

    def change(_world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        if isinstance(event, events.UsePosted):
            yield replace(event, transfers=event.transfers * 2)
        else:
            yield event

    in_decisions(patch, change)


def forgets_the_minimum_charge(patch: Patch) -> None:
    """What made others leave and ends early pays for its use only."""
    patch.setattr(observations, "_minimum_us", lambda *_, **__: 0)


def gives_promises_up_for_nothing(patch: Patch) -> None:
    """A promise for which others left is given up unpaid."""
    for module in (changes, ending, expiry, observations):
        patch.setattr(module, "withdrawal_charge", lambda *_: ())


def bills_what_the_platform_broke(patch: Patch) -> None:
    """The time since the last checkpoint is billed also where a node broke."""
    patch.setattr(observations, "_billed_until_us", lambda _attempt, at_us, _is_lost: at_us)


def credits_a_shortage_twice(patch: Patch) -> None:
    """An owner that was short is credited double."""

    def change(_world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        if isinstance(event, events.ReservationSettled):
            paid = [it for it in event.transfers if it.kind is TransferKind.CREDIT]
            yield replace(event, transfers=(*event.transfers, *paid))
        else:
            yield event

    in_decisions(patch, change)


def prices_above_the_limit(patch: Patch) -> None:
    """A winner pays a hundred times its price."""

    def change(_world: World, event: events.Cleared) -> events.Cleared:
        return replace(event, won=tuple(_priced(it, 100) for it in event.won))

    in_clearings(patch, change)


def prices_below_the_floor(patch: Patch) -> None:
    """A winner pays nothing."""

    def change(_world: World, event: events.Cleared) -> events.Cleared:
        return replace(event, won=tuple(_priced(it, 0) for it in event.won))

    in_clearings(patch, change)


def _priced(won: lines.Won, factor: int) -> lines.Won:
    rates = tuple(
        replace(
            rate,
            price_micros=rate.price_micros * factor,
            shares=tuple((who, share * factor) for who, share in rate.shares),
        )
        for rate in won.promise.rates
    )
    return replace(won, promise=replace(won.promise, rates=rates))


def launches_on_held_seats(patch: Patch) -> None:
    """A promise is kept before the seats are free."""
    patch.setattr(promises, "has_room", lambda *_, **__: True)


def forgets_the_turnaround(patch: Patch) -> None:
    """Another org gets a seat as soon as it is free."""
    patch.setattr(promises, "clean_us", lambda *_: 0)


def drops_promises_of_claims(patch: Patch) -> None:
    """Each clearing takes back what owners are promised."""

    def change(world: World, event: events.Cleared) -> events.Cleared:
        named = set(_named(event))
        dropped = tuple(
            lines.Leaving(
                demand=lines.ClaimDemand(claim=claim.claim),
                stop=None,
                phase=Phase.QUEUED,
                why="no_room",
                price_to_win_micros=None,
            )
            for claim in world.records.claims.values()
            if claim.seats and claim.claim not in named
        )
        return replace(event, left=(*event.left, *dropped))

    in_clearings(patch, change)


def _named(event: events.Cleared) -> Iterator[str]:
    """The demands whose seats a clearing changes."""
    yield from (lines.name_of(it.demand) for it in event.won)
    yield from (lines.name_of(it.demand) for it in event.left)


def takes_an_absent_attempt_for_ended(patch: Patch) -> None:
    """What a report does not name is taken for done."""

    def decide(world: World, command: commands.AnyCommand, now_us: int) -> Events | Refusal:
        if isinstance(command, commands.ReportAttempts):
            named = {seen.attempt for seen in command.attempts}
            absent = tuple(_ended(world, command.pool, named))
            command = replace(command, attempts=(*command.attempts, *absent))
        return RULES.decide(world, command, now_us)

    patch.setattr(story, "RULES", replace(RULES, decide=decide))


def _ended(world: World, pool: str, named: set[str]) -> Iterator[ObservedAttempt]:
    for name in world.live:
        attempt = world.records.workloads[name].attempt
        if attempt is None or attempt.attempt in named:
            continue
        found = world.pool_of(attempt.seats)
        if found is not None and found.pool == pool:
            yield ObservedAttempt(
                attempt=attempt.attempt,
                generation=attempt.generation,
                phase=EnginePhase.RELEASED,
                started_us=None,
                released_us=None,
                exits=tuple(RankExit(rank=it, code=0, signal=None) for it in range(9)),
                checkpoint=None,
                devices=(),
                launch_error=None,
                engine_state="gone",
            )


def counts_preemptions_as_failures(patch: Patch) -> None:
    """A workload that was told to leave has failed."""
    _failing(patch, lambda event: event.cause in (Cause.OUTBID, Cause.RECLAIMED, Cause.MOVED))


def counts_silence_as_failures(patch: Patch) -> None:
    """A workload whose end is not known has failed."""
    _failing(patch, lambda event: event.summary.startswith("lost"))


def forgets_holds_that_end_in_silence(patch: Patch) -> None:
    """What never started and ends while its agent is silent has held nothing."""

    def forgetful(world: World, workload: Workload, until_us: int, **ends: bool) -> SlowStart:
        pool = world.pool_of(workload.attempt.seats) if workload.attempt is not None else None
        is_silent = pool is not None and not pool.is_reachable
        return NO_SLOW_START if is_silent else slow_start_at_end(world, workload, until_us, **ends)

    patch.setattr(observations, "slow_start_at_end", forgetful)


def frees_every_slow_start_of_a_report(patch: Patch) -> None:
    """Whatever ends in one report is the first slow start of its day."""

    def billed_us(self: SlowStarts, workload: Workload, slow_start: SlowStart, at_us: int) -> int:
        self._noted.clear()
        return truly(self, workload, slow_start, at_us)

    truly = SlowStarts.billed_us
    patch.setattr(SlowStarts, "billed_us", billed_us)


def frees_a_hold_that_runs_a_moment(patch: Patch) -> None:
    """A first process, however late, makes the time before it free."""

    def free(world: World, workload: Workload, until_us: int, **ends: bool) -> SlowStart:
        started_us = workload.attempt.started_us if workload.attempt is not None else None
        return NO_SLOW_START if started_us else slow_start_at_end(world, workload, until_us, **ends)

    patch.setattr(observations, "slow_start_at_end", free)


def frees_the_start_grace(patch: Patch) -> None:
    """What is held within the start grace costs nothing, whatever follows."""

    def free(world: World, workload: Workload, until_us: int, **ends: bool) -> SlowStart:
        return slow_start_at_end(world, workload, until_us, **ends)._replace(within_us=0)

    patch.setattr(observations, "slow_start_at_end", free)


def bills_what_the_engine_refused(patch: Patch) -> None:
    """A start that the engine refused by no doing of its org is billed like one that failed."""
    truly = observations._billed_until_us

    def until(attempt: Attempt, at_us: int, is_lost: bool) -> int:
        return truly(attempt, at_us, is_lost and attempt.started_us is not None)

    def billed(world: World, workload: Workload, until_us: int, **ends: bool) -> SlowStart:
        return slow_start_at_end(world, workload, until_us, **ends | {"is_refused": False})

    patch.setattr(observations, "_billed_until_us", until)
    patch.setattr(observations, "slow_start_at_end", billed)


def takes_every_failed_start_for_refused(patch: Patch) -> None:
    """What ends before its first process was refused by the engine, so that it costs nothing."""
    patch.setattr(observations, "_is_refused", lambda attempt, _seen: attempt.started_us is None)


def drops_claims_that_waited_too_long(patch: Patch) -> None:
    """No claim is handed over, and those that waited beyond the bound are taken for given up."""

    def change(world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        yield event
        if not isinstance(event, events.Cleared):
            return
        terms = world.records.markets[event.market].terms
        named = set(_named(event))
        for claim in world.records.claims.values():
            since_us = claim.promised_us
            is_late = since_us is not None and event.at_us - since_us > terms.leave_us
            if is_late and claim.seated_us is None and claim.claim not in named:
                yield events.Unclaimed(at_us=event.at_us, claim=claim.claim)

    patch.setattr(promises, "_claim_due_us", lambda *_: None)
    in_decisions(patch, change)


def _failing(patch: Patch, is_one: Callable[[events.Ended], bool]) -> None:
    def change(_world: World, event: events.AnyEvent) -> Iterator[events.AnyEvent]:
        if isinstance(event, events.Ended) and is_one(event):
            yield replace(event, failures=event.failures + 1)
        else:
            yield event

    in_decisions(patch, change)


def gives_no_notice(patch: Patch) -> None:
    """Whatever must leave is told so at its deadline."""

    def none(attempt: Any, cause: Cause, *, at_us: int, notice_us: int, kill_us: int) -> Any:
        return notices.notice(attempt, cause, at_us=at_us, notice_us=0, kill_us=kill_us)

    patch.setattr(displacement, "notice", none)


def kills_before_the_deadline(patch: Patch) -> None:
    """The agent hands orders over as if their deadline had come."""

    def early(*args: Any, **named: Any) -> list[Any]:
        return [_at_once(it) if isinstance(it, HandOver) else it for it in plan(*args, **named)]

    patch.setattr(agent, "plan", early)


def _at_once(action: HandOver) -> HandOver:
    now_us = action.order.noticed_us
    return replace(action, order=replace(action.order, deadline_us=now_us, kill_us=now_us))


def concludes_silence_too_early(patch: Patch) -> None:
    """A guest in a silent pool is taken for ended before its lease has lapsed."""

    def early(world: World, workload: Any) -> int | None:
        attempt = workload.attempt
        if attempt is None or attempt.lease_us is None:
            return None
        pool = world.pool_of(attempt.seats)
        assert pool is not None
        return (
            None if pool.silent_since_us is None else max(pool.silent_since_us, attempt.ordered_us)
        )

    patch.setattr(deadlines, "lapse_due_us", early)


def takes_a_lost_launch_for_its_own(patch: Patch) -> None:
    """An attempt of a lost journal is adopted where a name was given again."""

    def is_of(
        self: ObservedAttempt, attempt: str, generation: int, _ordered_us: int | None
    ) -> bool:
        return (self.attempt, self.generation) == (attempt, generation)

    patch.setattr(ObservedAttempt, "is_of", is_of)


def waits_without_a_reason(patch: Patch) -> None:
    """What loses in a clearing is not told why."""

    def change(_world: World, event: events.Cleared) -> events.Cleared:
        return replace(event, waiting=tuple(replace(it, why="") for it in event.waiting))

    in_clearings(patch, change)


def moves_without_a_cause(patch: Patch) -> None:
    """Why something moves is not recorded."""

    def change(_world: World, event: events.Cleared) -> events.Cleared:
        return replace(event, won=tuple(replace(it, moved=None) for it in event.won))

    in_clearings(patch, change)


def displaces_on_demand(patch: Patch) -> None:
    """Each clearing sends running on-demand away."""

    def change(world: World, event: events.Cleared) -> events.Cleared:
        named = set(_named(event))
        return replace(event, left=(*event.left, *_sent_away(world, event, named)))

    in_clearings(patch, change)


def forgets_the_shortest_run(patch: Patch) -> None:
    """What started is outbid as if its market said nothing of a shortest run."""
    patch.setattr(clearing_input, "_protection", lambda *_given: None)


def reprices_what_no_bid_takes(patch: Patch) -> None:
    """Seats that no bid takes cost what a rival would pay for them."""
    patch.setattr(protected_prices, "_at_most", lambda prices, *_given: prices)


def _sent_away(world: World, event: events.Cleared, named: set[str]) -> Iterator[lines.Leaving]:
    terms = world.records.markets[event.market].terms
    for name in world.live:
        workload = world.records.workloads[name]
        attempt = workload.attempt
        is_one = workload.spec.capacity.kind is CapacityKind.ON_DEMAND and name not in named
        if not is_one or attempt is None or attempt.stop is not None:
            continue
        stop = notices.notice(
            attempt,
            Cause.OUTBID,
            at_us=event.at_us,
            notice_us=terms.notice_us,
            kill_us=terms.kill_us,
        )
        yield lines.Leaving(
            demand=lines.WorkloadDemand(workload=name),
            stop=stop,
            phase=Phase.PREEMPTING,
            why="outbid",
            price_to_win_micros=None,
        )


def forgets_what_it_answered(patch: Patch) -> None:
    """A repeated request is carried out again."""
    patch.setattr(cycle.Cycle, "_recall", lambda *_: None)
    patch.setattr(cycle.Cycle, "_remember", lambda *_: None)


def recovers_without_promises(patch: Patch) -> None:
    """A snapshot is read without the promises in it."""

    def forgetful(body: bytes) -> World:
        world = decode_snapshot(body)
        for name in list(world.live):
            workload = world.records.workloads[name]
            world.put_workload(replace(workload, promise=None))
        return world

    patch.setattr(recovering, "decode_snapshot", forgetful)


def believes_a_clock_that_was_set_back(patch: Patch) -> None:
    """The present is what the wall clock shows."""

    def read(self: Any, *, is_doubted: bool) -> clock.Reading:
        return clock.Reading(
            now_us=self._clock.now_us(), leapt_us=0, behind_us=0, jumped_from_us=None
        )

    patch.setattr(clock.ClockGuard, "read", read)


def puts_notices_off(patch: Patch) -> None:
    """A later notice replaces an earlier one."""

    def later(attempt: Any, cause: Cause, *, at_us: int, notice_us: int, kill_us: int) -> Any:
        fresh = replace(attempt, stop=None)
        return notice(fresh, cause, at_us=at_us, notice_us=notice_us, kill_us=kill_us)

    notice = notices.notice
    patch.setattr(notices, "notice", later)
    patch.setattr(displacement, "notice", later)


def seats_half_a_gang(patch: Patch) -> None:
    """A gang starts with all its nodes but the last."""

    def change(_world: World, event: events.Cleared) -> events.Cleared:
        return replace(event, won=tuple(map(_without_last, event.won)))

    in_clearings(patch, change)


def _without_last(won: lines.Won) -> lines.Won:
    seats = won.promise.seats[:-1] or won.promise.seats
    return replace(won, promise=replace(won.promise, seats=seats))


def seats_newcomers_on_cordoned_nodes(patch: Patch) -> None:
    """A cordon keeps no newcomer away."""
    patch.setattr(Node, "is_open", property(lambda self: self.health is Health.HEALTHY))


def bills_a_microsecond_less(patch: Patch) -> None:
    """Each attempt is billed for a microsecond less than it ran."""
    patch.setattr(
        observations, "billed_to_us", lambda attempt, at_us: billed_to_us(attempt, at_us) - 1
    )


def reprices_for_others(patch: Patch) -> None:
    """A new price is that of the workload named before it."""

    def change(_world: World, event: events.Cleared) -> events.Cleared:
        if len(event.repriced) < 2:
            return event
        names = [it.workload for it in event.repriced]
        turned = zip(names[1:] + names[:1], event.repriced, strict=True)
        return replace(event, repriced=tuple(replace(it, workload=name) for name, it in turned))

    in_clearings(patch, change)


def takes_a_failure_for_a_success(patch: Patch) -> None:
    """What waits for the success of another goes on after any end."""

    def hopeful(other: Workload, condition: Condition) -> Settled | None:
        is_any = condition is Condition.AFTER_OK
        return settled(other, Condition.AFTER_ANY if is_any else condition)

    patch.setattr(dependencies, "settled", hopeful)


SERVER = ("server",)
NETWORK = ("network",)


def forgets_what_floors_push_out(patch: Patch) -> None:
    """Work that leaves for a bid that sits elsewhere is owed for by none."""
    patch.setattr(Debts, "_add_swept", lambda *_: None)


FAULTS: dict[str, tuple[Callable[[Patch], None], tuple[str, ...]]] = {
    fault.__name__: (fault, troubles)
    for fault, troubles in (
        (pays_a_floor_twice, ()),
        (charges_use_twice, ()),
        (forgets_the_minimum_charge, ()),
        (gives_promises_up_for_nothing, ()),
        (forgets_what_floors_push_out, ()),
        (bills_what_the_platform_broke, ("operators", "machines")),
        (bills_a_microsecond_less, ()),
        (credits_a_shortage_twice, ("operators", "machines")),
        (prices_above_the_limit, ()),
        (prices_below_the_floor, ()),
        (reprices_for_others, ()),
        (launches_on_held_seats, ()),
        (forgets_the_turnaround, ()),
        (drops_promises_of_claims, ()),
        (takes_an_absent_attempt_for_ended, ("engine",)),
        (counts_preemptions_as_failures, ()),
        (counts_silence_as_failures, NETWORK),
        (forgets_holds_that_end_in_silence, NETWORK),
        (frees_every_slow_start_of_a_report, ("network", "engine")),
        (frees_a_hold_that_runs_a_moment, ("network", "engine")),
        (frees_the_start_grace, ("network", "engine")),
        (bills_what_the_engine_refused, ("engine",)),
        (takes_every_failed_start_for_refused, ("network", "engine")),
        (drops_claims_that_waited_too_long, ()),
        (gives_no_notice, ()),
        (kills_before_the_deadline, ()),
        (puts_notices_off, ("operators",)),
        (concludes_silence_too_early, NETWORK),
        (takes_a_lost_launch_for_its_own, ("backups",)),
        (waits_without_a_reason, ()),
        (moves_without_a_cause, ()),
        (displaces_on_demand, ()),
        (forgets_the_shortest_run, ()),
        (reprices_what_no_bid_takes, ()),
        (forgets_what_it_answered, SERVER),
        (recovers_without_promises, SERVER),
        (believes_a_clock_that_was_set_back, ("clock",)),
        (seats_half_a_gang, ()),
        (takes_a_failure_for_a_success, ()),
        (seats_newcomers_on_cordoned_nodes, ("operators",)),
    )
}
"""By name: the fault, and the troubles of stories that can meet it."""
