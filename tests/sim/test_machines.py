"""What truly runs: it starts, saves, leaves, lapses and dies at the instants that its program and
its orders give."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.units.time import SECOND_US
from parkade.ports import Lease, NodeShape, Phase, Seat
from parkade.sim.clocks import START_US, SimulatedClock
from parkade.sim.loop import new_loop
from parkade.sim.machines import Machines, Run
from parkade.sim.program import Program, program_of
from tests import builders

PROGRAM = Program(
    start_us=10 * SECOND_US,
    work_us=100 * SECOND_US,
    save_us=20 * SECOND_US,
    every_us=None,
    fail_us=None,
    linger_us=0,
    is_deaf=False,
)


class Machine:
    """One machine and its clock."""

    def __init__(self) -> None:
        self.loop = new_loop()
        self.clock = SimulatedClock(self.loop)
        self.machines = Machines((NodeShape(node="n", gpus=4),), self.clock)

    def launch(self, lease: Lease | None = None, **changes: Any) -> Run:
        program = replace(PROGRAM, **changes)
        desired = builders.desired(
            command=program.command(), ranks=(Seat(node="n", gpus=4),), lease=lease
        )
        return self.machines.launch(desired)

    def at(self, seconds: float) -> None:
        self.loop.now_us = round(seconds * SECOND_US)
        self.machines.advance()

    def tell(self, term_s: float, kill_s: float) -> None:
        stop = builders.stop_order(self.clock.now_us(), term_s=term_s, kill_s=kill_s)
        self.machines.stop("w1.1", stop)

    def ended(self, run: Run) -> tuple[float, int | None, int | None]:
        assert run.end is not None
        return run.end.at_us / SECOND_US, run.end.code, run.end.signal


def test_a_program_is_the_same_after_its_command_was_read() -> None:
    assert program_of(PROGRAM.command()) == PROGRAM


@pytest.mark.parametrize(
    ("changes", "told_s", "kill_s", "end"),
    [
        ({}, 50, 40, (70, 85, None)),
        ({}, 75, 15, (90, None, 9)),
        ({}, 105, 30, (110, 0, None)),
        ({}, 5, 40, (5, None, None)),
        ({"save_us": None, "is_deaf": True, "linger_us": 7 * SECOND_US}, 5, 40, (5, None, None)),
        ({}, 10, 40, (30, 85, None)),
        ({"save_us": None}, 50, 40, (80, None, 15)),
        ({"save_us": None, "is_deaf": True}, 50, 40, (90, None, 9)),
        ({"save_us": None, "is_deaf": True, "linger_us": 7 * SECOND_US}, 50, 40, (97, None, 9)),
    ],
)
def test_it_leaves_as_its_program_and_its_order_say(
    changes: dict[str, Any], told_s: float, kill_s: float, end: tuple[float, int, int]
) -> None:
    machine = Machine()
    run = machine.launch(**changes)
    machine.at(told_s)
    machine.tell(kill_s - 10, kill_s)
    machine.at(500)
    assert machine.ended(run) == end


def test_what_was_saved_is_not_done_again() -> None:
    machine = Machine()
    machine.launch()
    machine.at(50)
    machine.tell(30, 40)
    machine.at(80)
    machine.machines.forget("w1.1")
    run = machine.launch()
    machine.at(1000)
    assert machine.ended(run) == (80 + 10 + 100 - 60, 0, None)


def test_an_order_is_brought_forward_and_never_back() -> None:
    machine = Machine()
    run = machine.launch(save_us=None)
    machine.at(20)
    machine.tell(60, 70)
    machine.tell(100, 110)
    machine.at(30)
    machine.tell(10, 20)
    machine.at(200)
    assert machine.ended(run) == (40, None, 15)


def test_a_lease_lapses_after_the_silence_and_gives_the_notice_by_itself() -> None:
    machine = Machine()
    second = SECOND_US
    lease = Lease(silence_us=30 * second, notice_us=10 * second, kill_us=5 * second)
    machine.machines.renew()
    run = machine.launch(lease, save_us=None)
    machine.at(20)
    machine.machines.renew()
    machine.at(200)
    assert machine.ended(run) == (60, None, 15)
    [seen] = machine.machines.observed()
    assert seen.lapsed_us == START_US + 50 * second and seen.phase is Phase.RELEASED


def test_a_dead_machine_takes_its_work_along_and_how_it_ended_is_not_known() -> None:
    machine = Machine()
    machine.launch(every_us=30 * SECOND_US)
    machine.at(75)
    machine.machines.die("n")
    machine.at(300)
    [seen] = machine.machines.observed()
    assert [(rank.code, rank.signal) for rank in seen.exits] == [(None, None)]
    assert seen.checkpoint is not None and seen.checkpoint.step == 60
