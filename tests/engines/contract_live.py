"""Live attempts: ranks join and leave while the others run, whatever becomes of the keeper."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from parkade.agent.optional import OpensExecs, ResizesLive
from parkade.ports import (
    DesiredAttempt,
    DesiredRank,
    Engine,
    ExecEnd,
    ExecRequest,
    Phase,
    RankExit,
    SaveRequest,
    Seat,
    Stop,
    Unsupported,
)
from tests.engines.noticing import AUTO
from tests.engines.trial import Place, attempt_of, order_in, released, run, until, until_seen
from tests.waits import PATIENCE_S

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
home, rank = Path(os.environ["PARKADE_CHECKPOINT_DIR"]), os.environ["PARKADE_NODE_RANK"]
members = Path(os.environ["PARKADE_MEMBERS_FILE"])
def note(name, text):
    beside = home / f".{name}"
    beside.write_text(text)
    beside.rename(home / name)
def told(*_):
    note(f"members.{rank}", members.read_text())
def leave(*_):
    note(f"saved.{rank}", str(time.time_ns() // 1000))
    sys.exit(int(os.environ.get("LEAVES_WITH", "85")))
signal.signal(signal.SIGWINCH, told)
if "DEAF" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, leave)
told()
note(f"devices.{rank}", os.environ["CUDA_VISIBLE_DEVICES"])
note(f"up.{rank}", str(os.getpid()))
while not (home / "done").exists():
    time.sleep(0.02)
"""

LAUNCHER = """
import os, signal, time
from pathlib import Path
home = Path(os.environ["PARKADE_CHECKPOINT_DIR"])
up = home / f"up.{os.environ['PARKADE_NODE_RANK']}"
def note(*_):
    with up.with_name(up.name + ".terms").open("a") as file:
        file.write("TERM ")
signal.signal(signal.SIGTERM, note)
up.write_text(str(os.getpid()))
while not (home / "done").exists():
    time.sleep(0.02)
"""


def live_attempt(tmp_path: Path, *, nodes: int = 1, **changes: Any) -> DesiredAttempt:
    script = tmp_path / "live.py"
    script.write_text(PROGRAM)
    command = f"exec python3 {script}"
    return attempt_of(command, nodes=nodes, save=AUTO, is_live=True, **changes)


def with_members(
    attempt: DesiredAttempt, resizes: int, *members: tuple[int, int, str, Stop | None]
) -> DesiredAttempt:
    """The same after so many changes; each member: its number, since when, its node, its notice."""
    ranks = tuple(
        DesiredRank(rank=rank, since=since, seat=Seat(node=node, gpus=1), stop=stop)
        for rank, since, node, stop in members
    )
    return replace(attempt, resizes=resizes, members=ranks, ranks=tuple(it.seat for it in ranks))


def resizing(engine: Engine) -> ResizesLive:
    if not isinstance(engine, ResizesLive):
        pytest.skip("it changes no attempt that runs")
    return engine


def shown(place: Place, attempt: DesiredAttempt, rank: int) -> dict[str, Any]:
    """The members file as a rank read it last."""
    found: dict[str, Any] = json.loads((place.checkpoints(attempt) / f"members.{rank}").read_text())
    return found


async def is_up(place: Place, attempt: DesiredAttempt, *ranks: int) -> None:
    for rank in ranks:
        await until((place.checkpoints(attempt) / f"up.{rank}").exists)


def pid_of(place: Place, attempt: DesiredAttempt, rank: int) -> int:
    return int((place.checkpoints(attempt) / f"up.{rank}").read_text())


class LiveContract:
    """Part of EngineContract."""

    def test_an_engine_says_whether_it_changes_what_runs_and_refuses_at_validation(
        self, place: Place, tmp_path: Path
    ) -> None:
        engine = place.engine()
        is_able = isinstance(engine, ResizesLive)
        assert engine.capabilities().resizes_live is is_able
        if not is_able:
            with pytest.raises(Unsupported, match="resize: restart"):
                engine.validate(live_attempt(tmp_path))

    def test_a_rank_joins_one_that_runs_and_both_are_told(
        self, place: Place, tmp_path: Path
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = live_attempt(tmp_path)
            resizing(engine)
            ordered_us = time.time_ns() // 1000
            await engine.launch(attempt)
            await is_up(place, attempt, 0)
            first = pid_of(place, attempt, 0)
            more = with_members(attempt, 1, (0, 0, "n0", None), (1, 1, "n1", None))
            await resizing(engine).resize(more)
            await resizing(engine).resize(more)
            await is_up(place, attempt, 1)
            await until(lambda: _settled(shown(place, attempt, 0), 2))
            seen = await until_seen(engine, attempt, lambda it: bool(it.resizes and it.begun))
            (begun,) = seen.begun or ()
            assert (begun.rank, begun.since) == (1, 1)
            assert ordered_us < begun.begun_us <= time.time_ns() // 1000
            assert seen.phase is Phase.RUNNING and {name for name, _ in seen.devices} == {
                "n0",
                "n1",
            }
            assert pid_of(place, attempt, 0) == first
            members = shown(place, attempt, 0)["members"]
            assert [(it["rank"], it["node"]) for it in members] == [(0, "n0"), (1, "n1")]
            await resizing(engine).resize(attempt)
            (place.checkpoints(attempt) / "done").touch()
            seen = await released(engine, attempt)
            assert [(it.rank, it.code) for it in seen.exits] == [(0, 0), (1, 0)]

        run(body())

    def test_a_launcher_of_a_rank_that_leaves_gets_term_once(
        self, place: Place, tmp_path: Path
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            resizing(engine)
            launcher = tmp_path / "torchrun"
            launcher.write_text(LAUNCHER)
            command = f"exec python3 {launcher}"
            attempt = attempt_of(command, nodes=2, save=AUTO, is_live=True)
            await engine.launch(attempt)
            await is_up(place, attempt, 0, 1)
            order = order_in(0, 3)
            fewer = with_members(attempt, 1, (0, 0, "n0", None), (1, 0, "n1", order))
            await resizing(engine).resize(fewer)
            await until_seen(engine, attempt, lambda it: bool(it.left))
            terms = place.checkpoints(attempt) / "up.1.terms"
            assert terms.read_text().split() == ["TERM"]
            assert not (place.checkpoints(attempt) / "up.0.terms").exists()
            (place.checkpoints(attempt) / "done").touch()
            await released(engine, attempt)

        run(body())

    def test_a_rank_leaves_with_its_notice_and_its_seat_is_free_while_the_others_run(
        self, place: Place, tmp_path: Path
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = live_attempt(tmp_path, nodes=2)
            resizing(engine)
            await engine.launch(attempt)
            await is_up(place, attempt, 0, 1)
            order = order_in(40, 45)
            fewer = with_members(attempt, 1, (0, 0, "n0", None), (1, 0, "n1", order))
            await resizing(engine).resize(fewer)
            seen = await until_seen(engine, attempt, lambda it: bool(it.left))
            (left,) = seen.left
            assert (left.rank, left.since) == (1, 0) and left.left_us < order.deadline_us
            assert (place.checkpoints(attempt) / "saved.1").exists()
            assert not (place.checkpoints(attempt) / "saved.0").exists()
            assert [name for name, _ in seen.devices] == ["n0"]
            assert seen.phase is Phase.RUNNING and not seen.exits
            # No notice of the attempt: an exit 0 of the others still means that it is done.
            assert not seen.is_signalled
            await until(lambda: _settled(shown(place, attempt, 0), 1))
            other = attempt_of("exit 0", nodes=1, gpus=4)
            other = replace(other, ranks=(Seat(node="n1", gpus=4),))
            await engine.launch(other)
            await released(engine, other)
            alone = with_members(attempt, 2, (0, 0, "n0", None))
            await resizing(engine).resize(alone)
            again = with_members(attempt, 3, (0, 0, "n0", None), (1, 3, "n1", None))
            (place.checkpoints(attempt) / "up.1").unlink()
            await resizing(engine).resize(again)
            await is_up(place, attempt, 1)
            await until_seen(engine, attempt, lambda it: not it.left and it.resizes == 3)
            (place.checkpoints(attempt) / "done").touch()
            seen = await released(engine, attempt)
            assert seen.exits == tuple(RankExit(rank=it, code=0, signal=None) for it in (0, 1))

        run(body())

    def test_a_rank_that_does_not_leave_is_killed_alone(self, place: Place, tmp_path: Path) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = live_attempt(tmp_path, nodes=2, env=(("DEAF", "1"),))
            resizing(engine)
            await engine.launch(attempt)
            await is_up(place, attempt, 0, 1)
            order = order_in(0.3, 0.8)
            fewer = with_members(attempt, 1, (0, 0, "n0", None), (1, 0, "n1", order))
            await resizing(engine).resize(fewer)
            seen = await until_seen(engine, attempt, lambda it: bool(it.left))
            assert seen.left[0].left_us >= order.kill_us
            os.kill(pid_of(place, attempt, 0), 0)
            members = shown(place, attempt, 0)["members"]
            assert not any(it["rank"] == 1 and it["leaving"] is None for it in members)
            (place.checkpoints(attempt) / "done").touch()
            seen = await released(engine, attempt)
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)

        run(body())

    def test_a_rank_that_leaves_may_end_as_it_likes_and_breaks_nothing(
        self, place: Place, tmp_path: Path
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = live_attempt(tmp_path, nodes=2, env=(("LEAVES_WITH", "3"),))
            resizing(engine)
            await engine.launch(attempt)
            await is_up(place, attempt, 0, 1)
            fewer = with_members(attempt, 1, (0, 0, "n0", None), (1, 0, "n1", order_in(40, 45)))
            await resizing(engine).resize(fewer)
            await until_seen(engine, attempt, lambda it: bool(it.left))
            (place.checkpoints(attempt) / "done").touch()
            seen = await released(engine, attempt)
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)

        run(body())

    def test_a_stop_of_all_reaches_ranks_that_joined(self, place: Place, tmp_path: Path) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = live_attempt(tmp_path)
            resizing(engine)
            await engine.launch(attempt)
            await is_up(place, attempt, 0)
            more = with_members(attempt, 1, (0, 0, "n0", None), (1, 1, "n1", None))
            await resizing(engine).resize(more)
            await is_up(place, attempt, 1)
            order = order_in(40, 45)
            await engine.stop(attempt.attempt, order)
            seen = await released(engine, attempt)
            assert [it.code for it in seen.exits] == [85, 85]
            assert (seen.released_us or 0) < order.deadline_us

        run(body())

    def test_commands_beside_ranks_that_joined_have_their_devices(
        self, place: Place, tmp_path: Path
    ) -> None:
        """Also where the number was another rank's before."""

        async def body() -> None:
            engine = place.engine()
            attempt = live_attempt(tmp_path, nodes=2)
            attempt = replace(attempt, save=SaveRequest(signals=(), command=_note_to("saves")))
            resizing(engine)
            await engine.launch(attempt)
            await is_up(place, attempt, 0, 1)
            home = place.checkpoints(attempt)
            fewer = with_members(attempt, 1, (0, 0, "n0", None), (1, 0, "n1", order_in(0, 40)))
            await resizing(engine).resize(fewer)
            await until_seen(engine, attempt, lambda it: bool(it.left))
            (home / "up.1").unlink()
            more = with_members(
                attempt, 2, (0, 0, "n0", None), (1, 2, "n0", None), (2, 2, "n1", None)
            )
            await resizing(engine).resize(more)
            await is_up(place, attempt, 1, 2)
            own = {f"{it} {(home / f'devices.{it}').read_text()}" for it in range(3)}
            assert len({it.split()[1] for it in own}) == 3
            if isinstance(engine, OpensExecs):
                await until(lambda: _settled(shown(place, attempt, 0), 3))
                assert {await _noted(engine, place, attempt, it) for it in range(3)} == own
            await engine.stop(attempt.attempt, order_in(40, 45))
            await until(lambda: own <= set(_lines(home / "saves")))
            (home / "done").touch()
            await released(engine, attempt)

        run(body())

    def test_a_save_command_runs_once_beside_a_rank_that_leaves_and_beside_no_other(
        self, place: Place, tmp_path: Path
    ) -> None:
        """Its end ends a program that would go on; the others save at their own notice."""

        async def body() -> None:
            engine = place.engine()
            save = SaveRequest(signals=(), command=_note_to("saves"), ends=True)
            attempt = replace(live_attempt(tmp_path, nodes=2), save=save)
            resizing(engine)
            await engine.launch(attempt)
            await is_up(place, attempt, 0, 1)
            home, order = place.checkpoints(attempt), order_in(40, 45)
            fewer = with_members(attempt, 1, (0, 0, "n0", None), (1, 0, "n1", order))
            await resizing(engine).resize(fewer)
            seen = await until_seen(engine, attempt, lambda it: bool(it.left))
            assert seen.left[0].left_us < order.deadline_us and not seen.is_signalled
            assert [it.split()[0] for it in _lines(home / "saves")] == ["1"]
            await engine.stop(attempt.attempt, order_in(40, 45))
            seen = await released(engine, attempt)
            assert seen.is_signalled and seen.exits == (RankExit(rank=0, code=85, signal=None),)
            assert [it.split()[0] for it in _lines(home / "saves")] == ["1", "0"]

        run(body())


def _note_to(name: str) -> str:
    """A command that writes whose place it has."""
    line = "$PARKADE_NODE_RANK $CUDA_VISIBLE_DEVICES"
    return f'echo "{line}" >> "$PARKADE_CHECKPOINT_DIR/{name}"'


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def _noted(engine: OpensExecs, place: Place, attempt: DesiredAttempt, rank: int) -> str:
    """What a command beside that rank wrote of its place."""
    request = ExecRequest(
        session=os.urandom(8).hex(),
        attempt=attempt.attempt,
        rank=rank,
        words=("/bin/sh", "-c", _note_to(f"exec.{rank}")),
        window=None,
        term="xterm",
        org=attempt.org,
        since_us=0,
    )
    session = await engine.open_exec(request)
    assert await asyncio.wait_for(session.ended(), PATIENCE_S) == ExecEnd(code=0)
    session.close()
    (line,) = _lines(place.checkpoints(attempt) / f"exec.{rank}")
    return line


def _settled(found: dict[str, Any], members: int) -> bool:
    """Whether so many ranks are there and none comes or goes."""
    ranks = found["members"]
    is_still = all(not it["joining"] and it["leaving"] is None for it in ranks)
    return len(ranks) == members and is_still
