"""The small parts of the control plane: clock, schedule, leadership."""

import subprocess
import sys
from pathlib import Path

import pytest

from parkade.control.clock import ClockGuard
from parkade.control.leadership import FileLeadership
from parkade.control.schedule import Schedule
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from parkade.ports import AlreadyLed
from tests.builders import market
from tests.clocks import HandClock


def guard(clock: HandClock, *, floor_us: int = 0) -> ClockGuard:
    return ClockGuard(clock, floor_us=floor_us, jump_us=HOUR_US, restart_us=7 * DAY_US)


def test_a_clock_that_is_set_back_stops_nothing_and_the_difference_is_told() -> None:
    clock = HandClock()
    present = guard(clock)
    first = present.read(is_doubted=False).now_us
    clock.pass_us(SECOND_US)
    clock.wall -= HOUR_US
    reading = present.read(is_doubted=False)
    assert (reading.now_us, reading.behind_us) == (first + SECOND_US, HOUR_US)
    clock.pass_us(MINUTE_US)
    reading = present.read(is_doubted=False)
    assert (reading.now_us, reading.behind_us) == (first + SECOND_US + MINUTE_US, HOUR_US)
    clock.wall += HOUR_US
    reading = present.read(is_doubted=False)
    assert (reading.now_us, reading.behind_us) == (clock.wall, 0)
    assert reading.jumped_from_us is None


def test_a_clock_that_stands_stops_nothing() -> None:
    clock = HandClock()
    present = guard(clock)
    first = present.read(is_doubted=False).now_us
    for step in range(1, 5):
        clock.steady += SECOND_US
        assert present.read(is_doubted=False).now_us == first + step * SECOND_US


def test_time_after_a_restart_is_not_before_the_last_on_record() -> None:
    clock = HandClock()
    floor_us = clock.wall + SECOND_US
    present = guard(clock, floor_us=floor_us)
    assert present.read(is_doubted=False).now_us == floor_us
    clock.pass_us(SECOND_US // 2)
    assert present.read(is_doubted=False).now_us == floor_us + SECOND_US // 2


def test_a_long_pause_is_no_jump() -> None:
    clock = HandClock()
    present = guard(clock)
    present.read(is_doubted=False)
    clock.pass_us(30 * DAY_US)
    reading = present.read(is_doubted=False)
    assert (reading.now_us, reading.jumped_from_us) == (clock.wall, None)


def test_a_jump_is_told_once_and_time_goes_on_at_the_steady_pace_until_confirmed() -> None:
    clock = HandClock()
    present = guard(clock)
    before = present.read(is_doubted=False).now_us
    clock.pass_us(SECOND_US)
    clock.wall += 400 * DAY_US
    reading = present.read(is_doubted=False)
    assert (reading.now_us, reading.jumped_from_us) == (before + SECOND_US, before)
    clock.pass_us(SECOND_US)
    reading = present.read(is_doubted=True)
    assert (reading.now_us, reading.jumped_from_us) == (before + 2 * SECOND_US, None)
    assert reading.leapt_us == 0
    reading = present.read(is_doubted=False)
    assert (reading.now_us, reading.jumped_from_us) == (clock.wall, None)
    assert reading.leapt_us == 400 * DAY_US


def test_time_that_the_steady_clock_counts_is_no_leap_and_what_it_does_not_count_is_one() -> None:
    clock = HandClock()
    present = guard(clock)
    assert present.read(is_doubted=False).leapt_us == 0
    clock.pass_us(HOUR_US)
    assert present.read(is_doubted=False).leapt_us == 0
    clock.pass_us(SECOND_US)
    clock.wall += MINUTE_US
    assert present.read(is_doubted=False).leapt_us == MINUTE_US


@pytest.mark.parametrize(("days", "is_jump"), [(6, False), (8, True)])
def test_a_restart_after_more_than_a_week_is_a_jump(days: int, is_jump: bool) -> None:
    clock = HandClock()
    reading = guard(clock, floor_us=clock.wall - days * DAY_US).read(is_doubted=False)
    assert (reading.jumped_from_us is not None) is is_jump


def test_a_market_is_cleared_at_once_then_each_interval() -> None:
    schedule, one = Schedule(part=4), market("m")
    assert schedule.next([one], now_us=0, steady_us=0) == ("m", 0)
    schedule.cleared(["m"], now_us=0, is_apart=False)
    assert schedule.next([one], now_us=1, steady_us=1) == (None, 30 * SECOND_US - 1)
    assert schedule.next([one], now_us=30 * SECOND_US, steady_us=1) == ("m", 0)


def test_an_urgent_market_waits_for_its_pause_only() -> None:
    schedule, one = Schedule(part=4), market("m")
    schedule.cleared(["m"], now_us=0, is_apart=False)
    schedule.ask(["m"])
    assert schedule.next([one], now_us=1, steady_us=1) == (None, SECOND_US - 1)
    assert schedule.next([one], now_us=SECOND_US, steady_us=1) == ("m", 0)
    schedule.begins(["m"])
    schedule.cleared(["m"], now_us=SECOND_US, is_apart=False)
    assert schedule.next([one], now_us=SECOND_US, steady_us=1) == (None, 30 * SECOND_US)


def test_what_asks_while_a_clearing_is_decided_is_not_forgotten() -> None:
    schedule, one = Schedule(part=4), market("m")
    schedule.begins(["m"])
    schedule.ask(["m"])
    schedule.cleared(["m"], now_us=0, is_apart=False)
    assert schedule.next([one], now_us=0, steady_us=1) == (None, SECOND_US)


def test_clearings_take_a_quarter_of_the_time_at_most() -> None:
    schedule, markets = Schedule(part=4), [market("m"), market("n")]
    schedule.cleared(["m"], now_us=0, is_apart=False)
    schedule.rest(started_us=100, ended_us=200)
    assert schedule.next(markets, now_us=5, steady_us=200) == (None, 300)
    assert schedule.next(markets, now_us=5, steady_us=500) == ("n", 0)


def test_a_market_whose_clearing_fails_is_tried_again_later_each_time_and_others_are_cleared() -> (
    None
):
    schedule = Schedule(part=4)
    now_us, waits = 0, []
    for _ in range(9):
        schedule.failed(["m"], steady_us=now_us)
        assert schedule.next([market("m"), market("n")], now_us=0, steady_us=now_us) == ("n", 0)
        assert schedule.frozen == ("m",)
        name, wait_us = schedule.next([market("m")], now_us=0, steady_us=now_us)
        assert name is None and wait_us is not None
        waits.append(wait_us // SECOND_US)
        now_us += wait_us
        assert schedule.next([market("m")], now_us=0, steady_us=now_us) == ("m", 0)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    schedule.cleared(["m"], now_us=0, is_apart=False)
    assert schedule.frozen == ()
    schedule.failed(["m"], steady_us=now_us)
    assert schedule.next([market("m")], now_us=0, steady_us=now_us)[1] == 30 * SECOND_US


def test_markets_that_fail_together_are_cleared_apart_until_they_are_tried_again() -> None:
    schedule, markets = Schedule(part=4), [market("m"), market("n")]
    schedule.failed(["m", "n"], steady_us=0)
    assert schedule.frozen == ()
    assert schedule.next(markets, now_us=0, steady_us=0) == ("m", 0), "at once, by itself"
    assert schedule.is_apart("m", steady_us=0) and schedule.is_apart("n", steady_us=0)
    schedule.cleared(["m"], now_us=0, is_apart=True)
    last_us = 30 * SECOND_US - 1
    assert schedule.is_apart("m", steady_us=last_us)
    assert not schedule.is_apart("m", steady_us=last_us + 1)
    schedule.failed(["m", "n"], steady_us=last_us + 1)
    assert schedule.is_apart("n", steady_us=3 * last_us)
    schedule.cleared(["m", "n"], now_us=0, is_apart=False)
    assert not schedule.is_apart("n", steady_us=3 * last_us)


HOLD = """
import sys
from pathlib import Path
from parkade.control.leadership import FileLeadership
FileLeadership(Path(sys.argv[1]), holder="server").acquire()
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "data" / "writer.lock"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    mine = FileLeadership(path, holder="server")
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == "taken\n"
        with pytest.raises(AlreadyLed, match=f"another server .process {first.pid}."):
            mine.acquire()
        assert not mine.is_held()
        first.kill()
    mine.acquire()
    assert mine.is_held()
    mine.release()
    assert not mine.is_held()


def test_leadership_is_lost_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "writer.lock"
    first, second = (FileLeadership(path, holder="server") for _ in range(2))
    first.acquire()
    path.unlink()
    assert not first.is_held()
    second.acquire()
    assert second.is_held() and not first.is_held()
    first.release()
    second.release()
