"""One turn a request: what enters the writer, and what is answered while it is busy."""

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from parkade.api import create_app
from parkade.api.context import digest_of
from parkade.api.translate.pools import open_pool
from parkade.control.clock import SystemClock
from parkade.control.plane import Plane
from parkade.control.rules import RULES, Rules
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Dependencies
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.state.world import World
from parkade.store import open_sqlite
from parkade.wire.pools import OpenPool
from tests import builders
from tests.api.town import Town
from tests.builders import Leading
from tests.crash.marketplace import POOL
from tests.waits import PATIENCE_S

# What each route costs the writer: commands and views that enter it. An observation enters where
# it is news; events enter for the owner of what an event names, once for each name.
ENTRIES = {
    "GET /v1/receivers": 0,
    "GET /v1/receivers/{receiver}": 0,
    "POST /v1/receivers": 0,
    "POST /v1/receivers/{receiver}/remove": 0,
    "POST /v1/receivers/{receiver}/test": 0,
    "POST /v1/receivers/{receiver}/confirm": 0,
    "POST /v1/logins": 0,
    "POST /v1/logins/token": 0,
    "GET /v1/whoami": 0,
    "GET /v1/server": 0,
    "GET /v1/lot": 1,
    "POST /v1/orgs": 1,
    "GET /v1/orgs": 1,
    "GET /v1/orgs/{org}": 1,
    "POST /v1/orgs/{org}/deposits": 1,
    "POST /v1/orgs/{org}/disbursements": 1,
    "POST /v1/orgs/{org}/refunds": 1,
    "POST /v1/orgs/{org}/grant": 1,
    "POST /v1/orgs/{org}/cap": 1,
    "POST /v1/orgs/{org}/cap/plan": 1,
    "POST /v1/orgs/{org}/bounds": 1,
    "POST /v1/orgs/{org}/description": 1,
    "POST /v1/orgs/{org}/disabled": 1,
    "POST /v1/orgs/{org}/delete": 1,
    "POST /v1/users": 1,
    "GET /v1/users": 1,
    "GET /v1/users/{user}": 1,
    "POST /v1/users/{user}/cap": 1,
    "POST /v1/users/{user}/cap/plan": 1,
    "POST /v1/users/{user}/unix-name": 1,
    "POST /v1/users/{user}/delete": 1,
    "POST /v1/users/{user}/disabled": 1,
    "POST /v1/users/{user}/role": 1,
    "POST /v1/tokens": 1,
    "GET /v1/tokens": 1,
    "GET /v1/tokens/{token}": 1,
    "POST /v1/tokens/{token}/revoke": 1,
    "POST /v1/pools": 1,
    "GET /v1/pools": 1,
    "GET /v1/pools/{pool}": 1,
    "POST /v1/pools/{pool}/nodes": 1,
    "POST /v1/pools/{pool}/close": 1,
    "POST /v1/pools/{pool}/fence": 1,
    "POST /v1/pools/{pool}/unfence": 1,
    "POST /v1/pools/{pool}/observe": 1,
    "POST /v1/pools/{pool}/lend": 1,
    "GET /v1/markets/{market}": 1,
    "POST /v1/markets/{market}/terms": 1,
    "GET /v1/prices": 1,
    "GET /v1/prices/{market}": 1,
    "POST /v1/prices/{market}": 1,
    "POST /v1/prices/{market}/plan": 1,
    "GET /v1/nodes": 1,
    "GET /v1/nodes/{node}": 1,
    "POST /v1/maintenance": 1,
    "GET /v1/maintenance": 1,
    "GET /v1/maintenance/{maintenance}": 1,
    "POST /v1/maintenance/{maintenance}/change": 1,
    "POST /v1/maintenance/{maintenance}/cancel": 1,
    "POST /v1/nodes/{node}/cordon": 1,
    "POST /v1/nodes/{node}/uncordon": 1,
    "POST /v1/nodes/{node}/fail": 1,
    "POST /v1/nodes/{node}/restore": 1,
    "POST /v1/nodes/{node}/undrain": 1,
    "POST /v1/nodes/{node}/drain": 1,
    "POST /v1/nodes/{node}/remove": 1,
    "POST /v1/reservations": 1,
    "POST /v1/reservations/plan": 1,
    "POST /v1/reservations/{reservation}/extend": 1,
    "POST /v1/reservations/{reservation}/extend/plan": 1,
    "POST /v1/reservations/{reservation}/split": 1,
    "POST /v1/reservations/{reservation}/split/plan": 1,
    "POST /v1/reservations/{reservation}/shrink": 1,
    "POST /v1/reservations/{reservation}/shrink/plan": 1,
    "GET /v1/reservations": 1,
    "GET /v1/reservations/{reservation}": 1,
    "POST /v1/reservations/{reservation}/lend": 1,
    "POST /v1/reservations/{reservation}/lend/plan": 1,
    "POST /v1/reservations/{reservation}/claims": 1,
    "GET /v1/claims": 1,
    "GET /v1/claims/{claim}": 1,
    "POST /v1/claims/{claim}/unclaim": 1,
    "POST /v1/reservations/{reservation}/end/plan": 1,
    "POST /v1/reservations/{reservation}/end": 1,
    "POST /v1/workloads": 1,
    "POST /v1/workloads/plan": 1,
    "GET /v1/workloads": 1,
    "GET /v1/workloads/{workload}": 1,
    "GET /v1/workloads/{workload}/why": 1,
    "POST /v1/workloads/{workload}/hold": 1,
    "POST /v1/workloads/{workload}/release": 1,
    "POST /v1/workloads/{workload}/bid": 1,
    "POST /v1/workloads/{workload}/bid/plan": 1,
    "POST /v1/workloads/{workload}/bounds": 1,
    "POST /v1/workloads/{workload}/bounds/plan": 1,
    "POST /v1/workloads/{workload}/resubmit": 1,
    "POST /v1/workloads/{workload}/retry": 1,
    "GET /v1/workloads/{workload}/logs": 1,
    "GET /v1/workloads/{workload}/logs/offset": 1,
    "POST /v1/workloads/{workload}/cancel": 1,
    "POST /v1/workloads/{workload}/exec": 1,
    "GET /v1/execs/{session}/output": 0,
    "POST /v1/execs/{session}/input": 0,
    "POST /v1/execs/{session}/window": 0,
    "POST /v1/execs/{session}/close": 0,
    "GET /v1/pools/{pool}/exec-requests": 0,
    "GET /v1/pools/{pool}/execs/{session}/input": 0,
    "POST /v1/pools/{pool}/execs/{session}/output": 0,
    "GET /v1/accounts": 1,
    "GET /v1/statement": 1,
    "GET /v1/costs": 1,
    "GET /v1/showback": 1,
    "POST /v1/clock/confirm": 1,
    "GET /v1/events": 0,
    "POST /v1/pools/{pool}/agent-tokens": 1,
    "GET /v1/pools/{pool}/desired": 0,
    "POST /v1/pools/{pool}/observation": 1,
    "POST /v1/pools/{pool}/health": 1,
    "POST /v1/pools/{pool}/folders": 1,
    "GET /v1/mars": 1,
    "POST /v1/mars/automation": 1,
    "GET /v1/mars/incidents": 1,
    "GET /v1/mars/incidents/{incident}": 1,
    "GET /v1/pools/{pool}/log-requests": 0,
    "POST /v1/pools/{pool}/log-chunks/{log_request}": 0,
}
NAMES = {
    "org": "o1", "user": "u1", "token": "t1", "pool": "lab", "market": "lab", "node": "lab-1",
    "reservation": "r", "claim": "c1", "workload": "w1", "log_request": "none",
    "incident": "incident-1", "maintenance": "m1", "receiver": "webhook-1",
    "session": "aa",
}  # fmt: skip


# These change the node that the route before them added.
OF_ADDED_NODE = {f"POST /v1/nodes/{{node}}/{verb}" for verb in ("undrain", "drain", "remove")}


def bodies(town: Town) -> dict[str, object]:
    pool = {
        "pool": "lab",
        "site": "elsewhere",
        "instance_type": {
            "name": "tiny", "gpu_model": "T1", "gpus_per_node": 2, "memory_gib": 8, "cpus": 2
        },
        "fabrics": {"f": ["lab-1", "lab-2"]},
        "terms": {**builders.terms_body(), "clearing_interval": "1h"},
    }  # fmt: skip
    spec = {"org": "o1", "market": "lab", "spec": town.spec(limit_price="0.10")}
    return {
        "POST /v1/logins/token": {"login": "none"},
        "POST /v1/receivers": {"address": "https://hooks.example.org/x"},
        "POST /v1/receivers/{receiver}/confirm": {"code": "12345678"},
        "POST /v1/orgs": {"org": "o1"},
        "POST /v1/orgs/{org}/deposits": {"amount": "10000"},
        "POST /v1/orgs/{org}/disbursements": {"amount": "1", "reason": "left"},
        "POST /v1/orgs/{org}/refunds": {"amount": "1", "reason": "sorry"},
        "POST /v1/orgs/{org}/grant": {"amount": "1", "every": "24h"},
        "POST /v1/orgs/{org}/cap": {"cap": "9000", "period": "month", "most_gpus": 500},
        "POST /v1/orgs/{org}/bounds": {"open_workloads": 50000},
        "POST /v1/orgs/{org}/description": {"title": "The lab"},
        "POST /v1/orgs/{org}/disabled": {"is_disabled": False},
        "POST /v1/users": {"user": "u1", "org": "o1", "role": "owner"},
        "POST /v1/orgs/{org}/cap/plan": {"cap": "9000"},
        "POST /v1/users/{user}/cap": {"cap": "5"},
        "POST /v1/users/{user}/cap/plan": {"cap": "5"},
        "POST /v1/users/{user}/unix-name": {"unix_name": "ann"},
        "POST /v1/users/{user}/disabled": {"is_disabled": True},
        "POST /v1/users/{user}/role": {"role": "member"},
        "POST /v1/tokens": {"user": "u1", "token": "t1"},
        "POST /v1/pools": pool,
        "POST /v1/pools/{pool}/nodes": {"fabrics": {"g": ["lab-3"]}},
        "POST /v1/markets/{market}/terms": {"backoff": "9s"},
        "POST /v1/nodes/{node}/drain": {"reason": "x"},
        "POST /v1/prices/{market}": {"public_floor": "1.5"},
        "POST /v1/prices/{market}/plan": {"public_floor": "1.5"},
        "POST /v1/maintenance": {"nodes": ["lab-2"], "start": "+40d", "end": "+41d", "reason": "x"},
        "POST /v1/maintenance/{maintenance}/change": {"end": "+60d"},
        "POST /v1/nodes/{node}/cordon": {"reason": "x"},
        "POST /v1/nodes/{node}/fail": {"reason": "x"},
        "POST /v1/reservations": {"org": "o1", "market": "lab", "name": "r", "nodes": 1},
        "POST /v1/reservations/plan": {"org": "o1", "market": "lab", "nodes": 1},
        "POST /v1/reservations/{reservation}/extend": {"end": "2099-01-31"},
        "POST /v1/reservations/{reservation}/extend/plan": {"end": "2099-01-31"},
        "POST /v1/reservations/{reservation}/split": {"nodes": 1},
        "POST /v1/reservations/{reservation}/split/plan": {"nodes": 1},
        "POST /v1/reservations/{reservation}/shrink": {"nodes": 1},
        "POST /v1/reservations/{reservation}/shrink/plan": {"nodes": 1},
        "POST /v1/reservations/{reservation}/lend": {"floor": "1"},
        "POST /v1/reservations/{reservation}/lend/plan": {"floor": "1"},
        "POST /v1/reservations/{reservation}/claims": {"nodes": 1},
        "POST /v1/workloads": spec,
        "POST /v1/workloads/plan": spec,
        "POST /v1/workloads/{workload}/bid": {"limit_price": "0.20"},
        "POST /v1/workloads/{workload}/bid/plan": {"limit_price": "0.20"},
        "POST /v1/workloads/{workload}/bounds": {"max_spend": "9", "max_duration": None},
        "POST /v1/workloads/{workload}/bounds/plan": {"max_spend": "9", "max_duration": None},
        "POST /v1/workloads/{workload}/exec": {"command": ["true"]},
        "POST /v1/execs/{session}/input": {"at": 0, "content": "YQ=="},
        "POST /v1/execs/{session}/window": {"columns": 80, "rows": 24},
        "POST /v1/pools/{pool}/execs/{session}/output": {"number": 0},
        "POST /v1/mars/automation": {"reason": "x", "is_on": False},
        "POST /v1/pools/{pool}/health": {
            "pool": "lab",
            "at_us": 1,
            "verdicts": [],
            "repairs": [],
            "kinds": ["validate"],
        },
        "POST /v1/pools/{pool}/folders": {"pool": "lab", "folders": [], "kept": None},
    }


def entered(town: Town) -> int:
    text = town.http.get("/metrics").text
    found = re.search(r"^parkade_writer_entries_total (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return int(float(found[1]))


def test_each_route_enters_the_writer_once_or_not_at_all(fresh: Town) -> None:
    sent = bodies(fresh)
    found = {}
    for route in ENTRIES:
        method, path = route.split()
        names = {**NAMES, "node": "lab-3"} if route in OF_ADDED_NODE else NAMES
        url = path.format(**names).removeprefix("/v1")
        before = entered(fresh)
        if route == "POST /v1/pools/{pool}/observation":
            response = fresh.observe("lab")
        elif route == "GET /v1/events":
            response = fresh.get(url, follow=False)
        elif method == "GET":
            response = fresh.get(url)
        else:
            response = fresh.post(url, sent.get(route), key=fresh.name("key"))
        of_session = tuple(f"{{session}}/{it}" for it in ("input", "output", "window", "close"))
        of_thing = ("/logs", "/logs/offset", "/log-chunks/{log_request}", "/incidents/{incident}")
        absent = (*of_thing, *of_session)
        of_none = (
            "/logins",
            "/logins/token",
            "/{receiver}",
            "/{receiver}/remove",
            "/{receiver}/test",
            "/{receiver}/confirm",
        )
        is_absent = route.endswith(absent + of_none)
        # A pool with nodes is not closed, one of ours needs no fence, the workload is no array,
        # the operator has nothing yet to give back,
        # what is not disabled is not deleted, and the reservation is of one node without end.
        refusals = {
            "POST /v1/pools/{pool}/close": 409,
            "POST /v1/pools/{pool}/fence": 409,
            "POST /v1/pools/{pool}/unfence": 409,
            "POST /v1/orgs/{org}/refunds": 402,
            "POST /v1/orgs/{org}/delete": 409,
            "POST /v1/users/{user}/delete": 409,
            "POST /v1/reservations/{reservation}/extend": 409,
            "POST /v1/reservations/{reservation}/extend/plan": 409,
            "POST /v1/reservations/{reservation}/split": 409,
            "POST /v1/reservations/{reservation}/split/plan": 409,
            "POST /v1/reservations/{reservation}/shrink": 409,
            "POST /v1/reservations/{reservation}/shrink/plan": 409,
            "POST /v1/workloads/{workload}/retry": 422,
            "POST /v1/receivers": 422,
            "POST /v1/workloads/{workload}/resubmit": 409,
            "POST /v1/workloads/{workload}/exec": 409,
        }
        is_refused = response.status_code == refusals.get(route)
        is_absent = is_absent and response.status_code == 404
        assert response.is_success or is_absent or is_refused, response.text
        found[route] = entered(fresh) - before
    assert found == ENTRIES


def test_the_table_names_every_route(fresh: Town) -> None:
    paths = fresh.done(fresh.get("/openapi.json"))["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert routes == set(ENTRIES)


def made_plane(store: Any, rules: Rules) -> Plane:
    def fatal(error: BaseException) -> None:
        raise error

    dependencies = Dependencies(
        store=store,
        clock=SystemClock(),
        rules=rules,
        on_fatal=fatal,
        crash_point=lambda _: None,
        leadership=Leading(),
    )
    return Plane(dependencies, PlaneSettings(check_every=1))


class Busy:
    """A plane in a clearing that lasts until the test lets it end, and a client of it."""

    def __init__(self, plane: Plane, http: httpx.AsyncClient) -> None:
        self.plane = plane
        self.http = http

    def headers(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def busy(folder: Path) -> AsyncIterator[tuple[Busy, threading.Event]]:
    """A server with users `ann` of org a and `bob` of org b (tokens `ann-secret`, `bob-secret`) and
    an operator, in a long clearing."""
    has_begun, may_end = threading.Event(), threading.Event()

    def decide(world: World, command: commands.AnyCommand, now_us: int) -> Any:
        if isinstance(command, commands.RunClearing):
            has_begun.set()
            assert may_end.wait(60)
        return RULES.decide(world, command, now_us)

    store = open_sqlite(folder / "journal.sqlite3")
    plane = made_plane(store, msgspec.structs.replace(RULES, decide=decide))
    plane.start()
    transport = httpx.ASGITransport(create_app(plane))
    try:
        for org in ("a", "b"):
            await plane.execute(commands.CreateOrg(by=None, org=org))
        people = (("ann", "a", Role.OWNER), ("bob", "b", Role.OWNER), ("root", "a", Role.OPERATOR))
        for user, org, role in people:
            await plane.execute(
                commands.CreateUser(by=None, user=user, org=org, role=role, unix_name=None)
            )
            digest = digest_of(f"{user}-secret")
            await plane.execute(commands.AddToken(by=None, token=user, user=user, digest=digest))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            made = Busy(plane, http)
            await plane.execute(open_pool(OpenPool.model_validate(POOL), by="root"))
            assert await asyncio.to_thread(has_begun.wait, 60)
            yield made, may_end
    finally:
        may_end.set()
        await plane.close()
        store.close()


@pytest.mark.parametrize(("token", "status"), [("ann-secret", 200), ("wrong", 401), ("", 401)])
def test_authentication_never_waits_behind_a_clearing(
    tmp_path: Path, token: str, status: int
) -> None:
    async def story() -> None:
        async with busy(tmp_path) as (server, _):
            async with asyncio.timeout(PATIENCE_S):
                response = await server.http.get("/v1/whoami", headers=server.headers(token))
            assert response.status_code == status

    asyncio.run(story())


def test_an_agent_is_answered_while_the_writer_clears(tmp_path: Path) -> None:
    async def story() -> None:
        async with busy(tmp_path) as (server, _):
            async with asyncio.timeout(PATIENCE_S):
                response = await server.http.get(
                    "/v1/pools/box/desired", headers=server.headers("root-secret")
                )
            assert response.status_code == 200

    asyncio.run(story())


def test_a_token_revoked_after_authentication_is_refused_when_decided(tmp_path: Path) -> None:
    async def story() -> None:
        async with busy(tmp_path) as (server, may_end):
            revoke = commands.RevokeToken(by=None, token="ann")
            revoking = asyncio.create_task(server.plane.execute(revoke))
            await waiting(server.plane, 1)
            body, headers = {"user": "eve", "org": "a"}, server.headers("ann-secret")
            request = server.http.post("/v1/users", json=body, headers=headers)
            posting = asyncio.create_task(request)
            await waiting(server.plane, 2)
            may_end.set()
            await revoking
            response = await posting
            assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
            assert not await server.plane.read(lambda world, _: "eve" in world.records.users)

    asyncio.run(story())


async def waiting(plane: Plane, count: int) -> None:
    """Until so many commands wait for the writer, which is busy."""
    async with asyncio.timeout(PATIENCE_S):
        while plane.health().waiting < count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)


FLOOD = 100
ORG_PLANS = PlaneSettings().org_plans_limit


def test_an_org_that_floods_plans_is_turned_away_and_no_other(tmp_path: Path) -> None:
    spec = {"name": "job", "command": "true", "workdir": "/tmp", "limit_price": "2.50"}
    body = {"spec": spec, "market": "box"}

    async def story() -> None:
        async with busy(tmp_path) as (server, may_end):

            def asking(path: str, user: str) -> "asyncio.Task[httpx.Response]":
                headers = server.headers(f"{user}-secret")
                return asyncio.create_task(server.http.post(path, json=body, headers=headers))

            flood = [asking("/v1/workloads/plan", "ann") for _ in range(FLOOD)]
            async with asyncio.timeout(PATIENCE_S):
                while sum(it.done() for it in flood) < FLOOD - ORG_PLANS:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            others = [asking("/v1/workloads/plan", "bob") for _ in range(3)]
            submits = [asking("/v1/workloads", user) for user in ("ann", "bob")]
            await waiting(server.plane, len(submits))
            may_end.set()
            answers = await asyncio.gather(*flood)
            turned_away = [it for it in answers if it.status_code == 429]
            assert len(turned_away) == FLOOD - ORG_PLANS
            assert {it.json()["code"] for it in turned_away} == {"too_many"}
            assert all(int(it.headers["Retry-After"]) >= 1 for it in turned_away)
            assert sum(it.status_code == 200 for it in answers) == ORG_PLANS
            assert [it.status_code for it in await asyncio.gather(*others)] == [200] * 3
            assert [it.status_code for it in await asyncio.gather(*submits)] == [201] * 2

    asyncio.run(story())
