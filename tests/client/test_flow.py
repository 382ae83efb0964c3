from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.client.call import Call
from parkade.client.calls import people, workloads
from parkade.client.errors import (
    Changed,
    Denied,
    Failed,
    Invalid,
    NotFound,
    ParkadeError,
    Refused,
    TryAgain,
    Unauthenticated,
    Unreachable,
)
from parkade.client.flow import LONGEST_PAUSE_S, MOST_TRIES, Send, Wait, flow, pause
from parkade.core.units.refusal import Reason
from parkade.wire import people as wire
from parkade.wire.problems import CODES, UNKNOWN, problem
from parkade.wire.workloads import Workloads

ORG = {
    "org": "acme",
    "created": "2026-01-31T12:00:00Z",
    "balance": "2.50",
    "grant": None,
    "kept": None,
    "disabled": None,
    "deleted": None,
}

UNCAPPED = {
    "house": None,
    "cap": None,
    "cap_period": "total",
    "spent": "0.00",
    "spent_this_month": "0.00",
    "most_gpus": None,
    "gpus_held": None,
    "stops": None,
    "is_cap_of_operator": False,
    "bounds": None,
    "title": None,
    "contact": None,
}
"""What a server of before there were caps of orgs does not say."""


def carried_out(call: Call[Any], outcomes: list[object]) -> tuple[object, list[object]]:
    """(answer or error, steps) of a flow whose sends come out as told."""
    steps: list[object] = []
    running = flow(call, server="http://there")
    try:
        step = next(running)
        while True:
            steps.append(step)
            step = running.send(outcomes.pop(0) if isinstance(step, Send) else None)  # type: ignore[arg-type]
    except StopIteration as done:
        return done.value, steps
    except ParkadeError as error:
        return error, steps


def answer(status: int, body: object = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def test_an_answer_is_read_into_its_model() -> None:
    told, steps = carried_out(people.create_org("acme"), [answer(201, ORG)])
    assert told.model_dump(mode="json") == ORG | UNCAPPED  # type: ignore[attr-defined]
    assert [type(step) for step in steps] == [Send]


def test_what_may_pass_is_tried_again_and_the_answer_returned() -> None:
    busy = answer(503, problem("busy", "wait").model_dump(), **{"Retry-After": "3"})
    lost = httpx.ReadTimeout("lost")
    told, steps = carried_out(people.create_org("acme"), [busy, lost, answer(201, ORG)])
    assert not isinstance(told, Exception)
    assert [type(step) for step in steps] == [Send, Wait, Send, Wait, Send]
    assert steps[1] == Wait(3.0)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: answer(503, problem("busy", "wait").model_dump()), TryAgain),
        (lambda: httpx.ConnectError("nobody"), Unreachable),
        (lambda: answer(502), TryAgain),
    ],
)
def test_nobody_is_asked_for_ever(make: Callable[[], object], kind: type[Exception]) -> None:
    told, steps = carried_out(people.list_orgs(), [make() for _ in range(MOST_TRIES)])
    assert isinstance(told, kind)
    assert [type(step) for step in steps].count(Send) == MOST_TRIES


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unauthenticated", Unauthenticated),
        ("invalid", Invalid),
        ("not_yet", Invalid),
        ("not_found", NotFound),
        ("denied", Denied),
        ("insufficient_funds", Refused),
        ("internal", Failed),
        ("of_a_newer_server", Failed),
    ],
)
def test_a_refusal_is_an_error_of_its_kind_and_is_not_repeated(
    code: str, kind: type[ParkadeError]
) -> None:
    told, steps = carried_out(people.list_orgs(), [answer(409, problem(code, "no").model_dump())])
    assert type(told) is kind and told.code == code and str(told) == "no"
    assert [type(step) for step in steps] == [Send]


def test_pages_are_followed_to_the_end_and_joined() -> None:
    first, last = {"orgs": [ORG], "next": "acme"}, {"orgs": [{**ORG, "org": "beta"}], "next": None}
    lost = httpx.ReadTimeout("lost")
    told, steps = carried_out(people.list_orgs(), [answer(200, first), lost, answer(200, last)])
    assert isinstance(told, wire.Orgs)
    assert [org.org for org in told.orgs] == ["acme", "beta"] and told.next is None
    asked = [step.call.params.get("cursor") for step in steps if isinstance(step, Send)]
    assert asked == [None, "acme", "acme"]


def test_a_list_with_a_limit_is_one_page() -> None:
    page = {"workloads": [], "next": "w3"}
    told, steps = carried_out(workloads.list_workloads(limit=5), [answer(200, page)])
    assert isinstance(told, Workloads)
    assert told.next == "w3" and len(steps) == 1


def test_what_was_read_has_its_tag_and_a_change_is_sent_with_it() -> None:
    told, _ = carried_out(people.get_org("acme"), [answer(200, ORG, ETag='"a1"')])
    assert isinstance(told, wire.Org)
    assert told.etag == '"a1"'
    change = people.set_org_cap("acme", cap="5", if_match=told.etag)
    assert change.headers()["If-Match"] == '"a1"'
    assert "If-Match" not in people.set_org_cap("acme", cap="5").headers()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"orgs": 3}', b"<html>"])
def test_what_is_not_parkades_is_a_failure_with_words(body: bytes) -> None:
    told, _ = carried_out(people.list_orgs(), [httpx.Response(200, content=body)])
    assert isinstance(told, Failed)


def test_every_change_has_a_key_of_its_own_and_no_question_has_one() -> None:
    keys = {people.create_org("acme").headers()["Idempotency-Key"] for _ in range(100)}
    assert len(keys) == 100
    assert "Idempotency-Key" not in people.list_orgs().headers()


def test_every_reason_of_the_core_is_some_error() -> None:
    for reason in Reason:
        told = answer(CODES[reason.value].status, problem(reason.value, "no").model_dump())
        with pytest.raises(ParkadeError):
            people.list_orgs().read(told)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("changed", Changed), ("conflict", Invalid), ("misdirected", Failed), ("new_one", Failed)],
)
def test_what_a_caller_may_do_about_it_is_its_class(code: str, kind: type[ParkadeError]) -> None:
    response = answer(CODES.get(code, UNKNOWN).status, problem(code, "no").model_dump())
    with pytest.raises(ParkadeError) as told:
        people.list_orgs().read(response)
    assert type(told.value) is kind


@given(st.integers(1, 50))
def test_pauses_grow_and_have_a_bound(number: int) -> None:
    assert 0 < pause(number) <= LONGEST_PAUSE_S


@pytest.mark.parametrize("name", ["a/b", "..", "a?b#c", "ä"])
def test_a_name_cannot_leave_its_place_in_the_address(name: str) -> None:
    path = workloads.get_workload(name).path
    assert path.startswith("/v1/workloads/") and path.count("/") == 3
    assert not set("?#") & set(path)
