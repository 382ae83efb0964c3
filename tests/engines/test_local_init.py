"""Orphans of a rank: reaped by its keeper, or by an init (`tini`) that the command brings along."""

import shutil
from pathlib import Path

import pytest

from parkade.engines.local import processes
from parkade.ports import RankExit
from tests.engines import standins
from tests.engines.conftest import LocalPlace, up
from tests.engines.noticing import AUTO, LONG_S, begin, noticed, told
from tests.engines.trial import FOR_EVER, attempt_of, order_in, released, run, until

TINI = shutil.which("tini")
needs_tini = pytest.mark.skipif(TINI is None, reason="tini is not installed")

# Each is forked twice, so that its parent is gone before it ends.
ORPHANS = "for n in $(seq 40); do (sh -c 'echo $$ >> $PARKADE_CHECKPOINT_DIR/pids' &); done; "


def none_is_left(place: LocalPlace, path: Path) -> bool:
    """Whether all orphans ran, and none of them is a zombie now."""
    pids = [int(line) for line in path.read_text().split()] if path.exists() else []
    ours = {process.pid for process in place.ours()}
    return len(pids) == 40 and not any(processes.look(pid) and pid not in ours for pid in pids)


@pytest.mark.parametrize("init", ["", pytest.param("tini -s --", marks=needs_tini)])
def test_orphans_are_reaped_while_their_rank_runs(place: LocalPlace, init: str) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(
            f"export P='{ORPHANS.replace(chr(39), chr(34))}{FOR_EVER}'; exec {init} bash -c \"$P\""
        )
        await engine.launch(attempt)
        await up(place, attempt)
        await until(lambda: none_is_left(place, place.checkpoints(attempt) / "pids"))
        await engine.stop(attempt.attempt, order_in(0, 0))
        await released(engine, attempt)

    run(body())


@needs_tini
@pytest.mark.parametrize("flags", ["--", "-g --", "-s --"])
def test_the_program_below_an_init_is_told_once_and_its_code_is_the_ranks(
    place: LocalPlace, flags: str
) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of(f"exec tini {flags} {standins.saves('SIGTERM')}", save=AUTO)
        await begin(engine, place, attempt)
        seen = await noticed(engine, attempt, LONG_S, 5)
        assert told(place, attempt) == ["SIGTERM"]
        assert seen.exits == (RankExit(rank=0, code=85, signal=None),)
        assert seen.checkpoint is not None

    run(body())


@needs_tini
def test_what_an_init_leaves_when_it_is_killed_is_gone_before_the_seats_are_free(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        engine = place.engine()
        daemon = "env -i setsid sh -c 'trap \"\" TERM HUP; echo $$ > $0; while :; do sleep 1; done'"
        note = "$PARKADE_CHECKPOINT_DIR/daemon"
        program = f"({daemon} {note} &); until [ -s {note} ]; do sleep 0.02; done; kill -9 $PPID"
        attempt = attempt_of(f"tini -s -- bash -c {_quoted(program)}; exit 3")
        await engine.launch(attempt)
        seen = await released(engine, attempt)
        assert seen.exits == (RankExit(rank=0, code=3, signal=None),)
        pid = int((place.checkpoints(attempt) / "daemon").read_text())
        left = processes.look(pid)
        assert left is None or left.state in processes.DEAD_STATES

    run(body())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
