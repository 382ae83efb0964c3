"""What waits for the writer is taken in turn between orgs, and bounded for each."""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.control.answers import Decided, TooMany
from parkade.control.cycle import Asked
from parkade.control.inbox import Inbox, Waiting, WaitingCommand
from parkade.core.state.commands import Deposit
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from tests.control.small import SMALL
from tests.control.test_plane import SETTINGS, Bench, bench, org


def sized(*, limit: int, org_limit: int) -> Inbox:
    return Inbox(limit=limit, org_limit=org_limit, plans_limit=limit, org_plans_limit=org_limit)


def deposit(number: int) -> Asked:
    return Asked(command=Deposit(by=None, org="a", micros=number))


def command(loop: asyncio.AbstractEventLoop, of: str | None, number: int) -> WaitingCommand:
    return WaitingCommand(loop=loop, future=loop.create_future(), asked=deposit(number), org=of)


def numbers(taken: Sequence[Waiting]) -> list[tuple[str | None, int]]:
    found = []
    for one in taken:
        assert isinstance(one, WaitingCommand)
        assert isinstance(one.asked.command, Deposit)
        found.append((one.org, one.asked.command.micros))
    return found


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=40), st.integers(1, 7))
def test_orgs_take_turns_and_each_keeps_its_own_order(
    senders: list[str | None], batch: int
) -> None:
    loop = asyncio.new_event_loop()
    inbox = sized(limit=100, org_limit=100)
    for number, of in enumerate(senders):
        assert inbox.put(command(loop, of, number)) is None
    taken: list[tuple[str | None, int]] = []
    while len(inbox):
        taken += numbers(inbox.take_commands(batch))
    loop.close()
    assert sorted(number for _, number in taken) == list(range(len(senders)))
    for one in set(senders):
        own = [number for of, number in taken if of == one]
        assert own == sorted(own)
        # Between two of its own, at most one of each other org.
        places = [place for place, (of, _) in enumerate(taken) if of == one]
        gaps = [b - a for a, b in itertools.pairwise(places)]
        assert all(gap <= len(set(senders)) for gap in gaps)


def test_an_org_has_a_bound_and_a_full_inbox_takes_from_the_org_with_the_most() -> None:
    loop = asyncio.new_event_loop()
    inbox = sized(limit=4, org_limit=3)
    for number in range(3):
        assert inbox.put(command(loop, "many", number)) is None
    fourth = command(loop, "many", 3)
    assert inbox.put(fourth) is fourth
    assert inbox.put(command(loop, "few", 4)) is None
    away = inbox.put(command(loop, "other", 5))
    assert away is not None
    assert numbers([away]) == [("many", 2)]
    # The two others now have as many as it, together with one more: an equal displaces none.
    assert inbox.put(command(loop, "few", 6)) is not None
    assert len(inbox) == 4
    assert numbers(inbox.take_commands(9)) == [
        ("many", 0),
        ("few", 4),
        ("other", 5),
        ("many", 1),
    ]
    loop.close()


async def test_an_org_beyond_its_bound_is_told_so_and_others_are_served(tmp_path: Path) -> None:
    made = Bench(tmp_path, SMALL, msgspec.structs.replace(SETTINGS, org_inbox_limit=2))
    asked = Asked(command=org("x"))
    waiting = [asyncio.create_task(made.plane.ask(asked, org="many")) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await made.plane.ask(asked, org="many")
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.TOO_MANY
    assert "send fewer" in refused.detail
    reads = [
        asyncio.create_task(made.plane.read(lambda _, now_us: now_us, org="many")) for _ in range(2)
    ]
    await asyncio.sleep(0)
    with pytest.raises(TooMany):
        await made.plane.read(lambda _, now_us: now_us, org="many")
    other = asyncio.create_task(made.plane.ask(Asked(command=org("y")), org="few"))
    await asyncio.sleep(0)
    made.plane.start()
    assert isinstance(await other, Decided)
    await asyncio.gather(*waiting, *reads)
    await made.plane.close()
    made.store.close()


async def test_thousands_of_commands_of_one_org_delay_another_by_a_batch(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, batch_limit=10, org_inbox_limit=500)
    async with bench(tmp_path, settings=settings) as made:
        done: list[str] = []

        async def ask(name: str, of: str) -> None:
            await made.plane.ask(Asked(command=org(name)), org=of)
            done.append(of)

        many = [asyncio.create_task(ask(f"m{number}", "many")) for number in range(400)]
        await asyncio.sleep(0)
        few = asyncio.create_task(ask("f", "few"))
        await asyncio.gather(few, *many)
        # One batch may be under way before it comes, and one is its own.
        assert done.index("few") <= 20 + 10


class Driven:
    """A plane whose turns a test takes, and what was seen in each."""

    def __init__(self, folder: Path, **settings: int) -> None:
        self.made = Bench(folder, SMALL, msgspec.structs.replace(SETTINGS, **settings))
        self.turn = self.made.plane.drive(lambda: None)
        self.seen: list[str] = []
        self.idle_us = 0
        self._asked: list[asyncio.Task[None]] = []

    def ask(self, of: str | None, name: str, *, takes_us: int, is_plan: bool = False) -> None:
        """A view that takes so long."""

        def view(_world: World, _now_us: int) -> None:
            self.made.clock.pass_us(takes_us)
            self.seen.append(name)

        reading = self.made.plane.read(view, org=of, is_plan=is_plan)
        self._asked.append(asyncio.create_task(reading))

    async def seen_in_turn(self) -> list[str]:
        """What the next turn shows."""
        await asyncio.sleep(0)
        self.seen.clear()
        self.idle_us = self.turn().idle_us
        return list(self.seen)

    async def close(self) -> None:
        await asyncio.gather(*self._asked)
        await self.made.plane.close()
        self.made.store.close()


async def test_a_turn_shows_views_for_a_bounded_time_and_orgs_take_turns(tmp_path: Path) -> None:
    driven = Driven(tmp_path, views_us=50_000)
    for number in range(4):
        driven.ask("many", f"m{number}", takes_us=30_000)
    driven.ask("few", "f", takes_us=1_000)
    assert await driven.seen_in_turn() == ["m0", "f", "m1"]
    deciding = asyncio.create_task(driven.made.plane.execute(org("x")))
    assert await driven.seen_in_turn() == ["m2", "m3"]
    assert isinstance(await deciding, Decided)
    await driven.close()


async def test_a_view_that_takes_longer_than_a_turn_has_still_its_turn(tmp_path: Path) -> None:
    driven = Driven(tmp_path, views_us=50_000)
    for name in ("a", "b"):
        driven.ask("many", name, takes_us=500_000)
    assert await driven.seen_in_turn() == ["a"]
    assert driven.idle_us == 0, "the next turn follows at once"
    assert await driven.seen_in_turn() == ["b"]
    assert driven.idle_us > 0
    await driven.close()


async def test_a_turn_makes_one_plan_after_what_is_quick_and_orgs_take_turns(
    tmp_path: Path,
) -> None:
    driven = Driven(tmp_path)
    for number in range(3):
        driven.ask("many", f"plan-m{number}", takes_us=250_000, is_plan=True)
    driven.ask("few", "plan-f", takes_us=250_000, is_plan=True)
    driven.ask("few", "read", takes_us=1_000)
    driven.ask(None, "report", takes_us=1_000)
    assert await driven.seen_in_turn() == ["read", "report", "plan-m0"]
    driven.ask("few", "next", takes_us=1_000)
    assert await driven.seen_in_turn() == ["next", "plan-f"]
    assert [await driven.seen_in_turn() for _ in range(3)] == [["plan-m1"], ["plan-m2"], []]
    await driven.close()


async def test_an_org_has_so_many_plans_waiting_and_its_reads_go_on(tmp_path: Path) -> None:
    driven = Driven(tmp_path, org_plans_limit=2)
    for number in range(2):
        driven.ask("many", f"plan-{number}", takes_us=0, is_plan=True)
    await asyncio.sleep(0)
    with pytest.raises(TooMany, match="too many plans of many wait already; ask for a few") as told:
        await driven.made.plane.read(lambda _, now_us: now_us, org="many", is_plan=True)
    assert told.value.refusal.reason is Reason.TOO_MANY
    driven.ask("many", "read", takes_us=0)
    driven.ask("few", "plan-f", takes_us=0, is_plan=True)
    assert await driven.seen_in_turn() == ["read", "plan-0"]
    assert [await driven.seen_in_turn() for _ in range(2)] == [["plan-f"], ["plan-1"]]
    await driven.close()
