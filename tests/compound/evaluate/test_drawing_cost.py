"""What a candidate costs drawn alone, side by side, and where samples share a prompt."""

import asyncio
import json
import random
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from parkade.cli.compound.app import compound
from parkade.compound.evaluate.calibration import Calibration, SharedPrompt, calibration_of
from parkade.compound.evaluate.curve import Curve
from parkade.compound.evaluate.drawing_cost import Drawing, each_micros
from parkade.compound.evaluate.evaluation import evaluate
from parkade.compound.evaluate.planning import Budget, Target, plan
from parkade.compound.evaluate.recorded_run import Labels, outcomes_of_run
from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import Price
from parkade.compound.network import Generate, Verify
from parkade.compound.run.running import run_async
from parkade.compound.theory.domain import DomainError
from tests.compound.building import ask, names
from tests.compound.evaluate.recorded import COST_MICROS, drawn, spread_rates
from tests.compound.server import Asked, reply, scripted

RECORDED = calibration_of(drawn(spread_rates(80, 0.9, 0.05), 12))


def test_the_worked_example_of_the_module() -> None:
    calibration = msgspec.structs.replace(
        RECORDED, cost_micros=21.25, shared_prompt=SharedPrompt(micros=90, candidates=8)
    )
    costs = {parallel: each_micros(calibration, parallel) for parallel in (1, 4, 8, 100)}
    assert costs == pytest.approx({1: 100, 4: 32.5, 8: 21.25, 100: 21.25})
    assert each_micros(RECORDED, 1) == each_micros(RECORDED, 16) == COST_MICROS


@pytest.mark.parametrize(("parallel", "k"), [(1, 5), (4, 12), (4, 3), (16, 16), (7, 60)])
def test_draws_side_by_side_are_what_a_simulation_finds(parallel: int, k: int) -> None:
    """The n-th candidate is begun when the result of the one `parallel` before it is known."""
    p, chance, rounds = 0.15, random.Random(4), 20_000
    total = 0
    for _ in range(rounds):
        first = next((n for n in range(1, k + 1) if chance.random() < p), k + 1)
        total += min(k, first + parallel - 1)
    curve = Curve({(p, 1.0, 0.0): 1.0}, ())
    assert Drawing(curve, parallel, 3.0).draws(k) == pytest.approx(total / rounds, rel=0.02)
    assert Drawing(curve, parallel, 3.0).cost_micros(k) == pytest.approx(
        3 * total / rounds, rel=0.02
    )


def test_a_plan_for_candidates_side_by_side_costs_more_and_reaches_the_same() -> None:
    one, many = (plan(RECORDED, Target(accuracy=0.5), parallel=n) for n in (1, 16))
    assert one.k is not None
    assert (one.k, one.accuracy) == (many.k, many.accuracy)
    assert one.cost_micros is not None
    assert many.cost_micros is not None
    assert many.cost_micros > 1.5 * one.cost_micros
    assert many.worst_cost_micros == one.worst_cost_micros
    budget = Budget(micros=80 * COST_MICROS * 3)
    few, more = (plan(RECORDED, budget, parallel=n) for n in (1, 3))
    assert few.k is not None
    assert more.k is not None
    assert more.k < few.k
    assert more.cost_micros is not None
    assert more.cost_micros <= budget.micros
    with pytest.raises(DomainError, match="parallel"):
        plan(RECORDED, budget, parallel=0)


#: A prompt of 90 tokens and answers of 10, at one micro-unit a token.
PRICE = Price(input_micros_per_million=1_000_000, output_micros_per_million=1_000_000)
LABELS = Labels(references={"q1": 0, "q2": 0, "q3": 0}, rule="number")


def pilot(out: Path, samples_per_request: int) -> Calibration:
    """Eight candidates of three questions; those with an even number are right, and accepted."""

    async def go() -> None:
        async def script(asked: Asked) -> bytes:
            n = asked.body.get("n", 1)
            first = len(server.asked)
            texts = [str((first + place) % 2) for place in range(n)]
            choices = [
                {"index": place, "message": {"content": text}, "finish_reason": "stop"}
                for place, text in enumerate(texts)
            ]
            usage = {"prompt_tokens": 90, "completion_tokens": 10 * n}
            return reply(json.dumps({"choices": choices, "usage": usage}).encode())

        async with scripted(script) as server:
            model = OpenAIModel(
                "m", (server.url,), price=PRICE, samples_per_request=samples_per_request
            )
            network = Generate("m", n=8) >> Verify(lambda q, c: c.text == "0")
            await run_async(
                network, [ask(n) for n in (1, 2, 3)], names=names({"m": model}), out=out
            )

    asyncio.run(go())
    return calibration_of(outcomes_of_run(out, LABELS))


def test_a_pilot_that_shared_prompts_tells_what_a_candidate_costs_alone(tmp_path: Path) -> None:
    shared, alone = pilot(tmp_path / "shared", 8), pilot(tmp_path / "alone", 1)
    assert (alone.cost_micros, alone.shared_prompt) == (100, None)
    assert shared.cost_micros == 21.25
    assert shared.shared_prompt == SharedPrompt(micros=90, candidates=8)
    assert each_micros(shared, 1) == each_micros(alone, 1) == 100
    # The bill is what was paid, and the cost per solved question that of drawing one by one.
    billed, told = evaluate(outcomes_of_run(tmp_path / "shared", LABELS), ks=[1]), alone
    assert billed.cost_micros == 3 * (90 + 80)
    assert billed.rows[0].cost_per_solved_micros == pytest.approx(told.cost_micros / 0.5)
    shown = CliRunner().invoke(compound, ["calibrate", str(tmp_path / "shared")])
    assert "drawn alone             0.0001" in shown.output
    shown = CliRunner().invoke(compound, ["calibrate", str(tmp_path / "alone")])
    assert "drawn alone" not in shown.output
