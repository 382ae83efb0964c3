"""How every engine asks today's trainers to save: the twelve traps of preemption, with stand-ins.

Each test is one trap: a program that loses its work where it is told wrongly, too often, or not at
all. The stand-ins are in `standins.py`.
"""

import shlex

import pytest

from parkade.ports import DesiredAttempt, Engine, ObservedAttempt, RankExit, SaveRequest
from tests.engines import standins
from tests.engines.trial import (
    Place,
    ask,
    attempt_of,
    now_us,
    order_in,
    output_of,
    released,
    run,
    until,
    until_seen,
)

AUTO = ask("SIGTERM")
LONG_S = 40.0
"""A notice that no test waits for."""

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


def told(place: Place, attempt: DesiredAttempt, rank: str = "0") -> list[str]:
    """The signals that a rank's program got, in order."""
    path = place.checkpoints(attempt) / f"told.{rank}"
    return path.read_text().split() if path.exists() else []


async def begin(
    engine: Engine, place: Place, attempt: DesiredAttempt, *ranks: str, name: str = "up"
) -> None:
    await engine.launch(attempt)
    for rank in ranks or ("0",):
        await until((place.checkpoints(attempt) / f"{name}.{rank}").exists)


async def noticed(
    engine: Engine, attempt: DesiredAttempt, notice_s: float, kill_s: float
) -> ObservedAttempt:
    """How it ended after a notice."""
    await engine.stop(attempt.attempt, order_in(notice_s, notice_s + kill_s))
    return await released(engine, attempt)


class SignalContract:
    """Part of EngineContract."""

    # ------------------------------------------------------------ 1: who is told

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

    # ------------------------------------------------------------ 2, 3: who is not

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

    # ------------------------------------------------------------ 4: no handler, no end

    def test_a_program_without_a_handler_runs_to_the_deadline(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.without_handlers(), save=AUTO)
            await begin(engine, place, attempt)
            order = order_in(1.5, LONG_S)
            await engine.stop(attempt.attempt, order)
            await until_seen(engine, attempt, lambda one: "notice" in one.engine_state)
            seen = await released(engine, attempt)
            assert (seen.released_us or 0) >= order.deadline_us
            assert seen.exits == (RankExit(rank=0, code=None, signal=15),)

        run(body())

    def test_exit_zero_of_a_shell_whose_program_term_ended_is_told_as_signalled(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            hides = "trap 'exit 0' EXIT; "
            attempt = attempt_of(hides + standins.without_handlers() + "; exit 0", save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, 0.3, LONG_S)
            assert seen.is_signalled

        run(body())

    def test_a_program_that_ends_by_itself_during_the_notice_was_not_signalled(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine, go = place.engine(), "$PARKADE_NOTICE_FILE"
            waits = f"touch $PARKADE_CHECKPOINT_DIR/up.0; until [ -f {go} ]; do sleep 0.02; done"
            attempt = attempt_of(waits, save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
            assert not seen.is_signalled

        run(body())

    def test_a_program_that_term_never_ends_is_told_once_and_ends_by_kill(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of("exec " + standins.goes_on(), save=AUTO)
            await begin(engine, place, attempt)
            order = order_in(0.5, 2.0)
            await engine.stop(attempt.attempt, order)
            seen = await released(engine, attempt)
            assert told(place, attempt) == ["SIGTERM"]
            assert (seen.released_us or 0) >= order.kill_us
            assert seen.exits == (RankExit(rank=0, code=None, signal=9),)

        run(body())

    # ------------------------------------------------------------ 5: launchers

    def test_each_worker_of_a_launcher_is_told_and_the_launcher_is_not(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            # Workers that say 0: the launcher that heard nothing says 0 as well.
            command = standins.torchrun(standins.saves("SIGTERM", code=0, save_s=1.5))
            attempt = attempt_of(command, save=AUTO)
            await begin(engine, place, attempt, "00", "01")
            seen = await noticed(engine, attempt, 0.5, LONG_S)
            assert told(place, attempt, "00") == told(place, attempt, "01") == ["SIGTERM"]
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
            assert seen.is_signalled and seen.checkpoint is not None

        run(body())

    def test_eighty_five_that_a_launcher_turns_into_one_has_its_report(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            command = standins.torchrun(standins.saves("SIGTERM"), workers=1)
            attempt = attempt_of(command, save=AUTO)
            await begin(engine, place, attempt, "00")
            before_us = now_us()
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert seen.exits == (RankExit(rank=0, code=1, signal=None),)
            assert seen.checkpoint is not None and seen.checkpoint.at_us >= before_us

        run(body())

    def test_a_worker_that_a_launcher_starts_again_in_the_notice_is_told_as_well(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            command = standins.torchrun(standins.saves("SIGTERM"), workers=1, restarts=1)
            attempt = attempt_of(command, save=AUTO)
            await begin(engine, place, attempt, "00")
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt, "00") == ["SIGTERM", "SIGTERM"], "one for each worker"
            assert seen.exits == (RankExit(rank=0, code=1, signal=None),)

        run(body())

    # ------------------------------------------------------------ 6, 7: ends that say little

    def test_exit_zero_after_the_signal_is_told_as_signalled_also_where_nothing_was_saved(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.exits_unsaved(), save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
            assert seen.is_signalled and seen.checkpoint is None

        run(body())

    @pytest.mark.parametrize("code", [0, 85])
    def test_one_rank_leaves_and_the_others_are_ended_at_the_deadline(
        self, place: Place, code: int
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            leaves, hangs = standins.saves("SIGTERM", code=code), standins.without_handlers()
            attempt = attempt_of(
                f"if [ $PARKADE_NODE_RANK = 0 ]; then {leaves}; else exec {hangs}; fi",
                nodes=2,
                save=AUTO,
            )
            await begin(engine, place, attempt, "0", "1")
            order = order_in(1.5, LONG_S)
            await engine.stop(attempt.attempt, order)
            seen = await released(engine, attempt)
            assert (seen.released_us or 0) >= order.deadline_us
            assert seen.exits == (
                RankExit(rank=0, code=code, signal=None),
                RankExit(rank=1, code=None, signal=15),
            )
            assert seen.is_signalled and seen.checkpoint is not None

        run(body())

    def test_the_trainer_of_each_rank_is_told(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.saves("SIGTERM"), nodes=2, save=AUTO)
            await begin(engine, place, attempt, "0", "1")
            await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt, "0") == told(place, attempt, "1") == ["SIGTERM"]

        run(body())

    # ------------------------------------------------------------ 8: too early

    def test_a_handler_that_comes_during_the_notice_is_waited_for(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.handler_comes_late(1.5) + "; exit $?", save=AUTO)
            await begin(engine, place, attempt, name="begun")
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.exits == (RankExit(rank=0, code=85, signal=None),)

        run(body())

    # ------------------------------------------------------------ 9: half-written reports

    def test_a_half_written_report_is_no_report(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            half = 'printf \'{"step": 2, "at\' > $PARKADE_CHECKPOINT_DIR/.parkade.json'
            attempt = attempt_of(standins.exits_unsaved(1) + f"; {half}; exit 1", save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert seen.checkpoint is None
            assert seen.exits == (RankExit(rank=0, code=1, signal=None),)

        run(body())

    # ------------------------------------------------------------ 10: nothing is left

    @pytest.mark.parametrize(
        "start",
        [
            "setsid sleep 300 & ",
            "(setsid sleep 300 &) ; ",
            "env -i setsid /bin/sleep 300 & ",
            "(env -i setsid /bin/sh -c 'trap \"\" TERM INT HUP; while :; do sleep 1; done' &) ; ",
        ],
    )
    def test_children_in_other_sessions_are_gone_before_the_seats_are_free(
        self, place: Place, start: str
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            # The file is held open, and locked, for as long as any child of the program lives.
            holds = "exec 9> $PARKADE_CHECKPOINT_DIR/lock; flock 9; "
            attempt = attempt_of(holds + start + "exec " + standins.goes_on(), save=AUTO)
            await begin(engine, place, attempt)
            await noticed(engine, attempt, 0.2, 0.5)
            again = attempt_of(f"flock -n {place.checkpoints(attempt)}/lock true")
            await engine.launch(again)
            seen = await released(engine, again)
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),), "the lock is free"

        run(body())

    # ------------------------------------------------------------ 11: a signal of a library

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

    # ------------------------------------------------------------ 12: elastic launchers

    def test_each_attempt_meets_at_another_port(self, place: Place) -> None:
        async def body() -> None:
            engine, ports = place.engine(), set()
            for _ in range(2):
                attempt = attempt_of("echo $MASTER_PORT; sleep 0.1")
                await engine.launch(attempt)
                ports.add(await output_of(engine, attempt))
                await released(engine, attempt)
            assert len(ports) == 2

        run(body())
