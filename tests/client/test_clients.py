import asyncio
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, assert_type

import httpx
import pytest

from parkade.client import AsyncClient, Client, Invalid, NotFound, Unauthenticated, calls
from parkade.client.call import Call
from parkade.client.calls import people
from parkade.client.methods import Method, Methods
from parkade.wire.feed import Caller
from parkade.wire.spec import WorkloadSpec
from tests.api.town import Town

EVENT = {"sequence": 1, "type": "Started", "at": "2026-01-31T12:00:00Z", "says": "x"}


def described() -> dict[str, Callable[..., Any]]:
    """Every call by its name, of all files of `calls`."""
    found: dict[str, Callable[..., Any]] = {}
    for part in pkgutil.iter_modules(calls.__path__, f"{calls.__name__}."):
        for name, value in vars(importlib.import_module(part.name)).items():
            if inspect.isfunction(value) and value.__module__ == part.name and name[0] != "_":
                assert name not in found, "two files have a call of this name"
                found[name] = value
    return found


def test_both_clients_offer_every_call() -> None:
    offered = {name for name, value in vars(Methods).items() if isinstance(value, Method)}
    assert described().keys() == offered


def test_a_method_has_the_parameters_and_the_words_of_its_call() -> None:
    for kind in (Client, AsyncClient):
        for name, call in described().items():
            method = getattr(kind, name)
            signature = inspect.signature(method)
            assert list(signature.parameters) == ["self", *inspect.signature(call).parameters]
            assert method.__doc__ == call.__doc__
            assert inspect.isfunction(method), "help() lists it as a method"
    assert inspect.signature(Client.whoami).return_annotation is Caller


def test_answers_have_their_types(town: Town) -> None:
    with Client(town.url, token=town.operator) as client:
        assert_type(client.whoami(), Caller)
        assert isinstance(client.whoami(), Caller)

    async def same() -> None:
        async with AsyncClient(town.url, token=town.operator) as client:
            assert_type(await client.whoami(), Caller)
            assert isinstance(await client.whoami(), Caller)

    asyncio.run(same())


def test_the_two_clients_speak_alike(town: Town) -> None:
    pool, (org, owner) = town.pool(), town.org()
    spec = WorkloadSpec(name="job", command="python a.py", limit_price="0.10")
    with Client(town.url, token=owner) as client:
        first = client.submit(spec, market=pool, hold=True)
        assert first.spec.workdir is not None and first.org == org
        with pytest.raises(NotFound, match="w0"):
            client.get_workload("w0")
        listed = client.list_workloads()

    async def same() -> None:
        async with AsyncClient(town.url, token=owner) as client:
            second = await client.submit(spec, market=pool, hold=True)
            assert second.spec == first.spec and second.workload != first.workload
            assert (await client.list_workloads()).workloads[1:] == listed.workloads
            events = [event async for event in client.events(after=0, follow=False)]
            assert {"Submitted"} <= {event.type for event in events}

    asyncio.run(same())


def test_a_workload_is_given_as_a_dict_of_its_keys_as_well(town: Town) -> None:
    pool, (_, owner) = town.pool(), town.org()
    keys = {"name": "job", "command": "python a.py", "limit_price": "0.10"}
    with Client(town.url, token=owner) as client:
        first = client.submit(keys, market=pool, hold=True)
        second = client.submit(WorkloadSpec.model_validate(keys), market=pool, hold=True)
        assert first.spec == second.spec and first.workload != second.workload
        assert client.plan(keys, market=pool).says
        with pytest.raises(Invalid, match="limit: no such key; did you mean `limit_price`"):
            client.submit(keys | {"limit": 3}, market=pool)


def test_a_wrong_token_is_told_apart(town: Town) -> None:
    with Client(town.url, token="pk_wrong") as client:
        with pytest.raises(Unauthenticated):
            client.whoami()
        with pytest.raises(Unauthenticated):
            next(client.events())
        with pytest.raises(Unauthenticated):
            next(client.logs("w1"))


def test_a_repeated_send_carries_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []

    def serve(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) < 3:
            raise httpx.ReadTimeout("lost")
        return httpx.Response(201, json={"org": "a", "created": EVENT["at"], "balance": "0.00"})

    monkeypatch.setattr("time.sleep", lambda _: None)
    with Client("http://there", token="t", transport=httpx.MockTransport(serve)) as client:
        assert client.create_org("a").org == "a"
    assert len(keys) == 3 and len(set(keys)) == 1


class Body(httpx.SyncByteStream):
    """A body that may be cut off after what it holds."""

    def __init__(self, body: bytes, *, breaks: bool = False) -> None:
        self.body = body
        self.breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        yield self.body
        if self.breaks:
            raise httpx.ReadError("cut off")


def frame(sequence: int) -> bytes:
    told = json.dumps({**EVENT, "sequence": sequence})
    return f"event: event\nid: {sequence}\ndata: {told}\n\n".encode()


def test_events_go_on_after_a_lost_connection_without_gap_or_repeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["after"])
        headers = {"Content-Type": "text/event-stream"}
        if len(asked) == 1:
            position = b"event: position\nid: 9\ndata: \n\n"
            return httpx.Response(
                200, headers=headers, stream=Body(frame(7) + position, breaks=True)
            )
        return httpx.Response(200, headers=headers, content=frame(10))

    monkeypatch.setattr("time.sleep", lambda _: None)
    with Client("http://there", token="t", transport=httpx.MockTransport(serve)) as client:
        events = client.events(after=3)
        assert [next(events).sequence, next(events).sequence] == [7, 10]
    assert asked == ["3", "9"]


def test_output_goes_on_at_the_byte_where_it_was_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["offset"])
        if len(asked) == 1:
            return httpx.Response(200, stream=Body(b"hello ", breaks=True))
        return httpx.Response(200, stream=Body(b"world"))

    monkeypatch.setattr("time.sleep", lambda _: None)
    with Client("http://there", token="t", transport=httpx.MockTransport(serve)) as client:
        assert b"".join(client.logs("w1", offset=2)) == b"hello world"
    assert asked == ["2", "8"]


def test_a_token_is_in_no_representation() -> None:
    client = Client("http://there", token="pk_secret")
    call: Call = people.list_orgs()
    assert "pk_secret" not in repr(client) + repr(vars(client)["_http"]) + repr(call)
    client.close()


def test_a_wait_ends_with_the_workload_or_with_the_time(town: Town) -> None:
    pool, (_, owner) = town.pool(), town.org()
    name = town.submit(pool, owner, limit_price="0.01")
    with Client(town.url, token=owner) as client:
        with pytest.raises(TimeoutError, match=f"{name} has not ended"):
            client.wait(name, within=timedelta(milliseconds=50))
        client.cancel(name)
        assert client.wait(name).phase == "cancelled"

    async def same() -> None:
        async with AsyncClient(town.url, token=owner) as client:
            assert (await client.wait(name)).phase == "cancelled"

    asyncio.run(same())
