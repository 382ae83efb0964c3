"""The map shows what is lent and empty, and what its owner keeps: so many bays are striped or
dotted, and a guest takes one of those that are lent."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.town import Town
from tests.api.town import town as running
from tests.console.browser import Tab
from tests.console.stage import shots

pytestmark = pytest.mark.system
STRIPED = (
    "count => document.getElementById('lot').dataset.offered.split(' ')"
    ".filter(it => it).length === count"
)
DOTTED = STRIPED.replace("offered", "kept")


@pytest.fixture
def town(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Town]:
    with running(tmp_path_factory.mktemp("lent-bays")) as found:
        yield found


def test_bays_that_are_lent_and_empty_are_striped(browser: Any, town: Town) -> None:
    pool = town.pool(nodes=6, clearing_pause="50ms", clearing_interval="1s")
    _, owner = town.org()
    town.done(town.post("/reservations", {"nodes": 4, "name": "right"}, owner))
    tab = Tab(browser, town.url)
    tab.login(town.operator)
    tab.page.wait_for_function(STRIPED, arg=0)
    tab.page.wait_for_function(DOTTED, arg=4)
    town.done(town.post("/reservations/right/lend", {"floor": "0.50", "keep": 1}, owner))
    tab.page.wait_for_function(STRIPED, arg=3)
    tab.page.wait_for_function(DOTTED, arg=1)
    assert "reserved, and empty" in tab.page.inner_text("#legend")
    lot = tab.page.locator("#lot")
    lot.focus()
    lot.press("ArrowRight")
    said = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        for _ in range(12):
            said.append(tab.page.inner_text("#seat"))
            if "that its owner keeps" not in said[-1]:
                lot.press(key)
    assert "It stands for one of the 3 nodes here that owners lend." in said[0]
    assert "is empty" in said[-1] and "1 node here that its owner keeps." in said[-1]
    if (folder := shots()) is not None:
        tab.page.screenshot(path=folder / "lent-bays.png")
    _, guest = town.org()
    attempt = town.wait_for_attempt(
        pool, town.submit(pool, guest, nodes=1, gpus=2, limit_price="5")
    )
    assert town.observe(pool, town.running(attempt)).is_success
    tab.page.wait_for_function(STRIPED, arg=2)
    tab.page.wait_for_function(DOTTED, arg=1)
    assert tab.errors == []
    tab.close()
