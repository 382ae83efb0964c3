"""Programs that do not hear, hear late, or end in ways that say little: traps 4 and 6 to 9."""

import pytest

from parkade.ports import RankExit
from tests.engines import standins
from tests.engines.noticing import AUTO, LONG_S, begin, noticed, told
from tests.engines.trial import (
    Place,
    attempt_of,
    order_in,
    released,
    run,
    until_seen,
)


class EndContract:
    """Part of EngineContract."""

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

    def test_a_handler_that_comes_during_the_notice_is_waited_for(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standins.handler_comes_late(1.5) + "; exit $?", save=AUTO)
            await begin(engine, place, attempt, name="begun")
            seen = await noticed(engine, attempt, LONG_S, 5)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.exits == (RankExit(rank=0, code=85, signal=None),)

        run(body())

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
