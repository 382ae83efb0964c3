"""What an agent tells of its engine, and what only an agent may do."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from parkade.agent.http import HttpControlPlane
from parkade.control.answers import Decided
from parkade.control.clock import SystemClock
from parkade.control.rules import RULES
from parkade.core.state import commands
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.ports import Capabilities, Observation, Trouble
from parkade.sensors.clock import HeardClock
from parkade.store import open_sqlite
from tests import builders
from tests.api.roles import WITHOUT_TOKEN
from tests.api.test_turns import ENTRIES, NAMES, bodies, made_plane
from tests.api.town import Town

TINY = Capabilities(
    engine="tiny",
    version="1",
    isolates_users=False,
    has_containers=False,
    keeps_memory_limits=False,
    unsupported_keys=("env_file",),
)


def test_a_spec_that_the_pools_engine_cannot_carry_out_is_refused_by_name(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    observation = Observation(
        pool=pool,
        at_us=SystemClock().now_us(),
        is_complete=True,
        attempts=(),
        capabilities=TINY,
    )
    content = msgspec.json.encode(observation)
    url = f"/v1/pools/{pool}/observation"
    assert fresh.http.post(url, content=content, headers=fresh.headers(None)).is_success
    body = {"spec": fresh.spec(env_file="~/keys")}
    for path in ("/workloads", "/workloads/plan"):
        refused = fresh.post(path, body, owner)
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (422, "unsupported")
        assert problem["errors"][0]["place"] == "spec.env_file"
    fresh.done(fresh.post("/workloads", {"spec": fresh.spec()}, owner))


def test_a_plane_refuses_what_no_engine_can_carry_out_whichever_way_it_came(
    tmp_path: Path,
) -> None:
    async def story() -> Decided | Refusal:
        store = open_sqlite(tmp_path / "journal.sqlite3")
        plane = made_plane(store, RULES)
        plane.start()
        await plane.execute(commands.CreateOrg(by=None, org="a"))
        await plane.execute(builders.open_pool("lab", {"f": 1}))
        observation = Observation(
            pool="lab",
            at_us=SystemClock().now_us(),
            is_complete=True,
            attempts=(),
            capabilities=TINY,
        )
        await plane.observe("lab", observation)
        spec = builders.spec(env_file="/keys")
        submit = commands.Submit(by=None, org="a", market="lab", spec=spec, is_held=False)
        outcome = await plane.execute(submit)
        await plane.close()
        store.close()
        return outcome

    outcome = asyncio.run(story())
    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.field) == ("unsupported", "spec.env_file")


def test_what_keeps_an_agent_from_its_work_is_told_to_operators_and_to_whom_it_concerns(
    fresh: Town,
) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    assert fresh.observe(pool).is_success
    workload = fresh.submit(pool, owner, limit_price="1000")
    attempt = fresh.wait_for_attempt(pool, workload)
    own = Trouble(attempt=attempt, says="it is not in Slurm yet: no launcher")
    other = Trouble(attempt="w99.1", says="a word of others")
    assert report(fresh, pool, troubles=(own, other)).is_success
    (shown,) = fresh.done(fresh.get("/pools"))["pools"]
    assert shown["agent"] == "heard"
    assert shown["agent_says"] == f"{attempt} and 1 more not started: {own.says}"
    assert fresh.done(fresh.get("/pools", owner))["pools"][0]["agent_says"] is None
    says = fresh.done(fresh.get(f"/workloads/{workload}/why", owner))["says"]
    assert says.endswith("; it is not in Slurm yet: no launcher")
    silent = Trouble(attempt=None, says="Slurm does not answer the agent: connection refused")
    assert report(fresh, pool, is_complete=False, troubles=(silent,)).is_success
    assert fresh.done(fresh.get("/pools"))["pools"][0]["agent_says"] == silent.says
    assert report(fresh, pool).is_success
    assert fresh.done(fresh.get("/pools"))["pools"][0]["agent_says"] is None


def test_an_engine_that_does_not_answer_is_told_and_not_its_agent_that_is_there(
    fresh: Town,
) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    assert fresh.observe(pool).is_success
    assert fresh.done(fresh.get("/pools"))["pools"][0]["engine_silent_since"] is None
    says = "Slurm does not answer the agent: /etc/slurm"
    trouble = Trouble(attempt=None, says=says, since_us=1_767_225_600_000_000)
    assert report(fresh, pool, is_complete=False, troubles=(trouble,)).is_success
    for token in (None, owner):
        (shown,) = fresh.done(fresh.get("/pools", token))["pools"]
        assert shown["engine_silent_since"] == "2026-01-01T00:00:00Z"
        assert shown["agent_says"] == (None if token else trouble.says)
        assert fresh.done(fresh.get("/server", token))["engine_silent_pools"] == [pool]
    assert report(fresh, pool).is_success
    assert fresh.done(fresh.get("/pools"))["pools"][0]["engine_silent_since"] is None
    assert fresh.done(fresh.get("/server"))["engine_silent_pools"] == []


def test_an_agent_that_refuses_is_shown_wherever_people_look(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    assert fresh.observe(pool).is_success
    workload = fresh.submit(pool, owner, limit_price="1000")
    fresh.wait_for_attempt(pool, workload)
    lacking: dict[str, Any] = {"obeyed_epoch": 99, "obeyed_position": 7, "obeyed_digest": "0" * 64}
    assert fresh.get(f"/pools/{pool}/desired", **lacking).status_code == 409
    (shown,) = fresh.done(fresh.get("/pools"))["pools"]
    assert shown["agent"] == "refuses"
    assert "lacks entry 7" in shown["agent_says"]
    (guest,) = fresh.done(fresh.get("/pools", owner))["pools"]
    assert (guest["agent"], guest["agent_says"]) == ("refuses", None)
    says = fresh.done(fresh.get(f"/workloads/{workload}/why", owner))["says"]
    assert "the agent of lab refuses this server's orders" in says
    plan = fresh.done(fresh.post("/workloads/plan", {"spec": fresh.spec(nodes=8)}, owner))
    assert "refuses this server's orders" in plan["says"] or plan["would_win"]
    assert fresh.done(fresh.get("/server", owner))["refusing_pools"] == [pool]
    assert "parkade_refusing_pools 1.0" in fresh.http.get("/metrics").text
    # It obeys again, for another reason it does not, and again it does.
    assert fresh.get(f"/pools/{pool}/desired").is_success
    assert fresh.done(fresh.get("/pools"))["pools"][0]["agent"] == "heard"
    assert report(fresh, pool, refused="an older control plane").is_success
    (shown,) = fresh.done(fresh.get("/pools"))["pools"]
    assert (shown["agent"], shown["agent_says"]) == ("refuses", "an older control plane")
    assert report(fresh, pool, refused=None).is_success
    assert fresh.done(fresh.get("/pools"))["pools"][0]["agent"] == "heard"


def report(town: Town, pool: str, **keys: Any) -> httpx.Response:
    """An agent's look at a pool where nothing runs."""
    given = {"is_complete": True, "attempts": (), **keys}
    observation = Observation(pool=pool, at_us=SystemClock().now_us(), **given)
    return town.http.post(
        f"/v1/pools/{pool}/observation",
        content=msgspec.json.encode(observation),
        headers=town.headers(None),
    )


AGENTS = (
    "GET /v1/pools/{pool}/desired",
    "POST /v1/pools/{pool}/observation",
    "POST /v1/pools/{pool}/health",
    "POST /v1/pools/{pool}/folders",
    "GET /v1/pools/{pool}/log-requests",
    "POST /v1/pools/{pool}/log-chunks/{log_request}",
    "GET /v1/pools/{pool}/exec-requests",
    "GET /v1/pools/{pool}/execs/{session}/input",
    "POST /v1/pools/{pool}/execs/{session}/output",
)


def test_an_agents_token_runs_its_pool_and_sees_nothing_else(fresh: Town) -> None:
    pool, sent = fresh.pool(), bodies(fresh)
    token = fresh.done(fresh.post(f"/pools/{pool}/agent-tokens"))["secret"]
    state = fresh.done(fresh.get(f"/pools/{pool}/desired", token))
    assert [node["node"] for node in state["nodes"]] == [f"lab-{n}" for n in range(1, 9)]
    for route in ENTRIES.keys() - set(AGENTS) - WITHOUT_TOKEN:
        method, path = route.split()
        url = path.format(**NAMES).removeprefix("/v1")
        answer = (
            fresh.get(url, token) if method == "GET" else fresh.post(url, sent.get(route), token)
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "denied"), route
        assert "agent of pool lab" in answer.json()["detail"]


@pytest.mark.parametrize("route", AGENTS)
def test_an_agents_token_is_denied_another_pool(fresh: Town, route: str) -> None:
    token = fresh.done(fresh.post(f"/pools/{fresh.pool()}/agent-tokens"))["secret"]
    method, path = route.split()
    url = path.format(pool="other", log_request="x", session="0").removeprefix("/v1")
    answer = fresh.get(url, token) if method == "GET" else fresh.post(url, {}, token)
    assert (answer.status_code, answer.json()["code"]) == (403, "denied")


def agent_call(
    town: Town, route: str, *, agent: str = "", **query: Any
) -> tuple[httpx.Response, str]:
    """(the answer of an agent's route, the token that asked)."""
    pool = town.pool()
    token = town.done(town.post(f"/pools/{pool}/agent-tokens"))["secret"]
    method, path = route.split()
    sent = bodies(town).get(route)
    headers = town.headers(token) | ({"Parkade-Agent": agent} if agent else {})
    url = path.format(pool=pool, log_request="none", session="0")
    content = sent if isinstance(sent, bytes) else msgspec.json.encode(sent or {})
    answer = town.http.request(
        method, url, params=query, headers=headers, content=content if method == "POST" else None
    )
    return answer, token


@pytest.mark.parametrize("route", AGENTS)
def test_no_route_answers_an_agent_that_obeyed_what_the_journal_lacks(
    fresh: Town, route: str
) -> None:
    lacking: dict[str, Any] = {"obeyed_epoch": 99, "obeyed_position": 7, "obeyed_digest": "0" * 64}
    answer, _ = agent_call(fresh, route, **lacking)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "lacks entry 7" in answer.json()["detail"]
    half, _ = agent_call(fresh, route, obeyed_epoch=99)
    assert (half.status_code, half.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("route", AGENTS)
def test_no_route_answers_a_second_agent_of_a_pool(fresh: Town, route: str) -> None:
    first, _ = agent_call(fresh, route, agent="aa one:/data")
    second, _ = agent_call(fresh, route, agent="bb two:/data")
    assert first.status_code != 409, first.text
    assert (second.status_code, second.json()["code"]) == (409, "conflict")
    assert "another agent runs pool lab, at one:/data" in second.json()["detail"]
    other, _ = agent_call(fresh, AGENTS[0], agent="aa one:/data")
    assert other.status_code == 200, other.text


@pytest.mark.parametrize("route", AGENTS)
def test_a_stolen_token_is_answered_by_no_route_while_the_agent_is_heard(
    fresh: Town, route: str
) -> None:
    """The thief does not know the agent's name, which is random and told to no user."""
    agent_call(fresh, AGENTS[0], agent="aa one:/data")
    for name in ("", "zz /no/hexadecimal/name", "ab three:/data"):
        answer, _ = agent_call(fresh, route, agent=name)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert "aa" not in answer.json()["detail"].split()


def test_only_an_operator_makes_an_agents_token_and_only_for_a_pool_that_there_is(
    fresh: Town,
) -> None:
    _, owner = fresh.org()
    assert fresh.post(f"/pools/{fresh.pool()}/agent-tokens", token=owner).status_code == 403
    assert fresh.post("/pools/none/agent-tokens").status_code == 404


def test_an_agents_token_is_shown_with_its_pool_and_can_be_revoked(fresh: Town) -> None:
    pool = fresh.pool()
    made = fresh.done(fresh.post(f"/pools/{pool}/agent-tokens"))
    shown = {each["token"]: each for each in fresh.done(fresh.get("/tokens"))["tokens"]}
    assert shown[made["token"]]["pool"] == pool
    fresh.done(fresh.post(f"/tokens/{made['token']}/revoke"))
    assert fresh.get(f"/pools/{pool}/desired", made["secret"]).status_code == 401


@pytest.mark.parametrize("off_us", [0, HOUR_US, -HOUR_US])
def test_an_agent_learns_from_each_answer_how_far_its_clock_is_off(
    fresh: Town, off_us: int
) -> None:
    pool = fresh.pool()
    clock = HeardClock(wall=lambda: SystemClock().now_us() + off_us)

    async def told() -> None:
        async with httpx.AsyncClient(base_url=fresh.url) as client:
            control = HttpControlPlane(client, pool=pool, token=fresh.operator, clock=clock)
            now_us = SystemClock().now_us()
            seen = Observation(pool=pool, at_us=now_us, is_complete=True, attempts=())
            await control.report(seen)

    asyncio.run(told())
    skew_us = clock.read().skew_us
    assert skew_us is not None
    assert skew_us == 0 if off_us == 0 else abs(skew_us - off_us) < MINUTE_US
