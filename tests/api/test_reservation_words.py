"""What a plan, a refusal and a reservation say: the same figures before and after, and no advice
that the reader cannot follow."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.api.town import Town


def pool(town: Town, rate: str = "4") -> None:
    town.pool(billing_period="1h", window_deposit="1/10", reservation_rate=rate)


def poor(town: Town) -> tuple[str, str]:
    """An org that cannot pay an hour of a node, and its owner's token."""
    return town.org(money="1")


def test_a_window_far_ahead_says_for_what_its_first_charge_is(fresh: Town) -> None:
    pool(fresh)
    _, owner = fresh.org()
    body = {"nodes": 1, "start": "+20h", "end": "+40h"}
    plan = fresh.done(fresh.post("/reservations/plan", body, owner))
    assert Decimal(plan["now"]) > Decimal(plan["cost"]["per_hour"])
    told = "a window that begins so far ahead pays its first 2 h at the sale: 1/10 of the time"
    assert told in " ".join(plan["says"])
    near = fresh.done(fresh.post("/reservations/plan", {"nodes": 1, "end": "+40h"}, owner))
    assert "so far ahead" not in " ".join(near["says"])


def test_only_an_operator_is_told_to_deposit(fresh: Town) -> None:
    pool(fresh)
    org, owner = poor(fresh)
    ahead = {"nodes": 1, "start": "+20h", "end": "+40h", "org": org}
    for body, why in (
        ({"nodes": 1, "org": org}, "the first period costs"),
        (ahead, "a window that begins so far ahead pays its first 2 h at the sale"),
    ):
        own = fresh.post("/reservations/plan", body, owner).json()
        theirs = fresh.post("/reservations/plan", body).json()
        assert why in own["detail"] and why in theirs["detail"]
        found = re.search(r"(\S+) are missing; (.*): parkade deposit (\S+) \1$", own["detail"])
        assert found and found[2] == "ask an operator to deposit it" and found[3] == org
        assert f"; deposit it: parkade deposit {org} {found[1]}" in theirs["detail"]
        assert "ask an" not in theirs["detail"]


def test_a_window_costs_in_all_what_its_plan_says_to_the_last_micro_unit(fresh: Town) -> None:
    pool(fresh, rate="3.000001")
    _, owner = fresh.org()
    start = datetime.now().astimezone().replace(microsecond=0) + timedelta(hours=2)
    ends = (start + timedelta(hours=2, microseconds=7), start + timedelta(hours=5, microseconds=1))
    body = {"nodes": 1, "name": "exact", "start": start.isoformat(), "end": ends[0].isoformat()}
    plan = fresh.done(fresh.post("/reservations/plan", body, owner))
    sold = fresh.done(fresh.post("/reservations", body, owner))
    assert sold["cost"]["at_most"] == plan["in_all"] == plan["cost"]["at_most"]
    later = {"end": ends[1].isoformat()}
    told = fresh.done(fresh.post("/reservations/exact/extend/plan", later, owner))
    done = fresh.done(fresh.post("/reservations/exact/extend", later, owner))
    assert done["cost"]["at_most"] == told["in_all"] == told["reservation"]["cost"]["at_most"]
    assert f"{told['in_all']} in all instead of {plan['in_all']}" in " ".join(told["says"])


def test_a_later_end_counts_from_the_end_that_there_is(fresh: Town) -> None:
    pool(fresh)
    _, owner = fresh.org()
    sold = fresh.done(
        fresh.post("/reservations", {"nodes": 1, "name": "more", "end": "+5h"}, owner)
    )
    before = datetime.fromisoformat(sold["end"])
    plan = fresh.done(fresh.post("/reservations/more/extend/plan", {"end": "+2h"}, owner))
    assert datetime.fromisoformat(plan["reservation"]["end"]) == before + timedelta(hours=2)
    for _ in range(2):
        done = fresh.done(
            fresh.post("/reservations/more/extend", {"end": "+2h"}, owner, key="once")
        )
    assert datetime.fromisoformat(done["end"]) == before + timedelta(hours=2), "asked twice, once"
    earlier = fresh.post("/reservations/more/extend", {"end": "-1h"}, owner)
    assert "give a later end than it has" in earlier.json()["detail"]


def test_a_window_that_never_began_is_given_up_and_not_over(fresh: Town) -> None:
    pool(fresh)
    _, owner = fresh.org()
    sold = fresh.done(
        fresh.post(
            "/reservations", {"nodes": 1, "name": "later", "start": "+2h", "end": "+5h"}, owner
        )
    )
    assert sold["is_given_up"] is False
    plan = fresh.done(fresh.post("/reservations/later/end/plan", {}, owner))
    gone = fresh.done(fresh.post("/reservations/later/end", {}, owner))
    assert gone["state"] == "ended" and gone["is_given_up"] is True
    assert plan["reservation"]["is_given_up"] is True
    assert "given up before it began; what was paid for it is kept" in gone["cost"]["says"]
    assert gone["cost"]["at_most"] == sold["paid"]


@pytest.mark.parametrize(
    ("nodes", "verb", "asked", "says"),
    [
        (1, "split", 1, "has one node: no part of it can be split off"),
        (2, "split", 2, "a part of it has one node"),
        (3, "split", 9, "a part of it has 1 to 2 nodes"),
        (1, "shrink", 2, "has one node; parkade end gives it up"),
        (3, "shrink", 9, "1 to 2 nodes of it can be given up"),
    ],
)
def test_a_part_that_cannot_be_says_how_many_nodes_can(
    fresh: Town, nodes: int, verb: str, asked: int, says: str
) -> None:
    pool(fresh)
    _, owner = fresh.org()
    fresh.done(fresh.post("/reservations", {"nodes": nodes, "name": "some"}, owner))
    refused: Any = fresh.post(f"/reservations/some/{verb}/plan", {"nodes": asked}, owner).json()
    assert refused["code"] == "reservation_full" and says in refused["detail"]


@pytest.mark.parametrize(("asked", "says"), [(1, "until then it is paid"), (2, "they are paid")])
def test_nodes_that_are_given_up_are_one_or_several(fresh: Town, asked: int, says: str) -> None:
    pool(fresh)
    _, owner = fresh.org()
    fresh.done(fresh.post("/reservations", {"nodes": 3, "name": "some"}, owner))
    plan = fresh.done(fresh.post("/reservations/some/shrink/plan", {"nodes": asked}, owner))
    assert says in " ".join(plan["says"])
