"""Workloads that wait for others, as callers see them."""

from typing import Any

import pytest

from tests.api.town import Town
from tests.waits import until

# Below the floor: the market never starts it, so it is cancelled as soon as it is told to.
NEVER_STARTS = "0.10"


@pytest.fixture
def owner(town: Town) -> tuple[str, str]:
    """(the pool, an owner's token of a new org)."""
    pool = town.pool()
    return pool, town.org()[1]


def seen(town: Town, name: str, token: str) -> Any:
    return town.done(town.get(f"/workloads/{name}", token))


def test_what_a_workload_waits_for_is_shown_by_id_and_explained(
    town: Town, owner: tuple[str, str]
) -> None:
    pool, token = owner
    first = town.submit(pool, token, name="first", limit_price=NEVER_STARTS)
    second = town.submit(pool, token, after_ok="first", after_any=[first])
    shown = seen(town, second, token)
    assert (shown["phase"], shown["why"]) == ("held", "dependency")
    assert shown["spec"]["after_ok"] == shown["spec"]["after_any"] == [first]
    assert shown["spec"]["after"] == []
    says = town.done(town.get(f"/workloads/{second}/why", token))["says"]
    assert f"after_ok {first}" in says and f"after_any {first}" in says
    town.done(town.post(f"/workloads/{first}/cancel", {}, token))
    # The next turn of the writer settles it, which may come after the answer to the cancel.
    until(lambda: seen(town, second, token)["phase"] == "cancelled")
    assert seen(town, second, token)["why"] == "dependency_failed"


def test_the_met_condition_is_an_event_of_the_org(town: Town, owner: tuple[str, str]) -> None:
    pool, token = owner
    first = town.submit(pool, token, limit_price=NEVER_STARTS)
    second = town.submit(pool, token, after=first)
    town.done(town.post(f"/workloads/{first}/cancel", {}, token))

    def is_told() -> bool:
        told = [one["says"] for one in town.events(token)]
        return any(second in says and f"met after {first}" in says for says in told)

    until(is_told)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"after": ["nobody"]}, "not_found"),
        ({"after": ["w1 w2"]}, "invalid"),
        ({"after": [f"w{number}" for number in range(101)]}, "invalid"),
        ({"after_ok": 3}, "invalid"),
    ],
)
def test_what_cannot_be_waited_for_is_refused_with_its_place(
    town: Town, owner: tuple[str, str], keys: dict[str, object], reason: str
) -> None:
    pool, token = owner
    response = town.post("/workloads", {"spec": town.spec(**keys), "market": pool}, token)
    assert response.json()["code"] == reason
    (key,) = keys
    assert key in response.text
