"""What a served network tells of its requests, its bill and its budget."""

import asyncio
from pathlib import Path

import httpx
import openai
import pytest

from parkade.compound.run.budget import Budget
from tests.compound.serve.test_serve import client, say, served

#: Names and labels are kept for ever.
KEPT = """
parkade_network_requests_total{status="200"} 2
parkade_network_requests_total{status="400"} 1
parkade_network_requests_total{status="429"} 1
parkade_network_open_questions 0
parkade_network_calls_total 5
parkade_network_tokens_total 65
parkade_network_spent_micros_total 80
parkade_network_doubtful_calls_total 0
parkade_network_doubtful_micros_total 0
parkade_network_budget_left_micros 4920
parkade_network_budget_left_calls 95
"""


def test_requests_bill_and_budget_are_told(tmp_path: Path) -> None:
    async def work() -> None:
        budget = Budget(micros=5_000, calls=100)
        async with served(tmp_path, budget=budget) as url, client(url) as asked:
            for _ in range(2):
                await asked.chat.completions.create(model="net", messages=say("hi"))
            with pytest.raises(openai.BadRequestError):
                await asked.chat.completions.create(model="net", messages=say("hi"), n=2)
            with pytest.raises(openai.RateLimitError):
                await asked.chat.completions.create(model="net", messages=say("x" * 9_000))
            async with httpx.AsyncClient() as plain:
                told = await plain.get(url.removesuffix("/v1") + "/metrics")
                assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
                assert (await plain.post(url.removesuffix("/v1") + "/metrics")).status_code == 405
            lines = [line for line in told.text.splitlines() if not line.startswith("#")]
            assert lines == KEPT.split("\n")[1:-1]
            assert told.text.count("# HELP") == told.text.count("# TYPE") == 9

    asyncio.run(work())


def test_they_are_told_only_with_the_key(tmp_path: Path) -> None:
    async def work() -> None:
        async with served(tmp_path, key="sesame") as url, httpx.AsyncClient() as plain:
            page = url.removesuffix("/v1") + "/metrics"
            assert (await plain.get(page)).status_code == 401
            told = await plain.get(page, headers={"authorization": "Bearer sesame"})
            assert told.status_code == 200

    asyncio.run(work())
