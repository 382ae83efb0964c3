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
from parkade.core.units.refusal import Reason, Refusal
from tests.control.small import SMALL
from tests.control.test_plane import SETTINGS, Bench, bench, org


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
    inbox = Inbox(limit=100, org_limit=100)
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
    inbox = Inbox(limit=4, org_limit=3)
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


async def test_slow_views_of_one_org_delay_others_and_commands_by_one_of_them(
    tmp_path: Path,
) -> None:
    """It is time that is shared: a plan may run whole clearings."""
    async with bench(tmp_path) as made:
        done: list[str] = []

        async def look(of: str, took_us: int) -> None:
            await made.plane.read(lambda _, __: made.clock.pass_us(took_us), org=of)
            done.append(of)

        many = [asyncio.create_task(look("many", 250_000)) for _ in range(64)]
        await asyncio.sleep(0)
        few = [asyncio.create_task(look("few", 100)) for _ in range(40)]

        async def ask() -> None:
            await made.plane.ask(Asked(command=org("y")), org="other")
            done.append("command")

        await asyncio.gather(ask(), *few, *many)
        last = max(at for at, of in enumerate(done) if of == "few")
        assert done[: done.index("command")].count("many") <= 2
        assert done[:last].count("many") <= 3


async def test_an_org_that_looks_alone_waits_for_no_other(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:

        async def look() -> None:
            await made.plane.read(lambda _, __: made.clock.pass_us(10_000_000), org="one")

        await asyncio.gather(*(look() for _ in range(20)))
