"""The console on a phone: charts, calendar and buttons are in sight, and text is not shrunk."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.town import town as running
from tests.console.browser import Tab
from tests.console.stage import Stage
from tests.waits import until

pytestmark = pytest.mark.system

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("phone")) as town:
        yield Stage(town)


@pytest.fixture
def phone(browser: Any, stage: Stage) -> Iterator[Tab]:
    made = Tab(browser, stage.town.url, viewport=PHONE)
    made.login(stage.tokens["operator"])
    yield made
    assert made.errors == []
    made.close()


def in_sight(page: Any, what: str) -> list[bool]:
    """Of each of these whether all its width is on the screen, unscrolled."""
    found = page.evaluate(
        "what => [...document.querySelectorAll(what)].map(each => each.getBoundingClientRect())"
        ".filter(box => box.width || box.height)"
        ".map(box => box.left >= 0 && box.right <= innerWidth)",
        what,
    )
    assert found, f"there is no {what}"
    return list(found)


@pytest.mark.parametrize("path", ["/", "/market"])
def test_a_chart_shows_now_and_both_axes(phone: Tab, path: str) -> None:
    def has_chart() -> bool:
        phone.open(path)
        return bool(phone.page.locator(".chart .times text").count())

    until(has_chart)
    for what in (".chart .gpus text", ".chart .plot", ".chart .prices text", ".chart .times text"):
        assert all(in_sight(phone.page, what)), what
    covered = phone.page.evaluate(
        "[...document.querySelectorAll('.chart .times text')].map(it => it.getBoundingClientRect())"
        ".filter(it => it.width && [...document.querySelectorAll('.chart span.axis')].some(other =>"
        " {const its = other.getBoundingClientRect(); return its.left < it.right && it.left <"
        " its.left + 32}))"
    )
    assert covered == [], "times are written over the names of the axes"
    size = phone.page.evaluate(
        "getComputedStyle(document.querySelector('.chart .gpus text')).fontSize"
    )
    assert size == "12px"


def test_the_life_of_a_workload_shows_its_begin_and_now(phone: Tab, stage: Stage) -> None:
    phone.open(f"/workloads/{stage.guest}")
    assert all(in_sight(phone.page, ".timeline .plot"))
    assert all(in_sight(phone.page, ".timeline .run"))


def test_what_is_done_with_nodes_and_prices_is_reached_without_scrolling(phone: Tab) -> None:
    phone.open("/operate")
    assert all(in_sight(phone.page, "#nodes a.button"))
    assert all(in_sight(phone.page, "#prices a.button"))
    assert all(in_sight(phone.page, "nav a"))


def test_a_week_begins_at_now_and_its_bars_can_be_read(phone: Tab) -> None:
    phone.open("/reservations?view=week")
    assert all(in_sight(phone.page, ".weeks .now"))
    wide = phone.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    day = phone.page.evaluate("document.querySelector('.week').getBoundingClientRect().width / 7")
    assert day > 90
