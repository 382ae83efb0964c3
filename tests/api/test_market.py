from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from parkade.ports import Phase, RankExit
from tests.api.town import Town
from tests.waits import until


def test_a_pool_is_told_as_it_was_opened_and_its_prices_are_public(fresh: Town) -> None:
    pool = fresh.pool(nodes=3, notice="8s")
    _, buyer = fresh.org()
    fleet = fresh.done(fresh.get("/pools", buyer))
    ((told,), (market,)) = fleet["pools"], fleet["markets"]
    (supply,) = told["supplies"]
    assert supply["fabrics"] == {"f1": [f"{pool}-{n}" for n in (1, 2, 3)]}
    assert (told["agent"], told["supplier"], told["engine"]) == ("never heard", None, "local")
    assert market["terms"]["minimum_charge"] == market["terms"]["notice"] == "8s"
    (sheet,) = fresh.done(fresh.get("/prices", buyer))["prices"]
    assert (sheet["public_floor"], sheet["pay_as_you_go"]) == ("1.00", "12.00")
    fresh.done(fresh.post(f"/prices/{pool}", {"public_floor": "1.5"}))
    (sheet,) = fresh.done(fresh.get("/prices", buyer))["prices"]
    assert (sheet["public_floor"], sheet["pay_as_you_go"]) == ("1.50", "12.00")


def test_file_systems_are_told_by_name_and_refused_by_name(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(file_systems=["scratch", "home"]), fresh.org("100")
    (market,) = fresh.done(fresh.get("/pools", owner))["markets"]
    assert market["terms"]["file_systems"] == ["home", "scratch"]
    told = fresh.done(
        fresh.post("/workloads", {"spec": fresh.spec(storage=["scratch"])}, owner),
    )
    assert told["spec"]["storage"] == ["scratch"]
    refused = fresh.post("/workloads", {"spec": fresh.spec(storage=["scratch", "lake"])}, owner)
    assert refused.status_code == 422 and "do not share lake, but home, scratch" in refused.text
    kept = fresh.post(f"/markets/{pool}/terms", {"file_systems": ["home"]})
    assert kept.status_code == 409 and told["workload"] in kept.text
    fresh.done(fresh.post(f"/markets/{pool}/terms", {"file_systems": ["home", "scratch", "lake"]}))
    fresh.done(
        fresh.post("/workloads", {"spec": fresh.spec(storage=["scratch", "lake"])}, owner),
    )


def test_null_takes_a_term_away_that_a_market_need_not_have(fresh: Town) -> None:
    pool = fresh.pool()
    path = f"/markets/{pool}/terms"
    fresh.done(fresh.post(path, {"min_runtime": "10m", "assemble": "20m"}))
    assert fresh.done(fresh.post(path, {"backoff": "9s"}))["terms"]["min_runtime"] == "10m"
    terms = fresh.done(fresh.post(path, {"min_runtime": None}))["terms"]
    assert (terms["min_runtime"], terms["assemble"]) == (None, "20m")
    refused = fresh.post(path, {"notice": None, "fee": "0"})
    assert refused.status_code == 422 and "every market has it" in refused.text
    empty = fresh.post(path, {"from": None})
    assert empty.status_code == 422 and "name at least one term" in empty.text


def test_a_workload_runs_from_submit_to_statement(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org("100")
    told = fresh.done(fresh.post("/workloads", {"spec": fresh.spec(gpus=2, max_spend="40")}, owner))
    assert told["cost"] == {
        "price_per_gpu_hour": "2.50",
        "gpus": 2,
        "per_hour": "5.00",
        "at_most": "40.00",
        "says": "5.00 per hour, at most 40.00; bounded by max_spend",
    }
    attempt = fresh.wait_for_attempt(pool, told["workload"])
    assert fresh.observe(pool, fresh.running(attempt)).status_code == 204
    told = fresh.done(fresh.get(f"/workloads/{told['workload']}", owner))
    assert (told["phase"], told["price"]) == ("running", "1.00")
    assert [seat["gpus"] for seat in told["attempt"]["seats"]] == [2]
    seen = fresh.running(attempt)
    ended = msgspec.structs.replace(
        seen,
        phase=Phase.RELEASED,
        released_us=(seen.started_us or 0) + 3_600_000,
        exits=(RankExit(rank=0, code=0, signal=None),),
    )
    assert fresh.observe(pool, ended).status_code == 204
    told = fresh.done(fresh.get(f"/workloads/{told['workload']}", owner))
    assert told["phase"] == "succeeded"
    statement = fresh.done(fresh.get("/statement", owner))
    assert statement["transfers"][0]["kind"] == "deposit"
    assert Decimal(statement["received"]) - Decimal(statement["paid"]) == Decimal(
        statement["balance"]
    )
    assert statement["paid"] == told["spent"]
    assert (statement["opening"], statement["closing"]) == ("0.00", statement["balance"])
    at = statement["transfers"][1]["at"]
    before = fresh.done(fresh.get("/statement", owner, end=at))
    after = fresh.done(fresh.get("/statement", owner, start=at))
    assert before["closing"] == after["opening"] == before["received"]
    assert after["closing"] == statement["closing"] and after["paid"] == statement["paid"]
    charge = statement["transfers"][-1]
    assert (charge["kind"], charge["attempt"], charge["price"]) == ("usage", attempt, "1.00")


def test_an_org_sees_nothing_of_another(town: Town) -> None:
    pool, (_, ann), (_, ben) = town.pool(), town.org(), town.org()
    workload = town.submit(pool, ann, limit_price="0.10")
    for path in (f"/workloads/{workload}", f"/workloads/{workload}/why"):
        assert town.get(path, ann).status_code == 200
        assert town.get(path).status_code == 200
        assert town.get(path, ben).json()["code"] == "not_found"
    for verb in ("hold", "release", "cancel", "bid"):
        response = town.post(f"/workloads/{workload}/{verb}", {"limit_price": "9"}, ben)
        assert response.status_code in (404, 422)
    missing = town.get("/workloads/w999999", ben).json()
    hidden = town.get(f"/workloads/{workload}", ben).json()
    assert missing["detail"].replace("w999999", workload) == hidden["detail"]
    assert town.get("/workloads", ben).json()["workloads"] == []


def test_why_names_the_cheapest_limit_that_would_win(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    body = {"spec": fresh.spec(limit_price="0.25")}
    plan = fresh.done(fresh.post("/workloads/plan", body, owner))
    assert (plan["would_win"], plan["why"], plan["price_to_win"]) == (
        False,
        "below_floor",
        "1.00",
    )
    won = fresh.done(fresh.post("/workloads/plan", {"spec": fresh.spec()}, owner))
    assert (won["would_win"], won["price"], won["per_hour"]) == (True, "1.00", "1.00")
    workload = fresh.submit(pool, owner, limit_price="0.25")
    fresh.submit(pool, owner)
    for _ in range(50):
        why = fresh.done(fresh.get(f"/workloads/{workload}/why", owner))
        if why["price_to_win"]:
            break
    told = fresh.done(fresh.post(f"/workloads/{workload}/bid", {"limit_price": "1.00"}, owner))
    assert told["limit_price"] == "1.00"
    fresh.wait_for_attempt(pool, workload)


def test_why_says_that_an_operator_took_all_nodes_out_of_use(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(nodes=2), fresh.org()
    names = [f"{pool}-{number}" for number in (1, 2)]
    fresh.done(fresh.post(f"/nodes/{names[0]}/drain", {"reason": "rack"}))
    large = fresh.submit(pool, owner, nodes=2, gpus=2)

    def why() -> dict[str, Any]:
        return dict(fresh.done(fresh.get(f"/workloads/{large}/why", owner)))

    until(lambda: why()["why"] == "no_room", why)
    assert why()["says"] == f"{large} waits: no fabric has room for its whole shape"
    fresh.done(fresh.post(f"/nodes/{names[1]}/drain", {"reason": "rack"}))
    told = "nothing starts there now: an operator takes all nodes of lab out of use (drained)"
    assert why()["says"] == f"{large} waits: {told}"
    plan = fresh.done(fresh.post("/workloads/plan", {"spec": fresh.spec()}, owner))
    assert plan["says"] == f"would wait: {told}"
    fresh.done(fresh.post(f"/nodes/{names[0]}/undrain"))
    assert why()["says"] == f"{large} waits: no fabric has room for its whole shape"


def test_held_work_does_not_start_and_what_is_cancelled_ends(town: Town) -> None:
    pool, (_, owner) = town.pool(), town.org()
    body = {"spec": town.spec(), "market": pool, "hold": True}
    workload = town.done(town.post("/workloads", body, owner))["workload"]
    assert town.done(town.get(f"/workloads/{workload}", owner))["phase"] == "held"
    released = town.done(town.post(f"/workloads/{workload}/release", {}, owner))
    assert released["phase"] in ("queued", "placed", "starting")
    told = town.done(town.post(f"/workloads/{workload}/cancel", {"now": True}, owner))
    assert told["phase"] in ("cancelled", "stopping")


def test_reservations_are_sold_lent_claimed_and_ended(fresh: Town) -> None:
    fresh.pool(nodes=4)
    org, owner = fresh.org()
    told = fresh.done(fresh.post("/reservations", {"nodes": 2, "name": "acme"}, owner))
    assert (told["org"], told["state"], told["shape"]) == (org, "in_force", {"f1": 2})
    assert (told["cost"]["per_hour"], told["cost"]["at_most"]) == ("16.00", None)
    window = {"nodes": 1, "name": "later", "start": "+1h", "end": "+3h"}
    later = fresh.done(fresh.post("/reservations", window, owner))
    assert (later["state"], later["cost"]["at_most"]) == ("sold", "16.00")
    lent = fresh.done(fresh.post("/reservations/acme/lend", {"floor": "5", "keep": 1}, owner))
    assert lent["lending"] == {"floor": "5.00", "keep": 1}
    claim = fresh.done(fresh.post("/reservations/acme/claims", {"nodes": 1}, owner))
    assert fresh.get("/claims", owner).json()["claims"][0]["claim"] == claim["claim"]
    fresh.done(fresh.post(f"/claims/{claim['claim']}/unclaim", {}, owner))
    assert fresh.get("/claims", owner).json()["claims"] == []
    ended = fresh.done(fresh.post("/reservations/acme/end", {}, owner))
    assert ended["end"] == ended["paid_until"]
    _, other = fresh.org()
    for path in ("/reservations/acme/end", "/reservations/acme/lend"):
        assert fresh.post(path, {"floor": None}, other).json()["code"] in ("not_found", "invalid")
    assert fresh.get("/reservations", other).json()["reservations"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"nodes": 99}, 409, None),
        ({"nodes": 1, "end": "+0m"}, 422, "invalid"),
        ({"nodes": 1, "start": "next week"}, 422, "invalid"),
        ({"nodes": 1, "org": "operator"}, 403, "denied"),
    ],
)
def test_a_reservation_that_cannot_be_sold_is_refused(
    town: Town, body: dict[str, object], status: int, code: str | None
) -> None:
    town.pool()
    _, owner = town.org()
    response = town.post("/reservations", body, owner)
    assert response.status_code == status, response.text
    assert code in (None, response.json()["code"])


def test_nobody_reserves_what_it_cannot_pay(town: Town) -> None:
    town.pool()
    _, owner = town.org("0.01")
    response = town.post("/reservations", {"nodes": 1}, owner)
    assert (response.status_code, response.json()["code"]) == (402, "insufficient_funds")


def test_statements_are_for_owners_and_their_own(town: Town) -> None:
    org, owner = town.org("12.50")
    member = town.user(org)
    assert town.done(town.get("/statement", owner))["received"] == "12.50"
    assert town.get("/statement", member).json()["code"] == "denied"
    assert town.get("/statement", owner, account="operator").json()["code"] == "denied"
    whole = town.done(town.get("/statement", account=f"org/{org}"))
    assert whole["account"] == f"org/{org}"
    early = town.get("/statement", owner, end="2020-01-01T00:00:00Z").json()
    assert early["transfers"] == []


def test_a_node_is_failed_restored_and_cordoned_by_name(fresh: Town) -> None:
    fresh.pool()
    node = fresh.done(fresh.get("/nodes"))["nodes"][0]["node"]
    failed = fresh.done(fresh.post(f"/nodes/{node}/fail", {"reason": "Xid 79"}))
    assert (failed["health"], failed["health_reason"]) == ("failed", "Xid 79")
    assert fresh.done(fresh.post(f"/nodes/{node}/restore"))["health"] == "healthy"
    cordoned = fresh.done(fresh.post(f"/nodes/{node}/cordon", {"reason": "new fan"}))
    assert [each["reason"] for each in cordoned["cordons"]] == ["new fan"]
    assert fresh.done(fresh.post(f"/nodes/{node}/uncordon"))["cordons"] == []
    assert fresh.post("/nodes/nowhere/restore").json()["code"] == "not_found"


def test_pages_of_workloads_go_on_where_the_last_ended(town: Town) -> None:
    pool, (_, owner) = town.pool(), town.org()
    ids = [town.submit(pool, owner, limit_price="0.10") for _ in range(3)]
    first = town.get("/workloads", owner, limit=2).json()
    assert [each["workload"] for each in first["workloads"]] == ids[:0:-1]
    rest = town.get("/workloads", owner, limit=2, after=first["next"]).json()
    assert ([each["workload"] for each in rest["workloads"]], rest["next"]) == (ids[:1], None)


def test_an_agent_is_told_what_changed_and_only_then(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    state = fresh.desired(pool)
    known: dict[str, Any] = {"after_epoch": state.epoch, "after_sequence": state.sequence}
    assert fresh.get(f"/pools/{pool}/desired", **known).status_code == 204
    assert fresh.get(f"/pools/{pool}/desired", owner).json()["code"] == "denied"
    assert fresh.get("/pools/nowhere/desired").json()["code"] == "not_found"
    response: httpx.Response = fresh.http.post(
        f"/v1/pools/{pool}/observation", content=b"{}", headers=fresh.headers(None)
    )
    assert response.json()["code"] == "invalid"
    gone = fresh.http.post(
        f"/v1/pools/{pool}/log-chunks/none", content=b"x", headers=fresh.headers(None)
    )
    assert gone.status_code == 404


def test_a_misspelt_query_parameter_is_refused_by_name(town: Town) -> None:
    _, owner = town.org()
    refused = town.get("/workloads", owner, limt=3)
    assert refused.status_code == 422
    assert "'limt'" in refused.json()["detail"] and "limit" in refused.json()["detail"]
