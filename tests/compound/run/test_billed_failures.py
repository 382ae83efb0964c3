"""Calls that gave no completion and may be billed count towards the budget."""

import asyncio
from pathlib import Path

import pytest

from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import Price
from parkade.compound.network import Generate
from parkade.compound.run.budget import Amounts, Budget
from parkade.compound.run.running import Settings, Summary, run_async
from tests.compound.building import ask, names
from tests.compound.server import Asked, completion, reply, scripted

PRICE = Price(input_micros_per_million=1_000_000, output_micros_per_million=1_000_000)
LOST = reply({"error": {"message": "upstream request timeout"}}, 504)
CUT = reply({"error": {"message": "cut"}, "usage": {"prompt_tokens": 20, "completion_tokens": 500}})


def run_against(first: bytes, failures: int, budget: Budget, out: Path) -> tuple[Summary, int]:
    """The summary, and how often the server was asked."""

    async def script(asked: Asked) -> bytes:
        return first if asked.number < failures else reply(completion("x"))

    async def go() -> tuple[Summary, int]:
        async with scripted(script) as server:
            model = OpenAIModel("m", (server.url,), price=PRICE, max_output_tokens=500)
            summary = await run_async(
                Generate("m"),
                [ask()],
                names=names({"m": model}),
                out=out,
                settings=Settings(budget=budget),
            )
            return summary, len(server.asked)

    return asyncio.run(go())


@pytest.mark.parametrize("first", [LOST, CUT])
def test_a_call_that_a_gateway_lost_counts_towards_the_budget(tmp_path: Path, first: bytes) -> None:
    summary, asked = run_against(first, 9, Budget(calls=1), tmp_path)
    assert (asked, summary.spent.calls, summary.doubtful.calls) == (1, 0, 1)
    assert summary.is_budget_spent


def test_usage_beside_an_error_is_on_the_bill(tmp_path: Path) -> None:
    summary, asked = run_against(CUT, 1, Budget(tokens=10_000), tmp_path)
    assert (asked, summary.answered) == (2, 1)
    assert summary.doubtful == Amounts(520, 520, 1)
