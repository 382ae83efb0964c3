"""The plane as an event loop sees it: answers after commits, news in order, nobody blocked."""

import asyncio
import contextlib
import hashlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from parkade.control.answers import Decided, Idempotency, PlaneStopped
from parkade.control.cycle import Asked
from parkade.control.plane import Plane
from parkade.control.rules import Rules
from parkade.control.settings import PlaneSettings
from parkade.control.writer import LeadershipLost
from parkade.core.state.commands import ConfirmClock, CreateOrg, Deposit, RunClearing
from parkade.core.state.events import ClockJumped, OrgCreated, ReachabilityChanged
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import SECOND_US
from parkade.ports import Fenced, Observation, Store
from parkade.store import open_sqlite
from tests import builders
from tests.clocks import HandClock
from tests.control.small import SMALL, org_created
from tests.waits import PATIENCE_S, until

Kind = TypeVar("Kind")

SETTINGS = PlaneSettings(check_every=1, longest_wait_us=10_000)


class Bench:
    """A plane over a real store, a clock in the test's hand, and what stopped it."""

    def __init__(
        self,
        folder: Path,
        rules: Rules,
        settings: PlaneSettings,
        crash_point: Callable[[str], None] = builders.no_point,
    ) -> None:
        self.clock = HandClock()
        self.fatal: list[BaseException] = []
        self.leadership = builders.Leading()
        self.store: Store = open_sqlite(folder / "parkade.sqlite3", crash_point=crash_point)
        self.dependencies = builders.dependencies(
            self.store,
            self.clock,
            rules=rules,
            on_fatal=self.fatal.append,
            leadership=self.leadership,
        )
        self.plane = Plane(self.dependencies, settings)


@contextlib.asynccontextmanager
async def bench(
    folder: Path,
    rules: Rules = SMALL,
    settings: PlaneSettings = SETTINGS,
    crash_point: Callable[[str], None] = builders.no_point,
) -> AsyncIterator[Bench]:
    made = Bench(folder, rules, settings, crash_point)
    made.plane.start()
    try:
        yield made
    finally:
        await made.plane.close()
        made.store.close()


def org(name: str) -> CreateOrg:
    return CreateOrg(by="ann", org=name)


async def next_of(
    plane: Plane, kind: type[Kind], *, where: Callable[[Kind], bool] = lambda _: True
) -> Kind:
    async with asyncio.timeout(PATIENCE_S):
        async for _, event in plane.events(after=0):
            if isinstance(event, kind) and where(event):
                return event
    raise AssertionError("the feed ended")


async def test_an_answer_comes_after_its_commit(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        decided = await made.plane.execute(org("a"))
        assert isinstance(decided, Decided)
        assert made.store.last_sequence() >= decided.sequence
        assert await made.plane.read(lambda world, _: "a" in world.records.orgs)


async def test_many_at_once_under_one_key_have_one_effect(tmp_path: Path) -> None:
    name = Idempotency(principal="ann", key="k", request_digest="d")
    deposit = Deposit(by=None, org="a", micros=5)
    async with bench(tmp_path) as made:
        asks = [made.plane.execute(deposit, idempotency=name) for _ in range(20)]
        outcomes = await asyncio.gather(*asks)
        assert all(outcome == outcomes[0] for outcome in outcomes)
        stated = await made.plane.archive.statement("org/a", from_us=None, to_us=None)
        (line,) = stated.transfers
        assert line.transfer.micros == 5


async def test_beyond_the_bound_the_inbox_says_busy(tmp_path: Path) -> None:
    made = Bench(tmp_path, SMALL, msgspec.structs.replace(SETTINGS, inbox_limit=1))
    first = asyncio.create_task(made.plane.execute(org("a")))
    await asyncio.sleep(0)
    refused = await made.plane.execute(org("b"))
    assert isinstance(refused, Refusal) and refused.reason is Reason.BUSY
    made.plane.start()
    assert isinstance(await first, Decided)
    await made.plane.close()
    made.store.close()


async def test_a_view_that_fails_is_its_askers_trouble(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        with pytest.raises(ZeroDivisionError):
            await made.plane.read(lambda world, now_us: 1 // 0)
        assert isinstance(await made.plane.execute(org("a")), Decided)


async def test_events_are_followed_from_the_journal_and_then_live(tmp_path: Path) -> None:
    short = msgspec.structs.replace(SETTINGS, feed_length=3)
    async with bench(tmp_path, settings=short) as made:
        for number in range(10):
            await made.plane.execute(org(f"before-{number}"))
        seen: list[int] = []
        async with asyncio.timeout(PATIENCE_S):
            async for sequence, event in made.plane.events(after=0):
                seen.append(sequence)
                if sequence == 11:
                    asyncio.create_task(made.plane.execute(org("live")))  # noqa: RUF006
                if isinstance(event, OrgCreated) and event.org.org == "live":
                    break
        assert seen == list(range(1, 13))


async def test_a_reader_that_stands_still_holds_nobody_up(tmp_path: Path) -> None:
    short = msgspec.structs.replace(SETTINGS, feed_length=2)
    async with bench(tmp_path, settings=short) as made:
        reader = made.plane.events(after=0)
        await anext(reader)
        for number in range(30):
            await made.plane.execute(org(f"o{number}"))
        rest = [(await anext(reader))[0] for _ in range(30)]
        assert rest == list(range(2, 32))


async def test_a_fatal_fault_fails_who_waits_and_stops(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        with pytest.raises(PlaneStopped):
            await made.plane.execute(org("broken"))
        assert isinstance(made.fatal[0], AssertionError)
        assert not made.plane.health().is_running
        with pytest.raises(PlaneStopped):
            await made.plane.execute(org("later"))
        assert made.store.last_sequence() == 1


async def test_a_writer_that_another_overtook_stops_without_answering(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.plane.execute(org("a"))
        other = Bench(tmp_path, SMALL, SETTINGS)
        with pytest.raises(PlaneStopped):
            await made.plane.execute(org("b"))
        assert isinstance(made.fatal[0], Fenced)
        assert not made.plane.health().is_running
        await other.plane.close()
        other.store.close()


async def test_a_writer_that_lost_its_leadership_stops_without_deciding(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.plane.execute(org("a"))
        made.leadership.is_lost = True
        with pytest.raises(PlaneStopped):
            await made.plane.execute(org("b"))
        assert isinstance(made.fatal[0], LeadershipLost)
        assert made.store.last_sequence() == 2


async def test_a_frozen_market_is_visible_and_commands_go_on(tmp_path: Path) -> None:
    def decide(world, command, now_us):  # type: ignore[no-untyped-def]
        assert type(command).__name__ != "RunClearing"
        return SMALL.decide(world, command, now_us)

    async with bench(tmp_path, msgspec.structs.replace(SMALL, decide=decide)) as made:
        await made.plane.execute(builders.open_pool("m"))
        while not made.plane.health().frozen_markets:
            await made.plane.execute(org("a"))
        assert made.plane.health().frozen_markets == ("m",)
        assert made.fatal == []


async def test_of_linked_markets_whose_clearing_fails_each_is_told(tmp_path: Path) -> None:
    def decide(world, command, now_us):  # type: ignore[no-untyped-def]
        assert type(command).__name__ != "RunClearing"
        return SMALL.decide(world, command, now_us)

    linked = msgspec.structs.replace(
        SMALL, decide=decide, linked_with=lambda world, _: tuple(world.records.markets)
    )
    async with bench(tmp_path, linked) as made:
        await made.plane.execute(builders.open_pool("m"))
        await made.plane.execute(builders.open_pool("n"))
        while len(made.plane.health().frozen_markets) < 2:
            await made.plane.execute(org("a"))
        assert set(made.plane.health().frozen_markets) == {"m", "n"}
        assert made.fatal == []


async def test_one_failing_market_of_a_group_stops_no_other_and_clears_once_it_is_well(
    tmp_path: Path,
) -> None:
    is_ill = True

    def decide(world, command, now_us):  # type: ignore[no-untyped-def]
        if isinstance(command, RunClearing):
            assert not is_ill or (command.is_apart and command.market == "n")
            return (org_created(f"{command.market}-{len(world.records.orgs)}", now_us),)
        return SMALL.decide(world, command, now_us)

    linked = msgspec.structs.replace(
        SMALL, decide=decide, linked_with=lambda world, _: tuple(world.records.markets)
    )
    async with bench(tmp_path, linked) as made:
        await made.plane.execute(builders.open_pool("m"))
        await made.plane.execute(builders.open_pool("n"))
        await next_of(made.plane, OrgCreated, where=lambda e: e.org.org.startswith("n-"))
        assert made.plane.health().frozen_markets == ("m",)
        is_ill = False
        made.clock.steady += 3600 * SECOND_US
        made.clock.wall += 3600 * SECOND_US
        await made.plane.execute(org("a"))
        await next_of(made.plane, OrgCreated, where=lambda e: e.org.org.startswith("m-"))
        assert made.plane.health().frozen_markets == ()
        assert made.fatal == []


async def test_a_jump_of_the_clock_stops_clearing_until_confirmed(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.plane.read(lambda world, now_us: now_us)
        made.clock.wall += 99 * 24 * 3600 * SECOND_US
        await next_of(made.plane, ClockJumped)
        await made.plane.execute(builders.open_pool("m"))
        await made.plane.execute(org("a"))
        assert not await made.plane.read(lambda world, _: "cleared-1" in world.records.orgs)
        await made.plane.execute(ConfirmClock(by=None))
        cleared = await next_of(
            made.plane, OrgCreated, where=lambda e: e.org.org.startswith("cleared")
        )
        assert cleared.at_us == made.clock.wall


async def test_a_clock_that_is_set_back_stops_no_clearing_and_no_deadline(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        before_us = await made.plane.read(lambda _, now_us: now_us)
        made.clock.wall -= 3600 * SECOND_US
        await made.plane.execute(builders.open_pool("m"))
        await made.plane.execute(org(f"due-{before_us + 10 * SECOND_US}"))
        made.clock.pass_us(20 * SECOND_US)
        took = await next_of(made.plane, OrgCreated, where=lambda e: e.org.org.startswith("took"))
        assert took.at_us == before_us + 10 * SECOND_US
        made.clock.pass_us(60 * SECOND_US)
        late_us = before_us + 80 * SECOND_US
        await next_of(made.plane, OrgCreated, where=lambda e: e.at_us == late_us)
        assert made.plane.health().clock_behind_us == 3600 * SECOND_US
        made.clock.wall += 3600 * SECOND_US
        async with asyncio.timeout(PATIENCE_S):
            while made.plane.health().clock_behind_us:
                await made.plane.read(lambda _, now_us: now_us)


def observation(at_us: int, *, is_complete: bool = True) -> Observation:
    return Observation(pool="m", at_us=at_us, is_complete=is_complete, attempts=())


async def test_a_silent_pool_is_unreachable_until_it_is_heard(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.plane.execute(builders.open_pool("m"))
        made.clock.pass_us(16 * SECOND_US)
        gone = await next_of(made.plane, ReachabilityChanged)
        assert not gone.is_reachable
        await made.plane.observe("m", observation(4, is_complete=False))
        assert made.plane.health().silent_pools == ("m",)
        await made.plane.observe("m", observation(5))
        await next_of(made.plane, ReachabilityChanged, where=lambda e: e.is_reachable)


async def test_desired_state_is_told_at_once_and_then_only_when_it_changed(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        assert await made.plane.desired("m", after=None, wait_s=0.01) is None
        waiting = asyncio.create_task(made.plane.desired("m", after=None, wait_s=20))
        await made.plane.execute(builders.open_pool("m"))
        state = await waiting
        assert state is not None
        assert (state.epoch, state.attempts) == (1, ())
        same = (state.epoch, state.sequence)
        assert await made.plane.desired("m", after=same, wait_s=0.01) is None
        assert await made.plane.desired("m", after=(0, 99), wait_s=0) == state


async def test_a_restart_begins_from_a_snapshot_or_without_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.plane.execute(org("a"))
    async with bench(tmp_path) as made:
        assert await made.plane.read(lambda world, _: "a" in world.records.orgs)
        assert made.plane.health().epoch == 2
    with sqlite3.connect(tmp_path / "parkade.sqlite3") as connection:
        old = b'{"version": 1}'
        digest = hashlib.sha256(old).hexdigest()
        connection.execute("UPDATE snapshots SET body = ?, digest = ?", [old, digest])
    connection.close()
    async with bench(tmp_path) as made:
        assert await made.plane.read(lambda world, _: "a" in world.records.orgs)
        assert made.plane.health().epoch == 3


async def test_an_answer_is_the_state_that_its_command_made(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        asks = [
            made.plane.ask(
                Asked(
                    command=Deposit(by=None, org="a", micros=micros),
                    look=lambda world, _: world.ledger.balance("org/a"),
                    show=lambda world, _, __, before: (before, world.ledger.balance("org/a")),
                )
            )
            for micros in (1, 2, 3)
        ]
        outcomes = await asyncio.gather(*asks)
        shown = [outcome.shown for outcome in outcomes if isinstance(outcome, Decided)]
        assert shown == [(0, 1), (1, 3), (3, 6)]


async def test_a_show_that_fails_is_its_askers_trouble_and_the_decision_stands(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as made:
        with pytest.raises(ZeroDivisionError):
            await made.plane.ask(Asked(command=org("a"), show=lambda *_: 1 // 0))
        assert await made.plane.read(lambda world, _: "a" in world.records.orgs)


async def test_a_look_that_refuses_decides_nothing(tmp_path: Path) -> None:
    refusal = Refusal(reason=Reason.NOT_FOUND, detail="not theirs")
    async with bench(tmp_path) as made:
        assert await made.plane.ask(Asked(command=org("a"), look=lambda *_: refusal)) == refusal
        failed = await made.plane.ask(Asked(command=org("b"), look=lambda *_: 1 // 0))
        assert isinstance(failed, Refusal) and failed.reason is Reason.INTERNAL
        assert not await made.plane.read(lambda world, _: world.records.orgs.keys() & {"a", "b"})


async def test_a_writer_that_hangs_in_a_commit_counts_as_one_that_does_not_run(
    tmp_path: Path,
) -> None:
    """As where a database or a disk does not answer."""
    hangs, is_there, may_go_on = threading.Event(), threading.Event(), threading.Event()

    def crash_point(name: str) -> None:
        if name == "inside_commit" and hangs.is_set():
            is_there.set()
            assert may_go_on.wait(PATIENCE_S)

    async with bench(tmp_path, crash_point=crash_point) as made:
        await made.plane.execute(org("acme"))
        assert made.plane.health().is_running
        hangs.set()
        asking = asyncio.create_task(made.plane.execute(org("beta")))
        assert await asyncio.to_thread(is_there.wait, PATIENCE_S)
        made.clock.pass_us(SETTINGS.longest_turn_us)
        assert made.plane.health().is_running
        made.clock.pass_us(1)
        assert not made.plane.health().is_running
        may_go_on.set()
        await asking
        await asyncio.to_thread(until, lambda: made.plane.health().is_running)
