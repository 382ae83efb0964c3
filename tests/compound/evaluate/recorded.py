"""Outcomes for tests: drawn from known rates, and read from real data where it is there."""

import csv
import gzip
import json
import random
import re
from collections import defaultdict

import numpy as np

from parkade.compound.evaluate.cascade import RecordedAnswer
from parkade.compound.evaluate.outcomes import CandidateOutcome
from tests.shared_data import shared_data

COST_MICROS = 100


def drawn(
    rates: list[tuple[float, float, float]], samples: int, seed: int = 1
) -> list[CandidateOutcome]:
    """Candidates of questions with these (p, tpr, fpr)."""
    chance = random.Random(seed)
    found = []
    for number, (p, tpr, fpr) in enumerate(rates):
        for _ in range(samples):
            is_right = chance.random() < p
            found.append(
                CandidateOutcome(
                    question=f"q{number}",
                    is_correct=is_right,
                    is_accepted=chance.random() < (tpr if is_right else fpr),
                    answer="right" if is_right else f"wrong {chance.randrange(3)}",
                    cost_micros=COST_MICROS,
                    latency_us=2_000,
                )
            )
    return found


def spread_rates(
    questions: int, tpr: float, fpr: float, *, alpha: float = 0.6, beta: float = 2.0, seed: int = 2
) -> list[tuple[float, float, float]]:
    """Questions whose p follows a Beta, all with one verifier."""
    chance = random.Random(seed)
    return [(chance.betavariate(alpha, beta), tpr, fpr) for _ in range(questions)]


def math_counts() -> dict[str, list[tuple[int, int]]]:
    """(samples, right) of 128 problems by model: Pythia models on MATH, 10,000 samples each."""
    found = defaultdict(list)
    with shared_data("eval/repeated_sampling_math_counts.csv").open() as file:
        for row in csv.DictReader(file):
            found[row["model"]].append((int(row["samples"]), int(row["correct"])))
    return dict(found)


def drawn_of(
    counts: list[tuple[int, int]], samples: int, chance: np.random.Generator
) -> list[tuple[int, int]]:
    """(samples, right) where so many of each question's samples are taken without putting back."""
    right = np.array([c for _, c in counts])
    wrong = np.array([n - c for n, c in counts])
    return [(samples, int(hits)) for hits in chance.hypergeometric(right, wrong, samples)]


SYSTEMS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def grade_school_answers() -> list[dict[str, RecordedAnswer]]:
    """Four recorded systems' answers to the 1,319 test questions of GSM8K."""
    found = []
    with gzip.open(shared_data("eval/gsm8k_model_solutions.jsonl.gz"), "rt") as file:
        for line in file:
            row = json.loads(line)
            found.append(
                {
                    system: RecordedAnswer(
                        _final(row[system]["solution"]), bool(row[system]["is_correct"])
                    )
                    for system in SYSTEMS
                }
            )
    return found


def _final(solution: str) -> str:
    """What stands behind the last `A:`, as a number where it is one."""
    _, mark, last = solution.rpartition("A:")
    text = re.sub(r"[,$%\s]", "", last) if mark else ""
    return text.removesuffix(".00").removesuffix(".")
