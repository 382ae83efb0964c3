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
