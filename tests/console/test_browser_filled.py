"""Calendar, incidents and compound runs with much on them, at the width of a small phone: nothing
is beyond the edge, cut, or over another."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from parkade.control.clock import SystemClock
from tests.api.test_mars import Reporter
from tests.api.town import town as running
from tests.console.browser import Tab, serious
from tests.console.stage import Stage, shots
from tests.console.test_browser_narrow import CUT
from tests.console.visitor import visitor
from tests.core.repairing.sick import verdict
from tests.waits import until

pytestmark = pytest.mark.system

SMALL_PHONE = {"width": 375, "height": 667}
LINES = (
    b"progress 150 of 300 questions, 148 accepted, 2 failed, 1,200,000 calls, 4,800,000,000"
    b" tokens, spent 123456.0024\n"
)
PAGES = (
    *("/reservations", "/reservations?view=week", "/reservations?view=month"),
    *("/reservations/aurelia", "/incidents", "/runs"),
)
OVERLAPPING = """() => {
  const found = [];
  const seen = (text) => {
    const box = text.getBoundingClientRect();
    const bar = text.closest("svg.bar");
    if (!bar || bar.getAttribute("overflow") === "visible") return box;
    const edge = bar.querySelector(".whole").getBoundingClientRect();
    return new DOMRect(box.left, box.top, Math.min(box.right, edge.right) - box.left, box.height);
  };
  const texts = [...document.querySelectorAll("main .weeks text")]
    .filter((it) => it.textContent.trim() && it.getBoundingClientRect().width)
    .map((it) => [it.textContent, seen(it)]);
  texts.forEach(([one, a], place) => {
    for (const [other, b] of texts.slice(place + 1)) {
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 2 && high > 3) found.push(`${one} over ${other}`);
    }
  });
  return found;
}"""
"""Texts of a calendar over one another, as far as they are in sight."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Stage]:
    """Windows of several owners, some lent, some to come, one ended; a window of maintenance;
    incidents that are open and closed, with long reasons; runs with large figures."""
    with running(tmp_path_factory.mktemp("filled")) as town:
        made = Stage(town)
        for org in ("aurelia", "bertram"):
            town.done(town.post(f"/orgs/{org}/deposits", {"amount": "900000"}))
        owner = made.tokens["aurelia"]
        for number, (start, end) in enumerate((("+1d", "+3d"), ("+5d", "+12d"), ("+20d", "+24d"))):
            name = f"a-long-name-of-a-window-{number}"
            body = {"nodes": 1, "start": start, "end": end, "name": name}
            town.done(town.post("/reservations", body, owner))
        window = {"nodes": ["lab-7", "lab-8"], "reason": "fans " * 20, "force": True}
        town.done(town.post("/maintenance", {**window, "start": "+2d", "end": "+4d"}))
        town.done(town.post("/reservations/aurelia/claims", {"nodes": 1}, owner))
        reporter = Reporter(town)
        for node in ("lab-3", "lab-4"):
            sick = verdict(node, at_us=SystemClock().now_us())
            assert reporter.report(sick) == 204
        town.done(town.post("/nodes/lab-6/cordon", {"reason": "a cable that hangs " * 8}))
        made.submit("bertram", "waits", labels={"compound": "batch"}, limit_price="0.11")
        with town.printing(made.pool, LINES):
            until(lambda: "150 of 300" in _page(made, "/runs"))
            yield made


def _page(stage: Stage, path: str) -> str:
    return visitor(stage.town.url, stage.tokens["operator"]).text(path)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_full_pages_fit_a_small_phone(browser: Any, stage: Stage, scheme: str) -> None:
    tab = Tab(browser, stage.town.url, viewport=SMALL_PHONE)
    tab.login(stage.tokens["operator"])
    tab.page.emulate_media(color_scheme=scheme)
    incidents = stage.town.done(stage.town.get("/mars/incidents"))["incidents"]
    paths = (*PAGES, *(f"/incidents/{it['incident']}" for it in incidents))
    faults = {}
    for path in paths:
        tab.page.goto(f"{stage.town.url}{path}")
        tab.page.wait_for_selector("main")
        if (folder := shots()) is not None and scheme == "light":
            name = path.strip("/").replace("/", "-").replace("?", "-")
            tab.page.screenshot(path=folder / f"filled-{name}.png", full_page=True)
        found = [*tab.page.evaluate(CUT), *tab.page.evaluate(OVERLAPPING), *serious(tab.page)]
        if found:
            faults[path] = found[:6]
    assert not faults, json.dumps(faults, indent=1)
    assert tab.errors == []
    tab.close()
