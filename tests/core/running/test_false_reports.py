"""What agents and programs may claim of starts, ends and checkpoints, and what it is worth."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.state.codec import encode_event
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.observed import Checkpoint, EnginePhase, ObservedAttempt, RankExit
from tests import builders
from tests.auditor import audit
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_manipulation import cancelled, given_a_guest


def report(
    parkade: Parkade,
    name: str,
    *,
    started_us: int | None = None,
    released_us: int | None = None,
    checkpoint: Checkpoint | None = None,
    times: int = 1,
) -> tuple[events.AnyEvent, ...]:
    """What an agent says of an attempt, whatever is true."""
    attempt = parkade.attempt(name)
    is_over = released_us is not None
    seen = ObservedAttempt(
        attempt=attempt.attempt,
        generation=attempt.generation,
        phase=EnginePhase.RELEASED if is_over else EnginePhase.RUNNING,
        started_us=started_us,
        released_us=released_us,
        exits=(RankExit(rank=0, code=0, signal=None),) if is_over else (),
        checkpoint=checkpoint,
        devices=(),
        launch_error=None,
        engine_state="",
    )
    return parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,) * times))


def test_a_seat_kept_in_starting_is_billed_from_the_notice_on_however_late_it_is_seen() -> None:
    parkade, _ = given_a_guest()
    parkade.org("cheat")
    sweep = parkade.bid("cheat", 20)
    parkade.clear()
    parkade.stop_all()
    ordered_us = parkade.attempt(sweep).ordered_us
    parkade.tick(1800)
    before = parkade.balance("org/cheat")
    report(parkade, sweep, started_us=parkade.now_us)
    price = parkade.price(sweep)
    report(parkade, sweep, released_us=parkade.now_us)
    assert parkade.now_us - ordered_us == 1800 * SECOND_US
    assert before - parkade.balance("org/cheat") == price * 2 * (1800 - 30) // 3600


def test_a_free_seat_kept_in_starting_costs_the_start_grace_once_a_day() -> None:
    """No workload had to leave for it, but others may wait."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    parkade.org("cheat")
    before = parkade.balance("org/cheat")
    job = parkade.bid("cheat", 9)
    parkade.clear()
    parkade.pass_time(1800)
    cancelled(parkade, job)
    parkade.ended(job, code=1, at_us=parkade.now_us)
    assert before - parkade.balance("org/cheat") == 8 * MICROS * 2 * 120 // 3600


SKEWS_S = (-(10**9), -7200, 0, 7200, 10**9)


@pytest.mark.parametrize("started_s", SKEWS_S)
@pytest.mark.parametrize("released_s", SKEWS_S)
def test_an_agents_dates_never_bill_outside_the_order_and_the_kill(
    started_s: int, released_s: int
) -> None:
    parkade = Parkade(public_floor_micros=8 * MICROS)
    job = parkade.bid("lab", 9)
    parkade.clear()
    before = parkade.balance("org/lab")
    parkade.tick(600)
    report(parkade, job, started_us=parkade.now_us + started_s * SECOND_US)
    parkade.tick(300)
    parkade.do(commands.Cancel(by=None, workload=job, now=False))
    parkade.tick(3000)
    report(parkade, job, released_us=parkade.now_us + released_s * SECOND_US)
    most_s = 600 + 300 + 30 + 5
    assert 0 <= before - parkade.balance("org/lab") <= 8 * MICROS * 2 * most_s // 3600
    assert parkade.phase(job).is_ended
    audit(encode_event(event) for event in parkade.journal)


def test_an_attempt_named_twice_in_a_report_is_charged_and_ended_once() -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    parkade.tick(3600)
    before = parkade.balance("org/lab")
    journaled = report(parkade, job, released_us=parkade.now_us, times=2)
    assert sum(isinstance(event, events.Ended) for event in journaled) == 1
    assert before - parkade.balance("org/lab") == 16 * MICROS


def test_an_invented_checkpoint_is_journaled_once_and_never_makes_use_cheaper() -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    started_us = parkade.now_us
    parkade.tick(60)
    early = Checkpoint(step=1, at_us=started_us - 1)
    assert not report(parkade, job, checkpoint=early)
    future = Checkpoint(step=2, at_us=started_us + 10**15)
    assert len(report(parkade, job, checkpoint=future)) == 1
    parkade.tick(60)
    assert not report(parkade, job, checkpoint=future)
    parkade.tick(480)
    before = parkade.balance("org/lab")
    parkade.fail(parkade.nodes_of(job)[0])
    parkade.ended(job, signal=9)
    assert before - parkade.balance("org/lab") == 8 * MICROS * 2 * 60 // 3600


def test_hiding_checkpoints_saves_at_most_an_hour_and_only_where_a_node_breaks() -> None:
    parkade = Parkade()
    open_, hidden = parkade.bid("open", 9), parkade.bid("hidden", 9)
    parkade.clear()
    parkade.start_all()
    had = {name: parkade.balance(f"org/{name}") for name in ("open", "hidden")}
    for _ in range(3):
        parkade.tick(3600)
        parkade.saved(open_, 1)
        parkade.heard()
    for job in (open_, hidden):
        parkade.fail(parkade.nodes_of(job)[0])
        parkade.ended(job, signal=9)
    paid = {name: had[name] - parkade.balance(f"org/{name}") for name in had}
    assert paid["open"] - paid["hidden"] == 16 * MICROS


@pytest.mark.parametrize("end", ["kill", "failure"])
def test_an_agent_that_goes_on_reporting_and_releases_late_is_not_paid_past_the_end(
    end: str,
) -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    before = parkade.balance("org/lab")
    parkade.tick(600)
    if end == "kill":
        parkade.do(commands.Cancel(by=None, workload=job, now=True))
    else:
        parkade.fail(parkade.nodes_of(job)[0])
    for _ in range(5):
        parkade.tick(3600)
        parkade.saved(job, parkade.now_us)
    parkade.ended(job, code=1)
    seconds = 605 if end == "kill" else 600
    assert before - parkade.balance("org/lab") == 8 * MICROS * 2 * seconds // 3600
    audit(encode_event(event) for event in parkade.journal)


@pytest.mark.parametrize("other", [{"generation": 7}, {"ordered_us": 1}, {"attempt": "w1.7"}])
def test_a_report_of_another_launch_changes_nothing(other: dict[str, Any]) -> None:
    parkade = Parkade()
    job = parkade.bid("lab", 9)
    parkade.clear()
    parkade.started(job)
    attempt = parkade.attempt(job)
    own = builders.observed(
        attempt.attempt,
        generation=attempt.generation,
        ordered_us=attempt.ordered_us,
        phase=EnginePhase.RELEASED,
        exits=(RankExit(rank=0, code=0, signal=None),),
    )
    seen = replace(own, **other)
    assert parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(seen,))) == ()
    assert parkade.attempt(job).attempt == attempt.attempt
    assert parkade.do(commands.ReportAttempts(by=None, pool="pool", attempts=(own,)))
