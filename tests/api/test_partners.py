"""A partner looks at the nodes that its org supplies and at its statement, and at nothing else."""

import pytest

from tests import builders
from tests.api.roles import CALLERS, NEEDS, QUERIES
from tests.api.test_turns import bodies
from tests.api.town import Town

OPEN_TO_PARTNERS = {
    "GET /v1/nodes", "GET /v1/nodes/{node}", "GET /v1/statement", "GET /v1/whoami",
    "GET /v1/server",
}  # fmt: skip
NAMES = {
    "org": "house", "user": "x", "token": "x", "workload": "w1", "claim": "c1", "market": "far",
    "reservation": "x", "log_request": "x", "incident": "x", "pool": "far", "node": "far-1",
    "receiver": "x", "maintenance": "m1", "session": "0",
}  # fmt: skip


def supplied(town: Town) -> tuple[str, str, str]:
    """(a partner's org with the pool `far` beside the operator's own, a partner's token, its
    owner's)."""
    town.pool(nodes=2)
    org, owner = town.org()
    terms = builders.terms_body(clearing_interval="300ms")
    body = builders.pool_body(["far-1", "far-2"], pool="far", terms=terms)
    town.done(town.post("/pools", {**body, "supplier": org}))
    return org, town.user(org, "partner"), owner


def test_a_partner_sees_its_nodes_its_guests_counts_and_its_statement(fresh: Town) -> None:
    org, partner, owner = supplied(fresh)
    _, guest = fresh.org()
    workload = fresh.submit("far", guest)
    attempt = fresh.wait_for_attempt("far", workload)
    fresh.observe("far", builders.observed(attempt))
    for token in (partner, owner):
        answer = fresh.get("/nodes", token)
        nodes = {each["node"]: each for each in fresh.done(answer)["nodes"]}
        assert set(nodes) == {"far-1", "far-2"}
        assert sorted(each["guests"] for each in nodes.values()) == [0, 1]
        assert all(each["seated"] == [] for each in nodes.values())
        assert workload not in answer.text, "who is there is not told"
    told = fresh.done(fresh.get("/nodes"))["nodes"]
    assert len(told) == 4 and any(workload in each["seated"] for each in told)
    stated = fresh.done(fresh.get("/statement", partner))
    assert stated["account"] == f"org/{org}"
    assert fresh.done(fresh.get("/whoami", partner))["role"] == "partner"


def test_what_a_partner_runs_or_claims_itself_is_no_guest(fresh: Town) -> None:
    org, partner, owner = supplied(fresh)
    body = {"nodes": 2, "name": "all", "market": "far", "org": org}
    fresh.done(fresh.post("/markets/far/terms", {"buffer_nodes": 0}))
    fresh.done(fresh.post("/reservations", body))
    fresh.done(fresh.post("/reservations/all/claims", {"nodes": 1}, owner))
    own = fresh.submit("far", owner, capacity="reservation/all", limit_price=None)
    attempt = fresh.wait_for_attempt("far", own)
    fresh.observe("far", builders.observed(attempt))
    nodes = fresh.done(fresh.get("/nodes", partner))["nodes"]
    assert [each["guests"] for each in nodes] == [0, 0]
    assert sum(each["gpus_held"] for each in nodes) > 0


def test_a_partner_is_answered_nowhere_else(fresh: Town) -> None:
    _, partner, _ = supplied(fresh)
    assert len(NEEDS) > 60 and "operator" in CALLERS
    for route in NEEDS:
        method, path = route.split()
        body = bodies(fresh).get(route, {}) if method == "POST" else None
        answer = fresh.http.request(
            method, path.format(**NAMES), params=QUERIES.get(route, {}) if route not in
            OPEN_TO_PARTNERS else {}, headers=fresh.headers(partner), json=body,
        )  # fmt: skip
        if route in OPEN_TO_PARTNERS:
            assert answer.status_code == 200, route
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "denied"), route


def test_a_partner_of_an_org_that_supplies_nothing_sees_no_node(fresh: Town) -> None:
    supplied(fresh)
    org, owner = fresh.org()
    for token in (fresh.user(org, "partner"), owner, fresh.user(org)):
        assert fresh.get("/nodes", token).status_code == 403


def test_a_partner_whose_org_supplies_nothing_is_told_that(fresh: Town) -> None:
    fresh.pool()
    org, owner = fresh.org()
    says = f"{org} supplies no nodes: an operator opens its pool with `supplier: {org}`"
    for path in ("/nodes", "/nodes/lab-1", "/nodes/none"):
        for token in (fresh.user(org, "partner"), owner):
            refused = fresh.get(path, token)
            assert refused.status_code == 403
            assert refused.json()["detail"].startswith(says)
        detail = fresh.get(path, fresh.user(org)).json()["detail"]
        assert detail == "only an operator may do this"


@pytest.mark.parametrize("account", ["operator", "org/house"])
def test_a_partner_reads_no_statement_of_another(fresh: Town, account: str) -> None:
    _, partner, _ = supplied(fresh)
    fresh.done(fresh.post("/orgs", {"org": "house"}))
    assert fresh.get("/statement", partner, account=account).status_code == 403
