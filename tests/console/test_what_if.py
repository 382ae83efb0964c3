"""What other prices would have made of the journal: played apart, bounded, one at a time."""

import asyncio
import html
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from parkade.console.journal_programs import MOST_RUNS, JournalProgram, Run
from tests.api.town import Town
from tests.api.town import town as running
from tests.console.test_reserving import seen
from tests.console.visitor import visitor
from tests.waits import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHANGES = ("public_floor=2.00",)


def finished(program: str, *, most_s: float = 600.0, arguments: Any = CHANGES) -> Run:
    async def run() -> Run:
        what_if = JournalProgram((sys.executable, "-c", program), flag="--set", most_s=most_s)
        assert what_if.start(arguments, NOW)
        assert not what_if.start(("public_floor=3.00",), NOW), "one at a time"
        await what_if.wait()
        found = what_if.latest(arguments)
        assert found is not None
        return found

    return asyncio.run(run())


def test_what_the_process_tells_is_kept_with_what_it_was_asked() -> None:
    found = finished("import json, sys; print(json.dumps({'asked': sys.argv[1:]}))")
    assert found.state == "done" and found.answer == {"asked": ["--set", CHANGES[0]]}


def test_one_that_does_not_end_is_ended_and_says_so() -> None:
    found = finished("import time\nwhile True: time.sleep(1)", most_s=0.2)
    assert found.state == "failed" and "took longer than" in found.error


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; sys.exit('the journal is empty')", "the journal is empty"),
        ("print('{')", "cannot be read"),
        ("import sys; sys.exit(3)", "it printed nothing"),
    ],
)
def test_one_that_fails_says_why(program: str, why: str) -> None:
    found = finished(program)
    assert found.state == "failed" and why in found.error and found.answer is None


def test_the_newest_few_are_kept() -> None:
    async def run() -> list[bool]:
        what_if = JournalProgram((sys.executable, "-c", "print('{}')"))
        for number in range(MOST_RUNS + 1):
            assert what_if.start((f"public_floor={number}.00",), NOW)
            await what_if.wait()
        return [
            what_if.latest((f"public_floor={it}.00",)) is not None for it in range(MOST_RUNS + 1)
        ]

    assert asyncio.run(run()) == [False, *[True] * MOST_RUNS]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running(tmp_path_factory.mktemp("what-if")) as found:
        pool = found.pool()
        _, owner = found.org()
        found.submit(pool, owner, name="cheap", limit_price="2.50")
        found.submit(pool, owner, name="dear", limit_price="8")
        yield found


def test_an_operator_plays_the_journal_of_the_server_with_other_prices(town: Town) -> None:
    person = visitor(town.url, town.operator)
    asked = {"public_floor": "5"}
    prices = person.text("/prices/lab", **asked)
    link = re.search(r'href="(/prices/lab/what-if[^"]*)"', prices)
    assert link
    place = html.unescape(link[1])
    before = len(town.events(town.operator))
    started = person.submit("/prices/lab/what-if", person.text(place), **asked)
    assert started.status_code == 303, started.text

    def figures() -> str | None:
        page = person.text(started.headers["location"])
        assert "ended without figures" not in page, seen(page)
        return page if "changed terms" in page else None

    page = seen(until(figures) or "")
    assert "recorded same terms changed terms" in page
    assert "workloads would have started that did not" in page
    assert "Nobody bids otherwise because prices are others" in page
    after = town.events(town.operator)[before:]
    assert all(it["type"] != "PricesSet" for it in after), "nothing is set"


def test_it_is_an_operators_and_needs_a_change(town: Town) -> None:
    _, token = town.org()
    owner = visitor(town.url, token)
    assert owner.get("/prices/lab/what-if", public_floor="5").status_code == 403
    page = owner.text("/workloads")
    sent = owner.submit("/prices/lab/what-if", page, public_floor="5")
    assert sent.status_code == 403
    person = visitor(town.url, town.operator)
    same = person.get("/prices/lab/what-if")
    assert same.status_code == 422 and "nothing would change" in same.text
