"""Gangs that agree when to save, while the signal reaches not all of them: traps 3, 5, 7, 8, 12.
Gangs of which a rank died, and the rest have the heal notice."""

import json
from collections.abc import Callable

import pytest

from parkade.core.units.time import SECOND_US
from parkade.ports import DesiredAttempt, RankExit, SaveRequest, Seat
from tests.engines import standin_gangs, standins
from tests.engines.noticing import AUTO, LONG_S, begin, noticed, told
from tests.engines.trial import (
    Place,
    attempt_of,
    now_us,
    order_in,
    output_of,
    released,
    run,
    until,
)

Program = Callable[[tuple[int, ...]], str]

HEAL_US = 40 * SECOND_US
DEAF = f"exec {standins.without_handlers()}"


class GangContract:
    """Part of EngineContract."""

    # ------------------------------------------------------------ 7: not all hear it

    @pytest.mark.parametrize(
        ("program", "deaf"),
        [
            (standin_gangs.gathers, ()),
            (standin_gangs.gathers, (0,)),
            (standin_gangs.gathers, (1,)),
            (standin_gangs.obeys_rank_zero, ()),
            (standin_gangs.obeys_rank_zero, (1,)),
            (standin_gangs.meets_at_a_barrier, ()),
        ],
    )
    def test_a_gang_saves_if_those_that_it_needs_are_told(
        self, place: Place, program: Program, deaf: tuple[int, ...]
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(program(deaf), nodes=2, save=AUTO)
            await begin(engine, place, attempt, "0", "1")
            order = order_in(LONG_S, LONG_S + 5)
            await engine.stop(attempt.attempt, order)
            seen = await released(engine, attempt)
            assert [one.code for one in seen.exits] == [0, 0]
            assert seen.is_signalled and seen.checkpoint is not None
            assert (seen.released_us or 0) < order.deadline_us, "it was told at once"

        run(body())

    @pytest.mark.parametrize(
        ("program", "deaf"),
        [(standin_gangs.obeys_rank_zero, (0,)), (standin_gangs.meets_at_a_barrier, (1,))],
    )
    def test_a_gang_that_cannot_agree_is_ended_in_time_and_said_to_be_unsaved(
        self, place: Place, program: Program, deaf: tuple[int, ...]
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(program(deaf), nodes=2, save=AUTO)
            await begin(engine, place, attempt, "0", "1")
            order = order_in(0.5, 1.2)
            await engine.stop(attempt.attempt, order)
            seen = await released(engine, attempt)
            assert (seen.released_us or 0) >= order.deadline_us
            assert seen.is_signalled and seen.checkpoint is None
            (dead,) = deaf
            assert seen.exits[dead] == RankExit(rank=dead, code=None, signal=15)

        run(body())

    # ------------------------------------------------------------ 8: an evaluation

    def test_a_handler_that_runs_after_an_evaluation_past_the_deadline_still_saves(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standin_gangs.evaluates(1.5), save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, 0.5, LONG_S)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.exits == (RankExit(rank=0, code=85, signal=None),)

        run(body())

    # ------------------------------------------------------------ 3, 5: servers and launchers

    def test_a_server_drains_past_the_deadline_and_its_engines_are_left_alone(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            attempt = attempt_of(standin_gangs.serves(1.5), save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, 0.5, LONG_S)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.exits == (RankExit(rank=0, code=0, signal=None),)
            assert seen.checkpoint is not None

        run(body())

    @pytest.mark.parametrize("name", standin_gangs.LAUNCHERS)
    def test_a_launcher_that_kills_in_its_own_time_is_not_told_while_its_worker_saves(
        self, place: Place, name: str
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            command = standin_gangs.kills(name, standins.saves("SIGTERM", save_s=1.5))
            attempt = attempt_of(command, save=AUTO)
            await begin(engine, place, attempt)
            seen = await noticed(engine, attempt, 0.5, LONG_S)
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.checkpoint is not None

        run(body())

    # ------------------------------------------------------------ a rank died

    def test_the_surviving_rank_of_a_broken_gang_has_the_heal_notice(self, place: Place) -> None:
        async def body() -> None:
            engine = place.engine()
            command = standin_gangs.dies(1, standins.saves("SIGTERM", save_s=6.0))
            attempt = attempt_of(command, nodes=2, save=AUTO, heal_notice_us=HEAL_US)
            await begin(engine, place, attempt)
            died_us = now_us()
            (place.checkpoints(attempt) / "die").touch()
            await until((place.checkpoints(attempt) / "notice.0").exists)
            notice = json.loads((place.checkpoints(attempt) / "notice.0").read_text())
            assert notice["cause"] == "healed"
            assert notice["deadline_us"] >= died_us + HEAL_US
            assert notice["kill_at_us"] > notice["deadline_us"]
            seen = await released(engine, attempt)
            assert seen.exits == (
                RankExit(rank=0, code=85, signal=None),
                RankExit(rank=1, code=None, signal=9),
            )
            assert told(place, attempt) == ["SIGTERM"]
            assert seen.checkpoint is not None and seen.checkpoint.step == 1
            assert (seen.released_us or 0) < notice["deadline_us"], "it left as soon as it saved"

        run(body())

    def test_a_broken_gang_has_its_save_command_run_beside_each_survivor(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            save = SaveRequest(
                signals=(), command="sleep 2; touch $PARKADE_CHECKPOINT_DIR/s.$PARKADE_NODE_RANK"
            )
            command = standin_gangs.dies(1, standins.without_handlers())
            attempt = attempt_of(command, nodes=2, save=save, heal_notice_us=HEAL_US)
            await begin(engine, place, attempt)
            (place.checkpoints(attempt) / "die").touch()
            seen = await released(engine, attempt)
            assert seen.exits[0] == RankExit(rank=0, code=None, signal=15)
            assert sorted(it.name for it in place.checkpoints(attempt).glob("s.*")) == ["s.0"]

        run(body())

    @pytest.mark.parametrize("has_saver", [False, True])
    def test_a_broken_gang_in_which_no_rank_saves_any_more_keeps_no_seat(
        self, place: Place, has_saver: bool
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            saver = standins.saves("SIGTERM") if has_saver else standins.without_handlers()
            command = standin_gangs.dies(2, f"{standin_gangs.of_rank(0)} && exec {saver}\n{DEAF}")
            ranks = tuple(Seat(node=node, gpus=1) for node in ("n0", "n1", "n1"))
            attempt = attempt_of(command, save=AUTO, ranks=ranks, heal_notice_us=3600 * SECOND_US)
            await begin(engine, place, attempt, "0", "1")
            (place.checkpoints(attempt) / "die").touch()
            seen = await released(engine, attempt)
            assert seen.exits == (
                RankExit(rank=0, code=85 if has_saver else None, signal=None if has_saver else 15),
                RankExit(rank=1, code=None, signal=15),
                RankExit(rank=2, code=None, signal=9),
            )

        run(body())

    # ------------------------------------------------------------ 12: two generations

    def test_the_rendezvous_of_the_last_generation_is_gone_when_the_next_begins(
        self, place: Place
    ) -> None:
        async def body() -> None:
            engine = place.engine()
            listens = standins.python(
                """
                import socket
                store = socket.create_server(("127.0.0.1", int(os.environ["MASTER_PORT"])))
                note("port", os.environ["MASTER_PORT"])
                os.setsid() if os.getpid() != os.getsid(0) else None
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                wait()
                """
            )
            first = attempt_of(f"({listens} &) ; sleep 300", save=AUTO)
            await engine.launch(first)
            port = await until(lambda: _port(place, first))
            await noticed(engine, first, 0.1, 0.2)
            joins = standins.python(
                f"""
                import socket
                store = socket.create_server(("127.0.0.1", int(os.environ["MASTER_PORT"])))
                late = socket.socket()
                print(late.connect_ex(("127.0.0.1", {port})) != 0, flush=True)
                """
            )
            second = attempt_of(joins)
            await engine.launch(second)
            assert await output_of(engine, second) == b"True\n"
            await released(engine, second)

        run(body())


def _port(place: Place, attempt: DesiredAttempt) -> int:
    path = place.checkpoints(attempt) / "port.0"
    return int(path.read_text() or 0) if path.exists() else 0
