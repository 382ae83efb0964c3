"""Every form and every page of the console: no other site or session sends one, and no text of a
user or an agent becomes more than text in one."""

import html
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from fastapi.routing import APIRoute

from parkade.console.context import router
from parkade.console.routes import (
    caps,
    events,
    front,
    incidents,
    live,
    market,
    money,
    operate,
    people,
    receivers,
    reservation,
    reservations,
    reserve,
    session,
    submit,
    supply,
    what_if,
    workloads,
)
from parkade.control.clock import SystemClock
from parkade.core.units.time import SECOND_US
from tests import builders
from tests.api.town import Town
from tests.api.town import town as running
from tests.console.visitor import visitor

MODULES = (
    caps, events, front, incidents, live, market, money,
    operate, people, receivers, reservation, reservations, reserve, session, submit, supply,
    what_if, workloads,
)  # fmt: skip
FORMS = sorted(
    route.path
    for module in MODULES
    for found in vars(module).values()
    if isinstance(found, type(router()))
    for route in found.routes
    if isinstance(route, APIRoute) and "POST" in (route.methods or ()) and route.path != "/login"
)
MARK = "pk<img src=x onerror=window.broken=1>'\"&</script>"
MOST_PAGES = 400


class Scene:
    """A server where each text that a person or an agent writes holds the mark."""

    def __init__(self, town: Town) -> None:
        self.town = town
        pool = town.pool()
        self.org, self.owner = town.org()
        env = {"NOTE": MARK}
        keys = {"command": f"echo {MARK}", "env": env, "workdir": f"/tmp/{MARK}", "name": "marked"}
        self.workload = town.submit(pool, self.owner, env_file=f"/tmp/{MARK}", **keys)
        self.broken = town.submit(pool, self.owner, **keys)
        attempt = town.wait_for_attempt(pool, self.broken)
        ended = builders.observed(
            attempt,
            phase="released",
            started_us=None,
            released_us=SystemClock().now_us() - SECOND_US,
            launch_error=MARK,
            engine_state=MARK,
            report_problem=MARK,
        )
        assert town.observe(pool, ended).is_success
        town.done(town.post("/nodes/lab-1/cordon", {"reason": MARK}))
        town.done(town.post("/nodes/lab-2/drain", {"reason": MARK}))
        town.done(town.post("/nodes/lab-3/fail", {"reason": MARK}))
        town.done(town.post("/reservations", {"nodes": 1}, self.owner))
        self.tokens = {"operator": town.operator, "owner": self.owner}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running(tmp_path_factory.mktemp("forms")) as town:
        yield Scene(town)


def filled(path: str, scene: Scene) -> str:
    names = {
        "workload": scene.workload,
        "node": "lab-4",
        "market": "lab",
        "org": scene.org,
        "user": "root",
        "reservation": scene.org,
        "claim": "c1",
        "sequence": "5",
        "change": "end",
        "receiver": "mail-1",
        "action": "cancel" if path.startswith("/workloads") else "cordon",
    }
    return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], path)


def test_there_are_forms_to_try() -> None:
    assert len(FORMS) >= 8
    assert {"/submit", "/logout", "/nodes/{node}/{action}", "/prices/{market}"} <= set(FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_no_form_is_taken_from_another_site_or_session(scene: Scene, form: str) -> None:
    town, path = scene.town, filled(form, scene)
    person = visitor(town.url, town.operator)
    stranger = visitor(town.url, town.operator)
    own, others = person.text("/workloads"), stranger.text("/workloads")
    before = len(town.events(town.operator))
    assert person.http.post(path, data={}).status_code == 403
    assert person.submit(path, others).status_code == 403
    person.http.headers["Sec-Fetch-Site"] = "cross-site"
    assert person.submit(path, own).status_code == 403
    person.http.headers["Sec-Fetch-Site"] = "none"
    assert person.submit(path, own).status_code == 403
    del person.http.headers["Sec-Fetch-Site"]
    assert person.submit(path, others).status_code == 403
    assert len(town.events(town.operator)) == before
    person.http.headers["Sec-Fetch-Site"] = "same-origin"
    assert person.get("/workloads").status_code == 200, "the session goes on"


CALENDAR = "/reservations?"


def linked(page: str) -> set[str]:
    """Addresses of this site that a page leads to."""
    found = re.findall(r'(?:href|action)="([^"]+)"', page)
    places = {html.unescape(each) for each in found}
    return {each for each in places if each.startswith("/") and not each.startswith("/static")}


@pytest.mark.parametrize("who", ["operator", "owner"])
def test_on_every_page_what_people_and_agents_write_is_text(scene: Scene, who: str) -> None:
    person = visitor(scene.town.url, scene.tokens[who])
    waiting, seen, shown = ["/", "/workloads", "/events", "/submit"], set[str](), 0
    while waiting and len(seen) < MOST_PAGES:
        place = waiting.pop()
        if urlsplit(place).path in ("/live", "/logout") or place in seen:
            continue
        # The calendar has no last day.
        if place.startswith(CALENDAR) and sum(it.startswith(CALENDAR) for it in seen) > 3:
            continue
        seen.add(place)
        response = person.http.get(place)
        if "text/html" not in response.headers.get("content-type", ""):
            continue
        page = response.text
        assert "<img src=x" not in page, place
        shown += "pk&lt;img src=x" in page
        waiting += sorted(linked(page) - seen)
    assert f"/workloads/{scene.workload}" in seen
    assert shown >= 3, "the mark stands on several pages"
