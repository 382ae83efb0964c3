"""Ways to a server: TLS with a certificate of one's own, proxies, and a server that drips."""

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import Failure, FailureKind, Outcome
from parkade.compound.values import Completion
from tests.compound.models.test_openai import asked_of, call, echo
from tests.compound.server import ScriptedServer, scripted


class Certificate:
    """Self-made, for localhost and 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.path, self.key = folder / "certificate.pem", folder / "key.pem"
        words = "req -x509 -nodes -days 2 -subj /CN=test -newkey rsa:2048"
        subprocess.run(
            [
                *("openssl", *words.split()),
                *("-keyout", str(self.key), "-out", str(self.path)),
                *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            ],
            check=True,
            capture_output=True,
            timeout=100,
        )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    return Certificate(tmp_path_factory.mktemp("certificate"))


@asynccontextmanager
async def over_tls(certificate: Certificate) -> AsyncIterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    server = ScriptedServer(echo)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()


def asked_over_tls(certificate: Certificate, host: str = "127.0.0.1") -> list[Outcome]:
    async def go() -> list[Outcome]:
        async with over_tls(certificate) as server:
            model = OpenAIModel("m", (server.url.replace("127.0.0.1", host),))
            heard = await asked_of(model, [call("one"), call("two")])
            heard += await asked_of(model, [call("three")])
            await model.close()
            assert server.connections <= 2
            return heard

    return asyncio.run(go())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_that_is_trusted_is_spoken_to_over_kept_connections(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    heard = asked_over_tls(certificate, host)
    assert [each.text for each in heard if isinstance(each, Completion)] == ["one", "two", "three"]


def test_a_certificate_that_nothing_vouches_for_is_refused_before_the_request(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for each in asked_over_tls(certificate):
        assert isinstance(each, Failure)
        assert "certificate verify failed" in each.message
        assert not each.may_be_billed


def test_a_certificate_of_another_host_is_refused(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    for each in asked_over_tls(certificate, "127.0.0.2"):
        assert isinstance(each, Failure)
        assert not each.may_be_billed


class Proxy:
    """Forwards plain requests and tunnels CONNECT, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.decode().split(" ", 2)
            self.asked.append(f"{method} {target}")
            place = target.split("//")[-1].split("/")[0]
            host, _, port = place.rpartition(":")
            onward = await asyncio.open_connection(host, int(port))
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                path = "/" + target.split("//")[-1].partition("/")[2]
                onward[1].write(head.replace(target.encode(), path.encode(), 1))
            await asyncio.gather(_pump(reader, onward[1]), _pump(onward[0], writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def proxied() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_a_proxy_of_the_environment_is_used_and_no_proxy_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def go() -> None:
        async with proxied() as proxy, scripted(echo) as server:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            for number, excepted in enumerate(("", "127.0.0.1")):
                monkeypatch.setenv("NO_PROXY", excepted)
                model = OpenAIModel("m", (server.url,))
                (heard,) = await asked_of(model, [call("hi", sample=number)])
                await model.close()
                assert isinstance(heard, Completion)
                assert proxy.asked == [f"POST {server.url}/chat/completions"]
            assert len(server.asked) == 2

    without_proxies(monkeypatch)
    asyncio.run(go())


def test_tls_goes_through_a_proxy_as_a_tunnel(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go() -> None:
        async with proxied() as proxy, over_tls(certificate) as server:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            model = OpenAIModel("m", (server.url,))
            (heard,) = await asked_of(model, [call("hi")])
            await model.close()
            assert isinstance(heard, Completion)
            assert proxy.asked == [f"CONNECT {server.url.split('/')[2]}"]

    without_proxies(monkeypatch)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    asyncio.run(go())


def test_a_proxy_that_is_not_there_is_said_and_nothing_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def go() -> Outcome:
        async with scripted(echo) as server:
            model = OpenAIModel("m", (server.url,))
            (heard,) = await asked_of(model, [call()])
            await model.close()
            assert server.asked == []
            return heard

    without_proxies(monkeypatch)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    heard = asyncio.run(go())
    assert isinstance(heard, Failure)
    assert not heard.may_be_billed


HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = HEAD + b"Content-Length: 100000\r\n\r\n{"


@pytest.mark.parametrize("begins_with", [HEAD, BODY], ids=["head", "body"])
@pytest.mark.parametrize("way", ["own", "library"])
def test_a_server_that_drips_its_reply_is_out_of_time_all_the_same(
    begins_with: bytes, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then must not put the end off."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begins_with)
        try:
            while True:
                await asyncio.sleep(0.05)
                writer.write(b"a")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def go() -> Outcome:
        listening = await asyncio.start_server(drip, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        model = OpenAIModel("m", (url,), timeout_s=0.2)
        (heard,) = await asked_of(model, [call()])
        await model.close()
        listening.close()
        return heard

    without_proxies(monkeypatch)
    if way == "library":
        from parkade.compound.models import openai

        monkeypatch.setattr(openai, "getproxies", lambda: {"http": "set"})
        monkeypatch.setattr(openai, "proxy_bypass", lambda host: False)
    heard = asyncio.run(go())
    assert isinstance(heard, Failure)
    assert heard.kind is FailureKind.TIMEOUT
    assert heard.may_be_billed
