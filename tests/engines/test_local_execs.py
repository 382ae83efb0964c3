"""A command beside a rank on this machine: its place, its three streams, its terminal, its end."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parkade.engines.local import processes
from parkade.ports import (
    DesiredAttempt,
    EngineError,
    ExecEnd,
    ExecRequest,
    ExecSession,
    InvalidSpec,
    Phase,
    Window,
)
from parkade.ports.execs import STDERR, STDOUT
from tests.engines.conftest import LocalPlace, end, kill_keeper
from tests.engines.trial import (
    FOR_EVER,
    attempt_of,
    order_in,
    read,
    released,
    run,
    until,
    until_seen,
)

WINDOW = Window(columns=97, rows=31)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LocalPlace]:
    """A place whose attempts are stopped after the test; nothing may be left of them."""
    made = LocalPlace(tmp_path / "pool")

    async def stop_all() -> None:
        engine = made.engine()
        for name in await engine.adopt():
            await engine.stop(name, order_in(0, 0.1))

    yield made
    run(stop_all())
    end(made)


def asked(attempt: DesiredAttempt, *words: str, window: Window | None = None) -> ExecRequest:
    return ExecRequest(
        session=os.urandom(8).hex(),
        attempt=attempt.attempt,
        rank=0,
        words=words,
        window=window,
        term="xterm",
        org=attempt.org,
        since_us=0,
    )


def sh(attempt: DesiredAttempt, script: str, window: Window | None = None) -> ExecRequest:
    return asked(attempt, "/bin/bash", "-c", script, window=window)


async def said(session: ExecSession) -> tuple[dict[str, bytes], ExecEnd]:
    """All that it printed, by stream, and how it ended."""
    found = {STDOUT: b"", STDERR: b""}
    while (chunk := await session.read()) is not None:
        found[chunk.stream] += chunk.content
    end = await session.ended()
    session.close()
    return found, end


async def running(place: LocalPlace, command: str = FOR_EVER) -> DesiredAttempt:
    attempt = attempt_of(command)
    engine = place.engine()
    await engine.launch(attempt)
    await until_seen(engine, attempt, lambda one: one.phase is Phase.RUNNING)
    return attempt


def test_it_has_the_ranks_place_and_tells_its_exit_code(place: LocalPlace) -> None:
    async def body() -> None:
        attempt = await running(place)
        script = "pwd; id -u; echo $PARKADE_ATTEMPT $CUDA_VISIBLE_DEVICES; echo no >&2; exit 7"
        session = await place.engine().open_exec(sh(attempt, script))
        found, how = await said(session)
        words = found[STDOUT].decode().split()
        assert words == ["/tmp", str(os.getuid()), attempt.attempt, "0"]
        assert found[STDERR] == b"no\n"
        assert how == ExecEnd(code=7)

    run(body())


def test_a_program_that_is_not_there_ends_with_127(place: LocalPlace) -> None:
    async def body() -> None:
        attempt = await running(place)
        found, how = await said(await place.engine().open_exec(asked(attempt, "no-such-program")))
        assert how == ExecEnd(code=127) and b"No such file" in found[STDERR]

    run(body())


def test_its_input_comes_back_byte_by_byte_and_a_slow_reader_holds_it_up(
    place: LocalPlace,
) -> None:
    async def body() -> None:
        attempt = await running(place)
        session = await place.engine().open_exec(asked(attempt, "cat"))
        content = os.urandom(1_000_000)

        async def feed() -> None:
            await session.write(content)
            await session.end_input()

        feeding = asyncio.ensure_future(feed())
        done, _ = await asyncio.wait({feeding}, timeout=0.3)
        assert not done, "a pipe holds less than that, and nobody reads yet"
        found, how = await said(session)
        await feeding
        assert found[STDOUT] == content and how == ExecEnd(code=0)

    run(body())


def test_a_terminal_has_the_size_it_is_given_and_takes_ctrl_c(place: LocalPlace) -> None:
    async def body() -> None:
        attempt = await running(place)
        script = (
            "trap 'echo caught; exit 3' INT; stty size; tty >/dev/null && echo is-terminal $TERM; "
            "read -r; stty size; while :; do sleep 0.05; done"
        )
        session = await place.engine().open_exec(sh(attempt, script, WINDOW))
        text = b""

        async def until_said(what: bytes) -> None:
            nonlocal text
            while what not in text:
                chunk = await session.read()
                assert chunk is not None, text
                text += chunk.content

        await until_said(b"31 97")
        await until_said(b"is-terminal xterm")
        session.resize(Window(columns=80, rows=24))
        await session.write(b"\n")
        await until_said(b"24 80")
        await session.write(b"\x03")
        found, how = await said(session)
        assert b"caught" in found[STDOUT] and how == ExecEnd(code=3)

    run(body())


def test_a_letter_of_end_ends_the_input_of_a_terminal(place: LocalPlace) -> None:
    async def body() -> None:
        attempt = await running(place)
        session = await place.engine().open_exec(asked(attempt, "cat", window=WINDOW))
        await session.end_input()
        _, how = await said(session)
        assert how == ExecEnd(code=0)

    run(body())


HIDDEN = "trap '' HUP; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 0.05; done"


@pytest.mark.parametrize("window", [None, WINDOW], ids=["pipes", "terminal"])
def test_who_lets_go_ends_all_that_it_began(
    place: LocalPlace, tmp_path: Path, window: Window | None
) -> None:
    async def body() -> None:
        attempt = await running(place)
        one, other = tmp_path / "one", tmp_path / "other"
        apart = f"(setsid bash -c '{HIDDEN.format(other)}' >/dev/null 2>&1 &)"
        script = f"{apart.replace(chr(39) + chr(39), chr(34) * 2)}; {HIDDEN.format(one)}"
        session = await place.engine().open_exec(sh(attempt, script, window))
        await until(lambda: one.exists() and other.exists())
        pids = [read(one), read(other)]
        session.close()
        await until(lambda: not any(processes.look(pid) for pid in pids))
        # The ranks do not notice.
        seen = await until_seen(place.engine(), attempt, lambda one: True)
        assert seen.phase is Phase.RUNNING

    run(body())


def test_what_the_command_leaves_behind_ends_with_it(place: LocalPlace, tmp_path: Path) -> None:
    async def body() -> None:
        attempt = await running(place)
        path = tmp_path / "left"
        begun = f"until [ -s {path} ]; do sleep 0.02; done"
        script = f"(setsid bash -c 'echo $$ > {path}; exec sleep 1000' &); {begun}; exit 3"
        session = await place.engine().open_exec(sh(attempt, script))
        _, how = await said(session)
        assert how == ExecEnd(code=3)
        await until(lambda: processes.look(read(path)) is None)

    run(body())


def test_it_ends_with_the_attempt(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = await running(place)
        script = "trap '' TERM; echo deaf; while :; do sleep 0.05; done"
        session = await engine.open_exec(sh(attempt, script))
        # Before the trap is set, the first signal would end it.
        chunk = await session.read()
        assert chunk is not None and chunk.content == b"deaf\n"
        await engine.stop(attempt.attempt, order_in(0, 0.2))
        _, how = await said(session)
        assert (how.signal, how.why) == (9, "the workload ended")
        await released(engine, attempt)

    run(body())


def test_a_keeper_that_is_lost_takes_its_commands_with_it(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = await running(place)
        session = await engine.open_exec(sh(attempt, "echo $$; exec sleep 1000"))
        chunk = await session.read()
        assert chunk is not None
        kill_keeper(place, attempt)
        _, how = await said(session)
        assert how.why == "its keeper was lost"
        await until(lambda: processes.look(int(chunk.content)) is None)
        # The next keeper lets in as the first did, and releases as it would without.
        await engine.observe()
        found, how = await said(await engine.open_exec(sh(attempt, "echo again; exit 4")))
        assert found[STDOUT] == b"again\n" and how == ExecEnd(code=4)
        await engine.stop(attempt.attempt, order_in(0, 0.1))
        await released(engine, attempt)

    run(body())


def test_what_does_not_run_or_is_anothers_is_refused(place: LocalPlace) -> None:
    async def body() -> None:
        engine = place.engine()
        attempt = await running(place)
        wrong: list[dict[str, Any]] = [
            {"attempt": "w999.1"},
            {"org": "another"},
            {"session": "../launch.json"},
            {"words": ()},
            {"words": ("a\0b",)},
            {"words": ("x" * 70_000,)},
        ]
        for change in wrong:
            with pytest.raises(InvalidSpec):
                await engine.open_exec(msgspec.structs.replace(asked(attempt, "true"), **change))
        with pytest.raises(EngineError, match="no rank 5"):
            await engine.open_exec(msgspec.structs.replace(asked(attempt, "true"), rank=5))
        await engine.stop(attempt.attempt, order_in(0, 0.1))
        await released(engine, attempt)
        with pytest.raises(InvalidSpec):
            await engine.open_exec(asked(attempt, "true"))

    run(body())
