"""Who would be told to leave by a change, told before it is made, and to whom."""

from typing import Any

import pytest

from tests.api.town import Town


@pytest.fixture
def lent(fresh: Town) -> dict[str, Any]:
    """An owner whose whole market is reserved and lent, and a guest on two nodes of it."""
    pool, (org, owner), (_, guest) = fresh.pool(4), fresh.org("9000"), fresh.org()
    fresh.done(fresh.post("/reservations", {"nodes": 4, "market": pool}, owner))
    fresh.done(fresh.post(f"/reservations/{org}/lend", {"floor": "1"}, owner))
    workload = fresh.submit(pool, guest, name="visit", limit_price="5", nodes=2, gpus=2)
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    return {"org": org, "owner": owner, "guest": guest, "workload": workload, "pool": pool}


def plan(town: Town, path: str, body: dict[str, Any], token: str | None = None) -> Any:
    return town.done(town.post(f"{path}/plan", body, token))


def test_a_limit_below_the_floor_ends_its_own_seats_and_changes_nothing(
    fresh: Town, lent: dict[str, Any]
) -> None:
    path = f"/workloads/{lent['workload']}/bid"
    told = plan(fresh, path, {"limit_price": "0.50"}, lent["guest"])
    (leaves,) = told["leaves"]
    assert (leaves["workload"], leaves["gpus"], len(leaves["nodes"])) == (lent["workload"], 4, 2)
    assert told["may_evict"] and told["others"] == 0
    assert f"{lent['workload']} visit (4 GPUs on " in told["says"]
    assert not plan(fresh, path, {"limit_price": "4.50"}, lent["guest"])["may_evict"]
    assert fresh.done(fresh.get(f"/workloads/{lent['workload']}"))["limit_price"] == "5.00"
    assert fresh.post(f"{path}/plan", {"limit_price": "4"}, fresh.org()[1]).status_code == 404


def test_an_owner_hears_what_guests_must_bid_and_not_which_of_them_do(
    fresh: Town, lent: dict[str, Any]
) -> None:
    path = f"/reservations/{lent['org']}/lend"
    kept, ended = (plan(fresh, path, {"floor": it}, lent["owner"]) for it in ("1.50", "99"))
    for told in (kept, ended):
        assert (told["leaves"], told["others"], told["may_evict"]) == ([], None, True)
        assert lent["workload"] not in told["says"] and "guests sit on 2 nodes" in told["says"]
    assert "bid less than" in ended["says"]
    assert not plan(fresh, path, {"floor": "0.90"}, lent["owner"])["may_evict"]
    assert plan(fresh, path, {"floor": None}, lent["owner"])["may_evict"]


def test_an_operator_hears_who_leaves_by_a_floor(fresh: Town, lent: dict[str, Any]) -> None:
    path = f"/reservations/{lent['org']}/lend"
    assert plan(fresh, path, {"floor": "1.50"})["leaves"] == []
    told = plan(fresh, path, {"floor": "99"})
    assert [it["workload"] for it in told["leaves"]] == [lent["workload"]]
    sheet = f"/prices/{lent['pool']}"
    told = plan(fresh, sheet, {"public_floor": "99", "is_meant": True})
    assert not told["may_evict"], "it sits on lent nodes"
    free = fresh.done(fresh.get(f"/workloads/{lent['workload']}"))
    assert free["phase"] == "running"


def test_a_public_floor_ends_bids_below_it_on_what_is_not_lent(fresh: Town) -> None:
    pool, (_, guest) = fresh.pool(), fresh.org()
    workload = fresh.submit(pool, guest, limit_price="5")
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    told = plan(fresh, f"/prices/{pool}", {"public_floor": "6"})
    assert [it["workload"] for it in told["leaves"]] == [workload]
    assert plan(fresh, f"/prices/{pool}", {"public_floor": "4"})["leaves"] == []
    assert fresh.post(f"/prices/{pool}/plan", {}).status_code == 422
    assert fresh.post(f"/prices/{pool}/plan", {"public_floor": "4"}, guest).status_code == 403
