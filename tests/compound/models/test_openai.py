"""OpenAI-compatible servers: one suite for both ways of speaking HTTP."""

import asyncio
from typing import Any

import pytest

from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import (
    MAX_MESSAGE,
    Failure,
    FailureKind,
    Outcome,
    Price,
)
from parkade.compound.values import Call, Completion, Usage, call_key, canonical
from tests.compound.server import Asked, Script, ScriptedServer, completion, reply, scripted

PRICE = Price(input_micros_per_million=1_000_000, output_micros_per_million=3_000_000)


@pytest.fixture(params=["own", "library"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both exchanges; the library's is chosen where a proxy is set."""
    if request.param == "library":
        from parkade.compound.models import openai

        monkeypatch.setattr(openai, "getproxies", lambda: {"http": "set"})
        monkeypatch.setattr(openai, "proxy_bypass", lambda host: False)
    return str(request.param)


def call(text: str = "hi", sample: int = 0, kind: str = "chat", **more: Any) -> Call:
    body: dict[str, Any] = {"model": "m", **more}
    if kind == "chat":
        body["messages"] = [{"role": "user", "content": text}]
    else:
        body["prompt"] = text
    encoded = canonical(body)
    return Call(
        model="a",
        kind=kind,
        body=encoded,
        sample=sample,
        key=call_key(encoded, sample),
        most_input_tokens=100,
        most_output_tokens=200,
    )


async def asked_of(model: OpenAIModel, calls: list[Call]) -> list[Outcome]:
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[Outcome]] = [loop.create_future() for _ in calls]
    for each, future in zip(calls, futures, strict=True):
        model.start(each, future.set_result)
    async with asyncio.timeout(60):
        return list(await asyncio.gather(*futures))


def outcomes(
    script: Script,
    calls: list[Call],
    *,
    one_by_one: bool = False,
    piece: int | None = None,
    **settings: Any,
) -> tuple[list[Outcome], ScriptedServer]:
    async def go() -> tuple[list[Outcome], ScriptedServer]:
        async with scripted(script) as server:
            server.piece = piece
            model = OpenAIModel("m", (server.url,), price=PRICE, **settings)
            if one_by_one:
                heard = [(await asked_of(model, [each]))[0] for each in calls]
            else:
                heard = await asked_of(model, calls)
            await model.close()
            return heard, server

    return asyncio.run(go())


async def echo(asked: Asked) -> bytes:
    return reply(completion(asked.body["messages"][-1]["content"]))


def test_answers_come_with_usage_cost_and_the_body_as_asked(way: str) -> None:
    one = call("hello ü", tools=[{"type": "function", "function": {"name": "f"}}])
    (heard,), server = outcomes(echo, [one])
    assert isinstance(heard, Completion)
    assert heard.text == "hello ü"
    assert heard.usage == Usage(input_tokens=5, output_tokens=7)
    assert heard.cost_micros == 5 + 21
    assert server.asked[0].path == "/v1/chat/completions"
    assert server.asked[0].raw == one.body


def test_connections_are_kept(way: str) -> None:
    heard, server = outcomes(echo, [call(str(n)) for n in range(20)], one_by_one=True)
    assert [getattr(each, "text", "") for each in heard] == [str(n) for n in range(20)]
    assert server.connections == 1


def test_many_at_once_get_each_their_own_answer(way: str) -> None:
    heard, _ = outcomes(echo, [call(str(n)) for n in range(50)])
    assert [getattr(each, "text", "") for each in heard] == [str(n) for n in range(50)]


@pytest.mark.parametrize("piece", [None, 1, 7])
@pytest.mark.parametrize("chunks", [None, 1, 10, 1000])
def test_replies_in_any_pieces_and_chunks_are_whole(
    way: str, piece: int | None, chunks: int | None
) -> None:
    async def script(asked: Asked) -> bytes:
        return reply(completion("x" * 100 + "é"), chunks=chunks)

    heard, server = outcomes(script, [call(), call()], one_by_one=True, piece=piece)
    assert [getattr(each, "text", each) for each in heard] == ["x" * 100 + "é"] * 2
    assert server.connections == 1


def test_a_reply_that_ends_with_the_connection_is_whole(way: str) -> None:
    async def script(asked: Asked) -> bytes:
        body = reply(completion("end")).partition(b"\r\n\r\n")[2]
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body

    heard, server = outcomes(script, [call(), call()], one_by_one=True)
    assert [getattr(each, "text", each) for each in heard] == ["end", "end"]
    assert server.connections == 2


def test_tool_calls_and_reasoning_are_kept_as_the_server_wrote_them(way: str) -> None:
    tools = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]

    async def script(asked: Asked) -> bytes:
        told = completion("", tool_calls=tools, reasoning_content="so")
        told["choices"][0]["message"]["content"] = None
        return reply(told)

    (heard,), _ = outcomes(script, [call()])
    assert isinstance(heard, Completion)
    assert heard.text == ""
    assert b'"tool_calls":[{"id":"1"' in bytes(heard.message or b"")


def test_completions_of_a_raw_prompt(way: str) -> None:
    async def script(asked: Asked) -> bytes:
        assert asked.path == "/v1/completions"
        return reply({"choices": [{"text": asked.body["prompt"] + "!", "finish_reason": "length"}]})

    (heard,), _ = outcomes(script, [call("p", kind="completion")])
    assert isinstance(heard, Completion)
    assert (heard.text, heard.finish) == ("p!", "length")
    # It says no usage, so the most that was asked for is counted.
    assert heard.usage == Usage(input_tokens=100, output_tokens=200)


@pytest.mark.parametrize(
    ("status", "error", "kind", "retry_after"),
    [
        (429, {"message": "slow"}, FailureKind.RATE_LIMITED, 1_500_000),
        (429, {"message": "pay", "code": "insufficient_quota"}, FailureKind.DENIED, 1_500_000),
        (401, {"message": "key sk-secret is wrong"}, FailureKind.DENIED, 1_500_000),
        (404, {"message": "no model"}, FailureKind.DENIED, 1_500_000),
        (400, {"message": "bad"}, FailureKind.REFUSED, 1_500_000),
        (500, {"message": "oops"}, FailureKind.UNAVAILABLE, 1_500_000),
        (503, "text", FailureKind.UNAVAILABLE, 1_500_000),
    ],
)
def test_errors_say_what_is_worth_another_try(
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    error: Any,
    kind: FailureKind,
    retry_after: int,
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret")

    async def script(asked: Asked) -> bytes:
        assert asked.headers["authorization"] == "Bearer sk-secret"
        return reply({"error": error}, status, headers="Retry-After: 1.5\r\n")

    (heard,), _ = outcomes(script, [call()], key_env="TEST_KEY")
    assert isinstance(heard, Failure)
    assert (heard.kind, heard.retry_after_us) == (kind, retry_after)
    assert "sk-secret" not in heard.message
    assert heard.may_be_billed is (status == 500)
    assert ("/v1/chat/completions; " in heard.message) is (status in (401, 404))
    assert ("TEST_KEY" in heard.message) is (status == 401)
    assert ("'m' a model of it?" in heard.message) is (status == 404)


@pytest.mark.parametrize("is_error", [True, False])
def test_a_key_that_a_success_repeats_is_masked(
    way: str, monkeypatch: pytest.MonkeyPatch, is_error: bool
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret")

    async def script(asked: Asked) -> bytes:
        text = "your key is sk-secret"
        return reply({"error": text}) if is_error else reply(completion(text))

    (heard,), _ = outcomes(script, [call()], key_env="TEST_KEY")
    assert isinstance(heard, Failure) is is_error
    said = heard.message if isinstance(heard, Failure) else heard.text
    assert said.endswith("your key is ***")


def test_a_refusal_without_a_key_says_how_to_send_one(way: str) -> None:
    async def script(asked: Asked) -> bytes:
        assert "authorization" not in asked.headers
        return reply({"error": {"message": "x" * 2_000}}, 401)

    (heard,), _ = outcomes(script, [call()])
    assert isinstance(heard, Failure)
    assert len(heard.message) <= MAX_MESSAGE
    assert heard.message.endswith("no key was sent: key_env names the variable that holds it)")


@pytest.mark.parametrize(
    "told", [{"error": {"message": "in disguise"}}, {"choices": []}, b"<html>", {"choices": [3]}]
)
def test_a_success_that_is_no_completion_is_a_failure(way: str, told: Any) -> None:
    async def script(asked: Asked) -> bytes:
        return reply(told)

    (heard,), _ = outcomes(script, [call()])
    assert isinstance(heard, Failure)
    assert heard.kind is FailureKind.UNAVAILABLE


def test_a_key_that_is_not_set_is_said_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    (heard,), server = outcomes(echo, [call()], key_env="TEST_KEY")
    assert isinstance(heard, Failure)
    assert heard.kind is FailureKind.DENIED
    assert heard.message == "the environment variable TEST_KEY with the key is not set"
    assert not heard.may_be_billed
    assert server.asked == []


def test_a_lost_connection_may_have_been_billed(way: str) -> None:
    async def script(asked: Asked) -> None:
        return None

    (heard,), _ = outcomes(script, [call()])
    assert isinstance(heard, Failure)
    assert heard.kind is FailureKind.UNAVAILABLE
    assert heard.may_be_billed


def test_no_answer_in_time_is_a_time_out(way: str) -> None:
    async def script(asked: Asked) -> bytes:
        await asyncio.Event().wait()
        return b""

    (heard,), _ = outcomes(script, [call()], timeout_s=0.05)
    assert isinstance(heard, Failure)
    assert (heard.kind, heard.message) == (FailureKind.TIMEOUT, "no answer in 0.05 s")
    assert heard.may_be_billed


def test_a_redirect_is_refused_with_where_it_leads(way: str) -> None:
    async def script(asked: Asked) -> bytes:
        return reply(b"", 301, headers="Location: https://other/v1/chat/completions\r\n")

    (heard,), server = outcomes(script, [call()])
    assert isinstance(heard, Failure)
    assert heard.kind is FailureKind.DENIED
    told = "301: redirected to 'https://other/v1/chat/completions'; name the final url"
    assert heard.message == told
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_was_not_asked(way: str) -> None:
    async def go() -> list[Outcome]:
        model = OpenAIModel("m", ("http://127.0.0.1:9/v1",))
        heard = await asked_of(model, [call()])
        await model.close()
        return heard

    (heard,) = asyncio.run(go())
    assert isinstance(heard, Failure)
    assert heard.kind is FailureKind.UNAVAILABLE
    assert not heard.may_be_billed


def test_a_cancelled_call_closes_its_connection_and_is_never_heard(way: str) -> None:
    async def go() -> None:
        arrived = asyncio.Event()

        async def script(asked: Asked) -> bytes:
            arrived.set()
            await asyncio.Event().wait()
            return b""

        def never(outcome: Outcome) -> None:
            raise AssertionError(outcome)

        async with scripted(script) as server:
            model = OpenAIModel("m", (server.url,))
            cancel = model.start(call(), never)
            async with asyncio.timeout(30):
                await arrived.wait()
                cancel()
                await server.closed_early.wait()
            await model.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 6_000 + b"\r\n\r\n", id="many digits"
        ),
        "HTTP/1.1 200 OK\r\nContent-Length: ²\r\n\r\n".encode("latin-1"),
    ],
)
def test_what_is_no_http_is_a_failure(nonsense: bytes) -> None:
    async def script(asked: Asked) -> bytes:
        return nonsense

    (heard,), _ = outcomes(script, [call()])
    assert isinstance(heard, Failure)
    assert heard.kind is FailureKind.UNAVAILABLE


def test_equal_prompts_go_to_the_same_of_several_servers() -> None:
    async def go() -> list[set[str]]:
        async with scripted(echo) as one, scripted(echo) as two:
            model = OpenAIModel("m", (one.url, two.url))
            for sample in range(4):
                await asked_of(model, [call(str(n), sample) for n in range(12)])
            await model.close()
            return [{a.body["messages"][0]["content"] for a in s.asked} for s in (one, two)]

    first, second = asyncio.run(go())
    assert first
    assert second
    assert not first & second


def test_calls_go_on_while_one_of_several_servers_is_down() -> None:
    async def go() -> list[str]:
        async with scripted(echo) as up:
            model = OpenAIModel("m", ("http://127.0.0.1:9/v1", up.url))
            texts: list[str] = []
            for number in range(10):
                (heard,) = await asked_of(model, [call(str(number))])
                if isinstance(heard, Failure):
                    (heard,) = await asked_of(model, [call(str(number))])
                texts.append(getattr(heard, "text", ""))
            await model.close()
            return texts

    assert asyncio.run(go()) == [str(n) for n in range(10)]


def test_a_server_that_hangs_is_set_aside_while_another_answers() -> None:
    async def go() -> tuple[list[Outcome], int]:
        async def hang(asked: Asked) -> bytes:
            await asyncio.Event().wait()
            return b""

        async with scripted(hang) as hung, scripted(echo) as well:
            model = OpenAIModel("m", (hung.url, well.url), timeout_s=1.0)
            first = await asked_of(model, [call(f"a{n}") for n in range(12)])
            assert any(isinstance(outcome, Failure) for outcome in first)
            before = len(hung.asked)
            later = await asked_of(model, [call(f"b{n}") for n in range(12)])
            await model.close()
            return later, len(hung.asked) - before

    later, asked = asyncio.run(go())
    assert asked == 0
    assert all(isinstance(outcome, Completion) for outcome in later)
