"""The control plane over HTTP, against a small application that says what it was asked."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import msgspec
import pytest

from parkade.agent.control_plane import ControlPlaneError, ReaderGone
from parkade.agent.http import HttpControlPlane
from parkade.core.units.time import HOUR_US
from parkade.ports import LogRequest
from parkade.sensors.clock import HeardClock, wall_now
from tests import builders
from tests.agent.test_plan import observation, seen, wanted

Handler = Callable[[httpx.Request], httpx.Response]


def ask(
    handler: Handler,
    body: Callable[[HttpControlPlane], Coroutine[Any, Any, Any]],
    clock: HeardClock | None = None,
) -> Any:
    async def whole() -> Any:
        transport = httpx.MockTransport(handler)
        async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
            control = HttpControlPlane(client, pool="east 1", token="secret", clock=clock)
            return await body(control)

    return asyncio.run(whole())


def test_the_desired_state_is_asked_for_after_what_is_known() -> None:
    state = builders.desired_state("east 1", wanted("a"), epoch=2, sequence=7)

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path.startswith(b"/v1/pools/east%201/desired?")
        assert request.headers["authorization"] == "Bearer secret"
        query = dict(request.url.params)
        if query == {"wait": "20", "after_epoch": "2", "after_sequence": "7"}:
            return httpx.Response(204)
        assert query == {"wait": "20"}
        return httpx.Response(200, content=msgspec.json.encode(state))

    assert ask(handler, lambda control: control.desired(None, 20)) == state
    assert ask(handler, lambda control: control.desired((2, 7), 20)) is None


def test_an_observation_is_posted_as_it_is() -> None:
    told = observation(seen("a"))

    def handler(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/v1/pools/east 1/observation")
        assert msgspec.json.decode(request.content, type=type(told)) == told
        return httpx.Response(204)

    ask(handler, lambda control: control.report(told))


def test_log_requests_and_chunks() -> None:
    wish = LogRequest(request="r/1", attempt="a", rank=0, offset=5, follow=True)

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            assert request.url.params["wait"] == "1.5"
            return httpx.Response(200, content=msgspec.json.encode([wish]))
        assert request.url.raw_path.startswith(b"/v1/pools/east%201/log-chunks/r%2F1?last=")
        if request.url.params["last"] == "true":
            return httpx.Response(404)
        assert request.content == b"\x00bytes"
        return httpx.Response(204)

    assert ask(handler, lambda control: control.log_requests(1.5)) == [wish]
    ask(handler, lambda control: control.send_log("r/1", b"\x00bytes", False))
    with pytest.raises(ReaderGone):
        ask(handler, lambda control: control.send_log("r/1", b"", True))


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, content=b"{")])
def test_what_is_no_good_answer_is_an_error_without_the_token(answer: httpx.Response) -> None:
    with pytest.raises(ControlPlaneError) as caught:
        ask(lambda _: answer, lambda control: control.desired(None, 1))
    assert "secret" not in str(caught.value)


def test_a_network_that_breaks_is_the_same_error() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(ControlPlaneError, match="ConnectError"):
        ask(handler, lambda control: control.report(observation()))


def test_an_answer_tells_the_servers_time() -> None:
    skew_us = heard(str(wall_now() - HOUR_US)).read().skew_us
    assert skew_us is not None and skew_us > HOUR_US // 2


@pytest.mark.parametrize("told", ["1" * 5_000, "noon"])
def test_what_is_no_time_is_not_heard(told: str) -> None:
    assert heard(told).read().skew_us is None


def heard(told: str) -> HeardClock:
    """What a clock has heard of an answer with this time."""
    clock = HeardClock()
    answer = httpx.Response(204, headers={"Parkade-Time": told})
    ask(lambda _: answer, lambda control: control.report(observation()), clock)
    return clock
