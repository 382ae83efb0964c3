"""A change of a reservation is told before it is made: the plan says what the change then does."""

from decimal import Decimal
from typing import Any

import pytest

from tests.api.town import Town


def reserved(town: Town, owner: str, nodes: int = 3, **window: Any) -> str:
    town.pool(billing_period="1h")
    name = town.name("right")
    sold = town.post("/reservations", {"nodes": nodes, "name": name, **window}, owner)
    return str(town.done(sold)["reservation"])


def planned(town: Town, name: str, verb: str, token: str, **body: Any) -> Any:
    """The plan of a change, and that it changes nothing."""
    before = town.done(town.get("/reservations", token)), changes(town)
    plan = town.done(town.post(f"/reservations/{name}/{verb}/plan", body, token))
    after = town.done(town.get("/reservations", token)), changes(town)
    assert before == after
    return plan


def changes(town: Town) -> list[str]:
    """The events of reservations and money; the market clears by itself meanwhile."""
    types = [str(each["type"]) for each in town.events(town.operator)]
    return [each for each in types if "Reserv" in each or each in ("Posted", "LendingSet")]


@pytest.mark.parametrize(
    ("verb", "window", "body"),
    [
        ("extend", {"end": "+5h"}, {"end": "+9h"}),
        ("end", {}, {}),
        ("end", {"start": "+2h", "end": "+5h"}, {}),
        ("shrink", {}, {"nodes": 1}),
        ("shrink", {"start": "+2h", "end": "+5h"}, {"nodes": 2}),
        ("split", {"end": "+5h"}, {"nodes": 1}),
    ],
)
def test_a_change_does_what_its_plan_says(
    fresh: Town, verb: str, window: dict[str, str], body: dict[str, Any]
) -> None:
    _, owner = fresh.org()
    name = reserved(fresh, owner, 3, **window)
    money = fresh.done(fresh.get("/statement", owner))["balance"]
    plan = planned(fresh, name, verb, owner, **body)
    done = fresh.done(fresh.post(f"/reservations/{name}/{verb}", body, owner))
    if verb == "split":
        whole = fresh.done(fresh.get(f"/reservations/{name}", owner))
        assert done == plan["part"]
    else:
        whole = done
    said = plan["reservation"]
    same = {"state", "nodes", "shape", "start", "rate", "paid", "earned", "lending", "paid_until"}
    assert {it: whole[it] for it in same} == {it: said[it] for it in same}
    assert (whole["end"] is None) == (said["end"] is None)
    now = fresh.done(fresh.get("/statement", owner))["balance"]
    assert Decimal(money) - Decimal(now) == Decimal(plan["now"]) == 0


def test_what_is_given_up_names_what_is_kept_and_what_is_never_charged(fresh: Town) -> None:
    _, owner = fresh.org()
    name = reserved(fresh, owner, 2, start="+2h", end="+5h")
    sold = fresh.done(fresh.get(f"/reservations/{name}", owner))
    paid, in_all = Decimal(sold["paid"]), 3 * Decimal(sold["cost"]["per_hour"])
    plan = planned(fresh, name, "end", owner)
    assert Decimal(plan["kept"]) == paid > 0
    assert abs(Decimal(plan["in_all_before"]) - in_all) < 1 and plan["in_all"] == plan["kept"]
    assert f"{plan['kept']} that was paid for it is kept" in " ".join(plan["says"])
    fewer = planned(fresh, name, "shrink", owner, nodes=1)
    assert Decimal(fewer["kept"]) == paid / 2
    half = Decimal(plan["in_all_before"]) / 2
    assert Decimal(fewer["in_all"]) == half + paid / 2


def test_a_part_for_another_org_names_what_goes_with_it_and_is_an_operators(fresh: Town) -> None:
    _, owner = fresh.org()
    lab, _ = fresh.org()
    name = reserved(fresh, owner)
    sold = fresh.done(fresh.get(f"/reservations/{name}", owner))
    refused = fresh.post(f"/reservations/{name}/split/plan", {"nodes": 1, "org": lab}, owner)
    assert refused.status_code == 403 and "ask an operator" in refused.text
    plan = planned(fresh, name, "split", fresh.operator, nodes=1, org=lab)
    says = " ".join(plan["says"])
    assert plan["part"]["org"] == lab and plan["part"]["lending"] is None
    assert f"that {sold['org']} paid ahead for them goes with them" in says
    assert f"{lab} pays {plan['part']['cost']['per_hour']} an hour" in says
    whole = planned(fresh, name, "split", fresh.operator, nodes=3, org=lab)
    assert whole["reservation"]["nodes"] == 0 and "nothing is left" in " ".join(whole["says"])


def test_a_refused_change_is_refused_in_its_plan_and_none_is_told_to_another_org(
    fresh: Town,
) -> None:
    _, owner = fresh.org()
    _, stranger = fresh.org()
    name = reserved(fresh, owner, end="+5h")
    for verb, body in (("extend", {"end": "-1h"}), ("shrink", {"nodes": 1}), ("end", {})):
        told = fresh.post(f"/reservations/{name}/{verb}/plan", body, owner).json()
        done = fresh.post(f"/reservations/{name}/{verb}", body, owner).json()
        assert told == done and told["status"] in (409, 422)
        other = fresh.post(f"/reservations/{name}/{verb}/plan", body, stranger)
        assert other.status_code == 404


def test_a_token_that_only_looks_may_plan_and_not_change(fresh: Town) -> None:
    _, owner = fresh.org()
    user = fresh.done(fresh.get("/whoami", owner))["user"]
    body = {"user": user, "is_read_only": True}
    looks = fresh.done(fresh.post("/tokens", body, owner))["secret"]
    name = reserved(fresh, owner, end="+5h")
    later = {"end": "+9h"}
    assert fresh.post(f"/reservations/{name}/extend/plan", later, looks).is_success
    assert fresh.post("/reservations/plan", {"nodes": 1}, looks).is_success
    assert fresh.post(f"/reservations/{name}/extend", later, looks).status_code == 403
