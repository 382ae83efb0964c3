"""The console in a real Chromium: each page as each role, live, by keyboard, small and dark.

`PARKADE_SHOTS=folder` leaves a picture of each page there.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.town import Town
from tests.api.town import town as running
from tests.console.browser import Tab, serious
from tests.console.stage import SCRIPT, Stage, shots
from tests.service.served import serving
from tests.waits import until

pytestmark = pytest.mark.system

BOTH = ("/", "/workloads", "/runs", "/submit", "/reservations", "/market", "/events")
PAGES = {
    "operator": (
        *BOTH,
        "/reservations?view=month",
        "/money",
        "/incidents",
        "/operate",
        "/workloads/{guest}",
    ),
    "aurelia": (
        *BOTH,
        "/money",
        "/reservations/aurelia/lend",
        "/reservations?view=month",
        "/reserve",
        "/reservations/aurelia",
        "/reservations/aurelia/change/end",
        "/reservations/aurelia/change/split?nodes=1",
    ),
    "partner": ("/supply", "/money", "/workloads"),
    "bertram": (*BOTH, "/workloads/{guest}", "/workloads/{waiting}/bid?limit_price=2"),
}
WIDTHS = (1440, 768, 390)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Stage]:
    with running(tmp_path_factory.mktemp("console")) as town:
        yield Stage(town)


def tab(browser: Any, stage: Stage, who: str, **context: Any) -> Tab:
    made = Tab(browser, stage.town.url, **context)
    made.login(stage.tokens[who])
    return made


def path_of(stage: Stage, path: str) -> str:
    return path.format(guest=stage.guest, waiting=stage.waiting)


@pytest.mark.parametrize("who", sorted(PAGES))
def test_no_page_fails_asks_outside_or_has_a_serious_fault_for_anyone(
    browser: Any, stage: Stage, who: str
) -> None:
    seen = tab(browser, stage, who, viewport={"width": 1440, "height": 900})
    faults = []
    for path in PAGES[who]:
        seen.open(path_of(stage, path))
        for scheme in ("light", "dark"):
            seen.page.emulate_media(color_scheme=scheme)
            faults += [f"{path} {scheme}: {it}" for it in serious(seen.page)]
    seen.close()
    assert (faults, seen.errors, seen.outside) == ([], [], [])


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_screen(browser: Any, stage: Stage, width: int) -> None:
    seen = tab(browser, stage, "operator", viewport={"width": width, "height": 900})
    folder = shots()
    for path in PAGES["operator"]:
        seen.open(path_of(stage, path))
        for scheme in ("light", "dark"):
            if folder is not None:
                seen.page.emulate_media(color_scheme=scheme)
                seen.page.wait_for_timeout(300)
                name = re.sub(r"[^a-z=]+", "-", path.strip("/{}")) or "front"
                seen.page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
        wide = seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path} is {wide} px too wide at {width}"
    seen.close()


def test_the_map_tells_by_keyboard_who_sits_where_and_opens_the_work(
    browser: Any, stage: Stage
) -> None:
    seen = tab(browser, stage, "operator")
    seen.page.wait_for_selector(".link.live")
    seen.open("/")
    seen.page.wait_for_selector("#lot[data-nodes='8']")
    seen.page.focus("#lot")
    seen.page.keyboard.press("ArrowRight")
    seen.page.locator("#seat", has_text="guest-of-lent").wait_for()
    card = seen.page.inner_text("#seat")
    assert len([url for url in seen.asked if "/live" in url]) == 2, "one stream for each page"
    assert "of bertram" in card and "pays" in card and "won at" in card
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_url(f"**/workloads/{stage.guest}")
    seen.close()


def test_another_org_is_told_nothing_by_the_map(browser: Any, stage: Stage) -> None:
    seen = tab(browser, stage, "aurelia")
    seen.open("/")
    seen.page.wait_for_selector("#lot[data-nodes='8']")
    seen.page.focus("#lot")
    seen.page.keyboard.press("ArrowRight")
    seen.page.locator("#seat", has_text="Not your").wait_for()
    assert "bertram" not in seen.page.content()
    seen.close()


def test_an_open_page_follows_what_happens_and_rows_keep_their_places(
    browser: Any, stage: Stage
) -> None:
    seen = tab(browser, stage, "operator")
    seen.open("/workloads")
    rows = "tbody tr"
    first = seen.page.locator(rows).count()
    one = stage.submit("bertram", "comes-first", limit_price="0.20")
    seen.page.wait_for_selector(f"#row-{one}")
    seen.page.hover(f"#row-{one}")
    two = stage.submit("bertram", "comes-later", limit_price="0.20")
    stage.town.done(stage.town.post(f"/workloads/{one}/hold"))
    seen.page.locator(f"#row-{one}", has_text="held").wait_for()
    assert seen.page.locator(rows).count() == first + 1
    seen.page.mouse.move(0, 0)
    seen.page.wait_for_selector(f"#row-{two}")
    seen.close()
    for name in (one, two):
        stage.town.done(stage.town.post(f"/workloads/{name}/cancel", {"now": True}))


def test_what_happens_between_a_page_and_its_stream_is_not_missed(
    browser: Any, stage: Stage
) -> None:
    seen = tab(browser, stage, "operator")

    def listen_late(route: Any) -> None:
        stage.town.done(stage.town.post("/orgs", {"org": "came-between"}))
        route.continue_()

    seen.page.route("**/live*", listen_late, times=1)
    seen.open("/operate")
    seen.page.locator("#orgs", has_text="came-between").wait_for()
    seen.close()


def test_a_bid_that_is_too_low_is_raised_by_its_button(browser: Any, stage: Stage) -> None:
    mine = stage.submit("bertram", "hopes", limit_price="0.30", nodes=8, gpus=2)
    seen = tab(browser, stage, "bertram")
    seen.open("/")
    button = seen.page.locator(f"#needs li:has(a[href='/workloads/{mine}']) a.button")
    button.wait_for()
    asked = button.inner_text().removeprefix("Bid ")
    button.click()
    seen.page.wait_for_selector(".echo")
    assert "an hour for its 16 GPUs" in seen.page.inner_text(".echo")
    seen.page.click("button.main")
    seen.page.wait_for_url(f"**/workloads/{mine}")
    limit = stage.town.done(stage.town.get(f"/workloads/{mine}"))["limit_price"]
    assert float(limit) == float(asked)
    stage.town.done(stage.town.post(f"/workloads/{mine}/cancel", {"now": True}))
    seen.close()


@pytest.mark.parametrize("view", ["week", "month"])
def test_an_owner_claims_and_gives_up_from_its_calendar_on_a_phone(
    browser: Any, stage: Stage, view: str
) -> None:
    seen = tab(browser, stage, "aurelia", viewport={"width": 390, "height": 844})
    seen.open(f"/reservations?view={view}")
    seen.page.locator("#calendar a[href$='/claim']").first.click()
    seen.page.wait_for_url("**/reservations/aurelia/claim")
    seen.page.click("button.main")
    seen.page.wait_for_url("**/reservations")
    seen.open(f"/reservations?view={view}")
    assert "1 claimed" in (seen.page.text_content("#calendar") or "")
    assert seen.page.locator("#calendar .claimed").count() >= 1
    stage.town.done(
        stage.town.post("/reservations/aurelia/lend", {"floor": "2"}, stage.tokens["aurelia"])
    )
    seen.page.locator("#calendar", has_text="lends from 2.00").wait_for(state="attached")
    stage.town.done(
        stage.town.post("/reservations/aurelia/lend", {"floor": "1"}, stage.tokens["aurelia"])
    )
    seen.page.click("#claims button")
    seen.page.wait_for_url("**/reservations")
    assert "claimed," not in (seen.page.text_content("#calendar") or "")
    assert seen.errors == []
    seen.close()


def fill(page: Any, **fields: str) -> None:
    for name, text in fields.items():
        page.fill(f"#{name}", text)


def test_a_plan_follows_what_is_typed_and_is_what_is_submitted(browser: Any, stage: Stage) -> None:
    seen = tab(browser, stage, "bertram")
    seen.open("/submit")
    assert seen.page.is_disabled("#go")
    fill(seen.page, name="typed", command="true", workdir="tmp", limit_price="0.20")
    seen.page.press("#workdir", "Tab")
    seen.page.locator("#fault-workdir", has_text="absolute path").wait_for()
    assert seen.page.get_attribute("#workdir", "aria-invalid") == "true"
    assert seen.page.is_disabled("#go")
    assert serious(seen.page) == []
    seen.page.fill("#workdir", "/tmp")
    seen.page.locator("#plan .says", has_text="Would wait").wait_for()
    assert serious(seen.page) == []
    seen.page.click("#go:enabled")
    seen.page.wait_for_url("**/workloads/w*")
    mine = seen.page.url.rpartition("/")[2]
    found = stage.town.done(stage.town.get(f"/workloads/{mine}"))
    assert (found["name"], found["limit_price"], found["org"]) == ("typed", "0.20", "bertram")
    stage.town.done(stage.town.post(f"/workloads/{mine}/cancel", {"now": True}))
    assert (seen.errors, seen.outside) == ([], [])
    seen.close()


def test_a_workload_is_planned_and_submitted_without_script(browser: Any, stage: Stage) -> None:
    seen = tab(browser, stage, "bertram", java_script_enabled=False)
    seen.page.goto(f"{stage.town.url}/submit")
    fill(seen.page, name="plain", command="true", workdir="/tmp")
    seen.page.click("button[value=plan]")
    assert "spot needs the most" in seen.page.inner_text("#fault-limit_price")
    seen.page.fill("#limit_price", "0.20")
    seen.page.click("button[value=plan]")
    assert "Would wait" in seen.page.inner_text("#plan")
    seen.page.click("#go")
    seen.page.wait_for_url("**/workloads/w*")
    mine = seen.page.url.rpartition("/")[2]
    stage.town.done(stage.town.post(f"/workloads/{mine}/cancel", {"now": True}))
    seen.close()


def test_what_is_refused_is_told_on_a_page(browser: Any, stage: Stage) -> None:
    seen = tab(browser, stage, "operator")
    mine = stage.submit("bertram", "gone", limit_price="0.30")
    seen.open(f"/workloads/{mine}/hold")
    stage.town.done(stage.town.post(f"/workloads/{mine}/cancel", {"now": True}))
    seen.page.click("button.main")
    seen.page.wait_for_selector("[role=alert]")
    assert "already ended" in seen.page.inner_text("main").lower().replace("_", " ")
    seen.close()


def test_a_script_in_a_text_of_a_user_is_never_run(browser: Any, stage: Stage) -> None:
    seen = tab(browser, stage, "operator")
    town = stage.town
    town.done(town.post("/nodes/lab-8/cordon", {"reason": SCRIPT}))
    for path in ("/", "/operate", "/events", f"/workloads/{stage.guest}", "/workloads"):
        seen.open(path)
        assert seen.page.evaluate("window.broken") is None, path
    seen.open("/operate")
    assert SCRIPT in seen.page.inner_text("#nodes")
    town.done(town.post("/nodes/lab-8/uncordon"))
    seen.close()


def test_a_person_gets_in_and_out_by_keyboard(browser: Any, stage: Stage) -> None:
    seen = Tab(browser, stage.town.url)
    seen.page.goto(stage.town.url)
    seen.page.wait_for_selector("#token:focus")
    seen.page.keyboard.type(stage.tokens["bertram"])
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector(".link.live")
    seen.page.keyboard.press("Tab")
    assert "Skip" in seen.page.evaluate("document.activeElement.innerText")
    seen.page.focus("text=Log out")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_url("**/login")
    seen.page.goto(stage.town.url)
    assert seen.page.url.endswith("/login")
    seen.close()


@pytest.mark.parametrize("path", ["/workloads", "/"])
def test_a_page_stays_open_over_a_restart_of_the_server(
    browser: Any, tmp_path: Path, path: str
) -> None:
    with serving(tmp_path) as served:
        seen = Tab(browser, f"http://127.0.0.1:{served.port}")
        seen.login(served.token)
        seen.open(path)
        served.stop()
        seen.page.locator(".link.lost", has_text="reconnecting").wait_for()
        seen.page.evaluate("window.isTheSame = true")
        served.start()
        seen.page.wait_for_selector(".link.live")
        served.ask("POST", "/orgs", {"org": "comes-after"})
        assert seen.page.evaluate("window.isTheSame"), "it was not loaded anew"
        seen.open("/operate")
        until(lambda: "comes-after" in seen.page.inner_text("#orgs"))
        seen.close()


def test_a_page_whose_session_ended_leads_to_the_login(browser: Any, fresh: Town) -> None:
    _, owner = fresh.org()
    seen = Tab(browser, fresh.url)
    seen.login(owner)
    seen.open("/workloads")
    tokens = fresh.done(fresh.get("/tokens", owner))["tokens"]
    fresh.done(fresh.post(f"/tokens/{tokens[0]['token']}/revoke", token=owner))
    seen.page.wait_for_url(re.compile("/login"))
    seen.close()
