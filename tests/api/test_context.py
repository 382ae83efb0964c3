import re
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from fastapi import Request

from parkade.api.context import digest_of, named_path, new_token
from parkade.api.translate.spec import wire_spec
from parkade.core.workloads.spec import Spec
from parkade.wire.problems import PROBLEM_JSON
from parkade.wire.spec import WorkloadSpec
from tests import builders
from tests.api.town import Town


def code(response: httpx.Response) -> str:
    assert response.headers["content-type"] == PROBLEM_JSON
    told = response.json()
    assert told["status"] == response.status_code
    return str(told["code"])


def test_a_token_is_256_random_bits_and_no_two_are_alike() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert new_token().startswith("pk_") and len(new_token()) == 3 + 43


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic x"},
        {"Authorization": "Bearer pk_wrong"},
        {"Authorization": "Bearer " + "x" * 5000},
    ],
)
def test_without_a_good_token_nothing_is_told(town: Town, header: dict[str, str]) -> None:
    response = town.http.get("/v1/whoami", headers=header)
    assert (response.status_code, code(response)) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_revoked_token_is_refused_from_then_on(town: Town) -> None:
    org, owner = town.org()
    name = town.name("user")
    town.done(town.post("/users", {"user": name, "org": org}))
    made = town.done(town.post("/tokens", {"user": name, "token": f"{name}-laptop"}))
    assert town.get("/whoami", made["secret"]).json()["user"] == name
    assert town.done(town.post(f"/tokens/{name}-laptop/revoke", token=owner))["is_revoked"]
    assert town.get("/whoami", made["secret"]).status_code == 401


def test_a_token_is_listed_with_what_it_is_good_for_and_when_it_was_used(town: Town) -> None:
    _, owner = town.org()
    user = town.get("/whoami", owner).json()["user"]
    body = {"user": user, "token": town.name("t"), "lasts": "90d", "is_read_only": True}
    made = town.done(town.post("/tokens", body, owner))

    def shown() -> dict[str, object]:
        every = town.done(town.get("/tokens", owner))["tokens"]
        return next(each for each in every if each["token"] == made["token"])

    before = shown()
    assert before["is_read_only"] and before["last_used"] is None
    assert str(before["expires"]) > "2026"
    assert town.get("/whoami", made["secret"]).status_code == 200
    assert shown()["last_used"] is not None


def test_a_token_that_expires_makes_none_that_outlasts_it(town: Town) -> None:
    _, owner = town.org()
    user = town.get("/whoami", owner).json()["user"]
    short = town.done(town.post("/tokens", {"user": user, "lasts": "1h"}, owner))
    made = town.done(town.post("/tokens", {"user": user}, short["secret"]))
    assert made["expires"] == short["expires"] is not None
    refused = town.post("/tokens", {"user": user, "lasts": "2h"}, short["secret"])
    assert (refused.status_code, code(refused)) == (422, "invalid")
    shown = {it["token"]: it for it in town.done(town.get("/tokens", owner))["tokens"]}
    assert shown[made["token"]]["made_with"] == short["token"]
    assert shown[short["token"]]["made_with"] in shown, "and that one by the owner's"


def test_an_operators_token_that_expires_makes_no_agents_token_that_outlasts_it(town: Town) -> None:
    short = town.done(town.post("/tokens", {"user": "operator", "lasts": "1h"}))
    made = town.done(town.post(f"/pools/{town.pool()}/agent-tokens", token=short["secret"]))
    assert made["expires"] == short["expires"] is not None


def test_a_member_is_not_told_the_name_of_the_operators_token_that_made_its_own(
    town: Town,
) -> None:
    _, owner = town.org()
    secret = town.done(town.post("/tokens", {"user": town.get("/whoami", owner).json()["user"]}))
    shown = town.done(town.get("/tokens", secret["secret"]))["tokens"]
    assert {it["made_with"] for it in shown if it["token"] == secret["token"]} == {None}
    seen = {it["token"]: it for it in town.done(town.get("/tokens"))["tokens"]}
    assert seen[secret["token"]]["made_with"] is not None, "an operator sees it"


def test_a_disabled_users_token_is_refused_and_taken_again(town: Town) -> None:
    org, owner = town.org()
    name = town.name("user")
    town.done(town.post("/users", {"user": name, "org": org}))
    secret = town.done(town.post("/tokens", {"user": name}))["secret"]
    body = {"is_disabled": True}
    assert town.done(town.post(f"/users/{name}/disabled", body, owner))["is_disabled"]
    refused = town.get("/whoami", secret)
    assert (refused.status_code, code(refused)) == (401, "unauthenticated")
    town.done(town.post(f"/users/{name}/disabled", {"is_disabled": False}, owner))
    assert town.get("/whoami", secret).status_code == 200


def test_no_token_reaches_the_journal(town: Town) -> None:
    _, owner = town.org()
    files = [path.read_bytes() for path in town.folder.iterdir() if path.is_file()]
    assert not any(owner.encode() in file for file in files)
    assert any(digest_of(owner).encode() in file for file in files)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/orgs", {"org": "mine"}),
        ("/orgs/operator/deposits", {"amount": "1"}),
        ("/pools", None),
        ("/prices/lab", {"public_floor": "1"}),
        ("/nodes/n1/fail", {"reason": "x"}),
        ("/nodes/n1/cordon", {"reason": "x"}),
        ("/nodes/n1/restore", {}),
        ("/clock/confirm", {}),
    ],
)
def test_what_is_the_operators_is_denied_to_owners(
    town: Town, path: str, body: dict[str, str] | None
) -> None:
    _, owner = town.org()
    if body is None:
        body = {"pool": "p"}
        assert town.post(path, body, owner).status_code in (403, 422)
        return
    response = town.post(path, body, owner)
    assert (response.status_code, code(response)) == (403, "denied")


def test_a_member_makes_no_users_and_no_tokens_for_others(town: Town) -> None:
    org, _ = town.org()
    member = town.user(org)
    boss = {"user": town.name("user"), "org": org, "role": "owner"}
    assert code(town.post("/users", boss, member)) == "denied"
    assert code(town.post("/tokens", {"user": "operator"}, member)) == "not_found"


def test_an_owner_cannot_make_an_operator(town: Town) -> None:
    org, owner = town.org()
    body = {"user": town.name("user"), "org": org, "role": "operator"}
    assert code(town.post("/users", body, owner)) == "denied"


def test_no_answer_tells_an_org_whether_another_orgs_name_exists(fresh: Town) -> None:
    """Each request is sent for a name that another org has, and for one that no org has."""
    pool = fresh.pool(nodes=8)
    (ours, owner), (theirs, other) = fresh.org(), fresh.org()
    answers = {}
    fresh.done(fresh.post("/users", {"user": "taken", "org": theirs}, other))
    fresh.done(fresh.post("/tokens", {"user": "taken", "token": "taken"}, other))
    fresh.done(fresh.post("/reservations", {"nodes": 1, "name": "taken"}, other))
    # As an operator and a version of before would have named them.
    fresh.done(fresh.post("/users", {"user": "bare", "org": theirs}))
    fresh.done(fresh.post("/tokens", {"user": "bare", "token": "bare"}))
    fresh.done(fresh.post("/reservations", {"nodes": 1, "name": "bare", "org": theirs}))
    for name in ("taken", "bare", "free"):
        mine = f"{name}@{ours}"
        spec = fresh.spec(capacity=f"reservation/{name}", limit_price=None)
        job = {"spec": spec, "market": pool}
        asked = [
            # Before the org has such a name itself.
            fresh.post("/tokens", {"user": name}, owner),
            fresh.post(f"/users/{name}/cap", {"cap": "5"}, owner),
            fresh.post(f"/tokens/{name}/revoke", {}, owner),
            fresh.get(f"/reservations/{name}", owner),
            fresh.post(f"/reservations/{name}/end", {}, owner),
            fresh.post(f"/reservations/{name}/lend", {"floor": "1"}, owner),
            fresh.post(f"/reservations/{name}/claims", {"nodes": 1}, owner),
            fresh.post("/workloads", job, owner),
            fresh.post("/workloads/plan", job, owner),
            fresh.get("/workloads", owner, org=name),
            fresh.get("/statement", owner, account=f"org/{name}"),
            fresh.get("/statement", owner, account=f"prepaid/{name}"),
            # It makes one, meets its own, and uses it by the short and the full name.
            fresh.post("/users", {"user": name, "org": ours}, owner),
            fresh.post("/users", {"user": name, "org": ours}, owner),
            fresh.post("/tokens", {"user": name, "token": name}, owner),
            fresh.post("/tokens", {"user": name, "token": name}, owner),
            fresh.post("/reservations", {"nodes": 1, "name": name}, owner),
            fresh.post("/reservations", {"nodes": 1, "name": name}, owner),
            fresh.post(f"/users/{name}/cap", {"cap": "5"}, owner),
            fresh.post(f"/users/{mine}/cap", {"cap": "6"}, owner),
            fresh.get(f"/reservations/{name}", owner),
            fresh.get(f"/reservations/{mine}", owner),
            fresh.post(f"/reservations/{name}/lend", {"floor": "1"}, owner),
            fresh.post("/workloads", job, owner),
            fresh.post(f"/tokens/{name}/revoke", {}, owner),
        ]
        answers[name] = [(each.status_code, without_ids(each.text, name)) for each in asked]
    assert answers["taken"] == answers["free"]
    assert answers["bare"] == answers["free"]
    codes = [code for code, _ in answers["free"]]
    assert codes[:9] == [404] * 9
    assert codes[12:] == [201, 409, 201, 409, 201, 409, 200, 200, 200, 200, 200, 201, 200]


def without_ids(text: str, name: str) -> str:
    """An answer without what differs by itself: the name asked for, secrets, numbers, instants."""
    text = re.sub(r"pk_[\w-]+", "SECRET", text.replace(name, "NAME"))
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "INSTANT", text)
    return re.sub(r"\bw\d+\b", "WORKLOAD", text)


def test_an_operator_means_a_name_that_is_the_only_one_and_names_the_org_else(
    fresh: Town,
) -> None:
    (ours, owner), (theirs, other) = fresh.org(), fresh.org()
    made = fresh.done(fresh.post("/users", {"user": "ann", "org": ours}, owner))
    assert made["user"] == f"ann@{ours}"
    assert fresh.done(fresh.post("/users/ann/cap", {"cap": "5"}))["user"] == f"ann@{ours}"
    fresh.done(fresh.post("/users", {"user": "ann", "org": theirs}, other))
    assert fresh.post("/users/ann/cap", {"cap": "5"}).status_code == 404
    capped = fresh.done(fresh.post(f"/users/ann@{theirs}/cap", {"cap": "7"}))
    assert (capped["org"], capped["cap"]) == (theirs, "7.00")
    assert fresh.post("/users", {"user": "ann", "org": ours}).status_code == 409
    # What is called after its own org stands alone, as the name that the server gives.
    fresh.pool()
    named = fresh.done(fresh.post("/reservations", {"nodes": 1, "name": ours}, owner))
    assert named["reservation"] == ours
    assert fresh.post("/reservations", {"nodes": 1, "name": ours}, owner).status_code == 409
    # What an operator has named in an org is that org's own name too.
    fresh.done(fresh.post("/users", {"user": "bob", "org": ours}))
    assert fresh.post("/users", {"user": "bob", "org": ours}, owner).status_code == 409
    secret = fresh.done(fresh.post("/tokens", {"user": f"ann@{ours}"}, owner))["secret"]
    assert fresh.done(fresh.get("/whoami", secret))["user"] == f"ann@{ours}"


@pytest.mark.parametrize("text", ["/nope/\x1b]0;OWNED", "/a\x07", "/a\tb", "/a\x7f", "/a\x9b2J"])
def test_a_new_path_has_no_control_character(town: Town, text: str) -> None:
    pool, (_, owner) = town.pool(), town.org()
    keys = {"workdir": text, "env_file": text}
    body = {"spec": town.spec(**keys), "market": pool}
    for path in ("/workloads", "/workloads/plan"):
        response = town.post(path, body, owner)
        assert (response.status_code, code(response)) == (422, "invalid")
        assert {fault["place"] for fault in response.json()["errors"]} == {
            "spec.workdir",
            "spec.env_file",
        }
    script = town.spec(command="cd /tmp\n\techo '\x1b[31mred'")
    town.done(town.post("/workloads", {"spec": script, "market": pool}, owner))


def test_a_path_that_was_accepted_before_is_still_read() -> None:
    spec = builders.spec(workdir="/old/\x1b[2J", env_file="/old/\x07")
    shown = wire_spec(spec).model_dump_json()
    assert WorkloadSpec.model_validate_json(shown).workdir == "/old/\x1b[2J"
    assert msgspec.json.decode(msgspec.json.encode(spec), type=Spec) == spec


def test_all_errors_of_a_request_are_told_at_once_with_their_places(town: Town) -> None:
    body = {"spec": {"name": "a b", "nodes": 0, "gpus": 0, "limit": 3}, "markt": "x"}
    response = town.post("/workloads", body)
    assert (response.status_code, code(response)) == (422, "invalid")
    assert {fault["place"]: fault["code"] for fault in response.json()["errors"]} == {
        "spec.name": "invalid",
        "spec.command": "invalid",
        "spec.nodes": "invalid",
        "spec.gpus": "invalid",
        "spec.limit_price": "limit_required",
        "spec.limit": "invalid",
        "markt": "invalid",
    }


def test_money_as_a_float_is_refused(town: Town) -> None:
    response = town.post("/orgs/operator/deposits", {"amount": 1.5})
    assert code(response) == "invalid"
    assert response.json()["errors"][0]["place"] == "amount"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff", b"[" * 90_000])
def test_what_is_no_request_is_a_problem_and_not_a_failure(town: Town, body: bytes) -> None:
    headers = {**town.headers(None), "Content-Type": "application/json"}
    response = town.http.post("/v1/orgs", content=body, headers=headers)
    assert (response.status_code, code(response)) == (422, "invalid")


def test_a_body_beyond_the_bound_is_refused_said_or_not(town: Town) -> None:
    large = b" " * 1_500_000

    def pieces() -> Iterator[bytes]:
        yield from (large[:100_000] for _ in range(15))

    for content in (large, pieces()):
        response = town.http.post("/v1/orgs", content=content, headers=town.headers(None))
        assert (response.status_code, code(response)) == (413, "body_too_large")


def test_what_is_not_there_is_a_problem_too(town: Town) -> None:
    assert code(town.get("/nothing")) == "not_found"
    assert code(town.http.put("/v1/orgs")) == "method_not_allowed"


def test_a_repeated_request_happens_once(town: Town) -> None:
    pool, (_, owner) = town.pool(), town.org()
    body = {"spec": town.spec(), "market": pool, "hold": True}
    first = town.done(town.post("/workloads", body, owner, key="k1"))
    again = town.done(town.post("/workloads", body, owner, key="k1"))
    assert first["workload"] == again["workload"]
    assert len(town.get("/workloads", owner).json()["workloads"]) == 1


def test_a_key_is_for_one_request_of_one_user(town: Town) -> None:
    pool, (_, ann), (_, ben) = town.pool(), town.org(), town.org()
    body = {"spec": town.spec(), "market": pool, "hold": True}
    town.done(town.post("/workloads", body, ann, key="k2"))
    other = town.post("/workloads", {**body, "hold": False}, ann, key="k2")
    assert (other.status_code, code(other)) == (409, "conflict")
    town.done(town.post("/workloads", body, ben, key="k2"))


def test_a_tokens_secret_is_told_once_even_if_the_request_is_repeated(town: Town) -> None:
    org, owner = town.org()
    name = town.name("user")
    town.done(town.post("/users", {"user": name, "org": org}, owner))
    body = {"user": name, "token": f"{name}-1"}
    secret = town.done(town.post("/tokens", body, owner, key="k3"))["secret"]
    again = town.post("/tokens", body, owner, key="k3")
    assert code(again) == "conflict" and secret not in again.text
    assert len(town.get("/tokens", secret).json()["tokens"]) == 1


def test_health_and_metrics_name_no_customer(town: Town) -> None:
    org, _ = town.org()
    assert town.http.get("/healthz").json() == {"is_running": True}
    ready = town.http.get("/readyz").json()
    assert ready.keys() == {"role", "sequence"} and ready["role"] == "leader"
    metrics = town.http.get("/metrics").text
    assert "parkade_up 1.0" in metrics and "parkade_commands_total" in metrics
    assert org not in metrics


def path_of(path: str, root_path: str = "") -> str:
    scope = {"type": "http", "path": path, "root_path": root_path, "headers": []}
    return named_path(Request(scope))


def test_an_idempotency_key_knows_each_thing_by_its_whole_name() -> None:
    names = ("a", "a?b", "a?c", "a#b", "a#c", "a%23b", "a%2523b", "a\tb", "ab", "ä", "a b")
    assert len({path_of(f"/v1/nodes/{name}/cordon") for name in names}) == len(names)
    assert path_of("/v1/users/ann@lab/cap") == "/v1/users/ann@lab/cap"


def test_an_idempotency_key_does_not_know_where_the_server_is_mounted() -> None:
    assert path_of("/here/v1/orgs", "/here") == path_of("/v1/orgs")
    assert path_of("/hereafter/v1/orgs", "/here") == "/hereafter/v1/orgs"


def test_a_name_that_is_written_otherwise_is_the_same_to_an_idempotency_key(town: Town) -> None:
    org, _ = town.org("5")
    place = f"/orgs/{org}/deposits"
    coded = place.replace("org-", "%6Frg%2D")
    for path in (place, coded):
        town.done(town.post(path, {"amount": "1"}, key="written"))
    assert town.done(town.get(f"/orgs/{org}"))["balance"] == "6.00"
