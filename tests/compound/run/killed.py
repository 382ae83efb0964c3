"""A run that is killed: started as a process by the test of kills.

python killed.py URL OUT BUDGET; "none" is without a budget.
"""

import sys
from pathlib import Path

from parkade.compound.models.openai import OpenAIModel
from parkade.compound.models.protocol import Price, RateLimits
from parkade.compound.network import BestOf, Generate
from parkade.compound.network.binding import Names
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings, run
from parkade.compound.values import Candidate, Question

QUESTIONS = 300
PRICE = Price(input_micros_per_million=1_000_000, output_micros_per_million=1_000_000)


def is_seven(question: Question, candidate: Candidate) -> bool:
    return candidate.text == "7"


def main() -> None:
    url, out, budget = sys.argv[1:]
    model = OpenAIModel("m", (url,), price=PRICE, limits=RateLimits(concurrency=8))
    network = BestOf(Generate("m", max_tokens=9), k=12, verify=is_seven, parallel=1)
    questions = (Question(id=str(n), prompt=f"question {n}") for n in range(QUESTIONS))
    settings = Settings(budget=Budget(micros=None if budget == "none" else int(budget)))
    run(network, questions, names=Names(models={"m": model}), out=Path(out), settings=settings)


if __name__ == "__main__":
    main()
