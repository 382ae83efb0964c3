"""What is particular to processes on this machine: hidden ones, output, secrets, users."""

import asyncio
import contextlib
import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from parkade.engines.local import accounts, folders, processes
from parkade.ports import Conflict, InvalidSpec, Phase, RankExit, Transient
from tests.engines.conftest import LocalPlace, told_by, up
from tests.engines.trial import (
    FOR_EVER,
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


@pytest.mark.parametrize("end", ["exit 0", "kill -9 $$"])
def test_grandchildren_in_sessions_of_their_own_are_ended_too(place: LocalPlace, end: str) -> None:
    async def body() -> None:
        engine = place.engine()
        hide = "env -i setsid bash -c 'trap \"\" TERM; echo $$ > $0; while :; do sleep 1; done' "
        hidden = "$PARKADE_CHECKPOINT_DIR/hidden"
        wait = f"until [ -s {hidden} ]; do sleep 0.02; done; "
        attempt = attempt_of(f"({hide}{hidden} &); {wait}{end}")
        await engine.launch(attempt)
        await until_seen(engine, attempt, lambda one: bool(one.exits))
        pid = read(place.checkpoints(attempt) / "hidden")
        assert of(await engine.observe(), attempt) is not None
        assert processes.look(pid) is not None
        await engine.stop(attempt.attempt, order_in(0, 0.1))
        await released(engine, attempt)
        assert processes.look(pid) is None

    run(body())


def test_a_flood_of_output_delays_neither_deadline_nor_release(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("trap '' TERM; yes 0123456789")
        await engine.launch(attempt)
        folder = place.folder(attempt)
        await until(lambda: list(folder.glob("rank-0.log.1*")))
        order = order_in(0.3, 0.8)
        await engine.stop(attempt.attempt, order)
        seen = await released(engine, attempt)
        assert order.kill_us <= (seen.released_us or 0) < order.kill_us + 5_000_000
        kept = list(folder.glob("rank-0.log.*"))
        assert sum(path.stat().st_size for path in kept) <= 31 * 1024 * 1024
        last = max(int(path.suffix[1:]) for path in kept)
        text = await output_of(engine, attempt, offset=last, follow=False)
        assert set(text) <= set(b"0123456789\n")

    run(body())


def test_a_shell_without_a_trap_passes_the_signal_to_its_program(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        program = (
            "import os, pathlib, signal, sys, time; "
            "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(85)); "
            "pathlib.Path(os.environ['PARKADE_CHECKPOINT_DIR'], 'up.0').touch(); "
            "[time.sleep(0.05) for _ in range(1000)]"
        )
        attempt = attempt_of(f'{sys.executable} -c "{program}"; exit $?', save=ask("SIGUSR1"))
        await engine.launch(attempt)
        await up(place, attempt)
        await engine.stop(attempt.attempt, order_in(20, 25))
        seen = await released(engine, attempt)
        assert seen.exits == (RankExit(rank=0, code=85, signal=None),)

    run(body())


def test_a_secret_reaches_the_program_and_no_file_nor_argument(
    place: LocalPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        monkeypatch.setenv("PARKADE_TOKEN", "server-token-77")
        secret = tmp_path / "secret.env"
        secret.write_text("# a comment\n\nexport QUOTED='a b'\nTOKEN=hunter2-77\n")
        engine = place.engine()
        check = '[ "$TOKEN" = hunter2-77 ] && [ "$QUOTED" = "a b" ] && [ -z "$PARKADE_TOKEN" ]'
        attempt = attempt_of(
            f"{check.replace('hunter2-77', '$(cat expected)')} || exit 9; " + FOR_EVER,
            env_file=str(secret),
            workdir=str(tmp_path),
        )
        (tmp_path / "expected").write_text("hunter2-77")
        await engine.launch(attempt)
        await up(place, attempt)
        for path in place.data.rglob("*"):
            if path.is_file():
                assert b"hunter2-77" not in path.read_bytes(), path
        for process in place.ours():
            # One that has just ended says nothing.
            with contextlib.suppress(OSError):
                assert b"hunter2-77" not in told_by(process.pid, "cmdline")
        keeper = told_by(place.state(attempt).keeper_pid, "environ")
        assert b"hunter2-77" not in keeper
        assert b"server-token-77" not in keeper
        await engine.stop(attempt.attempt, order_in(0, 0))
        await released(engine, attempt)

    run(body())


@pytest.mark.parametrize(
    ("content", "why"), [("A=1\nhunter2 77\n", "line 2"), (None, "secret.env")]
)
def test_a_bad_env_file_starts_nothing_and_is_not_quoted(
    place: LocalPlace, tmp_path: Path, content: str | None, why: str
) -> None:
    async def body() -> None:
        secret = tmp_path / "secret.env"
        if content is not None:
            secret.write_text(content)
        engine, attempt = place.engine(), attempt_of("exit 0", env_file=str(secret))
        await engine.launch(attempt)
        seen = await released(engine, attempt)
        assert why in (seen.launch_error or "")
        assert "hunter2" not in (seen.launch_error or "")

    run(body())


def _person() -> str | None:
    for entry in pwd.getpwall():
        if 1000 <= entry.pw_uid < 60_000:
            return entry.pw_name
    return None


@pytest.mark.skipif(os.geteuid() != 0 or _person() is None, reason="needs root and a person")
def test_ranks_run_as_their_user_with_nothing_of_root() -> None:
    async def body(place: LocalPlace, person: str) -> None:
        engine = place.engine()
        shows = "id -un; id -u; echo note > /dev/stderr; cat $PARKADE_NOTICE_FILE; "
        tries = "ls $(dirname $PARKADE_NOTICE_FILE) || echo closed; "
        waits = "until [ -f $PARKADE_NOTICE_FILE ]; do sleep 0.02; done; "
        attempt = attempt_of(
            f"{waits}{shows}{tries}touch $PARKADE_CHECKPOINT_DIR/mine",
            unix_user=person,
            workdir="/",
        )
        await engine.launch(attempt)
        await until_seen(engine, attempt, lambda one: one.phase is Phase.RUNNING)
        await engine.stop(attempt.attempt, order_in(10, 20))
        seen = await released(engine, attempt)
        text = (await output_of(engine, attempt)).decode()
        assert seen.exits == (RankExit(rank=0, code=0, signal=None),), text
        lines = text.splitlines()
        assert lines[:3] == [person, str(pwd.getpwnam(person).pw_uid), "note"]
        assert json.loads(lines[3])["cause"] == "outbid"
        assert lines[-1] == "closed"
        made = place.checkpoints(attempt) / "mine"
        assert made.owner() == person
        assert made.parent.stat().st_mode & 0o777 == 0o700

    person = _person()
    assert person is not None
    # pytest's own folders are closed to everybody else.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        place = LocalPlace(Path(name) / "pool")
        try:
            run(body(place, person))
        finally:
            place.close()


def test_who_is_not_root_runs_attempts_only_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    someone = pwd.getpwall()[1]
    monkeypatch.setattr(os, "geteuid", lambda: someone.pw_uid)
    own, is_other = accounts.resolve(someone.pw_name, runs_as_root=False)
    assert (own.name, is_other) == (someone.pw_name, False)
    with pytest.raises(Transient, match="runs workloads only as itself, not as root"):
        accounts.resolve("root", runs_as_root=False)


def test_the_engine_says_when_something_changed(place: LocalPlace) -> None:
    async def body() -> None:
        engine, attempt = place.engine(), attempt_of("exit 0")
        waiting = asyncio.create_task(engine.wait_changed(20))
        before = time.monotonic()
        await engine.launch(attempt)
        await waiting
        assert time.monotonic() - before < 15
        await released(engine, attempt)

    run(body())


def test_names_that_are_no_file_names_stay_inside_the_data_folder(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = attempt_of("exit 0", attempt="../../a/b#1", workload="..", org=".hidden/x")
        await engine.launch(attempt)
        await released(engine, attempt)
        assert place.folder(attempt).resolve().is_relative_to(place.data.resolve())

    run(body())


def test_the_oldest_forgotten_are_dropped(
    place: LocalPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        engine = place.engine()
        some = [attempt_of("exit 0") for _ in range(3)]
        for attempt in some:
            await engine.launch(attempt)
            await released(engine, attempt)
            await engine.forget(attempt.attempt)
        assert not place.folder(some[0]).exists()
        assert place.folder(some[2]).exists()
        with pytest.raises(Conflict):
            await engine.launch(some[1])

    monkeypatch.setattr(folders, "KEPT_ENDED", 2)
    run(body())


def test_starting_a_keeper_loads_nothing_heavy() -> None:
    asked = "import sys, parkade.engines.local.keeper; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-s", "-P", "-c", asked], capture_output=True, text=True, check=True
    )
    heavy = {"asyncio", "httpx", "pydantic", "subprocess", "logging", "sqlalchemy", "ssl"}
    assert heavy.isdisjoint(answer.stdout.split())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_root_a_workload_without_a_unix_name_is_refused_and_so_are_system_users() -> None:
    with pytest.raises(InvalidSpec, match="parkade user unix-name"):
        accounts.resolve(None, runs_as_root=False)
    for name in ("root", "daemon", "nobody", "no-such-user"):
        with pytest.raises(InvalidSpec, match="unix_user"):
            accounts.resolve(name, runs_as_root=True)
