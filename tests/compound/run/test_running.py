"""Whole runs: resume, caching, budget, failures."""

import asyncio
import gc
from pathlib import Path

import pytest

from parkade.compound.distil.gather import gather
from parkade.compound.evaluate.recorded_run import outcomes_of_run
from parkade.compound.models.local import LocalModel
from parkade.compound.models.protocol import Failure, FailureKind, Price
from parkade.compound.network import BestOf, Generate, ModelVerifier, NetworkError, Verify, Vote
from parkade.compound.run.budget import Amounts, Budget
from parkade.compound.run.progressing import RunStopped, VerifierBroken
from parkade.compound.run.running import Settings, Watch, run_async
from parkade.compound.show.page import as_page
from parkade.compound.show.text import as_text
from parkade.compound.show.trace import read_trace
from parkade.compound.values import Call, Candidate, Completion, Question, Usage, Verdict
from tests.compound.building import (
    PRICE,
    answering,
    answers,
    ask,
    names,
    priced,
    prompt,
    run_network,
)


class Counted:
    """A model that counts what it is asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.model = LocalModel("counted", self.answer)

    def answer(self, call: Call) -> str:
        self.calls.append(call.key)
        return str(call.sample)


def is_three(question: Question, candidate: Candidate) -> bool:
    return candidate.text == "3"


def test_each_question_gets_its_answer(tmp_path: Path) -> None:
    network = BestOf(Generate("m"), k=10, verify=is_three)
    summary, results = run_network(
        network, [ask(n) for n in range(50)], names({"m": Counted().model}), tmp_path
    )
    assert summary.answered == summary.accepted == 50
    assert {result.answer for result in results.values()} == {"3"}


def test_the_same_run_again_asks_nothing_and_answers_nothing(tmp_path: Path) -> None:
    counted = Counted()
    network = Generate("m", n=3) >> Vote()
    questions = [ask(n) for n in range(20)]
    run_network(network, questions, names({"m": counted.model}), tmp_path)
    summary, results = run_network(network, questions, names({"m": counted.model}), tmp_path)
    assert (summary.skipped, summary.calls, results) == (20, 0, {})
    assert len(counted.calls) == 60


def test_a_changed_prompt_asks_only_for_the_rows_it_changes(tmp_path: Path) -> None:
    counted = Counted()
    known = names({"m": counted.model})
    questions = [ask(n, hint="x" if n < 5 else "") for n in range(20)]
    run_network(Generate("m", prompt="{prompt}"), questions, known, tmp_path)
    counted.calls.clear()
    summary, results = run_network(
        Generate("m", prompt="{prompt}{hint}"), questions, known, tmp_path
    )
    assert len(counted.calls) == summary.calls == 5
    assert len(results) == 20


def test_more_samples_ask_only_for_the_new_ones(tmp_path: Path) -> None:
    counted = Counted()
    known = names({"m": counted.model})
    never = lambda q, c: False  # noqa: E731
    run_network(BestOf(Generate("m"), k=4, verify=never), [ask()], known, tmp_path)
    run_network(BestOf(Generate("m"), k=9, verify=never), [ask()], known, tmp_path)
    assert len(counted.calls) == len(set(counted.calls)) == 9


def test_half_a_character_does_not_end_the_run(tmp_path: Path) -> None:
    known = names({"m": LocalModel("m", lambda call: "a\ud800")})
    _, results = run_network(Generate("m"), [ask()], known, tmp_path)
    assert results["q1"].answer == "a\ufffd"


def test_answers_that_are_not_whole_are_counted(tmp_path: Path) -> None:
    def answer(call: Call) -> Completion:
        text, finish = (("ab", "length"), ("", "content_filter"), ("", "stop"), ("ab", "stop"))[
            call.sample
        ]
        usage = Usage(input_tokens=1, output_tokens=1)
        return Completion(text=text, usage=usage, cost_micros=0, finish=finish, latency_us=1)

    known = names({"m": LocalModel("m", answer)})
    summary, _ = run_network(Generate("m", n=4), [ask(1), ask(2)], known, tmp_path)
    assert (summary.cut_answers, summary.filtered, summary.empty) == (2, 2, 2)
    shown = as_text(read_trace(tmp_path, "q1"))
    assert [shown.count(each) for each in ("CUT AT MAX_TOKENS", "FILTERED", "EMPTY")] == [1, 1, 1]
    page = as_page(read_trace(tmp_path, "q1"))
    assert "cut at max_tokens</span>" in page


def test_equal_calls_of_different_questions_are_one_call(tmp_path: Path) -> None:
    counted = Counted()
    questions = [Question(id=str(n), prompt="the same") for n in range(10)]
    summary, results = run_network(Generate("m"), questions, names({"m": counted.model}), tmp_path)
    assert len(counted.calls) == 1
    assert len(results) == 10
    assert summary.spent.calls == 1


def test_money_is_never_exceeded_and_more_money_goes_on(tmp_path: Path) -> None:
    model = priced(lambda call: (str(call.sample), 20, 10), concurrency=7)
    network = BestOf(Generate("m", max_tokens=10), k=30, verify=lambda q, c: c.text == "29")
    questions = [ask(n) for n in range(20)]
    known = names({"m": model})
    spent = 0
    for limit in (1_000, 5_000, 12_345, 100_000):
        summary, _ = run_network(
            network, questions, known, tmp_path, Settings(budget=Budget(micros=limit))
        )
        used = summary.spent + summary.doubtful
        assert used.micros <= limit
        assert used.micros >= spent
        assert summary.is_budget_spent is (limit < 100_000)
        spent = used.micros
    # Every one of the 600 calls was paid once.
    assert summary.spent == Amounts(600 * 40, 600 * 30, 600)


def test_calls_and_tokens_are_limits_too(tmp_path: Path) -> None:
    model = priced(lambda call: ("x", 20, 10))
    network = Generate("m", n=10, max_tokens=10)
    questions = [ask(n) for n in range(20)]
    summary, _ = run_network(
        network, questions, names({"m": model}), tmp_path / "a", Settings(budget=Budget(calls=33))
    )
    assert summary.spent.calls == 33
    summary, _ = run_network(
        network, questions, names({"m": model}), tmp_path / "b", Settings(budget=Budget(tokens=999))
    )
    assert 900 - 200 <= summary.spent.tokens <= 999


@pytest.mark.parametrize(
    ("price", "max_tokens", "budget", "says"),
    [
        (PRICE, None, Budget(micros=10), r"models\.m\.max_tokens"),
        (PRICE, None, Budget(tokens=10), r"models\.m\.max_tokens"),
        (None, 5, Budget(micros=10), r"models\.m\.price: write"),
    ],
)
def test_a_budget_without_a_bound_is_refused_before_the_first_call(
    tmp_path: Path, price: Price | None, max_tokens: int | None, budget: Budget, says: str
) -> None:
    model = answers("x")
    model.price = price
    network = Generate("m", max_tokens=max_tokens)
    with pytest.raises(NetworkError, match=says):
        run_network(network, [ask()], names({"m": model}), tmp_path, Settings(budget=budget))
    assert not (tmp_path / "journal.jsonl").exists()


def test_a_server_that_bills_more_than_asked_is_reported(tmp_path: Path) -> None:
    model = priced(lambda call: ("x", 0, 500), concurrency=1)
    summary, _ = run_network(
        Generate("m", n=20, max_tokens=5),
        [ask()],
        names({"m": model}),
        tmp_path,
        Settings(budget=Budget(micros=1_000)),
    )
    assert summary.overrun.micros > 0
    assert summary.spent.micros - summary.overrun.micros <= 1_000


def test_an_async_model_is_cancelled_when_a_sibling_is_accepted(tmp_path: Path) -> None:
    ended: list[int] = []

    async def slow(call: Call) -> str:
        if call.sample:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(call.sample)
        return str(call.sample)

    network = BestOf(Generate("m"), k=8, verify=lambda q, c: True)
    summary, results = run_network(
        network, [ask()], names({"m": LocalModel("slow", slow)}), tmp_path
    )
    assert results["q1"].answer == "0"
    assert sorted(ended) == list(range(1, 8))
    assert summary.cancelled == 7
    assert summary.doubtful.calls == 7


class Flaky(LocalModel):
    """Fails a few times with a kind, then answers."""

    def __init__(self, kind: FailureKind, times: int) -> None:
        super().__init__("flaky", lambda call: "fine")
        self.kind = kind
        self.left = times

    def start(self, call, done):  # type: ignore[no-untyped-def]
        if self.left:
            self.left -= 1
            done(Failure(kind=self.kind, message="try again", retry_after_us=1_000))
            return lambda: None
        return super().start(call, done)


def test_a_rate_limited_call_is_tried_again(tmp_path: Path) -> None:
    flaky = Flaky(FailureKind.RATE_LIMITED, 2)
    summary, results = run_network(Generate("m"), [ask()], names({"m": flaky}), tmp_path)
    assert results["q1"].answer == "fine"
    assert summary.retries == 2
    assert summary.spent.calls == 1


def test_a_refused_call_is_not_tried_again_and_the_question_is_left_open(tmp_path: Path) -> None:
    flaky = Flaky(FailureKind.REFUSED, 1)
    known = names({"m": flaky})
    summary, results = run_network(Generate("m"), [ask()], known, tmp_path)
    assert summary.failed == 1
    assert results["q1"].failures == ("refused: try again",)
    summary, results = run_network(Generate("m"), [ask()], known, tmp_path)
    assert results["q1"].answer == "fine"


def test_a_wrong_key_stops_the_run_at_once(tmp_path: Path) -> None:
    flaky = Flaky(FailureKind.DENIED, 10**9)
    with pytest.raises(RunStopped, match="try again"):
        run_network(Generate("m"), [ask(n) for n in range(99)], names({"m": flaky}), tmp_path)


def test_a_dead_server_stops_the_run_and_a_living_one_goes_on(tmp_path: Path) -> None:
    flaky = Flaky(FailureKind.UNAVAILABLE, 10**9)
    known = names({"m": flaky})
    questions = [ask(n) for n in range(5_000)]
    with pytest.raises(RunStopped, match="goes on"):
        run_network(Generate("m"), questions, known, tmp_path, Settings(patience_s=1))
    assert 10**9 - flaky.left < 1_000
    flaky.left = 0
    summary, _ = run_network(Generate("m"), questions, known, tmp_path)
    assert summary.answered == 5_000


def test_a_server_that_never_answers_is_told_of_and_given_up(tmp_path: Path) -> None:
    told: list[str] = []
    flaky = Flaky(FailureKind.UNAVAILABLE, 10**9)
    run = run_async(
        Generate("m"),
        [ask()],
        names=names({"m": flaky}),
        out=tmp_path,
        settings=Settings(patience_s=0.1),
        watch=Watch(on_notice=told.append),
    )
    with pytest.raises(RunStopped, match=r"not answered one call in .*try again.*goes on"):
        asyncio.run(run)
    assert told == ["model 'm': try again; retrying, gives up after 0.1 s without an answer"]


class Slow:
    """An async verifier with a version, which counts."""

    name = "slow"

    def __init__(self, version: str = "1") -> None:
        self._version = version
        self.seen: list[str] = []

    def version(self) -> str:
        return self._version

    async def verify(self, question: Question, candidate: Candidate) -> Verdict:
        self.seen.append(candidate.text)
        await asyncio.sleep(0)
        return Verdict(is_accepted=candidate.text != "0", score=1.0, reason="seen")


def test_verdicts_are_journalled_under_their_verifier_s_version(tmp_path: Path) -> None:
    known = names({"m": Counted().model})
    questions = [ask(n) for n in range(5)]
    for version, keep, expected in (("1", "a", 15), ("1", "b", 0), ("2", "b", 15)):
        verifier = Slow(version)
        network = Generate("m", n=3) >> Verify(verifier) >> Vote(lambda q, c, k=keep: k)
        _, results = run_network(network, questions, known, tmp_path)
        assert len(verifier.seen) == expected
        assert {result.answer for result in results.values()} <= {"1", "2"}


class Patient:
    """An async verifier that accepts at once and makes all others wait until they are dropped."""

    name = "patient"

    def version(self) -> str:
        return "1"

    async def verify(self, question: Question, candidate: Candidate) -> Verdict:
        if candidate.text != "0":
            await asyncio.Event().wait()
        return Verdict(is_accepted=True)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_verdicts_that_wait_or_have_not_begun_are_dropped_with_the_first_accepted(
    tmp_path: Path,
) -> None:
    network = BestOf(Generate("m"), k=40, verify=Patient())
    summary, results = run_network(
        network, [ask(n) for n in range(20)], names({"m": Counted().model}), tmp_path
    )
    gc.collect()
    assert summary.accepted == 20
    assert {result.answer for result in results.values()} == {"0"}


def test_a_verifier_that_raises_accepts_nothing_and_says_why(tmp_path: Path) -> None:
    def broken(question: Question, candidate: Candidate) -> bool:
        raise ZeroDivisionError("oops")

    network = BestOf(Generate("m"), k=2, verify=broken)
    _, results = run_network(network, [ask()], names({"m": Counted().model}), tmp_path)
    assert results["q1"].accepted is False
    assert "ZeroDivisionError: oops" in results["q1"].failures[0]


def test_completions_of_a_function_may_say_everything(tmp_path: Path) -> None:
    model = priced(lambda call: (prompt(call), 3, 4))
    _, results = run_network(Generate("m"), [ask()], names({"m": model}), tmp_path)
    assert (results["q1"].cost, results["q1"].input, results["q1"].output) == (11, 3, 4)


def typo(question: Question, candidate: Candidate) -> bool:
    return bool(question.fields["anwser"])


def test_a_verifier_that_only_fails_stops_the_run(tmp_path: Path) -> None:
    network = BestOf(Generate("m"), k=30, verify=typo)
    counted = Counted()
    with pytest.raises(VerifierBroken, match=r"first 20 candidates .*KeyError.*anwser"):
        run_network(network, [ask(n) for n in range(50)], names({"m": counted.model}), tmp_path)


def test_verdicts_that_fail_are_counted_with_their_reason(tmp_path: Path) -> None:
    def picky(question: Question, candidate: Candidate) -> bool:
        if candidate.text == "0":
            raise KeyError("anwser")
        return candidate.text == "3"

    network = BestOf(Generate("m"), k=10, verify=picky, parallel=1)
    known = names({"m": Counted().model})
    summary, results = run_network(network, [ask(n) for n in range(50)], known, tmp_path)
    assert (summary.answered, summary.broken_verdicts, summary.verdicts) == (50, 50, 150)
    assert [each.count for each in summary.broken] == [50]
    assert "KeyError" in summary.broken[0].reason
    assert "KeyError" in results["q7"].failures[0]


def test_a_model_verifier_without_a_verdict_is_counted_as_broken(tmp_path: Path) -> None:
    def says(call: Call) -> str:
        return "I would rather not say." if "answer: 1" in prompt(call) else "Verdict: correct"

    verifier = ModelVerifier("j", prompt="{prompt} answer: {candidate}")
    known = names({"m": answers("1", "2"), "j": answering(says, "j")})
    network = Generate("m", n=2) >> Verify(verifier)
    summary, results = run_network(network, [ask(n) for n in range(5)], known, tmp_path)
    assert (summary.verdicts, summary.broken_verdicts) == (5, 5)
    assert "I would rather not say." in summary.broken[0].reason
    assert {each.answer for each in results.values()} == {"2"}


def test_a_model_verifier_that_never_gives_a_verdict_stops_the_run(tmp_path: Path) -> None:
    known = names({"m": answers("1"), "j": answering(lambda call: "Hm.", "j")})
    network = Generate("m") >> Verify(ModelVerifier("j"))
    with pytest.raises(VerifierBroken, match=r"first 20 candidates .*ends with: Hm\."):
        run_network(network, [ask(n) for n in range(50)], known, tmp_path)


@pytest.mark.parametrize("reads", ["distil", "evaluate"])
def test_what_an_earlier_network_asked_is_not_read_as_the_last_one_s(
    tmp_path: Path, reads: str
) -> None:
    def says(call: Call) -> str:
        return f"{prompt(call)} {call.sample}"

    def accepts(question: Question, candidate: Candidate) -> bool:
        return candidate.text.endswith("0")

    known = names({"m": answering(says)}, verifiers={"v": accepts})
    for template, n in (("old {prompt}", 4), ("new {prompt}", 2), ("new {prompt}", 3)):
        run_network(Generate("m", prompt=template, n=n) >> Verify("v"), [ask()], known, tmp_path)
    if reads == "distil":
        (kept,) = gather(tmp_path).values()
        found = [each.text for each in (*kept.accepted, *kept.rejected)]
    else:
        found = [str(each.answer) for each in outcomes_of_run(tmp_path, None)]
    assert sorted(found) == [f"new question 1 {sample}" for sample in range(3)]
