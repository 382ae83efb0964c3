"""A served network, asked by the real `openai` package and by hand."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from parkade.compound.models.local import LocalModel
from parkade.compound.models.openai import OpenAIModel
from parkade.compound.network import (
    BestOf,
    Generate,
    Judge,
    ModelVerifier,
    NetworkError,
    Operator,
)
from parkade.compound.run.affording import BudgetTooSmall
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings
from parkade.compound.serve import server as network_server
from parkade.compound.serve.answering import Answering
from parkade.compound.serve.server import NetworkServer, serving
from parkade.compound.values import Call, Candidate, Completion, Question, Usage, Verdict
from tests.compound.building import answering, names, priced, prompt
from tests.compound.server import Asked, completion, reply, scripted

NETWORK = BestOf(Generate("m", max_tokens=50), k=5, verify=lambda q, c: c.text.endswith("3"))


def numbered() -> LocalModel:
    return priced(lambda call: (f"{prompt(call)} {call.sample}", 10, 3))


@asynccontextmanager
async def served(
    tmp_path: Path,
    network: Operator = NETWORK,
    model: LocalModel | None = None,
    *,
    budget: Budget | None = None,
    key: str | None = None,
) -> AsyncIterator[str]:
    known = names({"m": model or numbered()})
    settings = Settings(budget=budget or Budget())
    server = NetworkServer(Answering(network, known, tmp_path, settings), "net", key)
    async with serving(server, "127.0.0.1", 0) as url:
        yield url


def client(url: str, key: str = "none") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0)


def in_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(100):
            await work()

    asyncio.run(bounded())


def say(text: str) -> Any:
    return [{"role": "system", "content": "be brief"}, {"role": "user", "content": text}]


def test_openai_gets_the_network_s_answer_with_usage(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as url, client(url) as asked:
            told = await asked.chat.completions.create(model="net", messages=say("hi"))
            assert told.choices[0].message.content == "hi 3"
            assert told.choices[0].finish_reason == "stop"
            assert told.usage is not None
            assert told.usage.prompt_tokens >= 40
            assert (
                told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens
            )
            extra = told.model_extra["parkade"]  # type: ignore[index]
            assert extra["accepted"] is True
            assert extra["cost_micros"] > 0

    in_loop(work)


def test_openai_streams_the_answer_and_the_usage(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as url, client(url) as asked:
            stream = await asked.chat.completions.create(
                model="net",
                messages=say("long " * 50),
                stream=True,
                stream_options={"include_usage": True},
            )
            pieces = [piece async for piece in stream]
            text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
            assert text == "long " * 50 + " 3"
            assert len(pieces) > 5
            assert pieces[-1].usage is not None
            assert pieces[-2].choices[0].finish_reason == "stop"

    in_loop(work)


def test_the_conversation_goes_through_to_the_model(tmp_path: Path) -> None:
    seen: list[Any] = []

    def record(call: Call) -> str:
        seen.append(json.loads(call.body)["messages"])
        return "x"

    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    messages: Any = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
    ]

    async def work() -> None:
        async with (
            served(tmp_path, Generate("m"), answering(record)) as url,
            client(url) as asked,
        ):
            await asked.chat.completions.create(model="net", messages=messages)

    in_loop(work)
    assert seen == [messages]


def test_many_clients_at_once_get_each_their_own_answer(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as url, client(url) as asked:
            told = await asyncio.gather(
                *(
                    asked.chat.completions.create(model="net", messages=say(f"q{n}"))
                    for n in range(30)
                )
            )
            assert [each.choices[0].message.content for each in told] == [
                f"q{n} 3" for n in range(30)
            ]

    in_loop(work)


@pytest.mark.parametrize(
    ("changed", "error", "code"),
    [
        ({"model": "other"}, openai.NotFoundError, "model_not_found"),
        ({"n": 3}, openai.BadRequestError, None),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, None),
        ({"stop": ["\n"]}, openai.BadRequestError, None),
        ({"seed": 0}, openai.BadRequestError, None),
        ({"logprobs": True}, openai.BadRequestError, None),
        ({"messages": []}, openai.BadRequestError, None),
        ({"messages": [{"role": "system", "content": "x"}]}, openai.BadRequestError, None),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            openai.BadRequestError,
            None,
        ),
    ],
)
def test_wrong_requests_raise_openai_s_own_errors(
    tmp_path: Path, changed: dict[str, Any], error: type[openai.APIStatusError], code: str | None
) -> None:
    async def work() -> None:
        async with served(tmp_path) as url, client(url) as asked:
            asking: dict[str, Any] = {"model": "net", "messages": say("hi"), **changed}
            with pytest.raises(error) as raised:
                await asked.chat.completions.create(**asking)
            assert raised.value.code == code

    in_loop(work)


def test_a_wrong_key_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, key="right") as url:
            async with client(url, "wrong") as asked:
                with pytest.raises(openai.AuthenticationError):
                    await asked.models.list()
            async with client(url, "right") as asked:
                assert [model.id async for model in asked.models.list()] == ["net"]

    in_loop(work)


def test_a_spent_budget_and_failing_models_raise_and_stream_errors(tmp_path: Path) -> None:
    def broken(call: Call) -> str:
        raise ZeroDivisionError("oops")

    async def work() -> None:
        async with served(tmp_path / "a", budget=Budget(calls=2)) as url, client(url) as asked:
            with pytest.raises(openai.RateLimitError, match="budget"):
                await asked.chat.completions.create(model="net", messages=say("hi"))
        async with (
            served(tmp_path / "b", Generate("m"), answering(broken)) as url,
            client(url) as asked,
        ):
            with pytest.raises(openai.InternalServerError, match="oops"):
                await asked.chat.completions.create(model="net", messages=say("hi"))
            stream = await asked.chat.completions.create(
                model="net", messages=say("hi"), stream=True
            )
            with pytest.raises(openai.APIError, match="oops"):
                async for _ in stream:
                    pass

    in_loop(work)


def test_a_budget_without_a_price_is_refused_before_it_serves(tmp_path: Path) -> None:
    settings = Settings(budget=Budget(micros=10))
    model = answering(lambda call: "x")
    model.price = None
    known = names({"m": model})
    with pytest.raises(NetworkError, match=r"models\.m\.price: write"):
        Answering(Generate("m", max_tokens=3), known, tmp_path, settings)
    assert not (tmp_path / "journal.jsonl").exists()


def test_a_budget_of_not_even_one_call_ends_before_it_serves_unless_something_is_known(
    tmp_path: Path,
) -> None:
    async def first() -> None:
        with pytest.raises(BudgetTooSmall, match="it may need 1 call, 0 are left"):
            Answering(NETWORK, names({"m": numbered()}), tmp_path, Settings(budget=Budget(calls=0)))
        async with served(tmp_path) as url, client(url) as asked:
            await asked.chat.completions.create(model="net", messages=say("hi"))

    async def then() -> None:
        told: list[str] = []
        known, settings = names({"m": numbered()}), Settings(budget=Budget(calls=1))
        server = NetworkServer(
            Answering(NETWORK, known, tmp_path, settings, told.append), "net", None
        )
        async with serving(server, "127.0.0.1", 0) as url, client(url) as asked:
            assert "only what the journal knows is answered" in told[0]
            await asked.chat.completions.create(model="net", messages=say("hi"))
            with pytest.raises(openai.RateLimitError, match="budget"):
                await asked.chat.completions.create(model="net", messages=say("another"))

    in_loop(first)
    in_loop(then)


def test_a_name_that_no_request_holds_is_told_before_it_serves(tmp_path: Path) -> None:
    known = names({"m": numbered()})
    for network, says in (
        (
            Generate("m", prompt="{promt}"),
            r"\{promt\}, which no request to a server holds; ",
        ),
        (Generate("m", prompt="{prompt}") >> Judge("m", system="{field}"), r"^judge: .*\{field\}"),
        (BestOf(Generate("m"), 2, ModelVerifier("m", prompt="{answer}")), r"\{answer\}"),
    ):
        with pytest.raises(NetworkError, match=says):
            Answering(network, known, tmp_path, Settings())
    assert not (tmp_path / "journal.jsonl").exists()


def test_what_every_request_holds_may_stand_in_a_template(tmp_path: Path) -> None:
    async def work() -> None:
        network = Generate("m", prompt="{id}: {prompt} {messages}")
        async with served(tmp_path, network) as url, client(url) as asked:
            told = await asked.chat.completions.create(model="net", messages=say("hi"))
            assert "hi" in str(told.choices[0].message.content)

    in_loop(work)


def test_a_verifier_s_sandbox_ends_with_the_server(tmp_path: Path) -> None:
    class Sandboxed:
        name = "sandboxed"
        is_open = True

        def version(self) -> str:
            return "1"

        async def verify(self, question: Question, candidate: Candidate) -> Verdict:
            return Verdict(is_accepted=True)

        def close(self) -> None:
            self.is_open = False

    verifier = Sandboxed()

    async def work() -> None:
        known = names({"m": numbered()}, verifiers={"v": verifier})
        server = NetworkServer(
            Answering(BestOf(Generate("m"), 2, "v"), known, tmp_path, Settings()), "net", None
        )
        async with serving(server, "127.0.0.1", 0) as url, client(url) as asked:
            await asked.chat.completions.create(model="net", messages=say("hi"))
            assert verifier.is_open

    in_loop(work)
    assert not verifier.is_open


def test_a_refused_key_fails_its_question_and_the_server_answers_when_it_is_right_again(
    tmp_path: Path,
) -> None:
    """A key that was changed, or a model that is loaded anew, is right after a while."""
    is_refused = True

    async def script(asked: Asked) -> bytes:
        if is_refused:
            return reply(b'{"error": {"message": "wrong key"}}', 401)
        return reply(completion("fine"))

    async def work() -> None:
        nonlocal is_refused
        async with scripted(script) as models:
            model = OpenAIModel("m", (models.url,))
            known = names({"m": model})
            server = NetworkServer(
                Answering(Generate("m"), known, tmp_path, Settings()), "net", None
            )
            async with serving(server, "127.0.0.1", 0) as url, client(url) as asked:
                for _ in range(2):
                    with pytest.raises(openai.InternalServerError, match="wrong key"):
                        await asked.chat.completions.create(model="net", messages=say("hi"))
                is_refused = False
                told = await asked.chat.completions.create(model="net", messages=say("hi"))
                assert told.choices[0].message.content == "fine"

    in_loop(work)


def test_an_abstaining_network_refuses_in_words(tmp_path: Path) -> None:
    never = BestOf(Generate("m"), k=2, verify=lambda q, c: False, fallback="abstain")

    async def work() -> None:
        async with served(tmp_path, never) as url, client(url) as asked:
            told = await asked.chat.completions.create(model="net", messages=say("hi"))
            assert told.choices[0].message.content is None
            assert told.choices[0].message.refusal == "no candidate was accepted"

    in_loop(work)


def test_a_cut_answer_and_a_refusal_are_told_as_such(tmp_path: Path) -> None:
    message = msgspec.Raw(b'{"role":"assistant","content":null,"refusal":"I will not."}')

    def ends(call: Call) -> Completion:
        is_refused = prompt(call) == "no"
        return Completion(
            text="" if is_refused else "the beginn",
            usage=Usage(input_tokens=1, output_tokens=1),
            cost_micros=0,
            finish="stop" if is_refused else "length",
            latency_us=0,
            message=message if is_refused else None,
        )

    async def work() -> None:
        model = LocalModel("m", ends)
        async with served(tmp_path, Generate("m"), model) as url, client(url) as asked:
            told = await asked.chat.completions.create(model="net", messages=say("hi"))
            assert (told.choices[0].finish_reason, told.choices[0].message.content) == (
                "length",
                "the beginn",
            )
            told = await asked.chat.completions.create(model="net", messages=say("no"))
            assert told.choices[0].message.refusal == "I will not."
            assert told.choices[0].message.content is None
            stream = await asked.chat.completions.create(
                model="net", messages=say("hi"), stream=True
            )
            finishes = [piece.choices[0].finish_reason async for piece in stream]
            assert finishes[-1] == "length"

    in_loop(work)


def test_an_image_that_a_budget_cannot_bound_is_the_clients_mistake(tmp_path: Path) -> None:
    image: Any = {"type": "image_url", "image_url": {"url": "data:,"}}
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "hi"}, image]}]

    async def work() -> None:
        async with served(tmp_path, budget=Budget(tokens=1_000)) as url, client(url) as asked:
            with pytest.raises(openai.BadRequestError, match="messages of text only") as told:
                await asked.chat.completions.create(model="net", messages=messages)
            assert "attachment_tokens" not in str(told.value)

    in_loop(work)


def test_the_one_model_is_told_of_by_its_name(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as url, client(url) as asked:
            assert (await asked.models.retrieve("net")).id == "net"
            with pytest.raises(openai.NotFoundError, match="this server has 'net'"):
                await asked.models.retrieve("other/one")

    in_loop(work)


def test_a_client_that_goes_away_cancels_its_calls(tmp_path: Path) -> None:
    async def work() -> None:
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def slow(call: Call) -> str:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return ""

        async with (
            served(tmp_path, Generate("m"), LocalModel("slow", slow)) as url,
            client(url) as asked,
        ):
            asking = asyncio.create_task(
                asked.chat.completions.create(model="net", messages=say("hi"))
            )
            await started.wait()
            asking.cancel()
            await cancelled.wait()

    in_loop(work)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"DELETE /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{x}",
            b"400",
        ),
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{",
            b"400",
        ),
    ],
)
def test_what_is_no_request_gets_an_error_and_the_server_lives(
    tmp_path: Path, sent: bytes, status: bytes
) -> None:
    async def work() -> None:
        async with served(tmp_path) as url:
            port = int(url.split(":")[2].split("/")[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            told = await reader.read()
            assert told[9:12] == status
            writer.close()
            async with client(url) as asked:
                told_well = await asked.chat.completions.create(model="net", messages=say("hi"))
                assert told_well.choices[0].message.content == "hi 3"

    in_loop(work)


def test_a_client_that_drips_its_request_is_let_go_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_server, "READ_S", 0.5)

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n")
        while True:
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.05)

    async def work() -> None:
        async with served(tmp_path) as url:
            port = int(url.split(":")[2].split("/")[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            dripping = asyncio.ensure_future(drip(writer))
            async with client(url) as asked:
                told = await asked.chat.completions.create(model="net", messages=say("hi"))
                assert told.choices[0].message.content == "hi 3"
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            dripping.cancel()
            writer.close()

    in_loop(work)


def test_equal_questions_are_answered_from_the_journal(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path) as url, client(url) as asked:
            for calls in (True, False):
                told = await asked.chat.completions.create(model="net", messages=say("hi"))
                assert bool(told.model_extra["parkade"]["calls"]) is calls  # type: ignore[index]

    in_loop(work)
