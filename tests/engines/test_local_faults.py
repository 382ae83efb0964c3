"""What the local engine bears: a lost server, torn files, reboots, strangers."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from parkade.engines.local import keepers, processes, records
from parkade.engines.local.gang import number_of
from parkade.ports import Phase, RankExit
from tests.engines.conftest import LocalPlace, kill_keeper, up
from tests.engines.trial import (
    FOR_EVER,
    UNTIL_TERM,
    attempt_of,
    of,
    order_in,
    read,
    released,
    run,
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
