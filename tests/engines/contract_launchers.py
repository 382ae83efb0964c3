"""Launchers that have ideas of their own, and what they leave: traps 5, 10 and 12."""

import pytest

from parkade.ports import RankExit
from tests.engines import standins
from tests.engines.noticing import AUTO, LONG_S, begin, noticed, told
from tests.engines.trial import (
    Place,
    attempt_of,
    now_us,
    output_of,
    released,
    run,
)


class LauncherContract:
    """Part of EngineContract."""

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

    def test_a_launcher_has_time_to_see_that_its_workers_saved_past_the_deadline(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            worker = standins.saves("SIGTERM", code=0, save_s=1.0)
            attempt = attempt_of(standins.torchrun(worker, monitor_s=1.5), save=AUTO)
            await begin(engine, place, attempt, "00", "01")
            seen = await noticed(engine, attempt, 0.3, LONG_S)
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)

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
