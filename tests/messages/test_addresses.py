"""Where a user's webhook may go: nowhere that the user could not reach itself."""

import socket
from typing import Any

import pytest

from parkade.messages.addresses import AddressRules, allowed, refusal_of
from parkade.messages.guarded import GuardedWebhook
from parkade.messages.queue import NotHeard
from tests.messages.test_queue import message, web

NONE, LAB = AddressRules(), AddressRules(private=("127.0.0.0/8", "10.1.0.0/16"))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/x",
        "ftp://hooks.example.org/x",
        "https://",
        "https://user:secret@hooks.example.org/",
        "https://hooks.example.org/#x",
        "https://hooks.example.org:22/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/\n",
        "https://hooks.example.org/" + "x" * 2_000,
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://100.64.0.1/",
        "https://[fec0::1]/",
        "https://[3fff::1]/",
        "https://[5f00::1]/",
        "https://[::127.0.0.1]/",
        "https://[::ffff:0:7f00:1]/",
        "https://[64:ff9b:1::7f00:1]/",
        "https://a..b/",
        "https://.../",
        "https://.example.org/",
        f"https://{'a' * 64}.org/",
        f"https://{'a.' * 127}org/",
        "https://a%00b/",
        "https://a*b/",
        "https://-/",
    ],
)
def test_an_address_that_leads_inside_or_is_none_is_refused(url: str) -> None:
    assert refusal_of(url, NONE) is not None


@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("https://hooks.example.org/parkade?x=1", NONE),
        ("https://hooks.example.org:8443/", NONE),
        ("https://93.184.215.14/", NONE),
        ("https://Hooks_1.xn--e1afmkfd.example.org./", NONE),
        (f"https://{'a' * 63}.org/", NONE),
        ("https://[2606:2800:21f:cb07::1]/", NONE),
        ("http://10.1.2.3:9000/x", LAB),
        ("https://127.0.0.1/x", LAB),
    ],
)
def test_the_internet_and_what_the_operator_allows_are_taken(url: str, rules: AddressRules) -> None:
    assert refusal_of(url, rules) is None


def test_a_name_goes_to_the_first_address_that_may_be_named() -> None:
    inside, outside = "10.0.0.1", "93.184.215.14"
    assert allowed([inside, outside], NONE, scheme="https") == outside
    assert allowed([inside, "::1"], NONE, scheme="https") is None
    assert allowed([outside], NONE, scheme="http") is None, "unsigned transport to the internet"
    assert allowed(["10.1.0.9"], LAB, scheme="http") == "10.1.0.9"
    assert allowed(["fe80::1%eth0"], NONE, scheme="https") is None


def test_a_name_that_leads_inside_when_it_is_looked_up_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is harmless when it is set, and points inside later."""
    with web(200) as (url, got):
        port = int(url.rpartition(":")[2].partition("/")[0])
        real = socket.getaddrinfo

        def look_up(host: str, *rest: Any, **more: Any) -> Any:
            return real("127.0.0.1" if host == "hooks.example.org" else host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        hook = f"https://hooks.example.org:{port}/x"
        assert refusal_of(hook, NONE) is None
        with pytest.raises(NotHeard, match="this host cannot be reached from here"):
            GuardedWebhook(url=hook, secret=b"s", rules=NONE).send(message("a"), 0)
        assert got == []
        lab = GuardedWebhook(url=hook.replace("https", "http"), secret=b"s", rules=LAB)
        lab.send(message("a"), 0)
        ((headers, _),) = got
        assert headers["Host"] == f"hooks.example.org:{port}"


def test_a_name_inside_that_may_not_be_named_is_told_like_one_that_is_not_there() -> None:
    def refused(url: str) -> tuple[str, bool]:
        with pytest.raises(NotHeard) as found:
            GuardedWebhook(url=url, secret=b"s", rules=NONE).send(message("a"), 0)
        return str(found.value), found.value.is_final

    assert refused("https://localhost/") == refused("https://nosuch.invalid/")


def test_a_name_that_no_look_up_takes_is_not_heard() -> None:
    """As one that an earlier version kept."""
    with pytest.raises(NotHeard):
        GuardedWebhook(url="https://a..b/", secret=b"s", rules=NONE).send(message("a"), 0)


def test_a_redirect_is_not_followed() -> None:
    with web(302) as (url, got):
        with pytest.raises(NotHeard, match="302") as refused:
            GuardedWebhook(url=url, secret=b"s", rules=LAB).send(message("a"), 0)
        assert refused.value.is_final and len(got) == 1
