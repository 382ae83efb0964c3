"""Samples of one prompt in one request: asked together, kept and billed one by one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.compound.models.answers import completions_from
from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import Failure, Outcome
from parkade.compound.network import Generate
from parkade.compound.values import Completion
from tests.compound.building import ask, names, run_network
from tests.compound.models.test_openai import PRICE, asked_of, call
from tests.compound.server import Asked, Script, ScriptedServer, completion, reply, scripted

PROMPT_TOKENS, ANSWER_TOKENS = 100, 31


def several(asked: Asked, most: int = 100) -> bytes:
    """Numbers its answers over all requests, and tells the last choice first."""
    count = min(most, asked.body.get("n", 1))
    said = completion("", usage=(PROMPT_TOKENS, ANSWER_TOKENS))
    said["choices"] = [
        {
            "index": index,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": f"{asked.number}.{index}"},
        }
        for index in reversed(range(count))
    ]
    return reply(said)


async def honours(asked: Asked) -> bytes:
    return several(asked)


async def ignores(asked: Asked) -> bytes:
    return several(asked, most=1)


async def refuses(asked: Asked) -> bytes:
    if "n" in asked.body:
        return reply({"error": {"message": "n must be 1"}}, 400)
    return several(asked)


async def refuses_inside(asked: Asked) -> bytes:
    """As a gateway does that hides the status in a success."""
    if "n" not in asked.body:
        return await honours(asked)
    return reply({"error": {"message": "n must be 1", "code": 400}})


def outcomes(script: Script, count: int, most: int = 8) -> tuple[list[Outcome], ScriptedServer]:
    async def go() -> tuple[list[Outcome], ScriptedServer]:
        async with scripted(script) as server:
            model = OpenAIModel("m", (server.url,), price=PRICE, samples_per_request=most)
            heard = await asked_of(model, [call("hi", sample=n) for n in range(count)])
            await model.close()
            return heard, server

    return asyncio.run(go())


def texts(heard: list[Outcome]) -> list[str]:
    return [each.text if isinstance(each, Completion) else each.message for each in heard]


def test_samples_that_start_together_are_one_request_and_each_has_its_choice() -> None:
    heard, server = outcomes(honours, 11)
    assert sorted(asked.body.get("n", 1) for asked in server.asked) == [3, 8]
    by_n = {asked.body["n"]: asked.number for asked in server.asked}
    assert texts(heard) == [
        *(f"{by_n[8]}.{index}" for index in range(8)),
        *(f"{by_n[3]}.{index}" for index in range(3)),
    ]


@pytest.mark.parametrize("script", [ignores, refuses, refuses_inside])
def test_a_server_that_cannot_give_several_is_asked_one_by_one_and_nothing_is_lost(
    script: Script,
) -> None:
    heard, server = outcomes(script, 5)
    assert len(set(texts(heard))) == 5
    assert all(isinstance(each, Completion) for each in heard)
    assert [asked.body.get("n") for asked in server.asked].count(5) == 1


def test_different_prompts_are_different_requests() -> None:
    async def go() -> ScriptedServer:
        async with scripted(honours) as server:
            model = OpenAIModel("m", (server.url,), samples_per_request=8)
            await asked_of(model, [call(text, sample=n) for text in "ab" for n in range(2)])
            await model.close()
            return server

    server = asyncio.run(go())
    assert [asked.body["n"] for asked in server.asked] == [2, 2]


def test_a_failure_is_that_of_all_and_a_cancelled_sample_is_never_heard() -> None:
    async def fails(asked: Asked) -> bytes:
        return reply({"error": {"message": "busy"}}, 503)

    heard, server = outcomes(fails, 3)
    assert [isinstance(each, Failure) for each in heard] == [True] * 3
    assert len(server.asked) == 1

    async def go() -> list[str]:
        async with scripted(honours) as server:
            model = OpenAIModel("m", (server.url,), samples_per_request=8)
            told: list[str] = []
            over = asyncio.get_running_loop().create_future()

            def last(outcome: Outcome) -> None:
                told.append(texts([outcome])[0])
                over.set_result(None)

            model.start(call("hi", sample=0), lambda outcome: told.append(texts([outcome])[0]))
            cancel = model.start(call("hi", sample=1), lambda outcome: told.append("cancelled"))
            model.start(call("hi", sample=2), last)
            await server.reached(1)
            cancel()
            await over
            await model.close()
            return told

    assert asyncio.run(go()) == ["0.0", "0.2"]


@settings(max_examples=80, deadline=None)
@given(
    prompt=st.integers(1, 10**6), made=st.integers(1, 10**6), count=st.integers(1, 9),
    choices=st.integers(1, 9),
)  # fmt: skip
def test_shares_add_up_to_what_the_server_reports(
    prompt: int, made: int, count: int, choices: int
) -> None:
    told = {
        "choices": [{"message": {"content": str(n)}, "index": n} for n in range(choices)],
        "usage": {"prompt_tokens": prompt, "completion_tokens": made},
    }
    calls = [call("hi", sample=n) for n in range(count)]
    found = completions_from(json.dumps(told).encode(), calls, PRICE, 1)
    done = [each for each in found if isinstance(each, Completion)]
    assert len(done) == min(count, choices) or count == 1
    assert sum(each.usage.input_tokens for each in done) == prompt
    assert sum(each.usage.output_tokens for each in done) == made
    assert sum(each.cost_micros for each in done) == prompt * 1 + made * 3


def test_a_resumed_run_asks_only_for_the_samples_that_it_lacks(tmp_path: Path) -> None:
    async def go(n: int) -> tuple[Any, list[int]]:
        async with scripted(honours) as server:
            model = OpenAIModel("m", (server.url,), price=PRICE, samples_per_request=8)
            summary, results = await asyncio.to_thread(
                run_network, Generate("m", n=n), [ask()], names({"m": model}), tmp_path
            )
            assert len(results["q1"].candidates) == n
            return summary, [asked.body.get("n", 1) for asked in server.asked]

    summary, asked = asyncio.run(go(5))
    assert asked == [5]
    assert (summary.calls, summary.spent.tokens) == (5, PROMPT_TOKENS + ANSWER_TOKENS)
    summary, asked = asyncio.run(go(8))
    assert asked == [3]
    assert (summary.calls, summary.cached) == (3, 5)
    assert summary.spent.tokens == 2 * (PROMPT_TOKENS + ANSWER_TOKENS)
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert sorted(line["sample"] for line in lines if line["is"] == "call") == list(range(8))
