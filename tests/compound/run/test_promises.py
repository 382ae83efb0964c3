"""After a crash of the machine the bill holds each call that was sent."""

import asyncio
import os
import threading
from collections import deque
from pathlib import Path

import pytest

from parkade.compound.run.budget import NOTHING, Account, Amounts, Budget
from parkade.compound.run.journal import Journal
from parkade.compound.run.lines import CallLine
from parkade.compound.run.reserving import Reserving
from parkade.compound.values import call_key

WORST = Amounts(10, 10, 1)
IN_FLIGHT = 8


def call_line(number: int) -> CallLine:
    return CallLine(
        key=call_key(b"body", number),
        question=f"q{number}",
        node=1,
        model="m",
        sample=number,
        input=4,
        output=6,
        cost=10,
        us=7,
        finish="stop",
        text="text",
    )


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that names the start of this machine."""
    file = tmp_path / "boot"
    file.write_text("before the crash")
    monkeypatch.setattr("parkade.boots.BOOT_ID", file)
    return file


@pytest.mark.parametrize(
    "budget", [Budget(calls=100_000), Budget(micros=2_500), Budget(tokens=2_500)]
)
def test_a_crash_loses_no_call_that_was_sent_from_the_bill(
    tmp_path: Path, boot: Path, monkeypatch: pytest.MonkeyPatch, budget: Budget
) -> None:
    """Lines are written and nothing but a promise makes them durable: the disk is slow."""
    durable = [0]

    def sync(file: int) -> None:
        durable[0] = os.fstat(file).st_size

    monkeypatch.setattr(os, "fsync", sync)
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    account = Account(budget, NOTHING, NOTHING)
    reserving = Reserving(account, journal)
    flying: deque[int] = deque()
    crashes: list[tuple[int, bytes]] = []
    for sent in range(1, 301):
        if len(flying) == IN_FLIGHT:
            account.settle(WORST, WORST)
            journal.call(call_line(flying.popleft()))
            journal.write_in_flight()
        if not account.reserve(WORST):
            break
        reserving.promise()
        flying.append(sent)
        if sent % 29 == 0 or sent < 4:
            crashes.append((sent, path.read_bytes()[: durable[0]]))
    journal.close()
    boot.write_text("after the crash")
    for sent, left in crashes:
        path.write_bytes(left)
        resumed = Journal(path)
        assert resumed.spent.calls + resumed.doubtful.calls >= sent
        resumed.close()


def test_what_is_written_is_undurable_until_the_disk_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_sync = threading.Event()

    def sync(file: int) -> None:
        assert may_sync.wait(60)

    async def go() -> None:
        journal = Journal(tmp_path / "journal.jsonl")
        monkeypatch.setattr(os, "fsync", sync)
        try:
            journal.call(call_line(1))
            journal.flush()
            assert (journal.unwritten, journal.undurable) == (NOTHING, WORST)
            # Written while the disk is busy with what came before.
            journal.call(call_line(2))
            journal.flush()
        finally:
            may_sync.set()
        async with asyncio.timeout(60):
            for _ in iter(lambda: journal.undurable == NOTHING, True):
                await asyncio.sleep(0.001)
        journal.close()

    asyncio.run(go())
