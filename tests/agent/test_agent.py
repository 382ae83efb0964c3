"""The agent between a control plane that comes and goes and an engine."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parkade.agent import backoff, logs
from parkade.agent import memory as memories
from parkade.agent.agent import LONG_POLL_S, run_agent
from parkade.agent.place import Pace, Place, Time
from parkade.agent.timer import LoopTimer
from parkade.control.log_places import place_of
from parkade.core.units.refusal import Reason, Refusal
from parkade.engines.local.devices import Machine
from parkade.engines.local.engine import LocalEngine
from parkade.ports import (
    Conflict,
    DesiredAttempt,
    Engine,
    EngineError,
    InvalidSpec,
    LogRequest,
    Misconfigured,
    NodeShape,
    Phase,
    Transient,
    Trouble,
    Unsupported,
)
from tests.agent.fakes import FakeControlPlane, FakeEngine
from tests.agent.test_plan import ORDER, wanted
from tests.clocks import WallClock
from tests.waits import PATIENCE_S


@asynccontextmanager
async def running(
    engine: Engine, control_plane: FakeControlPlane, folder: Path, *, tick_s: float = 0.02
) -> AsyncIterator[None]:
    """An agent that runs inside the block."""
    stop = asyncio.Event()
    task = asyncio.create_task(
        run_agent(
            engine,
            control_plane,
            Place(pool="here", nodes=(), data_folder=folder),
            Time(clock=WallClock(), timer=LoopTimer()),
            stop=stop,
            pace=Pace(tick_s=tick_s, heartbeat_s=0.1),
        )
    )
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE_S)


async def until(holds: Callable[[], Any]) -> Any:
    ends_at = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < ends_at, "it never came to be"
        await asyncio.sleep(0.005)
    return found


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "MOST_S", 0.05)
    monkeypatch.setattr(backoff, "FIRST_S", 0.01)
    monkeypatch.setattr(logs, "IDLE_S", 0.05)


def test_what_is_desired_runs_is_reported_stopped_and_forgotten(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()
        async with running(engine, control, tmp_path):
            control.desire(wanted("a"), sequence=1)
            await until(lambda: (one := control.last("a")) and one.phase is Phase.RUNNING)
            control.desire(wanted("a", stop=ORDER), sequence=2)
            await until(lambda: (one := control.last("a")) and one.phase is Phase.RELEASED)
            assert engine.orders[0] == ("a", ORDER)
            control.desire(sequence=3)
            await until(lambda: engine.forgotten == ["a"])
            await until(lambda: control.last("a") is None)
        assert engine.launches == ["a"]

    asyncio.run(body())


def test_an_older_state_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()
        async with running(engine, control, tmp_path):
            control.desire(wanted("a"), epoch=2, sequence=1)
            await until(lambda: control.last("a"))
        control.desire(wanted("b"), epoch=1, sequence=99)
        async with running(engine, control, tmp_path):
            heard = len(control.reports)
            await until(lambda: len(control.reports) > heard + 2)
            assert control.last("a") is not None
            control.desire(wanted("a"), wanted("c"), epoch=2, sequence=2)
            await until(lambda: control.last("c"))
        assert engine.launches == ["a", "c"]
        assert engine.orders == []

    asyncio.run(body())


def test_while_nobody_is_heard_everything_goes_on_and_nothing_is_stopped(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()
        async with running(engine, control, tmp_path):
            control.desire(wanted("a"), sequence=1)
            await until(lambda: control.last("a"))
            control.is_down = True
            heard = len(control.reports)
            await until(lambda: control.failures > 10)
            assert len(control.reports) == heard
            control.is_down = False
            await until(lambda: len(control.reports) > heard)
            control.desire(wanted("a"), wanted("b"), sequence=2)
            await until(lambda: control.last("b"))
        assert engine.orders == []

    asyncio.run(body())


@pytest.mark.parametrize(
    ("error", "is_refused"),
    [
        (InvalidSpec, False),
        (Unsupported, False),
        (Conflict, True),
        (Misconfigured, True),
    ],
)
def test_a_launch_that_can_never_work_is_reported_and_not_repeated(
    tmp_path: Path, error: type[EngineError], is_refused: bool
) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()
        engine.troubles["a"] = [error("gpus: too many")]
        control.desire(wanted("a"), sequence=1)
        for _ in range(2):
            async with running(engine, control, tmp_path):
                control.reports.clear()
                await until(lambda: len(control.reports) > 2 and control.last("a"))
                refused = control.last("a")
                assert refused is not None
                assert refused.phase is Phase.RELEASED
                assert refused.launch_error == "gpus: too many"
                assert refused.is_refused is is_refused, "it is told so after a restart, too"
        assert engine.launches == ["a"]

    asyncio.run(body())


def test_what_keeps_an_attempt_from_starting_is_told_until_it_starts(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()
        engine.troubles["a"] = [Transient("no launcher")] * 20
        control.desire(wanted("a"), sequence=1)
        async with running(engine, control, tmp_path):
            told = (Trouble(attempt="a", says="no launcher"),)
            await until(lambda: any(one.troubles == told for one in control.reports))
            await until(lambda: control.last("a") and control.reports[-1].troubles == ())
        assert engine.launches.count("a") == 21

    asyncio.run(body())


def test_many_launches_do_not_each_make_the_engine_be_looked_at(tmp_path: Path) -> None:
    class Slow(FakeEngine):
        async def launch(self, attempt: DesiredAttempt) -> None:
            await asyncio.sleep(0.002)
            await super().launch(attempt)

    async def body() -> None:
        engine, control = Slow(), FakeControlPlane()
        names = [f"a{number}" for number in range(40)]
        async with running(engine, control, tmp_path, tick_s=PATIENCE_S):
            await until(lambda: control.reports)
            before = engine.looks
            control.desire(*(wanted(name) for name in names), sequence=1)
            await until(lambda: all(control.last(name) for name in names))
        assert engine.looks - before <= 10

    asyncio.run(body())


def test_a_launch_that_may_work_later_is_repeated(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()
        engine.troubles["a"] = [Transient("seats are not free"), Transient("still not")]
        control.desire(wanted("a"), sequence=1)
        async with running(engine, control, tmp_path):
            await until(lambda: (one := control.last("a")) and one.launch_error is None)
        assert engine.launches == ["a"] * 3

    asyncio.run(body())


def test_what_nobody_desires_any_more_is_stopped_once(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()
        await engine.launch(wanted("old"))
        async with running(engine, control, tmp_path):
            await until(lambda: len(control.reports) > 2)
            assert engine.orders == [], "nothing was heard yet"
            control.desire(sequence=1)
            await until(lambda: engine.forgotten == ["old"])
        assert [name for name, _ in engine.orders] == ["old"]
        released = [one for told in control.reports for one in told.attempts if one.released_us]
        assert released, "its release was reported before it was forgotten"

    asyncio.run(body())


def test_where_output_of_an_instant_begins_is_answered_by_the_engine_or_refused_by_name(
    tmp_path: Path,
) -> None:
    class Timed(FakeEngine):
        offset: int | None = 4

        async def log_offset(self, request: LogRequest) -> int | None:
            assert request.at_us == 5
            return self.offset

    async def answer(engine: FakeEngine) -> int | Refusal:
        control = FakeControlPlane()
        asked = LogRequest(request="r", attempt="a", rank=0, offset=0, follow=False, at_us=5)
        async with running(engine, control, tmp_path):
            control.asked.append(asked)
            await until(lambda: "r" in control.ended)
        (chunk,) = filter(None, control.sent["r"])
        return place_of(chunk, "pool", "a", 0, 5)

    async def body() -> None:
        assert await answer(Timed()) == 4
        unknown, without = Timed(), await answer(FakeEngine())
        unknown.offset = None
        for refusal, says in ((without, "engine keeps no times"), (await answer(unknown), "begun")):
            assert isinstance(refusal, Refusal) and refusal.reason is Reason.UNSUPPORTED
            assert says in refusal.detail

    asyncio.run(body())


def test_output_is_sent_once_to_its_end_and_not_where_nobody_listens(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()

        def ask(name: str, *, follow: bool) -> LogRequest:
            return LogRequest(request=name, attempt="a", rank=0, offset=0, follow=follow)

        async with running(engine, control, tmp_path):
            control.asked.append(ask("r1", follow=False))
            await until(lambda: "r1" in control.ended)
            assert b"".join(control.sent["r1"]) == b"one\ntwo\n"
            chunks = len(control.sent["r1"])
            control.asked.append(ask("r1", follow=False))
            control.asked.append(ask("r3", follow=False))
            await until(lambda: "r3" in control.ended)
            assert len(control.sent["r1"]) == chunks, "a request that comes again is taken once"
            control.asked.append(ask("r2", follow=True))
            await until(lambda: b"" in control.sent.get("r2", []))
            control.gone.add("r2")
            await until(lambda: control.turned_away)
        assert (control.turned_away, "r2" in control.ended) == (1, False)

    asyncio.run(body())


@pytest.mark.system
def test_with_the_local_engine_an_attempt_outlives_its_agent(tmp_path: Path) -> None:
    def engine() -> LocalEngine:
        nodes = (NodeShape(node="n0", gpus=1),)
        return LocalEngine(
            pool="here",
            data=tmp_path / "pool",
            nodes=nodes,
            clock=WallClock(),
            machine=Machine(),
            runs_as_root=True,
        )

    async def body() -> None:
        control = FakeControlPlane()
        command = "until [ -f $PARKADE_CHECKPOINT_DIR/go ]; do sleep 0.02; done; exit 7"
        attempt = msgspec.structs.replace(wanted("a"), command=command)
        first = engine()
        async with running(first, control, tmp_path / "agent"):
            control.desire(attempt, sequence=1)
            await until(lambda: (one := control.last("a")) and one.phase is Phase.RUNNING)
        await first.close()
        control.reports.clear()
        second = engine()
        (second.folders.checkpoints(attempt) / "go").touch()
        async with running(second, control, tmp_path / "agent"):
            await until(lambda: (one := control.last("a")) and one.phase is Phase.RELEASED)
        await second.close()
        last = control.last("a")
        assert last is not None
        assert last.exits[0].code == 7

    asyncio.run(body())


class LeasingEngine(FakeEngine):
    """Counts how often its leases were renewed."""

    renewals = 0

    async def renew_leases(self) -> None:
        self.renewals += 1


@pytest.mark.system
def test_leases_are_renewed_while_reports_are_answered_and_not_while_they_are_not(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        engine, control = LeasingEngine(), FakeControlPlane()
        async with running(engine, control, tmp_path):
            control.desire(sequence=1)
            await until(lambda: engine.renewals > 2)
            control.is_down = True
            await until(lambda: control.failures > 3)
            before = engine.renewals
            await until(lambda: control.failures > 10)
            assert engine.renewals == before
            control.is_down = False
            await until(lambda: engine.renewals > before)

    asyncio.run(body())


def test_an_agent_that_was_cut_off_is_connected_by_the_first_answer(tmp_path: Path) -> None:
    """It asks without waiting for news, or a lease would be renewed only after a long poll."""

    async def body() -> None:
        engine, control = LeasingEngine(), FakeControlPlane()
        async with running(engine, control, tmp_path):
            control.desire(sequence=1)
            await until(lambda: control.waits[-1:] == [LONG_POLL_S])
            control.is_down = True
            await until(lambda: control.failures > 3)
            before = len(control.waits)
            control.is_down = False
            await until(lambda: len(control.waits) > before + 1)
            assert control.waits[before : before + 2] == [0, LONG_POLL_S]

    asyncio.run(body())


def test_a_control_plane_that_is_refused_renews_no_lease(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = LeasingEngine(), FakeControlPlane()
        memories.save(tmp_path, memories.Memory(last=(2, 1)))
        control.desire(epoch=1, sequence=99)
        async with running(engine, control, tmp_path):
            await until(lambda: len(control.reports) > 3)
        assert engine.renewals == 0

    asyncio.run(body())


def test_an_agent_whose_memory_cannot_be_written_still_obeys(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control, folder = FakeEngine(), FakeControlPlane(), tmp_path / "agent"
        async with running(engine, control, folder):
            control.desire(wanted("a"), sequence=1)
            await until(lambda: control.last("a"))
            shutil.rmtree(folder)
            control.desire(wanted("a", stop=ORDER), sequence=2)
            await until(lambda: (one := control.last("a")) and one.phase is Phase.RELEASED)
            folder.mkdir()
            control.desire(sequence=3)
            await until(lambda: (folder / memories.FILE).exists())
        assert memories.load(folder).last == (1, 3)

    asyncio.run(body())
