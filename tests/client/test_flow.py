from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.client.call import Call
from parkade.client.calls import people, workloads
from parkade.client.errors import (
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
from parkade.wire.problems import CODES, problem

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
    assert steps == [Send()]


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
    told, steps = carried_out(people.orgs(), [make() for _ in range(MOST_TRIES)])
    assert isinstance(told, kind)
    assert steps.count(Send()) == MOST_TRIES


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
    told, steps = carried_out(people.orgs(), [answer(409, problem(code, "no").model_dump())])
    assert type(told) is kind and told.code == code and str(told) == "no"
    assert steps == [Send()]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"orgs": 3}', b"<html>"])
def test_what_is_not_parkades_is_a_failure_with_words(body: bytes) -> None:
    told, _ = carried_out(people.orgs(), [httpx.Response(200, content=body)])
    assert isinstance(told, Failed)


def test_every_change_has_a_key_of_its_own_and_no_question_has_one() -> None:
    keys = {people.create_org("acme").headers()["Idempotency-Key"] for _ in range(100)}
    assert len(keys) == 100
    assert "Idempotency-Key" not in people.orgs().headers()


def test_every_reason_of_the_core_is_some_error() -> None:
    for reason in Reason:
        told = answer(CODES[reason.value].status, problem(reason.value, "no").model_dump())
        with pytest.raises(ParkadeError):
            people.orgs().read(told)


@given(st.integers(1, 50))
def test_pauses_grow_and_have_a_bound(number: int) -> None:
    assert 0 < pause(number) <= LONGEST_PAUSE_S


@pytest.mark.parametrize("name", ["a/b", "..", "a?b#c", "ä"])
def test_a_name_cannot_leave_its_place_in_the_address(name: str) -> None:
    path = workloads.workload(name).path
    assert path.startswith("/v1/workloads/") and path.count("/") == 3
    assert not set("?#") & set(path)
