"""What every engine must do, written once. Each engine subclasses EngineContract with its place.

Programs leave their evidence in the workload's checkpoint folder, which outlives the attempt.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from parkade.ports import (
    Conflict,
    DesiredAttempt,
    Engine,
    InvalidSpec,
    Observation,
    ObservedAttempt,
    Phase,
    Rank,
    RankExit,
    StopOrder,
    Transient,
)

PATIENCE_S = 20.0
POLL_S = 0.02
SECOND_US = 1_000_000
UNTIL_TERM = "trap 'date +%s%N > $PARKADE_CHECKPOINT_DIR/termed; exit 0' TERM; "
NEVER_LEAVES = "trap '' TERM; "
FOR_EVER = "touch $PARKADE_CHECKPOINT_DIR/up.$PARKADE_NODE_RANK; while :; do sleep 0.05; done"

_numbers = itertools.count(1)


class Place(Protocol):
    """Where one engine is tried: two nodes, `n0` and `n1`, of four GPUs each."""

    def engine(self) -> Engine:
        """Another engine object on the same place, as after a restart of the agent."""
        ...

    def checkpoints(self, attempt: DesiredAttempt) -> Path:
        """The workload's checkpoint folder, as the test can read it."""
        ...


def now_us() -> int:
    return time.time_ns() // 1000


def attempt_of(command: str, *, nodes: int = 1, gpus: int = 1, **changes: Any) -> DesiredAttempt:
    """A new attempt; `changes` are fields of DesiredAttempt."""
    number = next(_numbers)
    made = DesiredAttempt(
        attempt=f"w{number}.1",
        workload=f"w{number}",
        generation=1,
        name="trial",
        org="acme",
        unix_user=None,
        command=command,
        workdir="/tmp",
        env=(),
        env_file=None,
        ranks=tuple(Rank(node=f"n{index}", gpus=gpus) for index in range(nodes)),
        checkpoint_signal=None,
        stop=None,
    )
    return msgspec.structs.replace(made, **changes)


def order_in(term_s: float, kill_s: float, cause: str = "outbid") -> StopOrder:
    """TERM and KILL that many seconds from now."""
    now = now_us()
    return StopOrder(
        noticed_at_us=now,
        deadline_us=now + int(term_s * SECOND_US),
        kill_at_us=now + int(kill_s * SECOND_US),
        cause=cause,
    )


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 3 * PATIENCE_S))


async def until(holds: Callable[[], Any]) -> Any:
    """What `holds` returns as soon as it is true."""
    ends_at = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < ends_at, "it never came to be"
        await asyncio.sleep(POLL_S)
    return found


def of(observation: Observation, attempt: DesiredAttempt) -> ObservedAttempt | None:
    found = [one for one in observation.attempts if one.attempt == attempt.attempt]
    assert len(found) <= 1, "an attempt is observed once"
    return found[0] if found else None


async def until_seen(
    engine: Engine, attempt: DesiredAttempt, holds: Callable[[ObservedAttempt], bool]
) -> ObservedAttempt:
    """The first observation of the attempt for which it holds."""
    ends_at = time.monotonic() + PATIENCE_S
    while True:
        seen = of(await engine.observe(), attempt)
        if seen is not None and holds(seen):
            return seen
        assert time.monotonic() < ends_at, f"it never came to be; last: {seen}"
        await asyncio.sleep(POLL_S)


async def released(engine: Engine, attempt: DesiredAttempt) -> ObservedAttempt:
    seen = await until_seen(engine, attempt, lambda one: one.phase is Phase.RELEASED)
    assert seen.released_us is not None
    return seen


async def output_of(engine: Engine, attempt: DesiredAttempt, *, rank: int = 0, **how: Any) -> bytes:
    how = {"offset": 0, "follow": True} | how
    return b"".join([chunk async for chunk in engine.logs(attempt.attempt, rank, **how)])


class EngineContract:
    """Subclasses give a fixture `place`."""

    # ------------------------------------------------------------ launch

    def test_what_was_launched_is_observed_at_once(self, place: Place) -> None:
        async def body() -> None:
            engine, attempt = place.engine(), attempt_of("exit 0")
            before = now_us()
            await engine.launch(attempt)
            observation = await engine.observe()
            assert of(observation, attempt) is not None
            assert observation.is_complete
            assert observation.at_us >= before
            seen = await released(engine, attempt)
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
            assert seen.generation == 1
            assert before <= (seen.started_us or 0) <= (seen.released_us or 0) <= now_us()

        run(body())

    def test_launching_twice_is_once_also_from_two_engines_at_once(self, place: Place) -> None:
        async def body() -> None:
            engines = [place.engine() for _ in range(3)]
            attempt = attempt_of("echo ran >> $PARKADE_CHECKPOINT_DIR/runs")
            await asyncio.gather(*(engine.launch(attempt) for engine in engines * 2))
            await released(engines[0], attempt)
            await engines[1].launch(attempt)
            await released(engines[2], attempt)
            assert (place.checkpoints(attempt) / "runs").read_text() == "ran\n"

        run(body())

    def test_another_generation_or_other_seats_are_a_conflict(self, place: Place) -> None:
        async def body() -> None:
            engine, attempt = place.engine(), attempt_of("exit 0")
            await engine.launch(attempt)
            for change in ({"generation": 2}, {"ranks": (Rank(node="n1", gpus=1),)}):
                with pytest.raises(Conflict):
                    await engine.launch(msgspec.structs.replace(attempt, **change))
            await released(engine, attempt)

        run(body())

    def test_what_cannot_start_is_released_with_the_reason(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of("exit 0", nodes=2, workdir="/nonexistent/place")
            await engine.launch(attempt)
            seen = await released(engine, attempt)
            assert "/nonexistent/place" in (seen.launch_error or "")
            assert seen.started_us is None
            assert all(one.code is None and one.signal is None for one in seen.exits)

        run(body())

    def test_each_rank_finds_its_environment(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(
                "env", nodes=2, gpus=2, env=(("EPOCHS", "3"), ("MASTER_PORT", "1"))
            )
            await engine.launch(attempt)
            for rank in (0, 1):
                lines = (await output_of(engine, attempt, rank=rank)).decode().splitlines()
                found = dict(line.split("=", 1) for line in lines)
                assert found["PARKADE_WORKLOAD"] == attempt.workload
                assert found["PARKADE_ATTEMPT"] == attempt.attempt
                assert found["PARKADE_NODES"] == "2"
                assert found["PARKADE_NODE_RANK"] == str(rank)
                assert len(found["PARKADE_NODE_IPS"].split(",")) == 2
                assert found["PARKADE_GPUS"] == "2"
                assert found["PARKADE_SEATS"] == "n0:2,n1:2"
                assert len(found["CUDA_VISIBLE_DEVICES"].split(",")) == 2
                assert found["EPOCHS"] == "3"
                assert int(found["MASTER_PORT"]) > 1024, "what Parkade says is stronger"
                assert found["MASTER_ADDR"]
                assert found["PARKADE_NOTICE_FILE"]
            await released(engine, attempt)

        run(body())

    # ------------------------------------------------------------ seats

    def test_no_device_and_no_port_is_in_two_live_attempts(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            some = [attempt_of(FOR_EVER, gpus=2) for _ in range(2)]
            for attempt in some:
                await engine.launch(attempt)
            third = attempt_of("exit 0", gpus=1)
            with pytest.raises(Transient):
                await place.engine().launch(third)
            observation = await engine.observe()
            assert of(observation, third) is None
            held = [one.devices for one in observation.attempts]
            devices = [index for one in held for _, indexes in one for index in indexes]
            assert sorted(devices) == [0, 1, 2, 3]
            await engine.stop(some[0].attempt, order_in(0, 0))
            await released(engine, some[0])
            await engine.launch(third)
            await engine.stop(some[1].attempt, order_in(0, 0))
            await asyncio.gather(*(released(engine, one) for one in (*some, third)))

        run(body())

    # ------------------------------------------------------------ ends

    @pytest.mark.parametrize(
        ("command", "code", "number"),
        [
            ("exit 0", 0, None),
            ("exit 85", 85, None),
            ("exit 7", 7, None),
            ("kill -9 $$", None, 9),
            ("kill -9 0", None, 9),
        ],
    )
    def test_how_a_program_ended_is_told(
        self, place: Place, command: str, code: int | None, number: int | None
    ) -> None:
        async def body() -> None:
            engine, attempt = place.engine(), attempt_of(command)
            await engine.launch(attempt)
            seen = await released(engine, attempt)
            assert seen.exits == (RankExit(rank=0, code=code, signal=number),)
            assert seen.launch_error is None

        run(body())

    @pytest.mark.parametrize("code", [0, 85])
    def test_a_rank_that_is_done_stops_no_other(self, place: Place, code: int) -> None:
        async def body() -> None:
            engine = place.engine()
            early = f"[ $PARKADE_NODE_RANK = 0 ] && exit {code}; {FOR_EVER}"
            attempt = attempt_of(early, nodes=2)
            await engine.launch(attempt)
            await until_seen(engine, attempt, lambda one: len(one.exits) == 1)
            await until((place.checkpoints(attempt) / "up.1").exists)
            await engine.stop(attempt.attempt, order_in(0, 5))
            seen = await released(engine, attempt)
            assert seen.exits == (
                RankExit(rank=0, code=code, signal=None),
                RankExit(rank=1, code=None, signal=15),
            )

        run(body())

    def test_a_gang_stops_whole_when_one_rank_fails(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(f"[ $PARKADE_NODE_RANK = 1 ] && exit 3; {FOR_EVER}", nodes=2)
            await engine.launch(attempt)
            seen = await released(engine, attempt)
            assert seen.exits == (
                RankExit(rank=0, code=None, signal=15),
                RankExit(rank=1, code=3, signal=None),
            )

        run(body())

    # ------------------------------------------------------------ stop

    def test_notice_comes_at_once_and_nobody_is_stopped_early(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            saving = "trap 'date +%s%N > $PARKADE_CHECKPOINT_DIR/signalled' USR1; "
            attempt = attempt_of(saving + UNTIL_TERM + FOR_EVER, checkpoint_signal="SIGUSR1")
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
            order = order_in(30, 40, "reclaimed")
            await engine.stop(attempt.attempt, order)
            notice = json.loads(await output_of(engine, attempt))
            assert notice["cause"] == "reclaimed"
            assert notice["deadline_us"] == order.deadline_us
            assert notice["kill_at_us"] == order.kill_at_us
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
            assert (seen.released_us or 0) >= order.kill_at_us

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
            assert soon.deadline_us <= (seen.released_us or 0) < soon.kill_at_us

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

    def test_an_order_given_with_the_launch_is_kept(self, place: Place) -> None:
        async def body() -> None:
            engine, order = place.engine(), order_in(0.3, 1.5)
            attempt = attempt_of(FOR_EVER, stop=order)
            await engine.launch(attempt)
            seen = await released(engine, attempt)
            assert (seen.released_us or 0) >= order.deadline_us

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

    # ------------------------------------------------------------ memory

    def test_a_new_engine_adopts_what_runs_and_learns_how_it_ended(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(
                "until [ -f $PARKADE_CHECKPOINT_DIR/go ]; do sleep 0.02; done; exit 42"
            )
            await engine.launch(attempt)
            before = await until_seen(engine, attempt, lambda one: one.phase is Phase.RUNNING)
            await engine.close()
            successor = place.engine()
            assert attempt.attempt in await successor.adopt()
            assert of(await successor.observe(), attempt) == before
            (place.checkpoints(attempt) / "go").touch()
            seen = await released(successor, attempt)
            assert seen.exits == (RankExit(rank=0, code=42, signal=None),)

        run(body())

    def test_only_the_released_is_forgotten_and_it_never_runs_again(self, place: Place) -> None:
        async def body() -> None:
            engine, attempt = place.engine(), attempt_of(FOR_EVER)
            await engine.forget("never-seen")
            await engine.launch(attempt)
            with pytest.raises(Conflict):
                await engine.forget(attempt.attempt)
            await engine.stop(attempt.attempt, order_in(0, 0))
            await released(engine, attempt)
            await engine.forget(attempt.attempt)
            await engine.forget(attempt.attempt)
            assert of(await engine.observe(), attempt) is None
            with pytest.raises(Conflict):
                await engine.launch(attempt)

        run(body())

    def test_a_reported_checkpoint_is_observed_and_nonsense_is_not(self, place: Place) -> None:
        async def body() -> None:
            engine, attempt = place.engine(), attempt_of(FOR_EVER)
            await engine.launch(attempt)
            folder = place.checkpoints(attempt)
            await until((folder / "up.0").exists)
            deep = '{"x": ' + "[" * 30_000
            for nonsense in (deep, "{", '{"step": 1, "at": "soon"}', '{"step": -1, "at": 0}', "[]"):
                (folder / ".parkade.json").write_text(nonsense)
                seen = of(await engine.observe(), attempt)
                assert seen is not None and seen.checkpoint is None
            (folder / ".parkade.json").write_text('{"step": 12, "at": "1970-01-01T00:00:01.5Z"}')
            seen = await until_seen(engine, attempt, lambda one: one.checkpoint is not None)
            assert seen.checkpoint is not None
            assert (seen.checkpoint.step, seen.checkpoint.at_us) == (12, 1_500_000)
            await engine.stop(attempt.attempt, order_in(0, 0))
            assert (await released(engine, attempt)).checkpoint == seen.checkpoint

        run(body())

    # ------------------------------------------------------------ output, validation

    def test_output_is_read_from_any_offset_and_followed_to_the_end(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            go = "$PARKADE_CHECKPOINT_DIR/go"
            attempt = attempt_of(f"echo one; until [ -f {go} ]; do sleep 0.02; done; echo two >&2")
            await engine.launch(attempt)
            following = asyncio.create_task(output_of(engine, attempt))
            chunks = engine.logs(attempt.attempt, 0, offset=0, follow=True)
            assert await anext(chunks) == b"one\n"
            assert await output_of(engine, attempt, follow=False) == b"one\n"
            (place.checkpoints(attempt) / "go").touch()
            assert await anext(chunks) == b"two\n"
            assert await following == b"one\ntwo\n"
            await released(engine, attempt)
            assert await output_of(engine, attempt, offset=2, follow=False) == b"e\ntwo\n"
            await engine.forget(attempt.attempt)
            assert await output_of(engine, attempt) == b"one\ntwo\n"

        run(body())

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"command": " "}, "command"),
            ({"ranks": ()}, "nodes"),
            ({"ranks": (Rank(node="n9", gpus=1),)}, "nodes"),
            ({"ranks": (Rank(node="n0", gpus=5),)}, "gpus"),
            ({"env": (("a b", "c"),)}, "env"),
            ({"checkpoint_signal": "SIGKILL"}, "checkpoint.signal"),
            ({"checkpoint_signal": "SIGNOTHING"}, "checkpoint.signal"),
            ({"unix_user": "root"}, "unix_user"),
            ({"unix_user": "nobody-of-that-name"}, "unix_user"),
        ],
    )
    def test_what_can_never_run_is_refused_by_name(
        self, place: Place, changes: dict[str, Any], key: str
    ) -> None:
        engine = place.engine()
        engine.validate(attempt_of("exit 0"))
        with pytest.raises(InvalidSpec, match=key):
            engine.validate(msgspec.structs.replace(attempt_of("exit 0"), **changes))

    def test_render_shows_what_would_run_and_no_secret(self, place: Place, tmp_path: Path) -> None:
        secret = tmp_path / "secret.env"
        secret.write_text("TOKEN=hunter2\n")
        attempt = attempt_of("python train.py", env=(("EPOCHS", "3"),), env_file=str(secret))
        text = place.engine().render(attempt)
        assert "python train.py" in text
        assert "EPOCHS=3" in text
        assert "hunter2" not in text


def read(path: Path) -> int:
    """A number that a program wrote; 0 while it is not there whole."""
    text = path.read_text()
    return int(text) if text.endswith("\n") else 0
