"""A race again, out of the journal: what lost it is not asked, and not billed."""

import asyncio
import warnings
from pathlib import Path

from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import Price
from parkade.compound.network import Generate, Race, Vote
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings
from parkade.compound.values import Call
from tests.compound.building import ask, names, run_network

PRICE = Price(input_micros_per_million=10_000_000, output_micros_per_million=10_000_000)


def test_a_race_that_the_journal_decides_bills_no_loser(tmp_path: Path) -> None:
    begun = []

    async def slow(call: Call) -> str:
        begun.append(call.key)
        if len(begun) > 1:
            return "it was asked again"
        await asyncio.Event().wait()
        return ""

    known = names(
        {
            "slow": LocalModel("slow", slow, price=PRICE),
            "quick": LocalModel("quick", lambda call: "x", price=PRICE),
        }
    )
    race = Race((Generate("slow", max_tokens=9), Generate("quick", max_tokens=9)))
    settings = Settings(budget=Budget(micros=1_000_000))
    doubtful = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for network in (race, race >> Vote(), race >> Vote() >> Vote()):
            summary, results = run_network(network, [ask(1)], known, tmp_path, settings)
            assert results["q1"].answer == "x"
            doubtful.append(summary.doubtful.micros)
    # The first time both may have run.
    assert summary.calls == 0
    assert len(begun) <= 1
    assert len(set(doubtful)) == 1
