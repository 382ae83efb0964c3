"""Leases: a guest in a silent pool starts again elsewhere once it has ended there for certain."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.fleet.node import Health
from parkade.core.kernel.deadlines import next_deadline_us, take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.running.lapses import lapse_due_us
from parkade.core.running.overdue import OVERDUE
from parkade.core.running.promises import launch
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core.records import attempt, promise, stop, workload, world

S = SECOND_US
LEASE_US = 600 * S
# Notice 30 s, kill 5 s, release grace 60 s.
LEAVES_US = 95 * S
SILENT_US = 1000 * S
DUE_US = SILENT_US + LEASE_US + LEAVES_US


def guest(**changes: Any) -> Workload:
    phase = changes.pop("phase", Phase.RUNNING)
    return workload(attempt=attempt(lease_us=LEASE_US, **changes), phase=phase)


def silent(one: Workload, *, at_us: int = SILENT_US) -> World:
    made = world(one, balances={"org/lab": 10**9})
    take(made, commands.ReportReachability(by=None, pool="pool", is_reachable=False), at_us)
    return made


def take(made: World, command: commands.AnyCommand, at_us: int) -> tuple[events.AnyEvent, ...]:
    found = decide(made, command, at_us)
    assert not isinstance(found, Refusal)
    for event in found:
        evolve(made, event)
    return found


def lapsed(made: World) -> events.Ended:
    for event in (found := take_deadline(made)):
        evolve(made, event)
    (ended,) = [event for event in found if isinstance(event, events.Ended)]
    return ended


def test_a_guest_is_concluded_after_lease_notice_kill_and_release_grace_of_silence() -> None:
    made = silent(guest())
    assert next_deadline_us(made) == DUE_US
    ended = lapsed(made)
    assert (ended.at_us, ended.phase, ended.why) == (DUE_US, Phase.QUEUED, Why.NEXT_CLEARING)
    assert (ended.failures, ended.preemptions) == (0, 0)
    assert made.records.workloads["w1"].attempt is None
    assert next_deadline_us(made) is None


def test_a_clock_that_is_set_ahead_ends_no_lease_sooner() -> None:
    made = silent(guest())
    evolve(made, events.ClockAdvanced(at_us=SILENT_US + S, by_us=3 * HOUR_US))
    assert next_deadline_us(made) == DUE_US + 3 * HOUR_US
    take(made, commands.ReportReachability(by=None, pool="pool", is_reachable=True), 1001 * S)
    take(made, commands.ReportReachability(by=None, pool="pool", is_reachable=False), 1002 * S)
    assert next_deadline_us(made) == DUE_US + 2 * S


def test_nothing_lapses_while_the_pool_is_heard_or_once_it_is_heard_again() -> None:
    assert next_deadline_us(world(guest())) is None
    made = silent(guest())
    heard = commands.ReportReachability(by=None, pool="pool", is_reachable=True)
    take(made, heard, DUE_US - 1)
    assert next_deadline_us(made) is None
    again = silent(guest())
    take(again, heard, SILENT_US + S)
    take(again, replace(heard, is_reachable=False), SILENT_US + 50 * S)
    assert next_deadline_us(again) == DUE_US + 50 * S


def test_what_has_no_lease_waits_for_its_agent() -> None:
    made = silent(workload(attempt=attempt(), phase=Phase.RUNNING))
    assert next_deadline_us(made) is None


def test_silence_is_billed_to_no_later_than_it_began() -> None:
    made = silent(guest(checkpoint_us=900 * S, checkpoint_step=1))
    found = take_deadline(made)
    (used,) = [event for event in found if isinstance(event, events.UsePosted)]
    # One micro-unit a second, since the last checkpoint not at all.
    assert sum(it.micros for it in used.transfers if it.kind.is_paid_by_user) == 900
    unsaved = take_deadline(silent(guest(), at_us=2 * HOUR_US))
    (used,) = [event for event in unsaved if isinstance(event, events.UsePosted)]
    assert sum(it.micros for it in used.transfers if it.kind.is_paid_by_user) == 3600


@pytest.mark.parametrize(
    ("cause", "phase", "becomes", "preemptions"),
    [
        (Cause.OUTBID, Phase.PREEMPTING, Phase.QUEUED, 1),
        (Cause.CANCELLED, Phase.STOPPING, Phase.CANCELLED, 0),
        (Cause.EXPIRED, Phase.STOPPING, Phase.EXPIRED, 0),
    ],
)
def test_a_guest_that_was_leaving_ends_as_its_notice_said(
    cause: Cause, phase: Phase, becomes: Phase, preemptions: int
) -> None:
    order = stop(cause, at_us=990 * S, kill_us=1025 * S)
    ended = lapsed(silent(guest(stop=order, phase=phase)))
    assert (ended.phase, ended.cause, ended.preemptions) == (becomes, cause, preemptions)
    assert ended.failures == 0


def test_only_a_guest_takes_the_lease_of_its_market_along() -> None:
    terms = builders.terms(agent_lease_us=LEASE_US)
    for spec, lease_us in (
        (builders.spec(), LEASE_US),
        (builders.spec(capacity=Capacity(kind=CapacityKind.ON_DEMAND)), None),
        (builders.spec(capacity=Capacity(kind=CapacityKind.RESERVATION, reservation="r")), None),
    ):
        one = workload(spec=spec, promise=promise())
        made = world(one, markets=[builders.market("market", terms=terms)])
        (event,) = launch(made, "w1", S)
        assert isinstance(event, events.Launched)
        assert event.attempt.lease_us == lease_us


def report(made: World, now_us: int, **seen: Any) -> tuple[events.AnyEvent, ...]:
    observed = builders.observed("w1.1", **seen)
    return take(made, commands.ReportAttempts(by=None, pool="pool", attempts=(observed,)), now_us)


def test_a_lapse_that_the_engine_tells_is_a_notice_dated_then_and_a_preemption() -> None:
    made = world(guest(), balances={"org/lab": 10**9})
    (order,) = report(made, 700 * S, phase=EnginePhase.RUNNING, started_us=0, lapsed_us=610 * S)
    assert isinstance(order, events.StopOrdered)
    assert (order.phase, order.stop.cause) == (Phase.PREEMPTING, Cause.LAPSED)
    assert (order.stop.noticed_us, order.stop.kill_us) == (610 * S, 645 * S)
    assert report(made, 701 * S, phase=EnginePhase.RUNNING, started_us=0, lapsed_us=610 * S) == ()
    found = report(
        made,
        720 * S,
        phase=EnginePhase.RELEASED,
        started_us=0,
        released_us=640 * S,
        lapsed_us=610 * S,
        exits=(RankExit(rank=0, code=1, signal=None),),
    )
    (ended,) = [event for event in found if isinstance(event, events.Ended)]
    assert (ended.phase, ended.cause) == (Phase.QUEUED, Cause.LAPSED)
    assert (ended.failures, ended.preemptions) == (0, 1)
    (used,) = [event for event in found if isinstance(event, events.UsePosted)]
    assert sum(it.micros for it in used.transfers if it.kind.is_paid_by_user) == 640


def test_an_engine_cannot_excuse_the_failure_of_what_has_no_lease() -> None:
    made = world(workload(attempt=attempt(), phase=Phase.RUNNING), balances={"org/lab": 10**9})
    found = report(
        made,
        720 * S,
        phase=EnginePhase.RELEASED,
        started_us=0,
        released_us=640 * S,
        lapsed_us=610 * S,
        exits=(RankExit(rank=0, code=1, signal=None),),
    )
    (ended,) = [event for event in found if isinstance(event, events.Ended)]
    assert (ended.phase, ended.failures) == (Phase.FAILED, 1)


def test_a_late_report_of_a_concluded_guest_changes_nothing() -> None:
    made = silent(guest())
    lapsed(made)
    heard = commands.ReportReachability(by=None, pool="pool", is_reachable=True)
    take(made, heard, DUE_US + S)
    assert report(made, DUE_US + S, phase=EnginePhase.RUNNING, started_us=0) == ()
    assert made.records.nodes["a1"].health is Health.HEALTHY
    assert lapse_due_us(made, made.records.workloads["w1"]) is None


def overdue() -> World:
    """A guest that should have left a1 a minute ago is silent with its pool."""
    one = guest(stop=stop(), phase=Phase.PREEMPTING)
    made = silent(one)
    suspect = events.NodeHealthSet(
        at_us=SILENT_US, node="a1", health=Health.SUSPECT, reason=OVERDUE
    )
    evolve(made, suspect)
    return made


def seen(*attempts: ObservedAttempt) -> commands.ReportAttempts:
    return commands.ReportAttempts(by=None, pool="pool", attempts=attempts)


def on_a1(phase: EnginePhase, name: str = "w1.1") -> ObservedAttempt:
    return builders.observed(name, phase=phase, devices=(("a1", (0,)),))


def test_a_lapse_frees_the_workload_and_leaves_the_overdue_node_suspect() -> None:
    made = overdue()
    assert lapsed(made).phase is Phase.QUEUED
    assert made.records.nodes["a1"].health is Health.SUSPECT
    back_us = DUE_US + 10 * S
    take(made, commands.ReportReachability(by=None, pool="pool", is_reachable=True), back_us)
    assert take(made, seen(on_a1(EnginePhase.RUNNING)), back_us) == ()
    assert take(made, seen(), back_us) == (), "nothing follows from what is absent"
    (well,) = take(made, seen(on_a1(EnginePhase.RELEASED)), back_us + S)
    assert isinstance(well, events.NodeHealthSet)
    assert made.records.nodes["a1"].is_open


def test_a_guest_that_lapsed_and_is_still_there_closes_its_node_until_it_is_gone() -> None:
    made = silent(guest())
    lapsed(made)
    assert made.records.nodes["a1"].health is Health.HEALTHY
    take(made, commands.ReportReachability(by=None, pool="pool", is_reachable=True), DUE_US + S)
    running, gone = on_a1(EnginePhase.RUNNING), on_a1(EnginePhase.RELEASED)
    other = on_a1(EnginePhase.RUNNING, "w9.1")
    (closed,) = take(made, seen(running), DUE_US + S)
    assert isinstance(closed, events.NodeHealthSet)
    assert (closed.node, closed.reason) == ("a1", OVERDUE)
    assert take(made, seen(running), DUE_US + 2 * S) == ()
    assert take(made, seen(gone, other), DUE_US + 3 * S) == (), "another is there"
    take(made, seen(gone), DUE_US + 4 * S)
    assert made.records.nodes["a1"].is_open


@pytest.mark.parametrize(("pool", "node"), [("elsewhere", "a1"), ("pool", "unknown")])
def test_an_agent_makes_no_node_suspect_that_is_not_of_its_pool(pool: str, node: str) -> None:
    made = world(pools=[builders.pool("pool"), builders.pool("elsewhere")])
    stranger = builders.observed("w9.1", devices=((node, (0,)),))
    command = commands.ReportAttempts(by=None, pool=pool, attempts=(stranger,))
    assert take(made, command, SILENT_US) == ()
