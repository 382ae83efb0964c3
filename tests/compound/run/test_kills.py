"""Real SIGKILLs in the middle of a run, against a server that counts what it is asked."""

import asyncio
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from parkade.compound.run.budget import NOTHING
from parkade.compound.run.journal import Journal
from tests.compound.run.killed import QUESTIONS
from tests.compound.server import Asked, ScriptedServer, completion, reply, scripted

pytestmark = pytest.mark.system

SCRIPT = Path(__file__).with_name("killed.py")
IN_FLIGHT = 8
#: Lines that one batch may hold when the kill comes, at this pace, with a wide margin.
BATCH = 200
#: Each call costs 4 + 5 micro-units.
COST = 9


async def run_until(
    server: ScriptedServer, out: Path, budget: int | str, kill_after: int | None
) -> int:
    """Start the run, kill it after so many more requests; its exit status."""
    began = len(server.asked)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), server.url, str(out), str(budget)
    )
    ended = asyncio.ensure_future(process.wait())
    if kill_after is not None:
        reached = asyncio.ensure_future(server.reached(began + kill_after))
        await asyncio.wait((ended, reached), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.send_signal(signal.SIGKILL)
        reached.cancel()
    return await ended


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_again_and_again_it_finishes_repeats_little_and_keeps_the_budget(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    counts: Counter[tuple[str, int]] = Counter()
    seen: dict[str, int] = {}

    async def script(asked: Asked) -> bytes:
        text = asked.body["messages"][0]["content"]
        seen[text] = seen.get(text, -1) + 1
        counts[text, 0] += 1
        number = (int(text.split()[1]) * 7 + seen[text]) % 12
        return reply(completion(str(number), usage=(4, 5)))

    async def go() -> tuple[int, int]:
        kills = 0
        async with scripted(script) as server:
            for _ in range(4):
                after = chance.randrange(50, 500)
                status = await run_until(server, tmp_path, 10**9, after)
                kills += status == -signal.SIGKILL
            assert await run_until(server, tmp_path, 10**9, None) == 0
            return kills, len(server.asked)

    kills, requests = asyncio.run(go())
    journal = Journal(tmp_path / "journal.jsonl")
    try:
        assert kills >= 2
        # Each finished call is on the bill once; what was lost is at most a batch a kill.
        assert journal.spent.micros == journal.calls * COST
        assert requests - journal.calls <= kills * (BATCH + IN_FLIGHT)
        assert journal.spent.calls + journal.doubtful.calls >= requests - kills * BATCH
        # What a kill leaves in doubt is what was in flight, and a quarter more.
        assert journal.doubtful.calls <= kills * (IN_FLIGHT + IN_FLIGHT // 4)
    finally:
        journal.close()
    lines = (tmp_path / "results.jsonl").read_bytes().splitlines()
    assert len(lines) == QUESTIONS


@pytest.mark.parametrize("budget", [10**9, "none"])
def test_what_a_kill_left_in_flight_is_on_the_bill_with_a_budget_and_without(
    tmp_path: Path, budget: int | str
) -> None:
    answered = 40

    async def script(asked: Asked) -> bytes:
        if asked.number >= answered:
            await asyncio.Event().wait()
        return reply(completion("0", usage=(4, 5)))

    async def go() -> int:
        async with scripted(script) as server:
            return await run_until(server, tmp_path, budget, answered + IN_FLIGHT)

    assert asyncio.run(go()) == -signal.SIGKILL
    journal = Journal(tmp_path / "journal.jsonl")
    try:
        assert journal.spent.calls <= answered
        # With it are calls whose lines were not written yet.
        lost = journal.lost
        assert IN_FLIGHT <= lost.calls <= answered + IN_FLIGHT + IN_FLIGHT // 4
        assert lost.micros >= IN_FLIGHT * COST
        assert journal.doubtful == lost
    finally:
        journal.close()
    again = Journal(tmp_path / "journal.jsonl")
    again.close()
    assert again.lost == NOTHING
    assert again.doubtful == lost


def test_the_budget_holds_over_kills_also_for_what_was_lost(tmp_path: Path) -> None:
    """What the server billed, counted by the server, stays within the budget.

    Each call costs exactly its worst case, so that nothing else gives room.
    """
    billed: list[int] = []
    budget = 40_000

    async def script(asked: Asked) -> bytes:
        billed.append(len(asked.raw) + 9)
        return reply(completion("0", usage=(len(asked.raw), 9)))

    async def go() -> None:
        async with scripted(script) as server:
            for after in (60, 55, 40, 70, 65):
                await run_until(server, tmp_path, budget, after)
            await run_until(server, tmp_path, budget, None)

    asyncio.run(go())
    assert 0.5 * budget < sum(billed) <= budget
