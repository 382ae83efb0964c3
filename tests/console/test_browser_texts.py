"""What people and agents write stays text in a real browser, on every kind of page."""

from typing import Any

import pytest

from tests.api.town import town as running
from tests.console.browser import Tab
from tests.console.test_browser_narrow import pages_of
from tests.console.test_every_form import MARK, Scene
from tests.console.visitor import visitor

pytestmark = pytest.mark.system


@pytest.mark.parametrize("who", ["operator", "owner"])
def test_no_text_becomes_an_element_or_runs(
    browser: Any, who: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path_factory.mktemp("texts")) as town:
        scene = Scene(town)
        seen = Tab(browser, town.url)
        seen.login(town.operator if who == "operator" else scene.owner)
        marked = 0
        for path in pages_of(visitor(town.url, scene.tokens[who])):
            seen.page.goto(f"{town.url}{path}")
            seen.page.wait_for_selector("main")
            assert seen.page.locator("img[src=x]").count() == 0, path
            assert seen.page.evaluate("window.broken") is None, path
            marked += MARK[:6] in seen.page.inner_text("main")
        assert marked, "the texts are shown"
        seen.open(f"/workloads/{scene.broken}")
        assert MARK in seen.page.inner_text("#spec")
        if who == "operator":
            seen.open("/")
            canvas = "#lot[data-nodes='8']"
            seen.page.wait_for_selector(canvas)
            seen.page.focus(canvas)
            seen.page.keyboard.press("ArrowRight")
            seen.page.locator("#seat", has_text=MARK).wait_for()
            assert seen.page.locator("img[src=x]").count() == 0
        assert (seen.errors, seen.outside) == ([], [])
        seen.close()
