"""Only time in which an agent could have told of a first process makes a start late, whatever
clocks and restarts do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.control.answers import Decided
from parkade.control.cycle import Asked
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Writer
from parkade.core.state import commands
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.workload import Stop
from parkade.ports import Store
from parkade.store import open_sqlite
from tests import builders
from tests.clocks import HandClock

LIMIT_MINUTES = 30


class Driven:
    """A writer that a test drives, an agent that is heard, and an attempt that does not start."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock()
        self.restart()
        terms = builders.terms(start_limit_us=LIMIT_MINUTES * MINUTE_US)
        self.ask(builders.open_pool("box", {"a": 1}, terms=terms))
        self.ask(commands.CreateOrg(by=None, org="lab"))
        self.ask(commands.Deposit(by=None, org="lab", micros=10**9))
        self.ask(builders.create_user("ann", "lab"))
        self.ask(builders.submit("lab", "ann"))
        self.clock.pass_us(31 * SECOND_US)
        self.hear()
        assert self.stop() is None

    def restart(self) -> None:
        """As after a start of the server; it does not know how much time has passed."""
        dependencies = builders.dependencies(self.store, self.clock)
        self.writer = Writer(dependencies, PlaneSettings(check_every=1))

    def ask(self, command: commands.AnyCommand) -> None:
        (outcome,) = self.writer.turn((Asked(command=command, idempotency=None),)).outcomes
        assert isinstance(outcome, Decided), outcome

    def hear(self) -> None:
        """The agent is heard and has nothing new; turns until nothing is due."""
        self.writer.intake.heard("box", self.clock.steady_us())
        self.writer.turn()
        self.writer.turn()

    def run(self, minutes: int) -> None:
        """Time passes on both clocks, and the agent is heard all along."""
        for _ in range(6 * minutes):
            self.clock.pass_us(10 * SECOND_US)
            self.hear()

    def stop(self) -> Stop | None:
        """The order to stop the attempt, if there is one."""
        state = self.writer.outbox.state("box")
        assert state is not None
        (attempt,) = state.attempts
        return attempt.stop


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[Driven]:
    store = open_sqlite(tmp_path / "parkade.sqlite3")
    yield Driven(store)
    store.close()


def stops_after(driven: Driven, minutes: int) -> None:
    """It is stopped for its late start then, and not a minute before."""
    driven.run(minutes - 1)
    assert driven.stop() is None
    driven.run(1)
    stop = driven.stop()
    assert stop is not None and stop.cause == "not_started"


def test_an_attempt_without_a_first_process_is_stopped_after_the_limit(driven: Driven) -> None:
    stops_after(driven, LIMIT_MINUTES)


def test_a_wall_clock_set_ahead_makes_no_start_late(driven: Driven) -> None:
    driven.run(5)
    driven.clock.wall += 50 * MINUTE_US
    stops_after(driven, LIMIT_MINUTES - 5)


def test_a_jump_that_a_person_confirms_makes_no_start_late(driven: Driven) -> None:
    driven.run(5)
    driven.clock.wall += 3 * HOUR_US
    driven.hear()
    assert driven.stop() is None
    driven.ask(commands.ConfirmClock(by=None))
    stops_after(driven, LIMIT_MINUTES - 5)


def test_the_time_in_which_no_server_ran_makes_no_start_late(driven: Driven) -> None:
    driven.clock.pass_us(HOUR_US)
    driven.restart()
    driven.hear()
    stops_after(driven, LIMIT_MINUTES)
