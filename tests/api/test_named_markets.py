"""Where several markets are open: a reservation and a spec's own key name one."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import builders
from tests.api.town import Town
from tests.api.town import town as running


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, str]]:
    """A server with the markets lab and hall, of the same nodes, and an org with a reservation
    `right` in hall."""
    with running(tmp_path_factory.mktemp("two")) as town:
        town.pool()
        body = builders.pool_body(["hall-1"], pool="hall", terms=builders.terms_body())
        town.done(town.post("/pools", body))
        _, owner = town.org()
        asked = {"nodes": 1, "market": "hall", "name": "right"}
        town.done(town.post("/reservations", asked, owner))
        yield town, owner


def planned(town: Town, token: str, named: str | None = None, **keys: object) -> Any:
    body = {"spec": town.spec(**keys)} | ({"market": named} if named else {})
    return town.post("/workloads/plan", body, token)


BACKED = {"capacity": "reservation/right", "limit_price": None}


def test_a_reservation_names_its_market(two: tuple[Town, str]) -> None:
    town, owner = two
    assert town.done(planned(town, owner, **BACKED))["market"] == "hall"
    made = town.done(town.post("/workloads", {"spec": town.spec(**BACKED)}, owner))
    assert made["market"] == made["spec"]["market"] == "hall"


def test_a_reservation_of_another_market_is_said_to_be_there(two: tuple[Town, str]) -> None:
    town, owner = two
    (fault,) = planned(town, owner, "lab", **BACKED).json()["errors"]
    assert fault["place"] == "market"
    assert "is in market hall, not in lab" in fault["message"]


def test_no_stranger_learns_where_a_reservation_is(two: tuple[Town, str]) -> None:
    town, _ = two
    _, stranger = town.org()
    for market in (None, "lab", "hall"):
        refused = planned(town, stranger, market, **BACKED).json()
        assert refused["code"] == "not_found" and "hall" not in refused["detail"]


def test_a_spec_names_its_market(two: tuple[Town, str]) -> None:
    town, owner = two
    assert town.done(planned(town, owner, market="lab"))["market"] == "lab"
    assert town.done(planned(town, owner, "lab", market="lab"))["market"] == "lab"
    (fault,) = planned(town, owner, "hall", market="lab").json()["errors"]
    assert fault["place"] == "market" and "names lab" in fault["message"]
    refused = planned(town, owner).json()
    assert refused["errors"][0]["message"].endswith("name one: hall, lab")


def test_a_workload_bids_in_both_and_is_told_what_each_says(two: tuple[Town, str]) -> None:
    town, owner = two
    limits = {"hall": "0.02", "lab": "0.01"}
    types: dict[str, Any] = {"instance_type": limits, "limit_price": None}
    answer = town.done(planned(town, owner, **types))
    assert [it["market"] for it in answer["markets"]] == ["hall", "lab"]
    spec = town.spec(**types)
    made = town.done(town.post("/workloads", {"spec": spec}, owner))
    assert made["market"] == "hall" and made["limit_price"] == "0.02"
    assert made["spec"]["instance_type"] == {"hall": "0.02", "lab": "0.01"}
    assert made["spec"]["market"] is None and made["spec"]["limit_price"] is None
    assert made["cost"]["price_per_gpu_hour"] == "0.02"
    path = f"/workloads/{made['workload']}"
    changed = {"limit_price": "0.03", "instance_type": "lab"}
    town.done(town.post(f"{path}/bid/plan", changed, owner))
    shown = town.done(town.post(f"{path}/bid", changed, owner))
    assert [it["limit_price"] for it in shown["markets"]] == ["0.02", "0.03"]
    says = town.done(town.get(f"{path}/why", owner))["says"]
    assert "in hall: " in says and "in lab: " in says
    town.done(town.post(f"{path}/cancel", {"now": True}, owner))


def test_a_list_that_no_markets_fit_is_refused_with_the_entry(two: tuple[Town, str]) -> None:
    town, owner = two
    types: dict[str, Any] = {"instance_type": ["hall", "attic"], "limit_price": "1"}
    (fault,) = planned(town, owner, **types).json()["errors"]
    assert fault["place"] == "instance_type" and fault["message"].startswith("attic: ")
