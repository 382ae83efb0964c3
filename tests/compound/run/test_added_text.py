"""A server that adds text to prompts passes a budget by its first calls only, and it is told."""

from pathlib import Path

from parkade.compound.network import Generate
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings
from parkade.compound.values import Call
from tests.compound.building import ask, names, priced, run_network


def test_what_a_server_adds_to_prompts_is_reserved_once_it_was_heard(tmp_path: Path) -> None:
    """It adds 500 tokens; without learning, a call would start for each 100 that are left."""

    def adding(call: Call) -> tuple[str, int, int]:
        assert call.most_input_tokens is not None
        return "x", call.most_input_tokens + 500, 10

    known = names({"m": priced(adding, concurrency=1)})
    settings = Settings(budget=Budget(tokens=3_000))
    questions = [ask(number) for number in range(20)]
    summary, _ = run_network(Generate("m", max_tokens=10), questions, known, tmp_path, settings)
    assert summary.is_budget_spent
    assert summary.calls == 4
    assert summary.overrun.tokens == 500
    assert summary.spent.tokens <= 3_000
