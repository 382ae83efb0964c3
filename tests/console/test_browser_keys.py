"""The console by keyboard alone, and an open page on which things happen while a person acts."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.town import town as running
from tests.console.browser import Tab
from tests.console.stage import Stage

pytestmark = pytest.mark.system

WIDE = {"width": 1280, "height": 900}
MOST_STOPS = 150
FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const box = at.getBoundingClientRect(), style = getComputedStyle(at);
  return {
    what: `${at.tagName} ${at.id} ${at.textContent.trim().slice(0, 30)}`,
    place: [...document.querySelectorAll("*")].indexOf(at),
    isSeen: box.width > 0 && box.bottom > 0 && box.top < innerHeight
      && box.right > 0 && box.left < innerWidth,
    isMarked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("keys")) as town:
        yield Stage(town)


def tab(browser: Any, stage: Stage, who: str) -> Tab:
    made = Tab(browser, stage.town.url, viewport=WIDE)
    made.login(stage.tokens[who])
    return made


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("operator", "/"),
        ("operator", "/operate"),
        ("operator", "/events"),
        ("aurelia", "/reservations"),
        ("bertram", "/submit"),
        ("bertram", "/workloads/{guest}"),
        ("partner", "/money"),
    ],
)
def test_tab_goes_over_the_page_in_its_order_and_each_stop_is_seen(
    browser: Any, stage: Stage, who: str, path: str
) -> None:
    seen = tab(browser, stage, who)
    seen.open(path.format(guest=stage.guest))
    stops: list[dict[str, Any]] = []
    while len(stops) < MOST_STOPS:
        seen.page.keyboard.press("Tab")
        stop = seen.page.evaluate(FOCUSED)
        if stop is None or (stops and stop["place"] == stops[0]["place"]):
            break
        stops.append(stop)
    seen.close()
    assert 3 < len(stops) < MOST_STOPS, "no stop keeps the focus"
    places = [it["place"] for it in stops]
    assert places == sorted(places)
    assert [it["what"] for it in stops if not (it["isSeen"] and it["isMarked"])] == []


def test_escape_puts_away_what_is_said_of_a_seat(browser: Any, stage: Stage) -> None:
    seen = tab(browser, stage, "operator")
    seen.open("/")
    seen.page.wait_for_selector("#lot[data-nodes='8']")
    seen.page.focus("#lot")
    seen.page.keyboard.press("ArrowRight")
    seen.page.locator("#seat", has_text="guest-of-lent").wait_for()
    seen.page.keyboard.press("Escape")
    seen.page.locator("#seat", has_text="Point at a seat").wait_for()
    seen.page.keyboard.press("ArrowRight")
    seen.page.locator("#seat", has_text="guest-of-lent").wait_for()
    seen.close()


def test_the_focus_stays_where_it_is_while_the_page_follows(browser: Any, stage: Stage) -> None:
    seen = tab(browser, stage, "operator")
    seen.open("/")
    link = f"#needs a[href='/workloads/{stage.waiting}']"
    seen.page.focus(link)
    mine = stage.submit("bertram", "comes-meanwhile", limit_price="0.20")
    before = seen.page.locator("#needs li").count()
    for limit in ("0.21", "0.22"):
        with seen.page.expect_response(f"{stage.town.url}/"):
            stage.town.done(stage.town.post(f"/workloads/{mine}/bid", {"limit_price": limit}))
    assert seen.page.evaluate("document.activeElement.getAttribute('href')") == (
        f"/workloads/{stage.waiting}"
    )
    assert seen.page.locator("#needs li").count() == before, "lines wait while one has the focus"
    seen.page.focus("#lot")
    seen.page.locator(f"#needs a[href='/workloads/{mine}']").wait_for()
    stage.town.done(stage.town.post(f"/workloads/{mine}/cancel", {"now": True}))
    seen.page.locator(f"#needs a[href='/workloads/{mine}']").wait_for(state="detached")
    seen.close()


def test_a_cancel_says_what_it_costs_before_and_the_page_follows_after(
    browser: Any, stage: Stage
) -> None:
    mine = stage.submit("bertram", "given-up", limit_price="0.20")
    seen, watching = (tab(browser, stage, who) for who in ("bertram", "operator"))
    watching.open(f"/workloads/{mine}")
    seen.open(f"/workloads/{mine}")
    for step in ("text=Cancel", "button.main"):
        seen.page.focus(step)
        seen.page.keyboard.press("Enter")
        if step == "text=Cancel":
            seen.page.wait_for_selector(".echo")
            assert "holds nothing, so this costs nothing" in seen.page.inner_text(".echo")
    seen.page.wait_for_url(f"**/workloads/{mine}")
    watching.page.locator("#head .phase", has_text="cancelled").wait_for()
    watching.page.locator("#figures", has_text="in all; it has ended").wait_for()
    assert "per hour" not in watching.page.inner_text("#figures")
    for each in (seen, watching):
        assert each.errors == []
        each.close()


def test_output_of_an_earlier_attempt_is_asked_for(browser: Any, stage: Stage) -> None:
    seen = tab(browser, stage, "bertram")
    with stage.town.printing(stage.pool, b"step 1 of 2\n"):
        seen.open(f"/workloads/{stage.guest}")
        seen.page.locator("#output", has_text="step 1 of 2").wait_for()
        seen.page.fill("#attempt", "1")
        with seen.page.expect_request(re.compile(f"attempt={stage.guest}[.]1")):
            seen.page.press("#attempt", "Tab")
        seen.page.locator("#output", has_text="step 1 of 2").wait_for()
        seen.page.fill("#attempt", "7")
        seen.page.press("#attempt", "Tab")
        seen.page.locator("#output", has_text="there is no attempt").wait_for()
        assert "attempt=" in (seen.page.get_attribute("#plain", "href") or "")
    assert seen.errors == []
    seen.close()
