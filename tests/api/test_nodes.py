"""One node in full: for operators all of it, for the org that supplies it its own."""

import pytest

from tests import builders
from tests.api.test_agents import report
from tests.api.test_partners import supplied
from tests.api.town import Town
from tests.waits import until


def test_an_operator_sees_who_sits_there_and_what_keeps_others_away(fresh: Town) -> None:
    pool, (org, owner) = fresh.pool(nodes=2), fresh.org()
    fresh.done(fresh.post(f"/markets/{pool}/terms", {"buffer_nodes": 1}))
    fresh.done(fresh.post("/reservations", {"nodes": 1, "name": "r", "market": pool, "org": org}))
    fresh.done(fresh.post("/reservations/r/lend", {"floor": "1.25", "keep": 0}, owner))
    workload = fresh.submit(pool, owner, limit_price="1000")
    attempt = fresh.wait_for_attempt(pool, workload)
    fresh.observe(pool, builders.observed(attempt))
    nodes = fresh.done(fresh.get("/nodes"))["nodes"]
    (name,) = [each["node"] for each in nodes if each["seated"]]
    fresh.done(fresh.post(f"/nodes/{name}/cordon", {"reason": "a cable"}))
    told = fresh.done(fresh.get(f"/nodes/{name}"))
    assert (told["node"], told["pool"], told["agent"]) == (name, pool, "heard")
    assert [(it["holder"], it["kind"], it["org"]) for it in told["holders"]] == [
        (workload, "workload", org)
    ]
    assert told["holders"][0]["gpus_held"] == told["gpus_held"] > 0
    assert [(it["holder"], it["reason"]) for it in told["cordons"]] == [("operator", "a cable")]
    assert (told["fabric_nodes"], told["buffer"]) == (2, 1)
    (reserved,) = told["reservations"]
    assert (reserved["reservation"], reserved["org"], reserved["nodes"]) == ("r", org, 1)
    assert reserved["floor"] == "1.25" and told["incidents"] == []
    assert told["last_seen"] is not None and told["engine_silent_since"] is None
    listed = {each["node"]: each for each in fresh.done(fresh.get("/nodes"))["nodes"]}[name]
    assert listed == {key: told[key] for key in listed}, "what the list says, it says too"
    assert fresh.get("/nodes/nowhere").json()["code"] == "not_found"


def test_a_claim_on_a_node_is_shown_with_its_reservation(fresh: Town) -> None:
    org, _, owner = supplied(fresh)
    fresh.done(fresh.post("/markets/far/terms", {"buffer_nodes": 0}))
    body = {"nodes": 2, "name": "all", "market": "far", "org": org}
    fresh.done(fresh.post("/reservations", body))
    assert report(fresh, "far").is_success
    claim = fresh.done(fresh.post("/reservations/all/claims", {"nodes": 2}, owner))["claim"]
    until(lambda: fresh.done(fresh.get("/nodes/far-1"))["gpus_held"])
    (holder,) = fresh.done(fresh.get("/nodes/far-1"))["holders"]
    assert (holder["holder"], holder["kind"], holder["name"]) == (claim, "claim", "all")


def test_those_who_supply_a_node_see_their_own_work_there_and_no_guest(fresh: Town) -> None:
    _, partner, owner = supplied(fresh)
    _, guest = fresh.org()
    workload = fresh.submit("far", guest)
    attempt = fresh.wait_for_attempt("far", workload)
    fresh.observe("far", builders.observed(attempt))
    for token in (partner, owner):
        for name in ("far-1", "far-2"):
            answer = fresh.get(f"/nodes/{name}", token)
            told = fresh.done(answer)
            assert told["holders"] == [] and told["seated"] == [] and told["buffer"] is None
            assert told["reservations"] == told["incidents"] == [] and told["last_org"] is None
            assert workload not in answer.text, "who is there is not told"
        nodes = (it["node"] for it in fresh.done(fresh.get("/nodes"))["nodes"])
        other = next(it for it in nodes if not it.startswith("far"))
        assert fresh.get(f"/nodes/{other}", token).json()["code"] == "not_found"


@pytest.mark.parametrize("name", ["far-1", "nowhere"])
def test_others_are_refused_whether_there_is_such_a_node_or_not(fresh: Town, name: str) -> None:
    supplied(fresh)
    _, stranger = fresh.org()
    assert fresh.get(f"/nodes/{name}", stranger).json()["code"] == "denied"
