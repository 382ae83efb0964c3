"""The description of the API, walked: what changes has a tag, and what grows has pages."""

from typing import Any, cast

import pytest

from parkade.api import create_app
from parkade.api.context import PLANS
from parkade.control.plane import Plane

SPEC = create_app(cast(Plane, None)).openapi()
PATHS: dict[str, dict[str, Any]] = SPEC["paths"]

NOT_ON_WHAT_WAS_SEEN = {
    "/v1/orgs": "makes a new one; a name that is taken is refused",
    "/v1/users": "makes a new one; a name that is taken is refused",
    "/v1/tokens": "makes a new one; a name that is taken is refused",
    "/v1/pools": "makes a new one; a name that is taken is refused",
    "/v1/workloads": "makes a new one",
    "/v1/reservations": "makes a new one",
    "/v1/maintenance": "makes a new one",
    "/v1/receivers": "makes a new one",
    "/v1/logins": "makes a new one, without a token",
    "/v1/logins/token": "asks what came of a login",
    "/v1/clock/confirm": "says that the present is right; there is nothing to have read",
    "/v1/execs/{session}/input": "bytes have positions of their own (`at`)",
    "/v1/execs/{session}/window": "the last size of a terminal wins",
    "/v1/execs/{session}/close": "ends it whatever it did",
    "/v1/pools/{pool}/observation": "a report of an agent, which says what it has obeyed",
    "/v1/pools/{pool}/health": "a report of an agent, which says what it has obeyed",
    "/v1/pools/{pool}/folders": "a report of an agent, which says what it has obeyed",
    "/v1/pools/{pool}/log-chunks/{log_request}": "an answer of an agent to one request",
    "/v1/pools/{pool}/execs/{session}/output": "bytes have positions of their own",
}
"""Changes that take no `If-Match`, and why."""

WHOLE = {
    "/v1/receivers": "a user has at most 5 and an org as many",
    "/v1/lot": "one look at one moment: its parts belong together",
    "/v1/statement": "what it shows is bounded by `start` and `end`, and the lines add up",
    "/v1/showback": "a line for each month and user, org or label of a range",
    "/v1/mars": "one look: what is not healthy now",
    "/v1/server": "one look: markets that stand still and pools that do not answer",
    "/v1/nodes/{node}": "one thing: what sits on one node",
    "/v1/workloads/{workload}": "one thing, with what belongs to it",
    "/v1/claims/{claim}": "one thing: as many nodes as it asked for",
    "/v1/maintenance/{maintenance}": "one thing: the nodes that it names",
    "/v1/mars/incidents/{incident}": "one thing: its story, which is bounded",
    "/v1/pools/{pool}": "one thing: its nodes by fabric",
    "/v1/prices/{market}": "one thing: a ladder that doubles",
    "/v1/workloads/{workload}/why": "one thing: an answer in words",
    "/v1/receivers/{receiver}": "one thing: what it hears of",
    "/v1/execs/{session}/output": "bytes after a position, at most so many",
}
"""Answers with a list that has no pages, and why."""

CHANGES = [it for it in PATHS if "post" in PATHS[it] and not it.endswith(PLANS)]
READS = [it for it in PATHS if "get" in PATHS[it]]


def parameters(path: str, method: str) -> set[str]:
    return {it["name"] for it in PATHS[path][method].get("parameters", ())}


def thing_of(path: str) -> str:
    """The path of what a change is about: all up to its first id."""
    if path.startswith("/v1/mars/"):
        return "/v1/mars"
    return "/".join(path.split("/")[:4])


def answer(path: str) -> dict[str, Any]:
    """The schema of a GET's answer; empty where it is no JSON that the description knows."""
    content = PATHS[path]["get"]["responses"]["200"].get("content", {})
    name = content.get("application/json", {}).get("schema", {}).get("$ref", "").split("/")[-1]
    return cast(dict[str, Any], SPEC["components"]["schemas"].get(name, {}))


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_is_made_on_what_was_seen_or_is_named_here(path: str) -> None:
    takes = "If-Match" in parameters(path, "post")
    assert takes != (path in NOT_ON_WHAT_WAS_SEEN)
    if takes:
        headers = PATHS[thing_of(path)]["get"]["responses"]["200"].get("headers", {})
        assert "ETag" in headers, f"what {path} changes cannot be read with its ETag"


@pytest.mark.parametrize("path", READS)
def test_a_list_has_pages_or_is_named_here(path: str) -> None:
    properties = answer(path).get("properties", {})
    has_list = any(_is_list(it) for it in properties.values())
    has_pages = parameters(path, "get") >= {"limit", "cursor"}
    assert has_pages == ("next" in properties and "limit" in parameters(path, "get"))
    assert has_list == (has_pages or path in WHOLE), "a list without pages wants a reason in WHOLE"
    if has_pages:
        (limit,) = (it for it in PATHS[path]["get"]["parameters"] if it["name"] == "limit")
        assert limit["schema"]["maximum"] == 1000


def _is_list(schema: dict[str, Any]) -> bool:
    return any(it.get("type") == "array" for it in (schema, *schema.get("anyOf", ())))


def test_the_exceptions_are_routes_that_there_are() -> None:
    assert set(NOT_ON_WHAT_WAS_SEEN) <= set(CHANGES)
    assert set(WHOLE) <= set(READS)


def test_every_route_tells_its_problems() -> None:
    for path, methods in PATHS.items():
        for method, route in methods.items():
            for status in ("401", "404", "412", "422", "429", "500", "503"):
                content = route["responses"][status]["content"]["application/problem+json"]
                assert content["schema"]["$ref"].endswith("/Problem"), (method, path)


def test_no_header_is_described_twice() -> None:
    for path, methods in PATHS.items():
        for method, route in methods.items():
            names = [it["name"].lower() for it in route.get("parameters", ())]
            assert len(names) == len(set(names)), (method, path)
