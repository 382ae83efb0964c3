"""`worth` of best_of: a question ends where the next candidate is not worth its price."""

from pathlib import Path

import msgspec
import pytest

from parkade.compound.network import BestOf, Generate
from parkade.compound.network.binding import bind
from parkade.compound.network.digest import network_digest
from parkade.compound.values import Candidate, Question
from tests.compound.building import answering, ask, names, run_network

KNOWN = names({"m": answering(lambda call: str(call.sample), "counting")})
QUESTIONS = 12


def never(question: Question, candidate: Candidate) -> bool:
    return False


def one_in_four(question: Question, candidate: Candidate) -> bool:
    return int(candidate.text) % 4 == 3


def drawn(network: BestOf, out: Path) -> list[int]:
    """Calls of each question, in the order in which they ended."""
    _, results = run_network(network, [ask(n) for n in range(QUESTIONS)], KNOWN, out)
    return [result.calls for result in results.values()]


def test_hopeless_questions_are_given_up_ever_sooner(tmp_path: Path) -> None:
    network = BestOf(Generate("m"), 500, never, worth=40.0, parallel=1)
    calls = drawn(network, tmp_path)
    assert len(calls) == QUESTIONS
    assert min(calls) >= 1
    assert calls[-1] < calls[0] < 500


def test_questions_that_are_solved_are_not_given_up(tmp_path: Path) -> None:
    network = BestOf(Generate("m"), 500, one_in_four, worth=40.0, parallel=1)
    assert drawn(network, tmp_path) == [4] * QUESTIONS


def one_in_three(question: Question, candidate: Candidate) -> bool:
    return int(candidate.text) % 3 == 2


def test_a_small_run_is_not_given_up_after_one_rejected_candidate(tmp_path: Path) -> None:
    """The first questions teach; a prior of hard questions alone would end each after one."""
    network = BestOf(Generate("m"), 64, one_in_three, worth=20.0, parallel=1)
    assert drawn(network, tmp_path) == [3] * QUESTIONS


def test_what_is_given_up_is_counted_and_noted(tmp_path: Path) -> None:
    network = BestOf(Generate("m"), 500, never, worth=20.0, parallel=1)
    summary, results = run_network(network, [ask(n) for n in range(3)], KNOWN, tmp_path)
    assert summary.noted.given_up == 3
    assert all("more was not worth it" in each.notes[0] for each in results.values())
    first = next(iter(results.values()))
    assert first.calls == 18


@pytest.mark.parametrize("worth", [1.0, 1e12])
def test_one_candidate_is_drawn_at_least_and_k_at_most(worth: float, tmp_path: Path) -> None:
    network = BestOf(Generate("m"), 20, never, worth=worth, parallel=1)
    assert set(drawn(network, tmp_path)) == {1 if worth == 1 else 20}


def test_what_is_in_flight_never_passes_what_is_allowed(tmp_path: Path) -> None:
    """Sixteen at once would draw more than are worth their price."""
    alone = drawn(BestOf(Generate("m"), 500, never, worth=4.0, parallel=1), tmp_path / "alone")
    assert alone[0] < 16
    together = drawn(BestOf(Generate("m"), 500, never, worth=4.0), tmp_path / "together")
    assert max(together) <= alone[0]


def test_a_network_without_worth_keeps_the_digest_that_it_had() -> None:
    """A run of an earlier version goes on: the digest names its results."""
    bound = bind(BestOf(Generate("m"), 8, "v"), names(KNOWN.models, verifiers={"v": never}))
    assert b"worth" not in msgspec.json.encode(bound.network)
    other = bind(
        BestOf(Generate("m"), 8, "v", worth=9.0), names(KNOWN.models, verifiers={"v": never})
    )
    assert network_digest(bound) != network_digest(other)
