"""A change with If-Match is made on what its asker saw, or not at all."""

import re

import pytest

from tests import builders
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


# The route that shows it, a change below it, the change's body, and the role that makes it.
CHANGES: list[tuple[str, str, dict[str, object], bool]] = [
    ("/orgs/{org}", "/cap", {"cap": "5"}, False),
    ("/orgs/{org}", "/grant", {"amount": "1", "every": "24h"}, True),
    ("/orgs/{org}", "/bounds", {"open_workloads": 7}, True),
    ("/orgs/{org}", "/description", {"title": "The lab"}, False),
    ("/orgs/{org}", "/disabled", {"is_disabled": True}, True),
    ("/users/{user}", "/cap", {"cap": "5"}, False),
    ("/users/{user}", "/unix-name", {"unix_name": "lin"}, True),
    ("/users/{user}", "/role", {"role": "owner"}, False),
    ("/users/{user}", "/disabled", {"is_disabled": True}, False),
    ("/tokens/{token}", "/revoke", {}, False),
    ("/pools/lab", "/nodes", {"fabrics": {"f9": ["lab-90"]}}, True),
    ("/markets/lab", "/terms", {"notice": "40s"}, True),
    ("/prices/lab", "", {"public_floor": "0.5"}, True),
    ("/nodes/lab-1", "/cordon", {"reason": "fan"}, True),
    ("/nodes/lab-1", "/drain", {"reason": "fan"}, True),
    ("/nodes/lab-1", "/fail", {"reason": "fan"}, True),
    ("/maintenance/{maintenance}", "/change", {"end": "+22d", "force": True}, True),
    ("/mars", "/automation", {"reason": "drill", "is_on": False}, True),
    ("/claims/{claim}", "/unclaim", {}, False),
    ("/reservations/{reservation}", "/lend", {"floor": "1"}, False),
    ("/workloads/{workload}", "/bid", {"limit_price": "3"}, False),
]


def _thing(town: Town, shown: str) -> tuple[str, str]:
    """(the path of a new thing of that kind, the token of the owner whose it is)."""
    pool = town.pool()
    org, owner = town.org()
    if "{org}" in shown:
        return f"/orgs/{org}", owner
    if "{user}" in shown or "{token}" in shown:
        member = town.name("user")
        town.done(town.post("/users", {"user": member, "org": org, "role": "member"}))
        if "{user}" in shown:
            return f"/users/{member}", owner
        return f"/tokens/{town.done(town.post('/tokens', {'user': member}))['token']}", owner
    if "{reservation}" in shown or "{claim}" in shown:
        right = town.done(town.post("/reservations", {"market": pool, "nodes": 1}, owner))
        path = f"/reservations/{right['reservation']}"
        if "{reservation}" in shown:
            return path, owner
        claim = town.done(town.post(f"{path}/claims", {"nodes": 1}, owner))["claim"]
        return f"/claims/{claim}", owner
    if "{maintenance}" in shown:
        window = {"nodes": ["lab-8"], "start": "+20d", "end": "+21d", "reason": "fans"}
        made = town.done(town.post("/maintenance", {**window, "force": True}))
        return f"/maintenance/{made['maintenance']}", owner
    if "{workload}" in shown:
        held = {"spec": town.spec(), "market": pool, "hold": True}
        return f"/workloads/{town.done(town.post('/workloads', held, owner))['workload']}", owner
    return shown, owner


@pytest.mark.parametrize(("shown", "below", "body", "by_operator"), CHANGES)
def test_a_change_on_an_old_tag_is_refused_and_on_the_new_one_made(
    town: Town, shown: str, below: str, body: dict[str, object], by_operator: bool
) -> None:
    path, owner = _thing(town, shown)
    token = town.operator if by_operator else owner
    tag = town.get(path, token).headers["ETag"]
    refused = town.http.post(
        f"/v1{path}{below}", json=body, headers={**town.headers(token), "If-Match": '"old"'}
    )
    assert refused.status_code == 412, refused.text
    assert "read it again" in refused.json()["detail"]
    assert town.get(path, token).headers["ETag"] == tag
    made = town.http.post(
        f"/v1{path}{below}", json=body, headers={**town.headers(token), "If-Match": tag}
    )
    assert made.is_success, made.text
    after = town.get(path, token)
    assert after.status_code == 404 or after.headers["ETag"] != tag
    assert made.headers.get("ETag") == after.headers.get("ETag"), "the client may go on with it"
    if shown.startswith("/nodes"):
        verb = {"/cordon": "uncordon", "/drain": "undrain", "/fail": "restore"}[below]
        town.post(f"{path}/{verb}")


NOT_TRIED = {
    "/v1/pools/{pool}/agent-tokens": "its token is read by GET /v1/tokens, as that of /v1/tokens",
    "/v1/orgs/{org}/refunds": "wants an operator with income; answered as a deposit",
    "/v1/pools/{pool}/close": "of what is gone",
    "/v1/pools/{pool}/fence": "of engines with a queue of their own",
    "/v1/pools/{pool}/unfence": "of engines with a queue of their own",
    "/v1/nodes/{node}/remove": "of what is gone",
    "/v1/workloads/{workload}/exec": "of what runs, and it changes nothing of that",
    "/v1/workloads/{workload}/retry": "of members that ran",
    "/v1/receivers/{receiver}/remove": "of what is gone",
    "/v1/receivers/{receiver}/test": "tests/api/test_receivers.py",
    "/v1/receivers/{receiver}/confirm": "tests/api/test_receivers.py",
}
"""Changes that answer with a tag, or would, and why no test here makes them."""


class _Walk:
    """Changes one after the other, each of which must answer with the tag that a look then has."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.paths = town.http.get("/v1/openapi.json").json()["paths"]
        self.seen: set[str] = set()

    def change(
        self, path: str, body: dict[str, object] | None = None, *, token: str | None = None
    ) -> dict[str, str]:
        made = self.town.post(path, body, token)
        answer: dict[str, str] = self.town.done(made)
        (route,) = (
            it for it in self.paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", it), f"/v1{path}")
        )
        responses = self.paths[route]["post"]["responses"]
        assert "ETag" in responses[str(made.status_code)]["headers"], route
        self.seen.add(route)
        shown = self.town.get(self._shown(path, answer), token)
        assert made.headers["ETag"] == shown.headers["ETag"], path
        return answer

    def _shown(self, path: str, answer: dict[str, str]) -> str:
        """Where that is read which the answer shows: what was made, or what was changed."""
        parts = path.split("/")
        for kind in ("claims", "tokens"):
            if parts[-1] == kind:
                return f"/{kind}/{answer[kind[:-1]]}"
        if parts[-1] == "split" or len(parts) == 2:
            name = {"maintenance": "maintenance"}.get(parts[1], parts[1][:-1])
            return f"/{parts[1]}/{answer[name]}"
        return "/".join(parts[:3])


def test_each_change_answers_with_the_new_tag_of_what_it_shows(fresh: Town) -> None:
    walk = _Walk(fresh)
    pool = "lab"
    nodes = [f"{pool}-{number}" for number in range(1, 9)]
    walk.change("/pools", builders.pool_body(nodes, pool=pool, terms=builders.terms_body()))
    org = walk.change("/orgs", {"org": "one"})["org"]
    walk.change(f"/orgs/{org}/deposits", {"amount": "100000"})
    walk.change(f"/orgs/{org}/disbursements", {"amount": "5", "reason": "asked for"})
    user = walk.change("/users", {"user": "ann", "org": org, "role": "owner"})["user"]
    answer = fresh.post("/tokens", {"user": user})
    token = str(fresh.done(answer)["secret"])
    name = answer.json()["token"]
    assert answer.headers["ETag"] == fresh.get(f"/tokens/{name}").headers["ETag"]
    right = walk.change("/reservations", {"market": pool, "nodes": 4}, token=token)["reservation"]
    walk.change(f"/reservations/{right}/lend", {"floor": "1"}, token=token)
    walk.change(f"/reservations/{right}/claims", {"nodes": 1}, token=token)
    walk.change(f"/reservations/{right}/split", {"nodes": 1, "name": "part"}, token=token)
    walk.change(f"/reservations/{right}/shrink", {"nodes": 1}, token=token)
    walk.change(f"/reservations/{right}/end", token=token)
    ends = {"market": pool, "nodes": 1, "end": "+2d", "name": "ends"}
    ending = walk.change("/reservations", ends, token=token)["reservation"]
    walk.change(f"/reservations/{ending}/extend", {"end": "+1h"}, token=token)
    low = fresh.spec(limit_price="0.01")  # Below the floor: no clearing changes it meanwhile.
    body: dict[str, object] = {"spec": low, "market": pool, "hold": True}
    work = walk.change("/workloads", body, token=token)["workload"]
    for verb, asked in (
        ("release", {}),
        ("hold", {}),
        ("bounds", {"max_spend": "9"}),
        ("cancel", {}),
        ("resubmit", {}),
    ):
        walk.change(f"/workloads/{work}/{verb}", dict(asked), token=token)
    for verb in ("cordon", "uncordon", "drain", "undrain", "fail", "restore"):
        reason = {"reason": "fan"} if verb in ("cordon", "drain", "fail") else None
        walk.change(f"/nodes/{pool}-8/{verb}", dict(reason or {}))
    for verb in ("observe", "lend"):
        walk.change(f"/pools/{pool}/{verb}")
    window: dict[str, object] = {
        "nodes": [f"{pool}-8"],
        "start": "+20d",
        "end": "+21d",
        "reason": "fans",
        "force": True,
    }
    planned = walk.change("/maintenance", window)["maintenance"]
    cancelled = fresh.post(f"/maintenance/{planned}/cancel")
    assert fresh.done(cancelled) and "ETag" not in cancelled.headers, "it is gone"
    leaver = walk.change("/users", {"user": "bob", "org": org, "role": "member"})["user"]
    walk.change(f"/users/{leaver}/disabled", {"is_disabled": True})
    walk.change(f"/users/{leaver}/delete")
    empty = walk.change("/orgs", {"org": "two"})["org"]
    walk.change(f"/orgs/{empty}/disabled", {"is_disabled": True})
    walk.change(f"/orgs/{empty}/delete")
    tried = {f"/v1{shown}{below}" for shown, below, _, _ in CHANGES}
    tried = {re.sub(r"lab-1", "{node}", it) for it in tried}
    tried = {re.sub(r"^/v1/(pools)/lab", r"/v1/\1/{pool}", it) for it in tried}
    tried = {re.sub(r"/lab\b", "/{market}", it) for it in tried}
    takes = {
        path
        for path, methods in walk.paths.items()
        if any(it["name"] == "If-Match" for it in methods.get("post", {}).get("parameters", ()))
    }
    rest = takes - walk.seen - tried - {"/v1/maintenance/{maintenance}/cancel"}
    assert rest == set(NOT_TRIED)
    for path in takes:
        responses = walk.paths[path]["post"]["responses"]
        good = [it for status, it in responses.items() if status.startswith("2")]
        assert good and all("ETag" in it["headers"] for it in good), path


def test_what_is_not_the_callers_is_not_found_by_its_tag(town: Town) -> None:
    path, _ = _thing(town, "/orgs/{org}")
    _, other = town.org()
    for each in (path, "/orgs/none"):
        assert town.get(each, other).status_code == 404
        assert _send(town, f"{each}/cap", {"cap": "1"}, other, If_Match='"x"') == 404
    assert _send(town, "/nodes/lab-2/cordon", {"reason": "x"}, other, If_Match="*") == 404
