"""Arrays as callers see them: one record with counts, members on demand, commands on some."""

from decimal import Decimal
from typing import Any

import pytest

from tests.api.town import Town


@pytest.fixture
def owner(town: Town) -> tuple[str, str]:
    """(the pool, an owner's token of a new org)."""
    return town.pool(), town.org()[1]


def seen(town: Town, path: str, token: str, **params: Any) -> Any:
    return town.done(town.get(f"/workloads{path}", token, **params))


def test_an_array_is_one_record_and_its_members_are_shown_when_asked_for(
    town: Town, owner: tuple[str, str]
) -> None:
    pool, token = owner
    array = town.submit(pool, token, name="sweep", array="0-9,20%4", limit_price="0.01")
    shown = seen(town, f"/{array}", token)
    assert shown["spec"]["array"] == "0-9,20%4"
    assert shown["members"]["total"] == 11 and shown["members"]["most_running"] == 4
    assert sum(shown["members"]["open"].values()) + shown["members"]["waiting"] == 11
    listed = [it["workload"] for it in seen(town, "", token, name="sweep")["workloads"]]
    assert listed == [array]
    page = seen(town, "", token, array=array, limit=3)
    assert [it["index"] for it in page["workloads"]] == [3, 2, 1]
    rest = seen(town, "", token, array=array, limit=3, after=page["next"])
    assert [it["workload"] for it in rest["workloads"]] == [f"{array}_0"]
    assert rest["workloads"][0]["member_of"] == array and rest["next"] is None
    says = seen(town, f"/{array}/why", token)["says"]
    assert "11 members" in says and "7 not open yet" in says


def test_members_are_cancelled_bid_for_and_retried_by_index(
    town: Town, owner: tuple[str, str]
) -> None:
    pool, token = owner
    array = town.submit(pool, token, array="0-9%2", limit_price="0.01")
    path = f"/workloads/{array}"
    shown = town.done(town.post(f"{path}/cancel", {"members": "0,7-9"}, token))
    assert shown["members"]["cancelled"] == 4
    shown = town.done(town.post(f"{path}/retry", {"members": "8"}, token))
    assert shown["members"]["cancelled"] == 3
    town.done(town.post(f"{path}/bid", {"limit_price": "0.02", "members": "1"}, token))
    assert seen(town, f"/{array}_1", token)["limit_price"] == "0.02"
    assert seen(town, f"/{array}", token)["limit_price"] == "0.01"
    shown = town.done(town.post(f"{path}/cancel", {}, token))
    assert shown["phase"] == "cancelled" and shown["members"]["cancelled"] == 10
    told = [it["says"] for it in town.events(token)]
    assert any(f"{array}[7-9]: cancelled" in says for says in told)


def test_bounds_change_for_all_or_for_some_and_a_bound_left_out_stays(
    town: Town, owner: tuple[str, str]
) -> None:
    pool, token = owner
    array = town.submit(pool, token, array="0-9%2", limit_price="0.01", max_spend="9")
    path = f"/workloads/{array}/bounds"
    shown = town.done(town.post(path, {"max_duration": "2h"}, token))
    assert (shown["spec"]["max_spend"], shown["spec"]["max_duration"]) == ("9.00", "2h")
    town.done(town.post(path, {"max_duration": "1h", "members": "1,7-9"}, token))
    assert seen(town, f"/{array}_1", token)["spec"]["max_duration"] == "1h"
    assert seen(town, f"/{array}_0", token)["spec"]["max_duration"] == "2h"
    shown = town.done(town.post(path, {"max_spend": None}, token))
    assert shown["spec"].get("max_spend") is None
    assert town.post(path, {"max_spend": "7", "members": "1"}, token).json()["code"] == "invalid"
    assert town.post(path, {}, token).json()["code"] == "invalid"
    told = [it["says"] for it in town.events(token)]
    assert f"{array}[7-9]: now max_spend 9.00, max_duration 1h" in told


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("cancel", {"members": "x"}, "invalid"),
        ("cancel", {"members": "100"}, "invalid"),
        ("cancel", {"members": "5-1"}, "invalid"),
        ("retry", {"members": "1"}, "conflict"),
        ("bid", {"limit_price": "0.02", "members": "0-100000"}, "invalid"),
    ],
)
def test_members_that_are_none_are_refused(
    town: Town, owner: tuple[str, str], path: str, body: dict[str, str], reason: str
) -> None:
    pool, token = owner
    array = town.submit(pool, token, array="0-9%2", limit_price="0.01")
    response = town.post(f"/workloads/{array}/{path}", body, token)
    assert response.json()["code"] == reason


def test_what_is_not_open_is_explained_and_an_array_has_no_output(
    town: Town, owner: tuple[str, str]
) -> None:
    pool, token = owner
    array = town.submit(pool, token, array="0-9%2", limit_price="0.01")
    missing = town.get(f"/workloads/{array}_7", token)
    assert missing.status_code == 404 and "not open" in missing.json()["detail"]
    logs = town.get(f"/workloads/{array}/logs", token)
    assert logs.json()["code"] == "unsupported" and f"{array}_0" in logs.json()["detail"]
    stranger = town.org()[1]
    hidden = town.get(f"/workloads/{array}_7", stranger).json()["detail"]
    assert "not open" not in hidden


def test_the_cost_of_an_array_is_that_of_its_members(town: Town) -> None:
    pool, (_, owner) = town.pool(), town.org(money="9000")
    one = town.spec(limit_price="4", max_duration="1h")

    def cost(**keys: object) -> Any:
        body = {"spec": one | keys, "market": pool}
        return town.done(town.post("/workloads/plan", body, owner))["cost"]

    alone, some, all_of = cost(), cost(array="0-5%3"), cost(array="0-5")
    assert (alone["per_hour"], some["per_hour"], all_of["per_hour"]) == ("4.00", "12.00", "24.00")
    assert Decimal(some["at_most"]) == pytest.approx(6 * Decimal(alone["at_most"]))
    assert "all 6 members, of which at most 3 run at once" in some["says"]
    assert cost(array="0-5", max_spend="5")["at_most"] == "5.00"
