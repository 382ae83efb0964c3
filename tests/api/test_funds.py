"""What an org is told of its money: what is missing, and for how long what is there would do."""

from decimal import Decimal

from msgspec.structs import replace

from parkade.api.views.shortages import shortage
from parkade.control.clock import SystemClock
from parkade.core.workloads.observed import EnginePhase
from parkade.ports import RankExit
from tests.api.town import Town
from tests.core.kernel.story import Parkade
from tests.waits import until


def test_a_bid_that_waits_for_money_is_told_how_much_is_missing(town: Town) -> None:
    pool = town.pool()
    _, owner = town.org(money="1")
    workload = town.submit(pool, owner, nodes=1, gpus=2, limit_price="9000")

    def why() -> dict[str, str]:
        found: dict[str, str] = town.get(f"/workloads/{workload}/why", owner).json()
        return found

    until(lambda: why()["why"] == "insufficient_funds")
    said = why()["says"]
    words = said.split()
    needed, there, missing = (
        Decimal(words[words.index(word) + offset].rstrip(":;"))
        for word, offset in (("needs", 1), ("commit", 1), ("are", -1))
    )
    assert there == 1 and needed - there == missing > 0, said
    assert "what is there pays its limit for 0s" in said


def test_a_submission_says_how_much_money_is_missing_and_what_to_do(town: Town) -> None:
    pool = town.pool()
    org, owner = town.org(money="1")
    body = {"spec": town.spec(gpus=2, limit_price="9000"), "market": pool}
    planned = town.done(town.post("/workloads/plan", body, owner))
    made = town.done(town.post("/workloads", body, owner))
    missing = made["shortage"].split(" are missing")[0].split()[-1]
    assert Decimal(missing) > 0
    for says in (planned["says"], made["shortage"]):
        assert f"{missing} are missing" in says, says
        assert f"parkade deposit {org} {missing}" in says, says
    town.done(town.post(f"/orgs/{org}/deposits", {"amount": missing}))
    again = town.done(town.post("/workloads", body, owner))
    assert again["shortage"] is None


def test_a_submission_counts_what_other_work_of_its_org_has_set_aside(fresh: Town) -> None:
    pool = fresh.pool()
    org, owner = fresh.org(money="1")
    body = {"spec": fresh.spec(gpus=2, limit_price="9000"), "market": pool}
    first = fresh.done(fresh.post("/workloads", body, owner))
    needed = first["shortage"].split("needs ")[1].split()[0]
    fresh.done(fresh.post(f"/orgs/{org}/deposits", {"amount": str(Decimal(needed) - 1)}))
    fresh.wait_for_attempt(pool, first["workload"])
    second = fresh.done(fresh.post("/workloads", body, owner))["shortage"]
    assert f"needs {needed}" in second and f"{org} can commit" in second


def test_a_submission_beyond_a_cap_says_whose_and_how_much_is_missing(town: Town) -> None:
    pool = town.pool()
    org, owner = town.org()
    user = town.done(town.get("/whoami", owner))["user"]
    body = {"spec": town.spec(gpus=2, limit_price="90"), "market": pool}
    town.done(town.post(f"/users/{user}/cap", {"cap": "0.10"}, owner))
    of_user = town.done(town.post("/workloads", body, owner))["shortage"]
    assert f"the cap of {user} leaves 0.10" in of_user and f"parkade user cap {user}" in of_user
    town.done(town.post(f"/orgs/{org}/cap", {"cap": "0.05"}))
    town.done(town.post(f"/users/{user}/cap", {"cap": None}, owner))
    planned = town.done(town.post("/workloads/plan", body, owner))["says"]
    assert f"the cap of {org} leaves 0.05" in planned and f"parkade org cap {org}" in planned


def test_beside_much_live_work_a_submission_is_judged_by_the_balance_alone() -> None:
    parkade = Parkade(fabrics={"a": 2})
    parkade.org("acme", deposit=1)
    record = parkade.workload(parkade.bid("acme", 9_000))
    for most_live, has in ((0, "acme has 1.00:"), (1, "acme can commit 1.00:")):
        told = shortage(parkade.world, record, parkade.now_us, most_live=most_live)
        assert told is not None and has in told


def test_a_statement_whose_range_ends_before_it_begins_is_refused(town: Town) -> None:
    _, owner = town.org()
    window = {"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}
    refused = town.get("/statement", owner, **window)
    assert refused.status_code == 422 and "after the end" in refused.json()["detail"]


def test_a_payout_tells_the_guests_shape_price_and_time_and_not_its_name(fresh: Town) -> None:
    pool = fresh.pool()
    _, owner = fresh.org()
    _, guest = fresh.org()
    fresh.done(fresh.post("/reservations", {"market": pool, "nodes": 8, "name": "mine"}, owner))
    fresh.done(fresh.post("/reservations/mine/lend", {"floor": "1"}, owner))
    workload = fresh.submit(pool, guest, nodes=2, gpus=2)
    attempt = fresh.wait_for_attempt(pool, workload)
    seen = fresh.running(attempt)
    fresh.observe(pool, seen)
    now_us = SystemClock().now_us()
    exits = tuple(RankExit(rank=rank, code=0, signal=None) for rank in range(2))
    gone = replace(seen, phase=EnginePhase.RELEASED, released_us=now_us, exits=exits)
    fresh.observe(pool, gone)

    def payouts() -> list[dict[str, object]]:
        lines = fresh.done(fresh.get("/statement", owner))["transfers"]
        return [line for line in lines if line["kind"] == "payout"]

    until(payouts)
    (line,) = payouts()
    (charge, *_) = [
        it
        for it in fresh.done(fresh.get("/statement", guest))["transfers"]
        if it["workload"] == workload
    ]
    assert line["gpus"] == 4 and line["price"] == charge["price"]
    assert line["start"] == charge["start"] and line["workload"] is None
    assert workload not in str(line) and attempt not in str(line)
