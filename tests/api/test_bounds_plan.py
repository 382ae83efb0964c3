"""What other bounds would come to, told before they are set: the end, and the money."""

from typing import Any

import pytest

from tests.api.town import Town


@pytest.fixture
def runs(fresh: Town) -> dict[str, Any]:
    """A workload that runs on two GPUs, at a limit of 9 and for six hours at most."""
    pool, (_, owner) = fresh.pool(), fresh.org()
    bounds = {"max_duration": "6h", "max_spend": "50"}
    workload = fresh.submit(pool, owner, name="train", limit_price="9", gpus=2, **bounds)
    attempt = fresh.wait_for_attempt(pool, workload)
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    return {"workload": workload, "owner": owner}


def planned(town: Town, runs: dict[str, Any], **body: Any) -> Any:
    """The plan, and that nothing is changed by it."""
    path = f"/workloads/{runs['workload']}"
    before = town.done(town.get(path, runs["owner"]))["spec"]
    told = town.done(town.post(f"{path}/bounds/plan", body, runs["owner"]))
    assert town.done(town.get(path, runs["owner"]))["spec"] == before
    return told


def test_a_shorter_duration_names_the_end_that_it_would_have(
    fresh: Town, runs: dict[str, Any]
) -> None:
    told = planned(fresh, runs, max_duration="2h")
    assert told["ends"] < told["ends_before"] and told["ends_earlier"]
    assert not told["costs_more"]
    says = " ".join(told["says"])
    assert "max_duration: 2h instead of 6h" in says
    assert f"it must be gone by {told['ends'][:19].replace('T', ' ')} UTC instead of" in says
    assert "gets its notice" in says
    path = f"/workloads/{runs['workload']}"
    body = {"max_duration": "2h"}
    done = fresh.done(fresh.post(f"{path}/bounds", body, runs["owner"]))
    assert done["cost"]["at_most"] == told["at_most"]


def test_more_money_names_what_it_may_cost_then(fresh: Town, runs: dict[str, Any]) -> None:
    told = planned(fresh, runs, max_spend="80")
    assert told["costs_more"] and not told["ends_earlier"] and told["ends"] == told["ends_before"]
    assert (told["at_most_before"], told["at_most"]) == ("50.00", "80.00")
    says = " ".join(told["says"])
    assert "max_spend: 80.00 instead of 50.00" in says
    assert "it costs at most 80.00 in all instead of 50.00" in says
    lifted = planned(fresh, runs, max_spend=None, max_duration=None)
    assert lifted["at_most"] is None and lifted["costs_more"]
    assert "nothing bounds what it costs" in " ".join(lifted["says"])
    assert "nothing ends it by the clock" in " ".join(lifted["says"])


def test_the_same_bounds_change_nothing(fresh: Town, runs: dict[str, Any]) -> None:
    told = planned(fresh, runs, max_spend="50")
    assert told["says"] == ["these are its bounds now: nothing would change"]
    assert not told["costs_more"] and not told["ends_earlier"]


def test_what_is_refused_is_refused_in_its_plan(fresh: Town, runs: dict[str, Any]) -> None:
    path = f"/workloads/{runs['workload']}/bounds"
    for body in ({"max_duration": "1s"}, {"max_spend": "0.000001"}, {}):
        told, done = (fresh.post(f"{path}{it}", body, runs["owner"]) for it in ("/plan", ""))
        assert told.json()["code"] == done.json()["code"] and told.status_code == done.status_code
    assert fresh.post(f"{path}/plan", {"max_spend": "80"}, fresh.org()[1]).status_code == 404


def test_members_that_run_are_counted(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    name = fresh.submit(
        pool, owner, name="sweep", limit_price="9", array="0-3%1", max_duration="6h", max_spend="50"
    )
    attempt = fresh.wait_for_attempt(pool, f"{name}_0")
    assert fresh.observe(pool, fresh.running(attempt)).is_success
    it = {"workload": name, "owner": owner}
    told = planned(fresh, it, max_duration="2h")
    says = " ".join(told["says"])
    assert told["ends_earlier"] and "max_duration: 2h instead of 6h" in says
    assert "1 member must be gone earlier, the first by" in says
    some = planned(fresh, it, max_duration="2h", members="3")
    assert not some["ends_earlier"] and "members 3" in " ".join(some["says"])
