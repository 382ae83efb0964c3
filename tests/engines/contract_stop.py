"""How every engine stops what it runs: notice at once, TERM and KILL in time, never early."""

import asyncio
import json
import os
from pathlib import Path

from parkade.ports import Phase, RankExit
from tests.engines.trial import (
    FOR_EVER,
    NEVER_LEAVES,
    UNTIL_TERM,
    Place,
    ask,
    attempt_of,
    never_ran,
    of,
    order_in,
    output_of,
    read,
    released,
    run,
    until,
    until_seen,
)


class StopContract:
    """Part of EngineContract."""

    def test_notice_comes_at_once_and_nobody_is_stopped_early(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            saving = "trap 'date +%s%N > $PARKADE_CHECKPOINT_DIR/signalled' USR1; "
            attempt = attempt_of(saving + UNTIL_TERM + FOR_EVER, save=ask("SIGUSR1"))
            await engine.launch(attempt)
            folder = place.checkpoints(attempt)
            await until((folder / "up.0").exists)
            order = order_in(1.5, 10)
            await engine.stop(attempt.attempt, order)
            await until(lambda: (folder / "signalled").exists() and read(folder / "signalled"))
            assert read(folder / "signalled") // 1000 < order.deadline_us
            assert not (folder / "termed").exists()
            seen = await released(engine, attempt)
            assert read(folder / "termed") // 1000 >= order.deadline_us
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)

        run(body())

    def test_the_notice_file_says_cause_and_deadline(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(
                "until [ -f $PARKADE_NOTICE_FILE ]; do sleep 0.02; done; cat $PARKADE_NOTICE_FILE"
            )
            await engine.launch(attempt)
            await until_seen(engine, attempt, lambda one: one.phase is Phase.RUNNING)
            order = order_in(30, 40, "reclaimed")
            await engine.stop(attempt.attempt, order)
            notice = json.loads(await output_of(engine, attempt))
            assert notice["cause"] == "reclaimed"
            assert notice["deadline_us"] == order.deadline_us
            assert notice["kill_at_us"] == order.kill_us
            assert notice["deadline"].endswith("Z")
            seen = await released(engine, attempt)
            assert (seen.released_us or 0) < order.deadline_us, "who leaves early is not held"

        run(body())

    def test_stop_escalates_by_itself_and_never_early(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(NEVER_LEAVES + FOR_EVER)
            await engine.launch(attempt)
            await until((place.checkpoints(attempt) / "up.0").exists)
            order = order_in(0.2, 1.0)
            await engine.stop(attempt.attempt, order)
            await engine.close()
            seen = await released(place.engine(), attempt)
            assert seen.exits == (RankExit(rank=0, code=None, signal=9),)
            assert (seen.released_us or 0) >= order.kill_us

        run(body())

    def test_a_later_order_comes_forward_and_never_back(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(UNTIL_TERM + FOR_EVER)
            await engine.launch(attempt)
            await until((place.checkpoints(attempt) / "up.0").exists)
            await engine.stop(attempt.attempt, order_in(60, 70))
            soon = order_in(0.5, 20, "healed")
            await engine.stop(attempt.attempt, soon)
            await engine.stop(attempt.attempt, order_in(60, 70))
            seen = await released(engine, attempt)
            assert soon.deadline_us <= (seen.released_us or 0) < soon.kill_us

        run(body())

    def test_during_notice_a_failing_rank_leaves_the_others_their_time(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            leaves = "until [ -f $PARKADE_NOTICE_FILE ]; do sleep 0.02; done; exit 1"
            attempt = attempt_of(
                f"if [ $PARKADE_NODE_RANK = 0 ]; then {leaves}; fi; {UNTIL_TERM}{FOR_EVER}", nodes=2
            )
            await engine.launch(attempt)
            folder = place.checkpoints(attempt)
            await until((folder / "up.1").exists)
            order = order_in(1.0, 10)
            await engine.stop(attempt.attempt, order)
            await released(engine, attempt)
            assert read(folder / "termed") // 1000 >= order.deadline_us

        run(body())

    def test_what_is_launched_with_an_order_runs_nothing_and_leaves_at_once(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine, order = place.engine(), order_in(3_000, 3_600)
            attempt = attempt_of(FOR_EVER, nodes=2, stop=order)
            await engine.launch(attempt)
            seen = await released(engine, attempt)
            assert never_ran(seen) and (seen.released_us or 0) < order.deadline_us
            assert not (place.checkpoints(attempt) / "up.0").exists()

        run(body())

    def test_what_is_with_notice_before_its_first_process_leaves_at_once(
        self, place: Place, tmp_path: Path
    ) -> None:
        """One rank waits for its env_file, the other one at the barrier."""

        async def body() -> None:
            engine, order = place.engine(), order_in(3_000, 3_600)
            pipe = tmp_path / "env"
            os.mkfifo(pipe)
            attempt = attempt_of(FOR_EVER, nodes=2, env_file=str(pipe), save=ask("SIGTERM"))
            launching = asyncio.create_task(engine.launch(attempt))
            # It is opened here once a rank reads it, and that rank then waits for its end.
            writer = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
            await engine.stop(attempt.attempt, order)
            seen = await released(engine, attempt)
            os.close(writer)
            assert never_ran(seen) and (seen.released_us or 0) < order.deadline_us
            assert not list(place.checkpoints(attempt).glob("up.*"))
            await launching

        run(body())

    def test_a_start_and_an_order_at_one_moment_are_one_or_the_other(self, place: Place) -> None:
        """What ran its command had all of its notice; what had none of it ran nothing."""

        async def body() -> None:
            engine = place.engine()
            for delay_s in (0, 0.02, 0.05, 0.1, 0.2, 0.5):
                attempt = attempt_of(UNTIL_TERM + FOR_EVER, save=ask())
                launching = asyncio.create_task(engine.launch(attempt))
                await until_seen(engine, attempt, lambda _: True)
                await asyncio.sleep(delay_s)
                order = order_in(2, 60)
                await engine.stop(attempt.attempt, order)
                seen = await released(engine, attempt)
                has_run = (place.checkpoints(attempt) / "up.0").exists()
                is_late = (seen.released_us or 0) >= order.deadline_us
                assert is_late if seen.started_us is not None else not has_run, seen
                await launching

        run(body())

    def test_orders_and_signals_for_what_has_ended_change_nothing(self, place: Place) -> None:
        async def body() -> None:
            engine, attempt = place.engine(), attempt_of("exit 0")
            await engine.stop("never-seen", order_in(0, 0))
            await engine.launch(attempt)
            before = await released(engine, attempt)
            await engine.stop(attempt.attempt, order_in(0, 0))
            await engine.signal(attempt.attempt, "SIGUSR1")
            assert of(await engine.observe(), attempt) == before

        run(body())

    def test_a_signal_reaches_each_rank(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(f"trap 'exit 85' USR2; {FOR_EVER}", nodes=2)
            await engine.launch(attempt)
            folder = place.checkpoints(attempt)
            await until(lambda: (folder / "up.0").exists() and (folder / "up.1").exists())
            await engine.signal(attempt.attempt, "SIGUSR2")
            seen = await released(engine, attempt)
            assert [one.code for one in seen.exits] == [85, 85]

        run(body())
