"""A change with If-Match is made on what its asker saw, or not at all."""

from tests.api.town import Town


def _workload(town: Town) -> tuple[str, str, str]:
    """(the route of a new one that is held, a token of its org, its ETag)."""
    pool = town.pool()
    _, owner = town.org()
    body = {"spec": town.spec(), "market": pool, "hold": True}
    path = f"/workloads/{town.done(town.post('/workloads', body, owner))['workload']}"
    return path, owner, town.get(path, owner).headers["ETag"]


def _send(town: Town, path: str, body: object, token: str, **headers: str) -> int:
    sent = {**town.headers(token), **{k.replace("_", "-"): v for k, v in headers.items()}}
    return town.http.post(f"/v1{path}", json=body, headers=sent).status_code


def test_the_second_of_two_who_saw_the_same_is_refused_and_changes_nothing(town: Town) -> None:
    path, owner, tag = _workload(town)
    assert _send(town, f"{path}/bid", {"limit_price": "3"}, owner, If_Match=tag) == 200
    refused = town.http.post(
        f"/v1{path}/bid",
        json={"limit_price": "4"},
        headers={**town.headers(owner), "If-Match": tag},
    )
    assert refused.status_code == 412 and refused.json()["code"] == "changed"
    seen = town.get(path, owner)
    assert seen.json()["limit_price"] == "3.00" and seen.headers["ETag"] != tag
    tag = seen.headers["ETag"]
    assert _send(town, f"{path}/bid", {"limit_price": "4"}, owner, If_Match=f'"x", {tag}') == 200


def test_a_tag_stays_while_nothing_is_decided_and_a_star_always_fits(town: Town) -> None:
    path, owner, tag = _workload(town)
    assert town.get(path, owner).headers["ETag"] == tag
    assert _send(town, f"{path}/bounds", {"max_spend": "9"}, owner, If_Match="*") == 200
    assert town.get(path, owner).headers["ETag"] != tag


def test_a_repeated_request_is_answered_as_the_first_though_its_tag_is_old(town: Town) -> None:
    path, owner, tag = _workload(town)
    for _ in range(2):
        code = _send(
            town, f"{path}/bid", {"limit_price": "3"}, owner, If_Match=tag, Idempotency_Key="once"
        )
        assert code == 200


def test_lending_and_claims_change_the_tag_of_a_reservation(fresh: Town) -> None:
    pool = fresh.pool()
    _, owner = fresh.org()
    fresh.done(fresh.post("/reservations", {"market": pool, "nodes": 2, "name": "mine"}, owner))
    path, seen = "/reservations/mine", []
    seen.append(fresh.get(path, owner).headers["ETag"])
    assert _send(fresh, f"{path}/lend", {"floor": "1"}, owner, If_Match=seen[0]) == 200
    seen.append(fresh.get(path, owner).headers["ETag"])
    assert _send(fresh, f"{path}/claims", {"nodes": 1}, owner, If_Match=seen[0]) == 412
    assert _send(fresh, f"{path}/claims", {"nodes": 1}, owner, If_Match=seen[1]) == 201
    seen.append(fresh.get(path, owner).headers["ETag"])
    assert len(set(seen)) == 3


def test_a_route_without_tags_refuses_the_header_and_what_is_not_theirs_is_not_found(
    town: Town,
) -> None:
    path, owner, tag = _workload(town)
    _, other = town.org()
    assert _send(town, f"{path}/bid", {"limit_price": "3"}, other, If_Match=tag) == 404
    assert _send(town, "/orgs", {"org": town.name("org")}, town.operator, If_Match=tag) == 422
    assert _send(town, f"{path}/bid", {"limit_price": "3"}, owner, If_Match='"' * 300) == 422


def test_tags_are_described_where_they_are_answered_and_taken(town: Town) -> None:
    paths = town.http.get("/v1/openapi.json").json()["paths"]
    assert "ETag" in paths["/v1/workloads/{workload}"]["get"]["responses"]["200"]["headers"]
    names = [it["name"] for it in paths["/v1/workloads/{workload}/bid"]["post"]["parameters"]]
    assert names.count("If-Match") == 1
    plan = paths["/v1/workloads/{workload}/bid/plan"]["post"]["parameters"]
    assert all(it["name"] != "If-Match" for it in plan)
