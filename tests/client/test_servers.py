"""Several servers of one marketplace: whichever leads is found, and found again."""

import asyncio

import httpx
import pytest

from parkade.client import AsyncClient, Client, Unauthenticated, Unreachable
from parkade.client.flow import pause
from parkade.wire.problems import problem
from parkade.wire.servers import Servers, addresses

ORG = {"org": "acme", "created": "2026-01-31T12:00:00Z", "balance": "2.50", "grant": None}
STANDBY = problem("standby", "another one leads").model_dump()
TWO = "http://one, http://two/"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same flow, its pauses cut short."""
    monkeypatch.setattr("parkade.client.flow.FIRST_PAUSE_S", 0.0)


class Pair:
    """Two servers, of which `leader` leads; any other stands by, or is dead."""

    def __init__(self, leader: str, *, is_other_dead: bool = False) -> None:
        self.leader = leader
        self.is_other_dead = is_other_dead
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        if request.url.host == self.leader:
            if request.url.path.endswith("/events"):
                return httpx.Response(200, headers={"Content-Type": "text/event-stream"})
            return httpx.Response(201, json=ORG)
        if self.is_other_dead:
            raise httpx.ConnectError("refused")
        return httpx.Response(503, json=STANDBY, headers={"Retry-After": "1"})


@pytest.mark.parametrize("is_other_dead", [False, True])
def test_a_call_finds_the_leader_and_later_calls_go_there_at_once(is_other_dead: bool) -> None:
    pair = Pair("two", is_other_dead=is_other_dead)
    with Client(TWO, token="t", transport=httpx.MockTransport(pair)) as client:
        assert client.create_org("acme").org == "acme"
        assert client.create_org("acme").org == "acme"
        assert pair.asked == ["one", "two", "two"]
        pair.leader = "one"
        assert client.create_org("acme").org == "acme"
        assert pair.asked[3:] == ["two", "one"]


def test_the_key_is_the_same_at_each_server() -> None:
    keys: list[str] = []
    pair = Pair("two")

    def serve(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return pair(request)

    with Client(TWO, token="t", transport=httpx.MockTransport(serve)) as client:
        client.create_org("acme")
    assert len(keys) == 2 and len(set(keys)) == 1


def test_a_stream_goes_on_at_the_new_leader() -> None:
    pair = Pair("two")
    with Client(TWO, token="t", transport=httpx.MockTransport(pair)) as client:
        assert list(client.events(after=0, follow=False)) == []
    assert pair.asked == ["one", "two"]


def test_the_other_client_finds_it_too() -> None:
    pair = Pair("two", is_other_dead=True)

    async def whole() -> str:
        transport = httpx.MockTransport(pair)
        async with AsyncClient(TWO, token="t", transport=transport) as client:
            assert [each async for each in client.events(after=0, follow=False)] == []
            return (await client.create_org("acme")).org

    assert asyncio.run(whole()) == "acme"
    assert pair.asked == ["one", "two", "two"]


@pytest.mark.parametrize(
    "pair_of", ["http://one:80, http://two:80", "http://ONE, http://Two", "HTTP://one,http://two"]
)
def test_a_default_port_or_a_capital_in_an_address_fails_over(pair_of: str) -> None:
    pair = Pair("two", is_other_dead=True)
    with Client(pair_of, token="t", transport=httpx.MockTransport(pair)) as client:
        assert client.create_org("acme").org == "acme"
    assert pair.asked == ["one", "two"]
    with Client(pair_of, token="t", transport=httpx.MockTransport(pair)) as client:
        assert list(client.events(after=0, follow=False)) == []
    assert pair.asked == ["one", "two"] * 2

    async def whole() -> None:
        transport = httpx.MockTransport(pair)
        async with AsyncClient(pair_of, token="t", transport=transport) as client:
            assert [each async for each in client.events(after=0, follow=False)] == []
        async with AsyncClient(pair_of, token="t", transport=transport) as client:
            assert (await client.create_org("acme")).org == "acme"

    asyncio.run(whole())
    assert pair.asked == ["one", "two"] * 4


def test_where_none_leads_it_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parkade.client.flow.TRIES_OF_SEVERAL", 4)
    pair = Pair("none", is_other_dead=True)
    client = Client(TWO, token="t", transport=httpx.MockTransport(pair))
    with client, pytest.raises(Unreachable, match="http://one, http://two"):
        client.list_orgs()
    assert pair.asked == ["one", "two", "one", "two"]


def test_each_of_several_servers_is_asked_at_once_and_then_with_short_pauses() -> None:
    assert pause(1, servers=2) == pause(2, servers=3) == 0.0
    assert pause(1, told=9.0, servers=2) == 0.0 and pause(3, told=9.0, servers=2) == 1.0


def test_two_callers_that_fail_at_one_server_turn_away_from_it_once() -> None:
    servers = Servers(TWO)
    assert [servers.failed("http://one"), servers.failed("http://one")] == ["http://two"] * 2
    assert servers.failed("http://two") == "http://one"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://one/", ("http://one",)),
        ("http://one,,http://two ", ("http://one", "http://two")),
        ("", ("",)),
    ],
)
def test_addresses_are_told_apart_by_commas(text: str, found: tuple[str, ...]) -> None:
    assert addresses(text) == found


@pytest.mark.parametrize("token", ["pk_one\npk_two", "pk_one two", "pk_ö"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_no_token_can_be_is_refused_without_showing_it(
    kind: type[Client | AsyncClient], token: str
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        kind("http://one", token=token)
    assert "pk_" not in str(refused.value) and "paste it anew" in str(refused.value)


def test_a_line_break_behind_a_token_is_not_of_it() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(201, json=ORG)

    with Client("http://one", token="pk_t\n", transport=httpx.MockTransport(answer)) as client:
        client.create_org("acme")
    assert seen == ["Bearer pk_t"]
