"""OpenAI batch files, written and read, and recorded answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parkade.compound.models.batch import BatchError, BatchModel, read_answers
from parkade.compound.models.recorded import RecordedModel
from parkade.compound.network import BestOf, Generate, Operator, Vote
from parkade.compound.run.budget import Budget
from parkade.compound.run.results import Result
from parkade.compound.run.running import Settings, Summary
from tests.compound.building import PRICE, ask, names, run_network
from tests.compound.server import completion


def carry_out(requests: Path, answers: Path) -> int:
    """What `vllm run-batch` does, out of order: answers the place of each request in the file."""
    lines = requests.read_bytes().splitlines()
    told = []
    for line in lines:
        request = msgspec.json.decode(line)
        assert request["method"] == "POST"
        assert request["url"] == "/v1/chat/completions"
        prompt = request["body"]["messages"][-1]["content"]
        body = completion(f"{prompt} {request['body'].get('seed', 0)}")
        response = {"status_code": 200, "request_id": "r", "body": body}
        told.append(
            {
                "custom_id": request["custom_id"],
                "response": response,
                "error": None,
            }
        )
    answers.write_bytes(b"".join(msgspec.json.encode(t) + b"\n" for t in reversed(told)))
    return len(lines)


def test_a_network_runs_in_rounds_through_batch_files(tmp_path: Path) -> None:
    requests, answers = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    network = Generate("m", n=3) >> Generate("m", prompt="more of {candidate}") >> Vote()
    questions = [ask(n) for n in range(4)]

    def once(given: tuple[Path, ...]) -> tuple[int, int]:
        model = BatchModel("x", requests, given, price=PRICE)
        summary, _ = run_network(network, questions, names({"m": model}), tmp_path / "out")
        return summary.answered, summary.failed

    assert once(()) == (0, 4)
    assert carry_out(requests, answers) == 12
    assert once((answers,)) == (0, 4)
    assert carry_out(requests, tmp_path / "second.jsonl") == 12
    assert once((answers, tmp_path / "second.jsonl")) == (4, 0)


def test_an_answer_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    requests, answers = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    for waiting, answered in ((1, 0), (0, 1)):
        model = BatchModel("x", requests, (answers,), price=PRICE)
        summary, _ = run_network(Generate("m"), [ask()], names({"m": model}), tmp_path / "out")
        assert (summary.waiting, summary.answered) == (waiting, answered)
        for reason in summary.reasons:
            assert "answers.jsonl is not there yet" in reason.reason
        carry_out(requests, answers)


Line = Mapping[str, Any]
EXPIRED = {"response": None, "error": {"code": "batch_expired", "message": "too late"}}


def with_status(status: int, body: object = None) -> Line:
    body = body if body is not None else {"error": {"message": "boom"}}
    return {"response": {"status_code": status, "body": body}, "error": None}


def answered(text: str) -> Line:
    return with_status(200, completion(text))


def tell(path: Path, *lines: tuple[str, Line]) -> None:
    rows = ({"custom_id": identity, **line} for identity, line in lines)
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def custom_ids(requests: Path) -> list[str]:
    lines = requests.read_bytes().splitlines()
    return [msgspec.json.decode(line)["custom_id"] for line in lines]


class Rounds:
    """Runs of one network, with the files that lie between two of them."""

    def __init__(self, folder: Path, network: Operator, **settings: Any) -> None:
        self.requests, self.out = folder / "requests.jsonl", folder / "out"
        self.answers = [folder / f"answers-{n}.jsonl" for n in range(2)]
        self._network, self._settings = network, Settings(**settings)

    def run(self) -> tuple[Summary, Mapping[str, Result]]:
        model = BatchModel("x", self.requests, tuple(self.answers), price=PRICE)
        known = names({"m": model})
        return run_network(self._network, [ask()], known, self.out, self._settings)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (EXPIRED, "batch_expired: too late"),
        ({"response": None, "error": {"message": "expired"}}, "expired"),
        ({"response": None, "error": "gone"}, "gone"),
        ({}, "no response"),
        *((with_status(status), f"{status}: boom") for status in (408, 429, 500, 503, 402)),
        (with_status(200, {"error": {"code": 502, "message": "lost"}}), "an error: lost"),
        (with_status(200, {}), "not a completion"),
        (with_status(500, {"usage": {"prompt_tokens": 9, "completion_tokens": 9}}), "500"),
    ],
)
def test_a_request_that_failed_in_a_batch_is_asked_again_and_books_nothing(
    tmp_path: Path, line: Line, why: str
) -> None:
    rounds = Rounds(tmp_path, Generate("m", n=3, max_tokens=10) >> Vote(), budget=Budget(calls=9))
    rounds.run()
    first, second, third = custom_ids(rounds.requests)
    tell(rounds.answers[0], (first, answered("a")), (second, line), (third, answered("a")))
    summary, results = rounds.run()
    assert custom_ids(rounds.requests) == [second]
    assert (summary.answered, summary.failed, summary.waiting) == (0, 1, 1)
    assert (summary.retries, summary.calls, summary.doubtful.calls) == (0, 2, 1)
    assert [why in each.reason for each in summary.failed_lines] == [True]
    assert results["q1"].answer is None
    assert b'"why"' not in (rounds.out / "journal.jsonl").read_bytes()
    tell(rounds.answers[1], (second, answered("b")))
    summary, results = rounds.run()
    assert (summary.answered, summary.waiting, summary.failed_lines) == (1, 0, ())
    assert (results["q1"].answer, summary.doubtful.calls, summary.spent.calls) == ("a", 0, 3)
    assert custom_ids(rounds.requests) == []


@pytest.mark.parametrize(
    "line",
    [
        with_status(400),
        # As `vllm run-batch` has it.
        {
            "response": {"status_code": 400, "body": None},
            "error": {"error": {"message": "boom", "code": 400}},
        },
        {"response": None, "error": {"code": 400, "message": "boom"}},
    ],
)
def test_a_request_that_is_refused_in_a_batch_fails_its_question(
    tmp_path: Path, line: Line
) -> None:
    rounds = Rounds(tmp_path, Generate("m"))
    rounds.run()
    tell(rounds.answers[0], (custom_ids(rounds.requests)[0], line))
    summary, results = rounds.run()
    assert (summary.failed, summary.waiting, custom_ids(rounds.requests)) == (1, 0, [])
    assert "400: boom" in results["q1"].failures[0]


def test_a_later_line_of_a_request_counts_and_a_torn_one_does_not(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, Generate("m"))
    rounds.run()
    (identity,) = custom_ids(rounds.requests)
    tell(rounds.answers[0], (identity, with_status(500)), (identity, EXPIRED))
    with rounds.answers[0].open("ab") as file:
        file.write(b'{"custom_id": "torn')
    summary, _ = rounds.run()
    assert [each.reason for each in summary.failed_lines] == ["batch_expired: too late"]
    tell(rounds.answers[1], (identity, answered("late")))
    assert rounds.run()[1]["q1"].answer == "late"


def test_a_question_with_an_accepted_answer_waits_for_no_other(tmp_path: Path) -> None:
    network = BestOf(Generate("m"), k=3, verify=lambda question, candidate: candidate.text == "b")
    rounds = Rounds(tmp_path, network)
    rounds.run()
    first, second, third = custom_ids(rounds.requests)
    tell(rounds.answers[0], (first, EXPIRED), (second, answered("a")), (third, answered("b")))
    summary, results = rounds.run()
    assert (summary.answered, summary.failed, results["q1"].answer) == (1, 0, "b")


def test_a_broken_line_inside_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"{}\n{}\n")
    with pytest.raises(BatchError, match="line 1"):
        list(read_answers(tmp_path / "a"))


def test_recorded_answers_are_the_samples_in_order_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"prompt": "question 1", "answers": ["a", "b"]}\n')
    network = BestOf(Generate("m"), k=3, verify=lambda q, c: c.text == "b")
    known = names({"m": RecordedModel(tmp_path / "r.jsonl")})
    _, results = run_network(network, [ask(1), ask(2)], known, tmp_path / "out")
    assert results["q1"].answer == "b"
    assert "no recording" in results["q2"].failures[0]


def test_a_journal_is_a_recording(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"prompt": "question 1", "answers": ["a"]}\n')
    recorded = RecordedModel(tmp_path / "r.jsonl", name="x")
    run_network(Generate("m"), [ask(1)], names({"m": recorded}), tmp_path / "out")
    again = RecordedModel(tmp_path / "out" / "journal.jsonl", name="x")
    _, results = run_network(Generate("m"), [ask(1)], names({"m": again}), tmp_path / "new")
    assert results["q1"].answer == "a"


def test_no_more_is_written_down_for_a_batch_than_the_budget_holds(tmp_path: Path) -> None:
    """The batch bills what it is given, so a request that waits is counted at its worst case."""
    requests = tmp_path / "requests.jsonl"
    network, settings = Generate("m", max_tokens=10), Settings(budget=Budget(tokens=250))
    model = BatchModel("x", requests, (), price=PRICE)
    questions = [ask(number) for number in range(20)]
    for _ in range(2):
        summary, _ = run_network(
            network, questions, names({"m": model}), tmp_path / "out", settings
        )
        lines = requests.read_bytes().splitlines()
        assert 1 <= len(lines) == summary.waiting
        bodies = [msgspec.json.encode(msgspec.json.decode(line)["body"]) for line in lines]
        assert sum(len(body) + 10 for body in bodies) <= 250
        assert summary.is_budget_spent
        assert summary.doubtful.tokens <= 250
