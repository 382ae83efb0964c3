"""Work that a person ended at its machine, without the control plane, was preempted."""

from typing import Any

import pytest

from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.observed import EnginePhase, RankExit
from parkade.core.workloads.workload import Stop
from parkade.sim.whatif.guesses import guesses
from tests import builders
from tests.core.records import attempt, stop, workload, world

S = SECOND_US
ENDED_US = 610 * S
BY_TERM = RankExit(rank=0, code=None, signal=15)


def running(order: Stop | None = None, *, phase: Phase = Phase.RUNNING, **changes: Any) -> World:
    one = workload(attempt=attempt(stop=order, **changes), phase=phase)
    return world(one, balances={"org/lab": 10**9})


def report(made: World, now_us: int, **seen: Any) -> tuple[events.AnyEvent, ...]:
    observed = builders.observed("w1.1", started_us=0, **seen)
    command = commands.ReportAttempts(by=None, pool="pool", attempts=(observed,))
    found = decide(made, command, now_us)
    assert not isinstance(found, Refusal)
    for event in found:
        evolve(made, event)
    return found


def gone(made: World, *ends: RankExit, **seen: Any) -> events.Ended:
    at = {"phase": EnginePhase.RELEASED, "released_us": 640 * S, "operator_ended_us": ENDED_US}
    (ended,) = [
        event
        for event in report(made, 9000 * S, exits=ends, **{**at, **seen})
        if isinstance(event, events.Ended)
    ]
    return ended


def test_what_a_person_ended_waits_again_and_has_not_failed() -> None:
    ended = gone(made := running(), BY_TERM)
    assert (ended.phase, ended.cause) == (Phase.QUEUED, Cause.OPERATOR)
    assert (ended.failures, ended.preemptions, ended.not_before_us) == (0, 1, 0)
    assert made.records.workloads["w1"].attempt is None


def test_its_notice_is_dated_when_it_was_given_and_counts_once() -> None:
    made = running()
    seen = {"phase": EnginePhase.RUNNING, "operator_ended_us": ENDED_US}
    (order,) = report(made, 700 * S, **seen)
    assert isinstance(order, events.StopOrdered)
    assert (order.phase, order.stop.cause) == (Phase.PREEMPTING, Cause.OPERATOR)
    assert order.stop.noticed_us == ENDED_US
    assert report(made, 701 * S, **seen) == ()


@pytest.mark.parametrize(("code", "is_saved"), [(85, True), (1, False)])
def test_it_saved_where_it_says_so_during_the_notice(code: int, is_saved: bool) -> None:
    ended = gone(running(), RankExit(rank=0, code=code, signal=None))
    assert (ended.phase, ended.is_saved) == (Phase.QUEUED, is_saved)


def test_what_was_done_before_it_was_told_anything_is_done() -> None:
    assert gone(running(), RankExit(rank=0, code=0, signal=None)).phase is Phase.SUCCEEDED


def test_a_notice_of_the_control_plane_keeps_its_cause() -> None:
    order = stop(Cause.CANCELLED, at_us=600 * S, kill_us=640 * S)
    ended = gone(running(order, phase=Phase.STOPPING), BY_TERM)
    assert (ended.phase, ended.cause) == (Phase.CANCELLED, Cause.CANCELLED)


def test_of_a_lapse_and_a_person_the_earlier_notice_is_the_cause() -> None:
    lapsed = gone(running(lease_us=600 * S), BY_TERM, lapsed_us=600 * S)
    assert lapsed.cause is Cause.LAPSED
    later = gone(running(lease_us=600 * S), BY_TERM, lapsed_us=620 * S)
    assert later.cause is Cause.OPERATOR


def test_the_journal_says_what_was_reported() -> None:
    made = running()
    (order,) = report(running(), 700 * S, phase=EnginePhase.RUNNING, operator_ended_us=ENDED_US)
    assert any(decide(made, guess, ENDED_US) == (order,) for guess in guesses(made, order))


def test_a_date_long_before_it_was_gone_makes_nothing_that_it_used_free() -> None:
    made = running()
    at = {"phase": EnginePhase.RELEASED, "released_us": 3000 * S, "operator_ended_us": 1}
    orders = [
        event
        for event in report(made, 9000 * S, exits=(BY_TERM,), **at)
        if isinstance(event, events.StopOrdered)
    ]
    assert [it.stop.kill_us for it in orders] == [3000 * S]
