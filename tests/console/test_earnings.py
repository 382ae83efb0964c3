"""What lending earned by day is what the statement says, however it was read."""

import asyncio
from collections import Counter

import pytest

from parkade.api.translate.scalars import instant
from parkade.console.earnings import MOST_SUMMED, Earnings
from parkade.control import archive as archives
from parkade.control.archive import Archive
from parkade.core.ledger.accounts import TransferKind, org_account
from parkade.sim.store import MemoryStore
from parkade.sim.story import Story, StoryPlan
from tests.builders import no_point


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    story = Story(StoryPlan(seed=1, events=600, checks=False))
    story.tell()
    return MemoryStore(story.server.disk, no_point)


def paid_out(store: MemoryStore) -> dict[str, Counter[object]]:
    """By org and day."""
    found: dict[str, Counter[object]] = {}
    for line in store.stated(after=0, until=store.last_sequence()):
        to = line.transfer.credit
        if line.transfer.kind is TransferKind.PAYOUT and to.startswith("org/"):
            days = found.setdefault(to.removeprefix("org/"), Counter())
            days[instant(line.at_us).date()] += line.transfer.micros
    return found


def test_each_day_of_a_lender_is_what_its_statement_says(store: MemoryStore) -> None:
    wanted = paid_out(store)
    assert wanted, "the story has an owner that earned"
    end = instant(max(it.at_us for it in store.stated(after=0, until=store.last_sequence())))
    for org, days in wanted.items():
        earnings = Earnings(Archive(store))
        for _ in range(2):
            assert asyncio.run(earnings.by_day(org, end)) == days


def test_a_day_is_told_once_it_is_read_whole(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_PAGE", 5)
    wanted = paid_out(store)
    org = max(wanted, key=lambda it: sum(wanted[it].values()))
    end = instant(max(it.at_us for it in store.stated(after=0, until=store.last_sequence())))
    account = org_account(org)
    lines = len(store.statement(account, from_us=None, to_us=None, until=store.last_sequence()))
    earnings = Earnings(Archive(store), most_pages=1)
    told = [asyncio.run(earnings.by_day(org, end)) for _ in range(lines // 5 + 2)]
    assert told[-1] == wanted[org]
    assert all(days.items() <= wanted[org].items() for days in told)
    assert lines > 5 and told[0] != told[-1]


def test_a_sum_of_all_is_told_of_days_that_are_read_of_each(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_PAGE", 5)
    by_org = paid_out(store)
    orgs = sorted(by_org)
    wanted = sum(by_org.values(), Counter[object]())
    end = instant(max(it.at_us for it in store.stated(after=0, until=store.last_sequence())))
    earnings = Earnings(Archive(store), most_pages=1)
    told = [asyncio.run(earnings.of_all(orgs, end)) for _ in range(400)]
    assert told[-1] == wanted
    assert all(days.items() <= wanted.items() for days in told)
    assert told[0] != told[-1]
    assert asyncio.run(earnings.of_all(["x"] * (MOST_SUMMED + 1), end)) == {}
