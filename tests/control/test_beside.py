"""A long clearing and what is submitted while it is decided: nothing waits that need not."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import pytest
from msgspec.structs import replace

from parkade.control.answers import Decided
from parkade.control.beside import Decide, Decision, DecisionFailed, NoDecision, may_go_beside
from parkade.control.cycle import Asked
from parkade.control.inbox import Inbox, WaitingCommand
from parkade.control.plane import Plane
from parkade.control.settings import PlaneSettings
from parkade.core.kernel.evolve import evolve
from parkade.core.state import commands, events, lines
from parkade.core.state.codec import decode_event, encode_snapshot
from parkade.core.state.people import Role
from parkade.core.state.world import Records, World
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.choice import Choice
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.ports import Store
from parkade.sim.whatif.explain import explain, facts_of
from parkade.sim.whatif.one_clearing import check_record
from parkade.store import open_sqlite
from tests import builders
from tests.clocks import HandClock
from tests.waits import until

SETTINGS = PlaneSettings(
    check_every=1,
    longest_wait_us=10_000,
    beside_after_us=-1,
    clearing_part=1,
    unreachable_after_us=10**12,
)
"""Each clearing goes beside."""


class Slow:
    """Decides beside, where it `is_slow`, and has the answer when the test says so."""

    def __init__(self) -> None:
        self.is_slow = self.has_failed = self.is_gone = False
        self.is_given_up = False
        self.has_begun = threading.Event()
        self._may_end = threading.Event()
        self._done: Callable[[], None] | None = None
        self._decision: Decision = ()

    def begin(self, decide: Decide, done: Callable[[], None]) -> Self | None:
        if not self.is_slow:
            return None
        self._decision, self._done = decide(), done
        self.has_begun.set()
        return self

    def is_done(self) -> bool:
        return self._may_end.is_set()

    def result(self) -> Decision:
        if self.is_gone:
            raise NoDecision("a child that was killed")
        if self.has_failed:
            raise DecisionFailed("a clearing that fails")
        return self._decision

    def give_up(self) -> None:
        self.is_given_up = True

    def end(self) -> None:
        self.is_slow = False
        self._may_end.set()
        if self._done is not None:
            self._done()


class Bench:
    def __init__(self, store: Store, plane: Plane, clock: HandClock, slow: Slow) -> None:
        self.store, self.plane, self.clock, self.slow = store, plane, clock, slow

    async def submit(self) -> str:
        decided = await self.plane.execute(
            builders.submit("a", "ann", limit_price_micros=3_000_000)
        )
        assert isinstance(decided, Decided)
        (event,) = decided.events
        assert isinstance(event, events.Submitted)
        return event.workload.workload

    async def clearing_begins(self) -> None:
        """The clock is moved on until one does."""
        self.slow.is_slow = True
        while not self.slow.has_begun.is_set():
            self.clock.pass_us(31_000_000)
            await asyncio.to_thread(self.slow.has_begun.wait, 0.02)

    async def cleared_at(self) -> int:
        """The number of the first entry that seats work."""

        def found() -> list[int]:
            return [
                at
                for at, it in enumerate(self.journal(), 1)
                if isinstance(it, events.Cleared) and it.won
            ]

        await asyncio.to_thread(until, lambda: bool(found()))
        return found()[0]

    def journal(self) -> list[events.AnyEvent]:
        entries = self.store.entries(after=0, limit=10_000)
        return [decode_event(it.body, it.version) for it in entries]


@contextlib.asynccontextmanager
async def bench(folder: Path, settings: PlaneSettings = SETTINGS) -> AsyncIterator[Bench]:
    clock, slow = HandClock(), Slow()
    store = open_sqlite(folder / "parkade.sqlite3")
    dependencies = replace(builders.dependencies(store, clock), beside=slow.begin)
    plane = Plane(dependencies, settings)
    plane.start()
    try:
        for command in (
            builders.open_pool("m", {"f": 2}),
            commands.CreateOrg(by=None, org="a"),
            commands.CreateUser(by=None, user="ann", org="a", role=Role.MEMBER, unix_name=None),
            commands.Deposit(by=None, org="a", micros=10**15),
        ):
            assert isinstance(await plane.execute(command), Decided)
        yield Bench(store, plane, clock, slow)
    finally:
        await plane.close()
        store.close()


async def test_a_submission_is_answered_while_a_clearing_is_decided(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        first = await made.submit()
        await made.clearing_begins()
        second = await made.submit()
        assert await made.plane.read(lambda world, _: second in world.live)
        cancelling = asyncio.create_task(
            made.plane.execute(commands.Cancel(by=None, workload=first, now=True))
        )
        third = asyncio.create_task(made.submit())
        assert not any(isinstance(it, events.Cleared) and it.won for it in made.journal())
        made.slow.end()
        assert isinstance(await cancelling, Decided)
        await third
        journal = made.journal()
        at = next(at for at, it in enumerate(journal) if isinstance(it, events.Cleared) and it.won)
        cleared = journal[at]
        assert isinstance(cleared, events.Cleared)
        before = [it for it in journal[:at] if isinstance(it, events.Submitted)]
        assert [it.workload.workload for it in before][:2] == [first, second]
        assert before[1].at_us == cleared.at_us, "they share an instant"
        kinds = events.PhaseChanged | events.StopOrdered
        ends = [place for place, it in enumerate(journal) if isinstance(it, kinds)]
        assert ends and ends[0] > at, "a cancel waits for the clearing's end"


async def test_its_record_holds_and_its_journal_is_explained(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.submit()
        await made.clearing_begins()
        beside = [await made.submit() for _ in range(3)]
        made.slow.end()
        number = await made.cleared_at()
        record = made.journal()[number - 1]
        assert isinstance(record, events.Cleared)
        assert not {lines.name_of(it.demand) for it in record.waiting} & set(beside)
        checked = check_record(made.store, number)
        assert checked.holds, checked.difference
        assert "Cleared" not in facts_of(explain(made.journal()))
    with contextlib.closing(open_sqlite(tmp_path / "parkade.sqlite3")) as store:
        (snapshot,) = store.snapshots()
        world = World(Records())
        for entry in store.entries(after=0, limit=snapshot.sequence):
            evolve(world, decode_event(entry.body, entry.version))
        assert encode_snapshot(world) == snapshot.body


async def test_a_clearing_that_fails_beside_submissions_freezes_its_market(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.submit()
        await made.clearing_begins()
        made.slow.has_failed = True
        await made.submit()
        made.slow.end()
        await asyncio.to_thread(until, lambda: made.plane.health().frozen_markets == ("m",))
        await made.submit()
        assert made.plane.health().is_running


async def test_a_clearing_that_got_no_answer_is_decided_within_the_turn(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.submit()
        await made.clearing_begins()
        made.slow.is_gone = True
        made.slow.end()
        await made.cleared_at()
        assert not made.plane.health().frozen_markets


async def test_a_clearing_whose_answer_is_late_is_decided_within_the_turn(tmp_path: Path) -> None:
    async with bench(tmp_path, replace(SETTINGS, beside_late_us=SECOND_US)) as made:
        await made.submit()
        await made.clearing_begins()
        made.slow.is_slow = False
        await made.submit()
        assert not made.slow.is_given_up
        made.clock.pass_us(SECOND_US + 1)
        await made.cleared_at()
        assert made.slow.is_given_up


async def test_a_server_that_stops_gives_the_decision_up(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.submit()
        await made.clearing_begins()
    assert made.slow.is_given_up


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"capacity": Capacity(kind=CapacityKind.ON_DEMAND, reservation=None)}, False),
        ({"capacity": Capacity(kind=CapacityKind.RESERVATION, reservation="r")}, False),
        (
            {
                "choices": (
                    Choice(instance_type="x", limit_price_micros=1),
                    Choice(instance_type="y", limit_price_micros=1),
                )
            },
            False,
        ),
    ],
    ids=["spot", "on-demand", "reservation", "several markets"],
)
def test_only_plain_spot_goes_beside(changes: dict[str, object], may: bool) -> None:
    command = builders.submit("a")
    command = replace(command, spec=replace(command.spec, **changes))
    assert may_go_beside(Asked(command=command)) is may


def test_a_cancel_does_not_go_beside() -> None:
    assert not may_go_beside(Asked(command=commands.Cancel(by=None, workload="w1", now=True)))


async def test_what_an_org_sent_later_waits_behind_what_may_not_go_beside() -> None:
    inbox = Inbox(limit=10, org_limit=10, plans_limit=10, org_plans_limit=10)
    loop = asyncio.get_running_loop()
    cancel = commands.Cancel(by=None, workload="w1", now=True)
    sent: list[tuple[str, commands.AnyCommand]] = [
        ("a", cancel),
        ("a", builders.submit("a")),
        ("b", builders.submit("b")),
    ]
    for org, command in sent:
        asked = Asked(command=command)
        waiting = WaitingCommand(loop=loop, future=loop.create_future(), asked=asked, org=org)
        assert inbox.put(waiting) is None
    assert [it.org for it in inbox.take_commands(10, may_go_beside)] == ["b"]
    assert [it.asked.command for it in inbox.take_commands(10)] == [cancel, sent[1][1]]
    assert len(inbox) == 0
