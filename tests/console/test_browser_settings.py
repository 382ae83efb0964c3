"""Caps and receivers in a browser, as each role that may set them: with the keyboard alone, at a
desk and on a phone; axe finds no serious fault, and nothing is beyond the edge."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from parkade.control.clock import SystemClock
from parkade.core.units.time import SECOND_US
from parkade.messages.addresses import AddressRules
from parkade.messages.queue import Waiting
from parkade.messages.receivers import MailServer, PeopleRules
from tests.api.town import town as running
from tests.console.browser import Tab, serious
from tests.console.stage import Stage, shots
from tests.console.test_browser_narrow import CUT

pytestmark = pytest.mark.system

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
WEB = "https://hooks.example.org/parkade/of/the/lab"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Stage]:
    mail = MailServer(host="127.0.0.1", port=9, sender="p@x.org", domains=("x.org",))
    rules = PeopleRules(addresses=AddressRules(), mail=mail)
    with running(tmp_path_factory.mktemp("settings"), people=rules) as town:
        yield Stage(town)


def tab(browser: Any, stage: Stage, who: str, size: dict[str, int], scheme: str) -> Tab:
    made = Tab(browser, stage.town.url, viewport=size, color_scheme=scheme)
    made.login(stage.tokens[who])
    return made


def looked_at(seen: Tab, name: str) -> None:
    """Nothing is cut, and no one is kept out; a picture is left where a person asks for them."""
    folder = shots()
    if folder is not None:
        seen.page.screenshot(path=folder / f"{name}.png", full_page=True)
    assert seen.page.evaluate(CUT) == []
    assert serious(seen.page) == []
    assert seen.errors == []


def reach(page: Any, what: str) -> None:
    """By the key Tab alone."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("what => document.activeElement.matches(what)", what):
            return
    raise AssertionError(f"Tab does not reach {what}")


@pytest.mark.parametrize(
    ("who", "size", "scheme", "path", "begin"),
    [
        ("operator", DESK, "light", "/orgs/bertram/cap", "/operate"),
        ("operator", PHONE, "dark", "/users/bertram-member/cap", "/operate"),
        ("aurelia", DESK, "dark", "/orgs/aurelia/cap", "/money"),
        ("aurelia", PHONE, "light", "/users/aurelia-owner/cap", "/money"),
    ],
)
def test_a_cap_is_set_with_the_keyboard_and_says_what_it_stops_before(
    browser: Any, stage: Stage, who: str, size: dict[str, int], scheme: str, path: str, begin: str
) -> None:
    seen = tab(browser, stage, who, size, scheme)
    seen.open(begin)
    seen.page.locator(f"a[href='{path}']").click()
    seen.page.wait_for_url(f"**{path}")
    looked_at(seen, f"cap-{who}-{size['width']}-{scheme}")
    reach(seen.page, "#most_gpus")
    seen.page.keyboard.type("1")
    seen.page.keyboard.press("Enter")
    echo = seen.page.locator(".echo")
    echo.wait_for()
    assert "GPUs at once: none becomes 1" in echo.inner_text()
    if "bertram" in path:
        assert f"gives notice to {stage.guest}" in echo.inner_text()
    looked_at(seen, f"cap-planned-{who}-{size['width']}-{scheme}")
    of = path.removesuffix("/cap")
    town = stage.town
    assert town.done(town.get(of))["most_gpus"] is None, "it was only planned"
    reach(seen.page, "form[method=post] button.main")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_url(f"**{begin}")
    assert town.done(town.get(of))["most_gpus"] == 1
    town.done(town.post(f"{of}/cap", {"cap": None}))
    seen.close()


@pytest.mark.parametrize(
    ("who", "size", "scheme"),
    [
        ("operator", DESK, "dark"),
        ("aurelia", PHONE, "dark"),
        ("bertram", DESK, "light"),
        ("bertram", PHONE, "light"),
    ],
)
def test_a_receiver_is_set_confirmed_tried_and_removed_with_the_keyboard(
    browser: Any, stage: Stage, who: str, size: dict[str, int], scheme: str
) -> None:
    seen, directory = tab(browser, stage, who, size, scheme), stage.town.directory
    page, called = seen.page, f"receivers-{who}-{size['width']}-{scheme}"
    seen.open("/receivers")
    looked_at(seen, f"{called}-none")
    directory.take_tests()
    reach(page, "#address")
    page.keyboard.type(f"{who}@x.org")
    page.keyboard.press("Enter")
    page.locator("#made", has_text="A code is on its way").wait_for()
    ((receiver, code),) = directory.take_tests()
    assert code is not None
    reach(page, f"#code-{receiver}")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    page.locator(f"#fault-code-{receiver}", has_text="4 tries are left").wait_for()
    looked_at(seen, f"{called}-code")
    page.fill(f"#code-{receiver}", code)
    page.keyboard.press("Enter")
    page.locator(f"#code-{receiver}").wait_for(state="detached")
    page.fill("#address", WEB)
    page.keyboard.press("Enter")
    page.locator("#secret").wait_for()
    assert re.fullmatch("[0-9a-f]{64}", page.locator("#secret").inner_text())
    looked_at(seen, f"{called}-made")
    web = page.locator(".receivers li", has_text=WEB).get_attribute("id")
    assert web is not None
    failing = Waiting(
        messages=3,
        says="HTTP 500",
        failed_us=60_000_000,
        again_us=SystemClock().now_us() + 300 * SECOND_US,
    )
    directory.note_waiting({web: failing})
    seen.open("/receivers")
    page.locator(f"#{web}", has_text="takes no messages: HTTP 500").wait_for()
    looked_at(seen, called)
    directory.note_waiting({})
    for which in (web, receiver):
        reach(page, f"#{which} form[action$=test] button")
        page.keyboard.press("Enter")
        page.locator(".done", has_text="A message is on its way").wait_for()
    for which in (web, receiver):
        reach(page, f"#{which} form[action$=remove] button")
        page.keyboard.press("Enter")
        page.locator(f"#{which}").wait_for(state="detached")
    assert "Nowhere yet" in page.locator("#list").inner_text()
    seen.close()
