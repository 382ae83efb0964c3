"""Time of the simulated loop passes only where nothing is left to do, and always the same way."""

import asyncio

import pytest

from parkade.core.units.time import SECOND_US
from parkade.sim.loop import SimulatedLoop, new_loop


def never() -> bool:
    return False


def run(loop: SimulatedLoop, seconds: int) -> None:
    loop.run_until(seconds * SECOND_US, never)


def test_sleepers_wake_in_the_order_of_their_time_and_then_of_their_asking() -> None:
    loop, woken = new_loop(), []

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, loop.now_us))

    for name, seconds in (("late", 3.0), ("first", 1.0), ("second", 1.0)):
        loop.create_task(sleep(name, seconds))
    run(loop, 60)
    assert woken == [("first", 1_000_000), ("second", 1_000_000), ("late", 3_000_000)]


def test_time_stands_at_the_end_that_was_asked_for() -> None:
    loop = new_loop()
    run(loop, 7)
    assert loop.time() == 7.0


def test_a_time_out_comes_at_its_instant_and_one_that_is_not_needed_never() -> None:
    loop, ended = new_loop(), []

    async def wait(seconds: float) -> None:
        flag = asyncio.Event()
        loop.at_us(2 * SECOND_US, flag.set)
        try:
            async with asyncio.timeout(seconds):
                await flag.wait()
        except TimeoutError:
            ended.append("out of time")
        else:
            ended.append("in time")

    loop.create_task(wait(1))
    loop.create_task(wait(3))
    run(loop, 60)
    assert ended == ["out of time", "in time"]


def test_a_slow_step_moves_the_instant_and_what_was_due_meanwhile_comes_after_it() -> None:
    loop, seen = new_loop(), []
    loop.at_us(1, lambda: loop.pass_us(10))
    loop.at_us(5, lambda: seen.append(loop.now_us))
    run(loop, 1)
    assert seen == [11]


def test_what_would_run_in_a_thread_runs_at_once_and_its_error_is_the_waiters() -> None:
    loop, seen = new_loop(), []

    def fail() -> None:
        raise KeyError("here")

    async def ask() -> None:
        seen.append(await asyncio.to_thread(lambda: 5))
        with pytest.raises(KeyError):
            await asyncio.to_thread(fail)

    task = loop.create_task(ask())
    run(loop, 1)
    assert seen == [5] and task.done() and task.exception() is None


def test_what_still_waits_at_the_end_is_cancelled() -> None:
    loop = new_loop()
    task = loop.create_task(asyncio.sleep(100))
    run(loop, 1)
    loop.finish()
    assert task.cancelled()
