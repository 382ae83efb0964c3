"""What an agent is told, from the real core: whole, numbered, and the same after a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from parkade.control.answers import Decided
from parkade.control.cycle import Asked
from parkade.control.outbox import desired_attempt, given_of
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Writer
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause
from parkade.core.workloads.observed import EnginePhase, RankExit
from parkade.core.workloads.saving import CheckpointTerms
from parkade.ports import DesiredState, Seat, Store
from parkade.store import open_sqlite
from tests import builders
from tests.clocks import HandClock
from tests.core.kernel.story import Parkade

SPEC: dict[str, Any] = {
    "name": "train",
    "command": "python train.py",
    "workdir": "/home/ann",
    "env": (("EPOCHS", "3"),),
    "env_file": "~/secrets",
    "nodes": 2,
    "gpus": 3,
    "checkpoint": CheckpointTerms(signal="SIGUSR1", needs_us=SECOND_US),
}
TERMS = builders.terms()


class Driven:
    """A writer that a test drives turn by turn."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock()
        self.writer = self.restarted()
        self.ask(builders.open_pool("box", {"a": 2}))
        self.ask(commands.CreateOrg(by=None, org="lab"))
        self.ask(
            commands.CreateUser(by=None, user="ann", org="lab", role=Role.MEMBER, unix_name="ann1")
        )
        self.ask(commands.Deposit(by=None, org="lab", micros=10**9))

    def restarted(self) -> Writer:
        dependencies = builders.dependencies(self.store, self.clock)
        return Writer(dependencies, PlaneSettings(check_every=1))

    def ask(self, command: commands.AnyCommand) -> None:
        one = Asked(command=command, idempotency=None)
        (outcome,) = self.writer.turn((one,)).outcomes
        assert isinstance(outcome, Decided), outcome

    def pass_seconds(self, seconds: int) -> None:
        self.clock.pass_us(seconds * SECOND_US)
        self.writer.intake.heard("box", self.clock.steady_us())
        self.writer.turn()
        self.writer.turn()

    def state(self) -> DesiredState:
        state = self.writer.outbox.state("box")
        assert state is not None
        return state

    def submit(self) -> None:
        self.ask(builders.submit("lab", "ann", **SPEC))
        self.pass_seconds(31)


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[Driven]:
    store = open_sqlite(tmp_path / "parkade.sqlite3")
    yield Driven(store)
    store.close()


def test_an_attempt_is_told_with_all_that_its_engine_needs(driven: Driven) -> None:
    before = driven.state()
    assert before.attempts == ()
    driven.submit()
    state = driven.state()
    assert (state.epoch, state.sequence) > (before.epoch, before.sequence)
    (attempt,) = state.attempts
    assert (attempt.attempt, attempt.workload, attempt.generation) == ("w1.1", "w1", 1)
    assert (attempt.name, attempt.org, attempt.unix_user) == ("train", "lab", "ann1")
    assert (attempt.command, attempt.workdir) == ("python train.py", "/home/ann")
    assert (attempt.env, attempt.env_file) == ((("EPOCHS", "3"),), "~/secrets")
    assert attempt.ranks == (Seat(node="a1", gpus=3), Seat(node="a2", gpus=3))
    assert (attempt.save.signals, attempt.stop) == (("SIGUSR1",), None)
    assert attempt.heal_notice_us == 10 * SECOND_US, "the shorter one of both notices"


def test_a_stop_is_told_with_its_deadlines_until_the_release_is_seen(driven: Driven) -> None:
    driven.submit()
    driven.ask(commands.Cancel(by="ann", workload="w1", now=False))
    (attempt,) = driven.state().attempts
    assert attempt.stop is not None
    now_us = driven.clock.wall
    assert attempt.stop.noticed_us == now_us
    assert attempt.stop.deadline_us == now_us + TERMS.notice_us
    assert attempt.stop.kill_us == now_us + TERMS.notice_us + TERMS.kill_us
    assert attempt.stop.cause == "cancelled"
    seen = builders.observed(
        phase=EnginePhase.RELEASED,
        started_us=now_us - SECOND_US,
        released_us=now_us,
        exits=(RankExit(rank=0, code=None, signal=15), RankExit(rank=1, code=None, signal=15)),
    )
    driven.ask(commands.ReportAttempts(by=None, pool="box", attempts=(seen,)))
    assert driven.state().attempts == ()


def test_what_does_not_concern_a_pool_leaves_its_number_alone(driven: Driven) -> None:
    driven.submit()
    before = driven.state()
    driven.ask(commands.CreateOrg(by=None, org="other"))
    driven.ask(commands.Deposit(by=None, org="lab", micros=5))
    assert driven.state() is before


def test_after_a_restart_the_same_is_told_in_a_higher_epoch(driven: Driven) -> None:
    driven.submit()
    before = driven.state()
    driven.writer = driven.restarted()
    after = driven.state()
    assert after.attempts == before.attempts
    assert after.epoch > before.epoch
    assert after.sequence > before.sequence


def test_an_order_has_a_cause_that_agents_of_before_know() -> None:
    parkade = Parkade(fabrics={"a": 2}, buffer_nodes=0)
    parkade.lend(parkade.reserve("acme", 2), 5)
    guest = parkade.bid("lab", 9)
    parkade.run(60)
    parkade.do(commands.ChangeBid(by=None, workload=guest, limit_price_micros=1, members=None))
    parkade.clear()
    assert parkade.stop(guest).cause is Cause.BELOW_FLOOR
    parkade.do(builders.create_user("eve", "lab"))
    own = replace(parkade.workload(guest), user="eve")
    told = desired_attempt(parkade.world, own, parkade.attempt(guest)).stop
    assert told is not None and told.cause is Cause.RECLAIMED
    assert told.deadline_us == parkade.stop(guest).deadline_us


def test_an_owners_job_with_several_claims_is_given_the_nodes_of_all() -> None:
    parkade = Parkade(fabrics={"a": 3}, buffer_nodes=0)
    parkade.reserve("acme", 3)
    for nodes in (1, 3):
        array = OwnerJob(job="10", reservation="acme", nodes=nodes, least=1)
        parkade.do(commands.ReportOwnerJobs(by=None, pool="pool", jobs=(array,)))
        parkade.run(60)
    (given,) = given_of(parkade.world, "pool")
    assert (given.job, sorted(given.nodes)) == ("10", ["a1", "a2", "a3"])
