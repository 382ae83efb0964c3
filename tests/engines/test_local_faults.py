"""What the local engine bears: lost servers and keepers, torn files, reboots, strangers."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from parkade.engines.local import keepers, processes, records
from parkade.engines.local.ending import end_everything
from parkade.engines.local.gang import number_of
from parkade.ports import Phase, RankExit
from tests.engines import standins
from tests.engines.conftest import LocalPlace, kill_keeper, up
from tests.engines.contract_lease import lease
from tests.engines.trial import (
    FOR_EVER,
    NEVER_LEAVES,
    UNTIL_TERM,
    ask,
    attempt_of,
    of,
    order_in,
    output_of,
    read,
    released,
    run,
    until,
    until_seen,
)

LAUNCHER = """
import asyncio, os, sys, msgspec
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.engines.conftest import LocalPlace
from parkade.ports import DesiredAttempt
attempt = msgspec.json.decode(sys.argv[2], type=DesiredAttempt)
engine = LocalPlace(Path(sys.argv[1])).engine()
asyncio.run(engine.launch(attempt))
print("launched", flush=True)
sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]


def test_an_attempt_survives_kill_9_of_the_servers_whole_process_group(place: LocalPlace) -> None:
    async def body() -> None:
        attempt = attempt_of(UNTIL_TERM + FOR_EVER)
        server = subprocess.Popen(  # noqa: ASYNC220
            [
                sys.executable,
                "-c",
                LAUNCHER,
                str(place.data),
                msgspec.json.encode(attempt).decode(),
                str(ROOT),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert server.stdout is not None and server.stdin is not None
        assert await asyncio.to_thread(server.stdout.readline) == b"launched\n"
        await up(place, attempt)
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        server.stdout.close()
        server.stdin.close()
        engine = place.engine()
        assert attempt.attempt in await engine.adopt()
        order = order_in(0.3, 10)
        await engine.stop(attempt.attempt, order)
        seen = await released(engine, attempt)
        assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
        assert read(place.checkpoints(attempt) / "termed") // 1000 >= order.deadline_us

    run(body())


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
        for pid in _with_argument(place, module):
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


def test_everything_ends_when_the_engine_is_removed_also_what_lost_its_keeper(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine = place.engine()
        saves = attempt_of(standins.saves("SIGTERM"), save=ask("SIGTERM"))
        stays = attempt_of(NEVER_LEAVES + FOR_EVER, ranks=attempt_of("x", nodes=2).ranks)
        for attempt in (saves, stays):
            await engine.launch(attempt)
            await up(place, attempt)
        kill_keeper(place, stays)
        await engine.close()
        left = await asyncio.to_thread(end_everything, place.data, notice_s=2, timeout_s=60)
        assert left == []
        ended = place.engine()
        assert (await released(ended, saves)).checkpoint is not None
        assert (await released(ended, stays)).phase is Phase.RELEASED

    run(body())


def test_what_does_not_end_in_time_is_named(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(NEVER_LEAVES + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        left = await asyncio.to_thread(end_everything, place.data, notice_s=0, timeout_s=0)
        assert left == [attempt.attempt]
        await released(engine, attempt)

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


def test_a_stranger_with_a_recycled_pid_is_never_taken_for_a_rank(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        kill_keeper(place, attempt)
        rank = place.state(attempt).ranks[0]
        assert processes.send(rank.pid, rank.start_ticks, signal.SIGKILL)
        stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)  # noqa: ASYNC220
        try:
            forged = msgspec.structs.replace(rank, pid=stranger.pid)
            state = msgspec.structs.replace(place.state(attempt), ranks=(forged,))
            records.write(place.folder(attempt) / records.STATE, state)
            await engine.stop(attempt.attempt, order_in(0, 0))
            await released(engine, attempt)
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    run(body())


def test_a_torn_order_is_ignored_until_a_whole_one_comes(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(UNTIL_TERM + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        (place.folder(attempt) / records.ORDER).write_text('{"noticed_at_us": 1, "dead')
        state = place.state(attempt)
        processes.send(state.keeper_pid, state.keeper_start_ticks, number_of("SIGUSR1"))
        order = order_in(0.5, 10)
        await engine.stop(attempt.attempt, order)
        await released(engine, attempt)
        assert read(place.checkpoints(attempt) / "termed") // 1000 >= order.deadline_us

    run(body())


def test_an_order_is_seen_without_a_poke(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        records.write(place.folder(attempt) / records.ORDER, order_in(0, 0))
        await released(engine, attempt)

    run(body())


def test_a_launch_cut_off_before_its_keeper_is_completed_by_the_next(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("echo ran >> $PARKADE_CHECKPOINT_DIR/runs")
        folder = engine._make_known(attempt)
        assert not keepers.has_keeper(folder)
        successor = place.engine()
        assert of(await successor.observe(), attempt) is not None
        await successor.launch(attempt)
        await released(successor, attempt)
        assert (place.checkpoints(attempt) / "runs").read_text() == "ran\n"

    run(body())


def test_a_folder_that_no_index_names_is_made_anew(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("exit 0", gpus=4)
        folder = engine._make_known(attempt)
        (engine.folders.live / folder.name).unlink()
        other = attempt_of(FOR_EVER, gpus=1)
        await engine.launch(other)
        smaller = msgspec.structs.replace(attempt, ranks=other.ranks)
        await engine.launch(smaller)
        await released(engine, smaller)
        held = [one.devices for one in (await engine.observe()).attempts]
        assert sorted(held) == [(("n0", (0,)),), (("n0", (1,)),)]
        await engine.stop(other.attempt, order_in(0, 0))
        await released(engine, other)

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
        await until(lambda: _with_argument(place, module) == [guard, before])
        await engine.stop(attempt.attempt, order_in(0, 0))
        await released(engine, attempt)

    run(body())


def test_what_ran_before_a_reboot_is_released(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of(FOR_EVER)
        folder = engine._make_known(attempt)
        launch = records.read_launch(folder)
        assert launch is not None
        old = msgspec.structs.replace(launch, boot_id="another boot")
        records.write(folder / records.LAUNCH, old)
        state = records.nothing_yet(launch)
        running = msgspec.structs.replace(state, phase=Phase.RUNNING, started_us=1, written_us=2)
        records.write(folder / records.STATE, running)
        seen = await released(place.engine(), attempt)
        assert seen.engine_state == "lost at reboot"
        assert seen.started_us == 1
        assert not keepers.has_keeper(folder)

    run(body())


def test_an_unreadable_state_never_starts_a_gang_twice(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of("echo ran >> $PARKADE_CHECKPOINT_DIR/runs; " + FOR_EVER)
        await engine.launch(attempt)
        await up(place, attempt)
        kill_keeper(place, attempt)
        (place.folder(attempt) / records.STATE).write_bytes(b"")
        await released(engine, attempt)
        assert (place.checkpoints(attempt) / "runs").read_text() == "ran\n"

    run(body())


def _with_argument(place: LocalPlace, argument: bytes) -> list[int]:
    found = []
    for process in place.ours():
        try:
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        except OSError:
            continue
        if argument in arguments:
            found.append(process.pid)
    return found
