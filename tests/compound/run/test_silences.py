"""Outages and refusals of a model's server, in whole runs."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import Cancel, Done, Failure, FailureKind, RateLimits
from parkade.compound.network import BestOf, Generate
from parkade.compound.run.budget import NOTHING
from parkade.compound.run.failures import read_failures
from parkade.compound.run.journal import Journal
from parkade.compound.run.progressing import RunStopped
from parkade.compound.run.results import Result
from parkade.compound.run.running import Settings, Summary
from parkade.compound.values import Call, Candidate, Question
from tests.compound.building import PRICE, ask, names, run_network


class Away(LocalModel):
    """Answers so many calls, then fails so many, then answers again."""

    def __init__(self, answers: int, fails: int, failure: Failure) -> None:
        super().__init__("away", lambda call: "fine")
        self.answers = answers
        self.fails = fails
        self.failure = failure

    def start(self, call: Call, done: Done) -> Cancel:
        if self.answers:
            self.answers -= 1
        elif self.fails:
            self.fails -= 1
            done(self.failure)
            return lambda: None
        return super().start(call, done)


UNREACHED = Failure(kind=FailureKind.UNAVAILABLE, message="refused", is_unreached=True)
LOADING = Failure(kind=FailureKind.UNAVAILABLE, message="503: loading")


@pytest.mark.parametrize(("answers", "fails"), [(0, 40), (100, 200)])
def test_an_outage_of_many_calls_fails_no_question(
    tmp_path: Path, answers: int, fails: int
) -> None:
    away = Away(answers, fails, UNREACHED)
    questions = [ask(n) for n in range(500)]
    summary, _ = run_network(Generate("m"), questions, names({"m": away}), tmp_path)
    assert (summary.answered, summary.failed, summary.failed_calls) == (500, 0, 0)
    assert (away.fails, summary.doubtful) == (0, NOTHING)


def test_a_run_may_begin_while_its_server_loads(tmp_path: Path) -> None:
    away = Away(0, 30, LOADING)
    questions = [ask(n) for n in range(200)]
    summary, _ = run_network(Generate("m"), questions, names({"m": away}), tmp_path)
    assert (summary.answered, summary.failed) == (200, 0)


@pytest.mark.parametrize("answers", [0, 100])
def test_a_server_that_stays_away_ends_the_run_without_a_failed_question(
    tmp_path: Path, answers: int
) -> None:
    away = Away(answers, 10**9, UNREACHED)
    questions = [ask(n) for n in range(500)]
    with pytest.raises(RunStopped, match=r"refused.*same command goes on"):
        run_network(
            Generate("m"), questions, names({"m": away}), tmp_path, Settings(patience_s=0.5)
        )
    assert not (tmp_path / "failures.jsonl").exists() or not (
        (tmp_path / "failures.jsonl").read_text()
    )


class WrongKey(LocalModel):
    """Refuses each call when the loop has turned once more than for the one before."""

    def __init__(self) -> None:
        super().__init__("refusing", lambda call: "x", price=PRICE, max_output_tokens=100)
        self.limits = RateLimits(concurrency=32, initial=32)
        self.asked = 0

    def start(self, call: Call, done: Done) -> Cancel:
        self.asked += 1
        refusal = Failure(kind=FailureKind.DENIED, message="401: wrong key")
        asyncio.get_running_loop().call_later(0.001 * self.asked, done, refusal)
        return lambda: None


def test_a_wrong_key_books_nothing_for_the_calls_beside_it(tmp_path: Path) -> None:
    model = WrongKey()
    with pytest.raises(RunStopped, match="401"):
        run_network(Generate("m"), [ask(n) for n in range(99)], names({"m": model}), tmp_path)
    assert model.asked == 32
    journal = Journal(tmp_path / "journal.jsonl")
    assert journal.doubtful == NOTHING
    journal.close()


class Unsent(LocalModel):
    """Sends only the first sample of a question; the others wait for a connection."""

    def start(self, call: Call, done: Done) -> Cancel:
        if call.sample:
            return lambda: True
        asyncio.get_running_loop().call_soon(done, self._completion(call, "x", 0))
        return lambda: None


def test_a_cancelled_call_that_was_not_sent_is_not_on_the_bill(tmp_path: Path) -> None:
    model = Unsent("unsent", lambda call: "x", price=PRICE, max_output_tokens=100)
    network = BestOf(Generate("m"), k=4, verify=lambda q, c: True)
    summary, _ = run_network(network, [ask()], names({"m": model}), tmp_path)
    assert summary.cancelled == 3
    assert summary.doubtful == NOTHING


class Hangs(LocalModel):
    """Gives no answer in time to some prompts, and answers all others."""

    def __init__(self, hangs: Callable[[str], bool]) -> None:
        super().__init__("hangs", lambda call: "fine")
        self.hangs = hangs

    def start(self, call: Call, done: Done) -> Cancel:
        if not self.hangs(call.prompt):
            return super().start(call, done)
        late = Failure(kind=FailureKind.TIMEOUT, message="no answer in 2 s", may_be_billed=True)
        timer = asyncio.get_running_loop().call_later(0.05, done, late)
        return timer.cancel


def hung_run(
    out: Path, count: int, hangs: Callable[[str], bool]
) -> tuple[Summary, dict[str, Result]]:
    questions, network = [ask(n) for n in range(count)], BestOf(Generate("m"), k=2, verify=fine)
    models = names({"m": Hangs(hangs)})
    return run_network(network, questions, models, out, Settings(patience_s=0.2))


def fine(question: Question, candidate: Candidate) -> bool:
    return candidate.text == "fine"


def test_a_prompt_that_hangs_fails_its_question_and_ends_no_run(tmp_path: Path) -> None:
    """Also where it is the only one that is left: the start before saw others answered."""
    for answered, skipped in ((59, 0), (0, 59)):
        summary, results = hung_run(tmp_path, 60, lambda prompt: prompt == "question 45")
        assert (summary.answered, summary.skipped, summary.failed) == (answered, skipped, 1)
        assert results["q45"].failures[0] == "timeout: no answer in 2 s"
        (failed,) = read_failures(tmp_path / "failures.jsonl")
        assert failed.id == "q45"


def test_a_model_of_which_nothing_is_answered_ends_the_run_though_it_was_before(
    tmp_path: Path,
) -> None:
    hung_run(tmp_path, 10, lambda prompt: False)
    with pytest.raises(RunStopped, match="has not answered one call"):
        hung_run(tmp_path, 60, lambda prompt: True)


def test_a_server_that_begins_to_hang_ends_the_run(tmp_path: Path) -> None:
    begun: set[str] = set()

    def hangs(prompt: str) -> bool:
        begun.add(prompt)
        return len(begun) > 100

    with pytest.raises(RunStopped, match="answers no more"):
        hung_run(tmp_path, 500, hangs)
