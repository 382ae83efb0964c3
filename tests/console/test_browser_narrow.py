"""Every page at the width of a phone: nothing of a table, a tile or a button is beyond the edge,
and axe finds no serious fault, in light or dark colours by turns.

The pages are found as a reader finds them, by their links; one of each kind is opened.
"""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.town import town as running
from tests.console.browser import Tab, serious
from tests.console.stage import Stage, shots
from tests.console.visitor import Visitor, visitor

pytestmark = pytest.mark.system

PHONE = {"width": 390, "height": 844}
MOST_PAGES = 120
ROLES = ("operator", "aurelia", "bertram", "partner")
NO_PAGES = re.compile(r"^/(static|live|logout|docs|openapi|v1)|\.csv|/output$")

CUT = """() => {
  const found = [];
  const scrolls = ".weeks.by-week, .weeks.by-week *, svg *, canvas, .unseen, .skip, pre";
  for (const each of document.querySelectorAll("main *, header *")) {
    if (each.matches(scrolls)) continue;
    const box = each.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const style = getComputedStyle(each);
    const name = `${each.tagName} ${each.className} "${each.textContent.trim().slice(0, 40)}"`;
    if (box.right > innerWidth + 1 || box.left < -1) found.push(`beyond the edge: ${name}`);
    const isCut = each.scrollWidth > each.clientWidth + 1 && style.overflowX !== "visible";
    if (isCut && !each.matches("select, input, textarea")) found.push(`cut: ${name}`);
  }
  for (const each of document.querySelectorAll(".figures b, td, td a")) {
    if (!/^[-\\d,.:]+$/.test(each.textContent.trim())) continue;
    const range = document.createRange();
    range.selectNodeContents(each);
    const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
    if (lines.size > 1) found.push(`broken: ${each.textContent}`);
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  return wide > 0 ? [...found, `the page is ${wide} px too wide`] : found;
}"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("narrow")) as town:
        made = Stage(town)
        town.done(town.post("/orgs/bertram/deposits", {"amount": "123456789.123456"}))
        long = {"name": "an-experiment-with-" + "a-long-name-" * 3 + "x", "limit_price": "0.123456"}
        made.submit("bertram", **long)
        made.submit("bertram", "sweep", array="0-5", limit_price="0.11")
        town.done(town.post("/nodes/lab-8/fail", {"reason": "fell off the rack " * 8}))
        yield made


def kind_of(path: str) -> str:
    """Pages of one kind have one shape: what they are about is left out."""
    bare, _, asked = path.partition("?")
    parts = [it if index % 2 else "_" for index, it in enumerate(bare.split("/"))]
    keys = sorted(each.partition("=")[0] for each in asked.split("&"))
    rest = ["_" if it.isdigit() else it for it in bare.split("/")[3:]]
    return "/".join(parts[:3]) + "/" + "/".join(rest) + "?" + ",".join(keys)


def pages_of(person: Visitor) -> list[str]:
    """One page of each kind, by links from the first."""
    found: dict[str, str] = {}
    waiting = ["/"]
    while waiting and len(found) < MOST_PAGES:
        path = waiting.pop(0)
        if NO_PAGES.search(path) or kind_of(path) in found:
            continue
        found[kind_of(path)] = path
        text = person.http.get(path, follow_redirects=True).text
        waiting += [html.unescape(it) for it in re.findall(r'href="(/[^"#]*)"', text)]
    assert len(found) < MOST_PAGES, "more kinds of pages than there are"
    return sorted(found.values())


@pytest.mark.parametrize("role", ROLES)
def test_no_page_is_wider_than_a_phone_or_has_a_fault(
    browser: Any, stage: Stage, role: str
) -> None:
    token = stage.tokens[role]
    paths = pages_of(visitor(stage.town.url, token))
    if role == "operator":
        assert {"/", "/workloads", "/money", "/events", "/operate", "/prices/lab"} <= set(paths)
    tab = Tab(browser, stage.town.url, viewport=PHONE)
    tab.login(token)
    cut = {}
    for number, path in enumerate(paths):
        tab.page.goto(f"{stage.town.url}{path}")
        tab.page.wait_for_selector("main")
        if (folder := shots()) is not None:
            name = re.sub(r"[^a-z0-9]+", "-", f"{role}{path}")[:80]
            tab.page.screenshot(path=folder / f"narrow-{name}.png", full_page=True)
        if found := tab.page.evaluate(CUT):
            cut[path] = found[:4]
        tab.page.emulate_media(color_scheme="dark" if number % 2 else "light")
        if faults := serious(tab.page):
            cut[path] = [*cut.get(path, ()), *faults]
    assert not cut, json.dumps(cut, indent=1)
    assert tab.errors == []
    tab.close()
