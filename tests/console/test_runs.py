"""The page of compound runs: what workers print is a row, for those who may see the workload."""

import re
from collections.abc import Iterator

import pytest

from tests.api.town import Town
from tests.api.town import town as running
from tests.console.visitor import visitor
from tests.waits import until

LINES = (
    b"INFO server ready\nprogress 10 of 300 questions, 9 accepted, 0 failed, 40 calls, 100 tokens,"
    b" spent 0.01\nprogress 150 of 300 questions, 148 accepted, 2 failed, 1,200 calls, 4,800"
    b" tokens, spent 0.0024\nprogress 300 of"
)


@pytest.fixture
def town(tmp_path: object) -> Iterator[Town]:
    with running(tmp_path) as made:  # type: ignore[arg-type]
        yield made


def test_a_run_shows_what_its_workers_print_to_its_own_org(town: Town) -> None:
    pool = town.pool()
    org, owner = town.org()
    _, rival = town.org()
    person, other = visitor(town.url, owner), visitor(town.url, rival)
    assert "None was submitted" in person.text("/runs")
    town.submit(pool, owner, name="plain")
    run = town.submit(pool, owner, name="batch", labels={"compound": "batch"})
    attempt = town.wait_for_attempt(pool, run)
    assert town.observe(pool, town.running(attempt)).is_success
    with town.printing(pool, LINES):
        until(lambda: "150 of 300" in person.text("/runs"))
    page = person.text("/runs")
    assert f'href="/workloads/{run}"' in page and "plain" not in page
    row = re.sub(r"<[^>]+>", " ", page[page.index(f'id="run-{run}"') :])
    assert row.split()[9:14] == ["148", "2", "1,200", "4,800", "0.0024"], row.split()
    assert run not in other.text("/runs") and org not in other.text("/runs")


def test_a_page_that_waits_for_no_output_any_more_leaves_nothing_behind(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    """No agent answers here: a page waits two seconds for it."""
    pool = town.pool()
    _, owner = town.org()
    run = town.submit(pool, owner, name="batch", labels={"compound": "batch"})
    attempt = town.wait_for_attempt(pool, run)
    assert town.observe(pool, town.running(attempt)).is_success
    visitor(town.url, owner).text("/runs")
    asked = town.get(f"/pools/{pool}/log-requests", wait=0)
    assert asked.json() == [], "the agent is asked for output that no page waits for"
    assert "never retrieved" not in caplog.text
