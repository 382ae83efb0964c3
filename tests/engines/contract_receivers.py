"""Which process every engine asks to save, once: traps 1, 2, 3 and 11 of preemption.

The stand-ins are in `standins.py`. Each test is a program that loses its work where it is told
wrongly, too often, or not at all.
"""

import shlex

import pytest

from parkade.ports import RankExit, SaveRequest
from tests.engines import standins
from tests.engines.noticing import AUTO, LONG_S, begin, noticed, told
from tests.engines.trial import (
    Place,
    ask,
    attempt_of,
    order_in,
    output_of,
    run,
    until,
)

SHELLS = {
    "alone": "{}",
    "then another": "{}; echo cleanup",
    "its code": "{}; exit $?",
    "a log": "{} > $PARKADE_CHECKPOINT_DIR/log 2>&1",
    "in the background": "{} & wait",
    "a pipe": "{} | tee $PARKADE_CHECKPOINT_DIR/log",
    "a pipe that fails": "set -o pipefail; {} | tee $PARKADE_CHECKPOINT_DIR/log",
    "dash": "sh -c {quoted}",
    "a shell in a shell": "bash -c {quoted}; echo cleanup",
    "timeout": "timeout 300 {}",
    "env and nice": "env A=1 nice -n 1 {}",
    "make": "cd $(mktemp -d); printf 'all:\\n\\t@bash $$PROGRAM\\n' > Makefile; make",
    "another session": "setsid -w {}; echo $?",
    "a python launcher": "{launched}",
}


class ReceiverContract:
    """Part of EngineContract."""

    @pytest.mark.parametrize("form", SHELLS)
    def test_a_program_below_shells_and_launchers_is_told_once_and_saves(
        self, place: Place, form: str
    ) -> None:
        async def body() -> None:
            engine, program = place.engine(), standins.saves("SIGTERM", "SIGUSR1")
            command = SHELLS[form].format(
                program, quoted=shlex.quote(program), launched=standins.python_launcher(program)
            )
            if form == "make":
                command = (
                    f"export PROGRAM=$(mktemp); echo {shlex.quote(program)} > $PROGRAM; {command}"
                )
            attempt = attempt_of(command, save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.is_signalled
            assert seen.checkpoint is not None, "it saved"
            assert seen.exits[0].signal is None, "nothing above it died of the signal"

        run(body())

    @pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGHUP"])
    def test_the_signal_that_was_asked_for_is_sent(self, place: Place, name: str) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.saves(name) + "; exit $?", save=ask(name))
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt) == [name]
            assert seen.exits == (RankExit(rank=0, code=85, signal=None),)

        run(body())

    def test_of_several_signals_the_first_with_a_handler_is_sent(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.saves("SIGUSR1"), save=ask("SIGUSR2", "SIGUSR1"))
            await begin(engine, place, attempt)
            await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt) == ["SIGUSR1"]

        run(body())

    def test_a_shell_with_a_trap_is_the_program(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            forwards = "trap 'kill -TERM $pid' TERM; "
            waits = "& pid=$!; while kill -0 $pid 2>/dev/null; do wait $pid; done"
            attempt = attempt_of(f"{forwards}{standins.saves('SIGTERM')} {waits}", save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.checkpoint is not None

        run(body())

    @pytest.mark.parametrize("how", ["sigwait", "signalfd", "alone", "polls"])
    def test_a_program_that_takes_the_signal_without_a_handler_is_told(
        self, place: Place, how: str
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.takes(how) + "; exit $?", save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.exits == (RankExit(rank=0, code=85, signal=None),)

        run(body())

    def test_a_command_is_run_beside_each_rank_once(self, place: Place) -> None:
        async def body() -> None:
            engine, folder = place.engine(), "$PARKADE_CHECKPOINT_DIR"
            waits = f"touch {folder}/up.$PARKADE_NODE_RANK; "
            waits += f"until [ -f {folder}/save.$PARKADE_NODE_RANK ]; do sleep 0.02; done; exit 0"
            save = f"echo asked; echo $PARKADE_NODE_RANK >> {folder}/save.$PARKADE_NODE_RANK"
            request = SaveRequest(signals=(), command=save)
            attempt = attempt_of(waits, nodes=2, save=request)
            await begin(engine, place, attempt, "0", "1")
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert [one.code for one in seen.exits] == [0, 0]
            assert seen.is_signalled
            for rank in ("0", "1"):
                saved = place.checkpoints(attempt) / f"save.{rank}"
                assert saved.read_text() == f"{rank}\n"
            assert b"asked" in await output_of(engine, attempt)

        run(body())

    @pytest.mark.parametrize("how", ["fork", "spawn"])
    @pytest.mark.parametrize("tail", ["", " | tee $PARKADE_CHECKPOINT_DIR/log"])
    def test_data_loaders_are_left_alone_also_while_it_saves_past_the_deadline(
        self, place: Place, how: str, tail: str
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.with_loaders(how, save_s=2.0) + tail, save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, 0.5, LONG_S)
            assert not (place.checkpoints(attempt) / "lost.0").exists()
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.checkpoint is not None

        run(body())

    @pytest.mark.parametrize("form", ["{}", "{}; exit $?", "timeout 300 {}"])
    def test_a_program_that_a_second_term_kills_gets_one(self, place: Place, form: str) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(form.format(standins.saves_once(2.0)), save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, 0.5, LONG_S)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.checkpoint is not None
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)

        run(body())

    def test_a_second_order_sends_no_second_signal(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.saves_once(2.0), save=AUTO)
            await begin(engine, place, attempt)
            await engine.stop(attempt.attempt, order_in(30, 60))
            await until(lambda: told(place, attempt))
            seen = await noticed(engine, attempt, 0.3, LONG_S)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.checkpoint is not None

        run(body())

    def test_a_signal_that_a_library_took_is_not_sent_unless_asked_for(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            dumps = 'signal.signal(signal.SIGUSR1, lambda *_: note("dumped", ""))\n'
            program = standins.python(dumps + "up()\nwait()")
            attempt = attempt_of("exec " + program, save=AUTO)
            await begin(engine, place, attempt)
            await noticed(engine, attempt, 0.7, LONG_S)
            assert not (place.checkpoints(attempt) / "dumped.0").exists()

        run(body())
