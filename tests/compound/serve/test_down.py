"""A served network whose models are down, and a server that is ended while clients wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from parkade.compound.models.local import LocalModel
from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import Model
from parkade.compound.network import BestOf, Generate, Operator
from parkade.compound.network.binding import bind
from parkade.compound.network.notation import parse
from parkade.compound.run.progressing import ModelDenied
from parkade.compound.run.running import Settings
from parkade.compound.serve.answering import Answering
from parkade.compound.serve.probing import probe
from parkade.compound.serve.server import NetworkServer, serving
from parkade.compound.show.trace import read_trace
from parkade.compound.values import Call, Candidate, Question
from tests.compound.building import answering, names
from tests.compound.serve.test_serve import client, in_loop, say
from tests.compound.server import Asked, completion, reply, scripted

NOWHERE = "http://127.0.0.1:9/v1"


@asynccontextmanager
async def served(
    tmp_path: Path,
    model: Model,
    network: Operator = Generate("m"),  # noqa: B008
    *,
    patience_s: float = 0.2,
    told: list[str] | None = None,
    grace_s: float = 0.0,
) -> AsyncIterator[tuple[str, NetworkServer]]:
    notice = None if told is None else told.append
    settings = Settings(patience_s=patience_s)
    asked = Answering(network, names({"m": model}), tmp_path, settings, notice)
    server = NetworkServer(asked, "net", None)
    async with serving(server, "127.0.0.1", 0, grace_s=grace_s) as url:
        yield url, server


def test_a_request_to_a_dead_model_is_a_503_in_bounded_time_and_told_once(tmp_path: Path) -> None:
    told: list[str] = []

    async def work() -> None:
        model = OpenAIModel("x", (NOWHERE,))
        async with served(tmp_path, model, told=told) as (url, _), client(url) as asked:
            for _ in range(3):
                with pytest.raises(openai.InternalServerError, match="cannot connect") as raised:
                    await asked.chat.completions.create(model="net", messages=say("hi"))
                assert raised.value.status_code == 503
                assert raised.value.code == "model_unavailable"
            stream = await asked.chat.completions.create(
                model="net", messages=say("hi"), stream=True
            )
            with pytest.raises(openai.APIError, match="cannot connect"):
                async for _ in stream:
                    pass

    in_loop(work)
    assert len(told) == 1
    assert told[0].startswith("model 'm': cannot connect to 127.0.0.1:9")


def test_calls_that_wait_fail_with_the_one_whose_patience_ended(tmp_path: Path) -> None:
    """One connection at a time, and each would wait for the whole patience."""

    async def work() -> None:
        dead = OpenAIModel("x", (NOWHERE,))
        async with served(tmp_path, dead, parse("40E@m")) as (url, _), client(url) as asked:
            asking = (
                asked.chat.completions.create(model="net", messages=say(f"q{n}")) for n in range(20)
            )
            ended = await asyncio.gather(*asking, return_exceptions=True)
            assert {type(each) for each in ended} == {openai.InternalServerError}

    in_loop(work)


def test_a_server_that_asks_for_a_long_rest_is_a_429_and_is_left_alone(tmp_path: Path) -> None:
    count = 0

    async def script(asked: Asked) -> bytes:
        nonlocal count
        count += 1
        return reply(b'{"error": {"message": "slow down"}}', 429, headers="Retry-After: 3600\r\n")

    async def work() -> None:
        async with scripted(script) as models:
            model = OpenAIModel("x", (models.url,))
            async with served(tmp_path, model) as (url, _), client(url) as asked:
                for says in ("slow down", "left alone for another 3,5"):
                    with pytest.raises(openai.RateLimitError, match=says):
                        await asked.chat.completions.create(model="net", messages=say("hi"))

    in_loop(work)
    assert count == 1


def test_a_model_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    is_down = True

    async def script(asked: Asked) -> bytes:
        return reply(b"{}", 503) if is_down else reply(completion("fine"))

    async def work() -> None:
        nonlocal is_down
        async with scripted(script) as models:
            model = OpenAIModel("x", (models.url,))
            async with served(tmp_path, model) as (url, _), client(url) as asked:
                with pytest.raises(openai.InternalServerError):
                    await asked.chat.completions.create(model="net", messages=say("hi"))
                is_down = False
                answer = await asked.chat.completions.create(model="net", messages=say("hi"))
                assert answer.choices[0].message.content == "fine"

    in_loop(work)


def test_a_verifier_that_always_fails_is_told_of(tmp_path: Path) -> None:
    told: list[str] = []

    def check(question: Question, candidate: Candidate) -> bool:
        raise KeyError("no such field")

    async def work() -> None:
        network = BestOf(Generate("m"), 30, check)
        model = answering(lambda call: str(call.sample))
        async with served(tmp_path, model, network, told=told) as (url, _), client(url) as asked:
            for _ in range(2):
                await asked.chat.completions.create(model="net", messages=say("hi"))

    in_loop(work)
    (text,) = told
    assert "failed on each of its first 20 candidates" in text
    assert "no such field" in text


class Slow:
    """A model that answers when it is let."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, call: Call) -> str:
        self.started.set()
        await self.may_answer.wait()
        return "at last"


def _is_quiet(loop: asyncio.AbstractEventLoop) -> list[dict[str, Any]]:
    """What the loop would print."""
    noise: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: noise.append(context))
    return noise


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_in_work_is_given_when_the_server_ends(tmp_path: Path, stream: bool) -> None:
    async def work() -> None:
        noise = _is_quiet(asyncio.get_running_loop())
        slow = Slow()
        model = LocalModel("slow", slow)
        async with served(tmp_path, model, grace_s=90.0) as (url, server):
            asked = client(url)
            asking = asyncio.create_task(_text(asked, stream=stream))
            await slow.started.wait()

            def answer_when_it_closes() -> None:
                if server.is_closing:
                    slow.may_answer.set()
                else:
                    asyncio.get_running_loop().call_later(0.01, answer_when_it_closes)

            answer_when_it_closes()
        assert await asking == "at last"
        await asked.close()
        assert noise == []

    in_loop(work)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_answered_in_time_is_told_so_without_noise(
    tmp_path: Path, stream: bool
) -> None:
    async def work() -> None:
        noise = _is_quiet(asyncio.get_running_loop())
        slow = Slow()
        async with served(tmp_path, LocalModel("slow", slow)) as (url, _):
            # One connection that is open and idle, as clients keep them.
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2][:-3]))
            asked = client(url)
            asking = asyncio.create_task(_text(asked, stream=stream))
            await slow.started.wait()
        with pytest.raises(openai.APIError, match="shutting down"):
            await asking
        assert await reader.read() == b""
        writer.close()
        await asked.close()
        assert noise == []

    in_loop(work)


def test_a_second_interrupt_waits_no_longer(tmp_path: Path) -> None:
    async def work() -> None:
        slow = Slow()
        async with served(tmp_path, LocalModel("slow", slow), grace_s=10_000.0) as (url, server):
            asked = client(url)
            asking = asyncio.create_task(_text(asked, stream=False))
            await slow.started.wait()
            server.hurry()
        with pytest.raises(openai.APIError, match="shutting down"):
            await asking
        await asked.close()

    in_loop(work)


async def _text(asked: openai.AsyncOpenAI, *, stream: bool) -> str | None:
    messages = say("hi")
    if not stream:
        told = await asked.chat.completions.create(model="net", messages=messages)
        return told.choices[0].message.content
    pieces = await asked.chat.completions.create(model="net", messages=messages, stream=True)
    return "".join([p.choices[0].delta.content or "" async for p in pieces if p.choices])


def test_what_was_served_is_shown_by_the_id_of_its_answer(tmp_path: Path) -> None:
    async def work() -> str:
        model = answering(lambda call: "fine")
        async with served(tmp_path, model) as (url, _), client(url) as asked:
            told = await asked.chat.completions.create(model="net", messages=say("hi"))
            return told.id

    trace = read_trace(tmp_path, asyncio.run(work()))
    assert trace.result is not None
    assert trace.result.answer == "fine"
    assert trace.calls == 1


# ---------------------------------------------------------------- before it serves


def told_of(model: Model) -> list[str]:
    return asyncio.run(probe(bind(Generate("m"), names({"m": model}))))


def test_a_model_server_that_is_down_is_told_at_the_start() -> None:
    (text,) = told_of(OpenAIModel("x", (NOWHERE,)))
    assert text.startswith(f"model 'm': cannot reach {NOWHERE}: Connection refused; requests fail")


def test_a_key_that_is_not_set_ends_it_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ModelDenied, match="environment variable NO_SUCH_KEY with the key is not"):
        told_of(OpenAIModel("x", (NOWHERE,), key_env="NO_SUCH_KEY"))


@pytest.mark.parametrize(
    ("told", "status", "says"),
    [
        ({"data": [{"id": "x"}]}, 200, None),
        ({"data": [{"id": "y"}, {"id": "z"}]}, 200, "lists no model 'x'; it has y, z"),
        ({"data": []}, 200, None),
        (b"<html>", 200, None),
        ({}, 404, None),
        ({}, 403, None),
        ({}, 503, "answers 503"),
    ],
)
def test_what_a_list_of_models_says_is_told(told: Any, status: int, says: str | None) -> None:
    async def work() -> list[str]:
        async with _listing(told, status) as url:
            return await probe(bind(Generate("m"), names({"m": OpenAIModel("x", (url,))})))

    texts = asyncio.run(work())
    assert len(texts) == (says is not None)
    assert says is None or says in texts[0]


def test_a_refused_key_ends_it_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret-value")

    async def work() -> None:
        async with _listing({}, 401) as url:
            model = OpenAIModel("x", (url,), key_env="A_KEY")
            await probe(bind(Generate("m"), names({"m": model})))

    with pytest.raises(ModelDenied, match=r"answers 401; the key is that of .* A_KEY") as raised:
        asyncio.run(work())
    assert "secret-value" not in str(raised.value)


def test_a_function_is_not_asked() -> None:
    assert told_of(answering(lambda call: "x")) == []


@asynccontextmanager
async def _listing(told: Any, status: int) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /v1/models ")
        writer.write(reply(told, status, headers="Connection: close\r\n"))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
