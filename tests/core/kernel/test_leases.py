"""Leases beside money, the start limit and the agent's clock, with the auditor's second opinion."""

import pytest
from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.observed import Checkpoint, EnginePhase, ObservedAttempt, RankExit
from tests import builders
from tests.auditor import audit
from tests.core.kernel.story import Parkade

MINUTE = 60
HOUR = 3600
LEASE = 10 * MINUTE
NOTICE, KILL, GRACE = 30, 5, 60


def given_parkade(start_limit_min: int = 30) -> Parkade:
    """Nodes of 2 GPUs at 8 per GPU-hour: 16 an hour for a node."""
    return Parkade(
        buffer_nodes=0,
        start_grace_us=2 * MINUTE * SECOND_US,
        start_limit_us=start_limit_min * MINUTE * SECOND_US,
        agent_lease_us=LEASE * SECOND_US,
        notice_us=NOTICE * SECOND_US,
        kill_us=KILL * SECOND_US,
        release_grace_us=GRACE * SECOND_US,
    )


def launched(parkade: Parkade, *, failures: int = 0) -> str:
    name = parkade.bid("lab", 9, failures=failures)
    parkade.clear()
    assert parkade.phase(name) is Phase.STARTING
    return name


def hear(parkade: Parkade, is_heard: bool) -> None:
    parkade.do(commands.ReportReachability(by=None, pool="pool", is_reachable=is_heard))


def report(parkade: Parkade, name: str, phase: EnginePhase, **seen: object) -> None:
    """What the agent says of an attempt, with dates of its own."""
    attempt = parkade.attempt(name)
    one: ObservedAttempt = replace(
        builders.observed(
            attempt.attempt,
            generation=attempt.generation,
            phase=phase,
            started_us=attempt.started_us,
            engine_state=phase.value,
            exits=(RankExit(rank=0, code=85, signal=None),)
            if phase is EnginePhase.RELEASED
            else (),
            released_us=parkade.now_us if phase is EnginePhase.RELEASED else None,
        ),
        **seen,
    )
    parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(one,)))


def paid(parkade: Parkade) -> int:
    """What the org has paid, and the auditor agrees."""
    audit(encode_event(event) for event in parkade.journal)
    return 1_000_000 * MICROS - parkade.balance("org/lab")


def of_kind(parkade: Parkade, kind: type[events.Event]) -> list[events.AnyEvent]:
    return [event for event in parkade.journal if isinstance(event, kind)]


@pytest.mark.parametrize("minutes_back", [1, 59, 90, 179])
def test_a_lapse_is_dated_no_earlier_than_what_was_seen_to_run_and_charged(
    minutes_back: int,
) -> None:
    """Its node's clock was set back: it tells of a notice before reports that said it runs."""
    parkade = given_parkade()
    name = launched(parkade)
    parkade.started(name)
    for _ in range(3):
        parkade.tick(HOUR)
        saved = Checkpoint(step=1, at_us=parkade.now_us)
        report(parkade, name, EnginePhase.RUNNING, checkpoint=saved)
    charged_us = parkade.attempt(name).charged_until_us
    lapsed_us = parkade.now_us - minutes_back * MINUTE * SECOND_US
    report(parkade, name, EnginePhase.RELEASED, lapsed_us=lapsed_us)
    assert paid(parkade) >= 2 * 16 * MICROS
    (stop,) = of_kind(parkade, events.StopOrdered)
    assert isinstance(stop, events.StopOrdered)
    assert stop.stop.cause is Cause.LAPSED
    assert stop.stop.kill_us >= charged_us


def hold_once(parkade: Parkade) -> None:
    """The one slow start of the day that is free, but for the start grace."""
    name = launched(parkade)
    parkade.tick(10 * MINUTE)
    parkade.do(commands.Cancel(by=None, workload=name, now=True))
    report(parkade, name, EnginePhase.RELEASED, exits=())


def minutes_of_a_node(minutes: int) -> int:
    return 16 * MICROS * minutes // 60


MINUTES_2 = minutes_of_a_node(2)
"""The start grace of a node, where no run follows."""


def test_the_start_limit_and_the_hold_do_not_count_while_the_agent_is_not_heard() -> None:
    parkade = given_parkade()
    hold_once(parkade)
    name = launched(parkade)
    parkade.tick(20 * MINUTE)
    hear(parkade, False)
    parkade.tick(9 * MINUTE)
    hear(parkade, True)
    parkade.tick(10 * MINUTE - 1)
    assert parkade.phase(name) is Phase.STARTING, (
        "it had 30 minutes in which it was heard, less 1 s"
    )
    parkade.tick(1)
    assert parkade.stop(name).cause is Cause.NOT_STARTED
    report(parkade, name, EnginePhase.RELEASED, exits=())
    assert paid(parkade) == MINUTES_2 + minutes_of_a_node(30)


def test_a_start_that_no_agent_could_report_is_no_failure_and_costs_nothing() -> None:
    """It lapses before the limit could have come: whether it started is not known."""
    parkade = given_parkade()
    hold_once(parkade)
    name = launched(parkade)
    parkade.tick(20 * MINUTE)
    hear(parkade, False)
    parkade.tick(LEASE + NOTICE + KILL + GRACE)
    workload = parkade.workload(name)
    assert (workload.phase, workload.failures, workload.attempt) == (Phase.QUEUED, 0, None)
    assert paid(parkade) == MINUTES_2, "of the one before"


@pytest.mark.parametrize("is_stopped_first", [True, False])
def test_a_hold_that_is_given_up_beside_a_silence_is_billed_until_the_silence(
    is_stopped_first: bool,
) -> None:
    parkade = given_parkade()
    hold_once(parkade)
    name = launched(parkade)
    parkade.tick(12 * MINUTE)
    for is_cancel in (is_stopped_first, not is_stopped_first):
        if is_cancel:
            parkade.do(commands.Cancel(by=None, workload=name, now=False))
        else:
            hear(parkade, False)
    parkade.tick(LEASE + NOTICE + KILL + GRACE)
    assert parkade.phase(name) is Phase.CANCELLED
    assert paid(parkade) == 2 * MINUTES_2 + minutes_of_a_node(10) + 1


def test_a_first_process_seen_after_the_limit_is_billed_for_its_hold_and_has_failed() -> None:
    """It began between the order to stop it and its end."""
    parkade = given_parkade()
    hold_once(parkade)
    name = launched(parkade)
    parkade.tick(30 * MINUTE)
    assert parkade.stop(name).cause is Cause.NOT_STARTED
    parkade.tick(2)
    parkade.started(name)
    parkade.tick(3)
    parkade.ended(name, signal=9)
    assert (parkade.phase(name), parkade.workload(name).failures) == (Phase.FAILED, 1)
    least, most = minutes_of_a_node(30), minutes_of_a_node(31)
    assert least <= paid(parkade) - MINUTES_2 <= most


@pytest.mark.parametrize("code", [0, 85, 1])
def test_a_hold_before_a_moment_of_work_once_a_day_is_free_once_a_day(code: int) -> None:
    parkade = given_parkade()
    for day in range(3):
        for turn in range(2):
            name = launched(parkade)
            parkade.tick(29 * MINUTE)
            parkade.started(name)
            if code == 85:
                parkade.saved(name, step=day * 2 + turn + 1)
            parkade.tick(1)
            parkade.ended(name, code=code)
            if not parkade.phase(name).is_ended:
                parkade.do(commands.Cancel(by=None, workload=name, now=True))
        billed = paid(parkade)
        # Of the first of the day only what is within the start grace.
        each = minutes_of_a_node(2 + 29)
        assert (day + 1) * each <= billed <= (day + 1) * (each + MICROS // 10)
        parkade.tick(24 * HOUR)


def test_innocent_slow_starts_are_free_beside_the_holds_of_others() -> None:
    parkade = given_parkade()
    for _ in range(2):
        holder = parkade.bid("holder", 9)
        parkade.clear()
        slow = launched(parkade)
        parkade.tick(20 * MINUTE)
        parkade.do(commands.Cancel(by=None, workload=holder, now=True))
        report(parkade, holder, EnginePhase.RELEASED, exits=())
        parkade.started(slow)
        parkade.tick(80 * MINUTE)
        parkade.ended(slow)
    assert paid(parkade) == 2 * minutes_of_a_node(80)
    assert parkade.balance("org/holder") < 1_000_000 * MICROS
