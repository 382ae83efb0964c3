"""A decision in a child: its answer, and each way in which none comes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from parkade.control.beside import Decide, DecisionFailed, NoDecision
from parkade.control.forked import Forked, decide_in_child
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.state.world import Records, World
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import SECOND_US
from tests import builders
from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a server decides so on Linux only")


def open_files() -> list[str]:
    """By number, that of the folder which is listed included."""
    return [it.name for it in Path("/proc/self/fd").iterdir()]


def decided(decision: Decide) -> Forked:
    """Once it has ended."""
    done = threading.Event()
    child = decide_in_child(decision, done.set)
    assert child is not None
    assert done.wait(PATIENCE_S) and child.is_done()
    return child


def market_world() -> World:
    """Two nodes, and two bids for them that were not cleared yet."""
    world = World(Records())
    for command in (
        builders.open_pool("m", {"f": 2}),
        commands.CreateOrg(by=None, org="a"),
        commands.CreateUser(by=None, user="ann", org="a", role=Role.MEMBER, unix_name=None),
        commands.Deposit(by=None, org="a", micros=10**12),
        builders.submit("a", "ann", limit_price_micros=3_000_000),
        builders.submit("a", "ann", limit_price_micros=4_000_000),
    ):
        made = decide(world, command, SECOND_US)
        assert not isinstance(made, Refusal)
        for event in made:
            evolve(world, event)
    return world


def test_its_events_are_those_that_this_process_decides() -> None:
    world = market_world()
    clearing = commands.RunClearing(by=None, market="m")
    now_us = world.records.now_us + 1
    here = decide(world, clearing, now_us)
    assert not isinstance(here, Refusal) and here
    assert decided(lambda: decide(world, clearing, now_us)).result() == here


def test_a_refusal_comes_back_as_it_is() -> None:
    refusal = Refusal(reason=Reason.NOT_FOUND, detail="there is no market m", field="market")
    assert decided(lambda: refusal).result() == refusal


def test_an_error_comes_back_with_its_place() -> None:
    def fails() -> Refusal:
        raise ValueError("a price below nothing")

    with pytest.raises(DecisionFailed, match=r"(?s)in fails.*a price below nothing"):
        decided(fails).result()


def test_a_child_that_is_killed_has_no_answer() -> None:
    def dies() -> Refusal:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.raises(NoDecision):
        decided(dies).result()


def test_it_has_no_file_but_its_answer() -> None:
    """Neither the journal's lock nor a socket stays open where the server was killed."""

    def counts() -> Refusal:
        return Refusal(reason=Reason.INTERNAL, detail=" ".join(sorted(open_files())))

    with Path(os.devnull).open(), Path(os.devnull).open():
        answer = decided(counts).result()
    assert isinstance(answer, Refusal)
    assert len(answer.detail.split()) == 5, "three, the pipe, and the folder that is listed"


def test_what_is_given_up_ends_and_is_reaped() -> None:
    child = decide_in_child(lambda: time.sleep(600), lambda: None)  # type: ignore[arg-type, return-value]
    assert child is not None
    child.give_up()
    until(child.is_done)
    child.give_up()
    assert not psutil.Process().children()


def test_it_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    program = """
import sys, time
from parkade.control.forked import decide_in_child
child = decide_in_child(lambda: time.sleep(600), lambda: None)
print(child._pid, flush=True)
time.sleep(600)
"""
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server, server.stdout:
        child = int(server.stdout.readline())
        assert psutil.pid_exists(child)
        server.kill()
        server.wait(PATIENCE_S)
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")


def test_where_the_system_has_no_room_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(open_files())

    def refuses() -> int:
        raise BlockingIOError("resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuses)
    assert decide_in_child(lambda: (), lambda: None) is None
    assert len(open_files()) == before
