"""What an agent is told, from the real core: whole, numbered, and the same after a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.control.answers import Decided
from parkade.control.core import RULES
from parkade.control.cycle import Asked
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Dependencies, Writer
from parkade.core.fleet.market import InstanceType
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.observed import EnginePhase, ObservedAttempt, RankExit
from parkade.core.workloads.spec import (
    Capacity,
    CapacityKind,
    CheckpointTerms,
    Interconnect,
    Spec,
)
from parkade.core.world import commands as asked
from parkade.core.world.people import Role
from parkade.ports import DesiredState, Seat, Store
from parkade.store import open_sqlite
from tests.control.small import TERMS, HandClock, Leading

SPEC = Spec(
    name="train",
    command="python train.py",
    workdir="/home/ann",
    env=(("EPOCHS", "3"),),
    env_file="~/secrets",
    storage=(),
    nodes=2,
    gpus=3,
    instance_type=None,
    interconnect=Interconnect.FABRIC,
    capacity=Capacity(kind=CapacityKind.SPOT),
    limit_price_micros=2_000_000,
    max_spend_micros=None,
    checkpoint=CheckpointTerms(signal="SIGUSR1", needs_us=SECOND_US),
    priority=0,
    retry_failures=0,
    max_duration_us=None,
)
TYPE = InstanceType(name="small", gpu_model="T4", gpus_per_node=4, memory_gib=8, cpus=4)


class Driven:
    """A writer that a test drives turn by turn."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock()
        self.writer = self.restarted()
        fabrics = (("a", ("n1", "n2")),)
        self.ask(
            asked.OpenPool(
                by=None, pool="box", site="s", instance_type=TYPE, fabrics=fabrics, terms=TERMS
            )
        )
        self.ask(asked.CreateOrg(by=None, org="lab"))
        self.ask(
            asked.CreateUser(by=None, user="ann", org="lab", role=Role.MEMBER, unix_name="ann1")
        )
        self.ask(asked.Deposit(by=None, org="lab", micros=10**9))

    def restarted(self) -> Writer:
        dependencies = Dependencies(
            store=self.store,
            clock=self.clock,
            rules=RULES,
            on_fatal=lambda error: None,
            crash_point=lambda _: None,
            leadership=Leading(),
        )
        return Writer(dependencies, PlaneSettings(check_every=1))

    def ask(self, command: asked.Command) -> None:
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
        self.ask(asked.Submit(by="ann", org="lab", market="box", spec=SPEC, is_held=False))
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
    assert attempt.ranks == (Seat(node="n1", gpus=3), Seat(node="n2", gpus=3))
    assert (attempt.checkpoint_signal, attempt.stop) == ("SIGUSR1", None)


def test_a_stop_is_told_with_its_deadlines_until_the_release_is_seen(driven: Driven) -> None:
    driven.submit()
    driven.ask(asked.Cancel(by="ann", workload="w1", now=False))
    (attempt,) = driven.state().attempts
    assert attempt.stop is not None
    now_us = driven.clock.wall
    assert attempt.stop.noticed_us == now_us
    assert attempt.stop.deadline_us == now_us + TERMS.notice_us
    assert attempt.stop.kill_us == now_us + TERMS.notice_us + TERMS.kill_us
    assert attempt.stop.cause == "cancelled"
    seen = ObservedAttempt(
        attempt="w1.1",
        generation=1,
        phase=EnginePhase.RELEASED,
        started_us=now_us - SECOND_US,
        released_us=now_us,
        exits=(RankExit(rank=0, code=None, signal=15), RankExit(rank=1, code=None, signal=15)),
        checkpoint=None,
        devices=(),
        launch_error=None,
        engine_state="gone",
    )
    driven.ask(asked.ReportAttempts(by=None, pool="box", attempts=(seen,)))
    assert driven.state().attempts == ()


def test_what_does_not_concern_a_pool_leaves_its_number_alone(driven: Driven) -> None:
    driven.submit()
    before = driven.state()
    driven.ask(asked.CreateOrg(by=None, org="other"))
    driven.ask(asked.Deposit(by=None, org="lab", micros=5))
    assert driven.state() is before


def test_after_a_restart_the_same_is_told_in_a_higher_epoch(driven: Driven) -> None:
    driven.submit()
    before = driven.state()
    driven.writer = driven.restarted()
    after = driven.state()
    assert after.attempts == before.attempts
    assert after.epoch == before.epoch + 1
    assert after.sequence > before.sequence
