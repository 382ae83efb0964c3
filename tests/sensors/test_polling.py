"""Which sensors are polled when, and a ring that stays open."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from parkade.core.healing.symptom import Symptom
from parkade.sensors.kernel_log.files import KernelRecords
from parkade.sensors.kernel_log.live import KernelRing
from parkade.sensors.polling import LOGS_EVERY_S, SensorGroup, grouped, logs_pause_s
from tests.core.healing.builder import symptom, xid
from tests.sensors.ring import HeldRecords


class Waiting:
    """A sensor that answers when a test lets it."""

    name = "waiting"
    state = "read"

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.is_closed = False

    def poll(self, now_us: int) -> Sequence[Symptom]:
        self.is_asked.set()
        assert self.may_answer.wait(60)
        return [symptom(xid(79))]

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("every_s", "spent_s", "pause_s"),
    [
        (5.0, 0.0, LOGS_EVERY_S),
        (5.0, 0.01, LOGS_EVERY_S),
        (5.0, 0.04, 2.0),
        (5.0, 3.0, 5.0),
        (0.25, 0.0, 0.25),
    ],
)
def test_logs_are_read_each_second_unless_that_costs_too_much(
    every_s: float, spent_s: float, pause_s: float
) -> None:
    assert logs_pause_s(every_s, spent_s) == pytest.approx(pause_s)


def test_what_waits_is_read_at_once_and_half_of_the_time_is_left_to_the_rest() -> None:
    assert logs_pause_s(15.0, 0.2, is_behind=True) == pytest.approx(0.2)
    assert logs_pause_s(15.0, 7.0, is_behind=True) == pytest.approx(LOGS_EVERY_S)


def test_logs_are_told_from_other_sensors_in_the_order_of_nodes() -> None:
    rings = [KernelRing(node=node, records=lambda: HeldRecords([])) for node in ("n1", "n2")]
    other = Waiting()
    logs, others = grouped({"n1": (other, rings[0]), "n2": (rings[1],)})
    assert logs.sensors == (("n1", rings[0]), ("n2", rings[1]))
    assert others.sensors == (("n1", other),)


def test_a_poll_that_was_left_behind_closes_the_sensors_when_it_ends() -> None:
    first, second = Waiting(), Waiting()
    group = SensorGroup((("n1", first), ("n2", second)))
    poll = threading.Thread(target=group.poll, args=(lambda: 0,))
    poll.start()
    assert first.is_asked.wait(60)
    group.close()
    assert not first.is_closed, "a poll waits for it"
    first.may_answer.set()
    poll.join(60)
    assert first.is_closed and second.is_closed
    assert not second.is_asked.is_set()


def test_a_ring_stays_open_and_gives_each_record_once() -> None:
    read, write = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)  # one write is one record, as of /dev/kmsg
    records = KernelRecords(Path(f"/proc/self/fd/{read}"))
    assert list(records.new()) == []
    os.close(read)
    for number in range(3):
        os.write(write, b"4,%d,1000,-;line\n SUBSYSTEM=pci\n" % number)
        assert list(records.new()) == [f"4,{number},1000,-;line"], "its path is there no more"
        assert list(records.new()) == []
    records.close()
    with pytest.raises(BrokenPipeError):
        os.write(write, b"nothing holds the other end open")
    os.close(write)
