"""Keepers that are lost, replaced, or killed by the programs they keep."""

import asyncio
import os
import signal

import pytest

from parkade.core.units.time import SECOND_US
from parkade.engines.local import keepers, processes
from parkade.engines.local.ending import end_everything
from parkade.ports import Phase, RankExit, Transient
from tests.engines import standin_gangs, standins
from tests.engines.conftest import LocalPlace, kill_keeper, up, with_argument
from tests.engines.contract_lease import lease
from tests.engines.trial import (
    FOR_EVER,
    NEVER_LEAVES,
    ask,
    attempt_of,
    order_in,
    output_of,
    released,
    run,
    until,
    until_seen,
)

pytestmark = pytest.mark.system


def test_a_keeper_is_nobodys_child_and_in_its_own_session(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        keeper = processes.look(place.state(attempt).keeper_pid)
        assert keeper is not None
        assert keeper.parent != os.getpid()
        assert keeper.session == keeper.group == keeper.pid
        rank = processes.look(place.state(attempt).ranks[0].pid)
        assert rank is not None
        assert rank.session == rank.group == rank.pid != keeper.pid
        await engine.stop(attempt.attempt, order_in(0, 0))
        await released(engine, attempt)

    run(body())


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_keeper_and_its_guard_outlive_every_signal_but_kill(
    place: LocalPlace, number: signal.Signals
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        state = place.state(attempt)
        for pid in (state.keeper_pid, state.guards[0].pid):
            os.kill(pid, number)
        # An order is carried out by the same keeper, so the signal was taken before.
        await engine.stop(attempt.attempt, order_in(0, 0))
        seen = await released(engine, attempt)
        assert not seen.is_keeper_lost
        assert place.state(attempt).keeper_pid == state.keeper_pid

    run(body())


def test_after_kill_9_of_the_keeper_another_adopts_and_carries_out_the_order(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(NEVER_LEAVES + FOR_EVER, nodes=2)
        await engine.launch(attempt)
        await up(place, attempt)
        order = order_in(0.8, 1.6)
        await engine.stop(attempt.attempt, order)
        before = await until_seen(engine, attempt, lambda one: "notice" in one.engine_state)
        kill_keeper(place, attempt)
        seen = await released(engine, attempt)
        assert (seen.released_us or 0) >= order.kill_us
        assert seen.started_us == before.started_us
        assert all(one.code is None and one.signal is None for one in seen.exits)
        assert "unknown" in seen.engine_state

    run(body())


@pytest.mark.parametrize("delay_ms", range(0, 60, 6))
def test_a_keeper_lost_while_it_starts_never_makes_a_rank_run_twice(
    place: LocalPlace, delay_ms: int
) -> None:
    async def body() -> None:
        attempt = attempt_of("echo $PARKADE_NODE_RANK >> $PARKADE_CHECKPOINT_DIR/runs", nodes=2)
        folder = place.engine()._make_known(attempt)
        starting = asyncio.create_task(asyncio.to_thread(keepers.start_keeper, folder))
        await asyncio.sleep(delay_ms / 1000)
        module = b"-m\0" + keepers.MODULE.encode()
        for pid in with_argument(place, module):
            process = processes.look(pid)
            if process is not None:
                processes.send(pid, process.start_ticks, signal.SIGKILL)
        await asyncio.gather(starting, return_exceptions=True)
        seen = await released(place.engine(), attempt)
        ran = place.checkpoints(attempt) / "runs"
        lines = sorted(ran.read_text().split()) if ran.exists() else []
        assert lines in ([], ["0"], ["1"], ["0", "1"])
        if all(one.code == 0 for one in seen.exits):
            assert lines == ["0", "1"]

    run(body())


def test_output_goes_on_after_the_keeper_was_lost(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        go, wait = "$PARKADE_CHECKPOINT_DIR/go", "do sleep 0.02; done"
        attempt = attempt_of(
            f"echo one; until [ -f {go}1 ]; {wait}; echo two; until [ -f {go}2 ]; {wait}; exit 0"
        )
        await engine.launch(attempt)
        await until_seen(engine, attempt, lambda one: one.phase is Phase.RUNNING)
        kill_keeper(place, attempt)
        (place.checkpoints(attempt) / "go1").touch()
        following = asyncio.create_task(output_of(engine, attempt))
        await until_seen(engine, attempt, lambda one: one.engine_state == "adopted")
        (place.checkpoints(attempt) / "go2").touch()
        await released(engine, attempt)
        assert await following == b"one\ntwo\n"

    run(body())


def test_keeper_and_ranks_lost_together_are_released_with_unknown_exits(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("(setsid sleep 60 &) ; " + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        kill_keeper(place, attempt)
        rank = place.state(attempt).ranks[0]
        assert processes.send(rank.pid, rank.start_ticks, signal.SIGKILL)
        seen = await released(engine, attempt)
        assert seen.exits == (RankExit(rank=0, code=None, signal=None),)

    run(body())


HIDES = {
    "marked": "setsid sleep 300 & ",
    "orphan": "(setsid sleep 300 &) ; ",
    "without its environment": "(env -i setsid /bin/sleep 300 &) ; ",
    "in the rank's session": "(env -i /bin/sleep 300 &) ; ",
}


@pytest.mark.parametrize("is_agent_there", [True, False])
def test_a_program_that_stops_its_keeper_is_ended_in_time_and_pays_as_one_that_killed_it(
    place: LocalPlace, is_agent_there: bool
) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(NEVER_LEAVES + "kill -STOP $PPID; " + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        keeper = place.state(attempt).keeper_pid
        stopped = processes.look(keeper)
        assert stopped is not None and stopped.state == "T"
        if is_agent_there:
            await engine.stop(attempt.attempt, order_in(0, 0.5))
        else:
            told: list[str] = []
            ends = asyncio.to_thread(
                end_everything, place.data, notice_s=0, timeout_s=60, tell=told.append
            )
            (ended,) = await ends
            assert ended.attempt == attempt.attempt and ended.how is not None
        seen = await released(engine, attempt)
        assert seen.is_keeper_lost
        assert processes.look(keeper) is None

    run(body())


def test_only_the_order_to_end_it_touches_a_stopped_keeper(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        folder, keeper = place.folder(attempt), place.state(attempt).keeper_pid
        keepers.end_stopped(folder)
        assert keepers.stopped_keeper(folder) is None, "it runs"
        os.kill(keeper, signal.SIGSTOP)
        await until(lambda: keepers.stopped_keeper(folder) is not None)
        engine.view.refresh()
        assert keepers.has_keeper(folder) and engine.view.without_keeper() == []
        found = keepers.stopped_keeper(folder)
        assert found is not None and found.pid == keeper
        keepers.end_stopped(folder)
        await until(lambda: not keepers.has_keeper(folder))
        assert engine.view.without_keeper() == [folder]
        await engine.stop(attempt.attempt, order_in(0, 0))
        assert (await released(engine, attempt)).is_keeper_lost

    run(body())


@pytest.mark.parametrize("form", HIDES)
def test_a_program_that_kills_its_keeper_hides_nothing_that_it_started(
    place: LocalPlace, form: str
) -> None:
    async def body() -> None:
        engine = place.engine()
        holds = "exec 9> $PARKADE_CHECKPOINT_DIR/lock; flock 9; "
        attempt = attempt_of(holds + HIDES[form] + "kill -9 $PPID; sleep 300")
        await engine.launch(attempt)
        await until_seen(engine, attempt, lambda one: one.is_keeper_lost)
        await engine.stop(attempt.attempt, order_in(0, 0))
        seen = await released(engine, attempt)
        assert seen.is_keeper_lost
        again = attempt_of(f"flock -n {place.checkpoints(attempt)}/lock true")
        await engine.launch(again)
        assert (await released(engine, again)).exits == (RankExit(rank=0, code=0, signal=None),)

    run(body())


def test_a_daemon_that_outlives_keeper_and_rank_is_ended_before_the_seats_are_free(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine = place.engine()
        holds = "exec 9> $PARKADE_CHECKPOINT_DIR/lock; flock 9; "
        daemon = "(env -i setsid /bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done' &) ; "
        attempt = attempt_of(holds + daemon + "kill -9 $PPID")
        await engine.launch(attempt)
        seen = await released(engine, attempt)
        assert seen.is_keeper_lost
        assert seen.exits == (RankExit(rank=0, code=None, signal=None),)
        again = attempt_of(f"flock -n {place.checkpoints(attempt)}/lock true")
        await engine.launch(again)
        assert (await released(engine, again)).exits == (RankExit(rank=0, code=0, signal=None),)

    run(body())


def test_a_signal_is_not_repeated_by_the_next_keeper(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(standins.saves_once(4.0), save=ask("SIGTERM"))
        await engine.launch(attempt)
        await up(place, attempt)
        await engine.stop(attempt.attempt, order_in(0.5, 60))
        await until((place.checkpoints(attempt) / "told.0").exists)
        kill_keeper(place, attempt)
        seen = await released(engine, attempt)
        assert (place.checkpoints(attempt) / "told.0").read_text() == "SIGTERM\n"
        assert seen.checkpoint is not None
        assert seen.is_signalled and seen.is_keeper_lost

    run(body())


def test_the_next_keeper_goes_on_with_a_notice_that_a_lapse_gave(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(NEVER_LEAVES + FOR_EVER, lease=lease(0.5, 2.0, 0.5))
        await engine.renew_leases()
        await engine.launch(attempt)
        await up(place, attempt)
        before = await until_seen(engine, attempt, lambda one: one.lapsed_us is not None)
        kill_keeper(place, attempt)
        await engine.renew_leases()
        seen = await released(engine, attempt)
        assert seen.is_keeper_lost
        assert seen.lapsed_us == before.lapsed_us
        assert (seen.released_us or 0) >= (seen.lapsed_us or 0) + 2_500_000

    run(body())


def test_the_next_keeper_goes_on_with_the_heal_notice_of_a_broken_gang(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        command = standin_gangs.dies(1, standins.saves_once(4.0))
        attempt = attempt_of(command, nodes=2, save=ask("SIGTERM"), heal_notice_us=60 * SECOND_US)
        await engine.launch(attempt)
        folder = place.checkpoints(attempt)
        await until((folder / "up.0").exists)
        (folder / "die").touch()
        await until((folder / "told.0").exists)
        broken_us = place.state(attempt).broken_us
        assert broken_us is not None
        kill_keeper(place, attempt)
        seen = await released(engine, attempt)
        assert place.state(attempt).broken_us == broken_us
        assert (folder / "told.0").read_text() == "SIGTERM\n"
        assert seen.checkpoint is not None and seen.is_keeper_lost
        assert seen.exits[1] == RankExit(rank=1, code=None, signal=9)

    run(body())


def test_there_is_never_a_second_keeper(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        before = place.state(attempt).keeper_pid
        many = [asyncio.to_thread(keepers.start_keeper, place.folder(attempt)) for _ in range(4)]
        await asyncio.gather(*many)
        module = b"-m\0" + keepers.MODULE.encode()
        guard = place.state(attempt).guards[0].pid
        await until(lambda: with_argument(place, module) == [guard, before])
        await engine.stop(attempt.attempt, order_in(0, 0))
        await released(engine, attempt)

    run(body())


def test_a_keeper_that_takes_too_long_to_start_is_told_apart_from_one_that_left(
    place: LocalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepers, "START_S", 0.0)

    async def body() -> None:
        with pytest.raises(Transient, match="did not start within 0 s: is the machine overloaded"):
            await place.engine().launch(attempt_of(FOR_EVER))

    run(body())
