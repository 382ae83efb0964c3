"""OpenAI batch files, written and read, and recorded answers."""

from pathlib import Path

import msgspec
import pytest

from parkade.compound.models.batch import BatchError, BatchModel, read_answers
from parkade.compound.models.recorded import RecordedModel
from parkade.compound.network import BestOf, Generate, Vote
from parkade.compound.run.budget import Budget
from parkade.compound.run.running import Settings
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


def test_an_error_in_the_batch_is_a_failure_of_its_call(tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    model = BatchModel("x", requests, ())
    run_network(Generate("m"), [ask()], names({"m": model}), tmp_path / "out")
    identity = msgspec.json.decode(requests.read_bytes())["custom_id"]
    answers = tmp_path / "answers.jsonl"
    answers.write_bytes(
        msgspec.json.encode(
            {"custom_id": identity, "response": None, "error": {"message": "expired"}}
        )
        + b"\n"
        + b'{"custom_id": "torn'
    )
    model = BatchModel("x", requests, (answers,))
    _, results = run_network(Generate("m"), [ask()], names({"m": model}), tmp_path / "out")
    assert "expired" in results["q1"].failures[0]


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
