"""What every engine must do, written once. Each engine subclasses EngineContract with its place."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parkade.agent.optional import KnowsLogTimes
from parkade.ports import Conflict, InvalidSpec, Phase, RankExit, Seat, Transient, Unsupported
from tests.engines.contract_ends import EndContract
from tests.engines.contract_gangs import GangContract
from tests.engines.contract_launchers import LauncherContract
from tests.engines.contract_lease import LeaseContract
from tests.engines.contract_live import LiveContract
from tests.engines.contract_presets import PresetContract
from tests.engines.contract_receivers import ReceiverContract
from tests.engines.contract_stop import StopContract
from tests.engines.trial import (
    FOR_EVER,
    Place,
    ask,
    attempt_of,
    now_us,
    of,
    order_in,
    output_of,
    released,
    request_of,
    run,
    until,
    until_seen,
)


class EngineContract(
    StopContract,
    ReceiverContract,
    LauncherContract,
    EndContract,
    GangContract,
    PresetContract,
    LeaseContract,
    LiveContract,
):
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
            for change in ({"generation": 2}, {"ranks": (Seat(node="n1", gpus=1),)}):
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
                "env",
                nodes=2,
                gpus=2,
                env=(("EPOCHS", "3"), ("MASTER_PORT", "1")),
                array_index=7,
                array_count=200,
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
                assert found["PARKADE_ARRAY_INDEX"] == "7"
                assert found["PARKADE_ARRAY_COUNT"] == "200"
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
            assert of(await engine.observe(), third) is None
            seen = [await until_seen(engine, one, lambda it: bool(it.devices)) for one in some]
            devices = [index for one in seen for _, indexes in one.devices for index in indexes]
            assert sorted(devices) == [0, 1, 2, 3]
            await engine.stop(some[0].attempt, order_in(0, 0))
            await released(engine, some[0])
            await engine.launch(third)
            await engine.stop(some[1].attempt, order_in(0, 0))
            await asyncio.gather(*(released(engine, one) for one in (*some, third)))

        run(body())

    def test_no_device_is_on_two_nodes_of_a_machine(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(FOR_EVER, nodes=2, gpus=4)
            await engine.launch(attempt)
            seen = of(await engine.observe(), attempt)
            assert seen is not None
            devices = [index for _, indexes in seen.devices for index in indexes]
            assert sorted(devices) == list(range(8))
            await engine.stop(attempt.attempt, order_in(0, 0))
            await released(engine, attempt)

        run(body())

    def test_ranks_that_share_a_node_have_devices_and_output_of_their_own(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            ranks = tuple(Seat(node=node, gpus=1) for node in ("n1", "n0", "n1", "n1"))
            program = "echo $PARKADE_NODE_RANK/$PARKADE_NODES:$CUDA_VISIBLE_DEVICES"
            attempt = attempt_of(program, ranks=ranks)
            await engine.launch(attempt)
            outputs = [await output_of(engine, attempt, rank=rank) for rank in range(4)]
            said = [output.decode().strip().split(":") for output in outputs]
            assert [place_in_gang for place_in_gang, _ in said] == ["0/4", "1/4", "2/4", "3/4"]
            seen = await released(engine, attempt)
            held = dict(seen.devices)
            devices = [int(device) for _, device in said]
            assert held == {"n0": (devices[1],), "n1": tuple(sorted(devices[:1] + devices[2:]))}
            on_nodes = [(rank.node, device) for rank, device in zip(ranks, devices, strict=True)]
            assert len(set(on_nodes)) == 4
            assert [one.rank for one in seen.exits] == [0, 1, 2, 3]

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
                assert ".parkade.json" in (seen.report_problem or "")
            (folder / ".parkade.json").write_text('{"step": 12, "at": "1970-01-01T00:00:01.5Z"}')
            seen = await until_seen(engine, attempt, lambda one: one.checkpoint is not None)
            assert seen.checkpoint is not None and seen.report_problem is None
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
            chunks = engine.logs(request_of(attempt.attempt))
            assert await anext(chunks) == b"one\n"
            assert await output_of(engine, attempt, follow=False) == b"one\n"
            (place.checkpoints(attempt) / "go").touch()
            assert await anext(chunks) == b"two\n"
            assert await following == b"one\ntwo\n"
            await released(engine, attempt)
            assert await output_of(engine, attempt, offset=2, follow=False) == b"e\ntwo\n"
            for at_us, offset in ((0, 0), (2**62, len(b"one\ntwo\n"))):
                assert isinstance(engine, KnowsLogTimes)
                asked = request_of(attempt.attempt, at_us=at_us)
                assert await engine.log_offset(asked) == offset
            await engine.forget(attempt.attempt)
            assert await output_of(engine, attempt) == b"one\ntwo\n"
            for name, rank in (("never-seen", 0), (attempt.attempt, 1)):
                with pytest.raises(InvalidSpec):
                    await anext(engine.logs(request_of(name, rank=rank, follow=False)))

        run(body())

    def test_an_attempt_of_the_same_name_from_another_date_is_another(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(f"echo secret; {FOR_EVER}")
            await engine.launch(attempt)
            (seen,) = (await engine.observe()).attempts
            assert seen.ordered_us == attempt.ordered_us == 1
            with pytest.raises(Conflict):
                await engine.launch(msgspec.structs.replace(attempt, ordered_us=2))
            for changes in ({"org": "lab"}, {"since_us": 2}):
                with pytest.raises(InvalidSpec):
                    await anext(engine.logs(request_of(attempt.attempt, **changes)))
            own = request_of(attempt.attempt, org=attempt.org, since_us=1)
            assert await anext(engine.logs(own)) == b"secret\n"
            await engine.stop(attempt.attempt, order_in(0, 0.5))
            await released(engine, attempt)
            await engine.forget(attempt.attempt)
            with pytest.raises(Conflict):
                await engine.launch(msgspec.structs.replace(attempt, ordered_us=2))

        run(body())

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"command": " "}, "command"),
            ({"ranks": ()}, "nodes"),
            ({"ranks": (Seat(node="n9", gpus=1),)}, "nodes"),
            ({"ranks": (Seat(node="n0", gpus=5),)}, "gpus"),
            ({"env": (("a b", "c"),)}, "env"),
            ({"save": ask("SIGKILL")}, "checkpoint.signal"),
            ({"save": ask("SIGNOTHING")}, "checkpoint.signal"),
            ({"unix_user": "root"}, "unix_user"),
            ({"unix_user": "nobody-of-that-name"}, "unix_user"),
            ({"image": "torch.sqsh"}, "image"),
        ],
    )
    def test_what_can_never_run_is_refused_by_name(
        self, place: Place, changes: dict[str, Any], key: str
    ) -> None:
        engine = place.engine()
        engine.validate(attempt_of("exit 0"))
        with pytest.raises((InvalidSpec, Unsupported), match=key):
            engine.validate(msgspec.structs.replace(attempt_of("exit 0"), **changes))

    def test_render_shows_what_would_run_and_no_secret(self, place: Place, tmp_path: Path) -> None:
        secret = tmp_path / "secret.env"
        secret.write_text("TOKEN=hunter2\n")
        attempt = attempt_of("python train.py", env=(("EPOCHS", "3"),), env_file=str(secret))
        text = place.engine().render(attempt)
        assert "python train.py" in text
        assert "EPOCHS=3" in text
        assert "hunter2" not in text
