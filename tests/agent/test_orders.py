"""Orders that come late, twice, out of order or from a control plane that was replaced."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as some

from parkade.agent.agent import Agent
from parkade.agent.control_plane import ControlPlaneError
from parkade.agent.place import Place, Time
from parkade.agent.timer import LoopTimer
from parkade.ports import DesiredAttempt, DesiredState, Observation, Phase
from tests import builders
from tests.agent.fakes import FakeControlPlane, FakeEngine
from tests.agent.test_agent import running, until
from tests.agent.test_plan import ORDER, wanted
from tests.clocks import WallClock


def states(wishes: Sequence[dict[int, bool]]) -> list[DesiredState]:
    """A history of a pool, an epoch every third state: each names workloads that shall run, and
    whether they have their notice. A workload that comes back has another generation."""
    found, generations, before = [], dict.fromkeys(range(4), 0), {}
    for sequence, wish in enumerate(wishes, start=1):
        for number in wish:
            if number not in before:
                generations[number] += 1
        attempts = [
            wanted(
                f"w{number}.{generations[number]}",
                generation=generations[number],
                stop=ORDER if is_leaving else None,
            )
            for number, is_leaving in wish.items()
        ]
        epoch = 1 + sequence // 3
        found.append(
            builders.desired_state(
                "here", *attempts, epoch=epoch, sequence=sequence, lineage=f"{epoch}" * 32
            )
        )
        before = wish
    return found


WISHES = some.lists(
    some.dictionaries(some.integers(0, 3), some.booleans(), max_size=4), min_size=1, max_size=7
)


@given(WISHES, some.data())
def test_in_whatever_order_states_come_the_newest_alone_decides(
    wishes: list[dict[int, bool]], data: some.DataObject
) -> None:
    history = states(wishes)
    heard = data.draw(some.lists(some.sampled_from(range(len(history))), max_size=15))

    async def body(folder: Path) -> None:
        engine = FakeEngine()
        place = Place(pool="here", nodes=(), data_folder=folder)
        agent = Agent(engine, FakeControlPlane(), place, Time(clock=WallClock(), timer=LoopTimer()))
        newest = -1
        for index in heard:
            try:
                agent.accept(history[index])
                assert index >= newest, "an older state was obeyed"
                newest = index
            except ControlPlaneError:
                assert index < newest, "a newer state was refused"
                assert agent.refused is not None
            launches, orders = len(engine.launches), len(engine.orders)
            await turn(agent, engine)
            wants = {one.attempt: one for one in history[newest].attempts}
            for name in engine.launches[launches:]:
                assert wants[name].stop is None
            for name, _ in engine.orders[orders:]:
                assert name not in wants or wants[name].stop is not None

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(body(Path(name)))


async def turn(agent: Agent, engine: FakeEngine) -> None:
    await agent._converge(await engine.observe())
    await asyncio.gather(*agent.launching.values())
    agent._settle_launches()
    agent._publish(await engine.observe())


class SlowEngine(FakeEngine):
    """Its launches wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.gate = asyncio.Event()

    async def launch(self, attempt: DesiredAttempt) -> None:
        self.asked.append(attempt.attempt)
        await self.gate.wait()
        await super().launch(attempt)


def test_a_launch_that_waited_until_it_was_withdrawn_is_not_made(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = SlowEngine(), FakeControlPlane()
        some_attempts = [wanted(f"w{number}.1") for number in range(9)]
        async with running(engine, control, tmp_path):
            control.desire(*some_attempts, sequence=1)
            await until(lambda: engine.asked)
            first = list(engine.asked)
            assert len(first) < len(some_attempts), "the others wait for their turn"
            kept = [one for one in some_attempts if one.attempt in first]
            control.desire(*kept, sequence=2)
            await until(lambda: control.last_after == (1, 2))
            engine.gate.set()
            await until(lambda: all(control.last(name) for name in first))
        assert sorted(engine.launches) == sorted(first)
        assert engine.orders == []

    asyncio.run(body())


class HangingEngine(FakeEngine):
    """No look ends while the gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.hanging = False

    async def observe(self) -> Observation:
        self.hanging = not self.gate.is_set()
        await self.gate.wait()
        self.hanging = False
        return await super().observe()


def test_an_order_is_handed_over_while_a_look_at_the_engine_hangs(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = HangingEngine(), FakeControlPlane()
        control.desire(wanted("w1.1"), wanted("w2.1"), sequence=1)
        async with running(engine, control, tmp_path):
            await until(lambda: control.last("w1.1") and control.last("w2.1"))
            engine.gate.clear()
            await until(lambda: engine.hanging)
            control.desire(wanted("w1.1", stop=ORDER), wanted("w2.1"), sequence=2)
            await until(lambda: engine.orders)
            assert engine.orders == [("w1.1", ORDER)]
            engine.gate.set()
            await until(lambda: control.last("w1.1").phase is Phase.RELEASED)  # type: ignore[union-attr]
        assert engine.attempts["w2.1"].phase is Phase.RUNNING

    asyncio.run(body())


def test_a_refusal_is_told_with_the_reports_until_it_is_over(tmp_path: Path) -> None:
    async def body() -> None:
        engine, control = FakeEngine(), FakeControlPlane()
        control.desire(wanted("w1.1"), epoch=2, sequence=7)
        async with running(engine, control, tmp_path):
            await until(lambda: control.last("w1.1"))
            control.desire(wanted("w2.1"), epoch=1, sequence=99)
            await until(lambda: "1.99 after 2.7" in (control.reports[-1].refused or ""))
            control.desire(wanted("w1.1"), epoch=2, sequence=8)
            await until(lambda: control.reports[-1].refused is None)
        assert engine.launches == ["w1.1"]
        assert engine.attempts["w1.1"].phase is Phase.RUNNING

    asyncio.run(body())
