"""Questions with equal prompts share their calls, and each keeps its own identity everywhere."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from parkade.compound.distil.gather import gather
from parkade.compound.evaluate.calibration import calibration_of
from parkade.compound.evaluate.network_answers import network_answers
from parkade.compound.evaluate.outcomes import tally
from parkade.compound.evaluate.recorded_run import Labels, outcomes_of_run
from parkade.compound.models.local import LocalModel
from parkade.compound.network import Operator
from parkade.compound.network.notation import parse
from parkade.compound.run.budget import Amounts, Budget
from parkade.compound.run.journal import Journal, JournalError
from parkade.compound.run.lines import CallLine, Header, SharedLine
from parkade.compound.run.ownership import JOURNAL
from parkade.compound.run.running import Settings
from parkade.compound.show.page import as_page
from parkade.compound.show.text import as_text
from parkade.compound.show.trace import read_trace
from parkade.compound.values import Call, Candidate, Question
from tests.compound.building import answering, names, priced, run_network

COUNT = 10
#: Sample i says i; the label of question n is n % 5, so that each sample is right for two.
QUESTIONS = [Question(id=f"q{n}", prompt="same", fields={"answer": n % 5}) for n in range(COUNT)]
LABELS = Labels(references={each.id: each.fields["answer"] for each in QUESTIONS}, rule="auto")
ALL_FIVE = parse("5E@m(m=4) >> V@v")
EACH_COSTS = 1 + 2 * 1


def is_right(question: Question, candidate: Candidate) -> bool:
    return candidate.text == str(question.fields["answer"])


def numbered() -> LocalModel:
    return priced(lambda call: (str(call.sample), 1, 1))


def ran(out: Path, network: Operator = ALL_FIVE) -> Path:
    models = {"m": numbered(), "j": judge()}
    known = names(models, verifiers={"v": is_right})
    summary, results = run_network(network, QUESTIONS, known, out)
    assert len(results) == COUNT
    assert summary.spent.calls == len(_lines(out, CallLine))
    return out


def judge() -> LocalModel:
    return priced(lambda call: (f"Verdict: {'correct' if '3' in call.prompt else 'wrong'}", 1, 1))


def _lines(out: Path, kind: type) -> list[object]:
    tag = f'{{"is":"{kind.__struct_config__.tag}"'.encode()  # type: ignore[attr-defined]
    lines = (out / JOURNAL).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=kind) for line in lines if line.startswith(tag)]


def test_each_question_has_its_own_outcomes_and_the_cost_stands_once(tmp_path: Path) -> None:
    outcomes = list(outcomes_of_run(ran(tmp_path), LABELS))
    assert len(outcomes) == 5 * COUNT
    tallies = {each.question: each for each in tally(outcomes)}
    assert set(tallies) == {each.id for each in QUESTIONS}
    for each in tallies.values():
        assert (each.accepted_right, each.rejected_wrong) == (1, 4)
        assert (each.accepted_wrong, each.rejected_right) == (0, 0)
    assert sum(each.cost_micros for each in tallies.values()) == 5 * EACH_COSTS


def test_calibration_and_accuracy_count_every_question(tmp_path: Path) -> None:
    found = calibration_of(outcomes_of_run(ran(tmp_path), LABELS))
    assert (found.questions, found.candidates) == (COUNT, 5 * COUNT)
    assert found.accuracy.value == pytest.approx(0.2)
    assert found.verifier is not None
    assert found.verifier.true_positive_rate is not None
    assert found.verifier.true_positive_rate.value == 1.0
    answers = network_answers(tmp_path, LABELS)
    assert answers is not None
    assert (answers.questions, answers.right.value) == (COUNT, 1.0)
    assert answers.cost_micros == 5 * EACH_COSTS


def test_what_the_verifier_accepted_counts_for_its_own_question_alone(tmp_path: Path) -> None:
    kept = gather(ran(tmp_path))
    assert {name: [each.text for each in its.accepted] for name, its in kept.items()} == {
        f"q{n}": [str(n % 5)] for n in range(COUNT)
    }
    assert all(len(its.rejected) == 4 for its in kept.values())


def test_show_tells_every_question_its_calls_and_who_paid(tmp_path: Path) -> None:
    ran(tmp_path)
    first, later = read_trace(tmp_path, "q0"), read_trace(tmp_path, "q7")
    assert (first.calls, first.given, first.cost) == (5, 0, 5 * EACH_COSTS)
    assert (later.calls, later.given, later.cost) == (0, 5, 0)
    shown = as_text(later)
    assert "from     m#2, generate: 5 × m" in shown
    assert "cost     0.00 for 0 calls; 5 calls of other questions" in shown
    assert "→✓ m#2  2  [made for q0]  the answer" in shown
    page = as_page(later)
    assert "sample 2, made for q0" in page
    assert page.count("class=tag>the answer") == 1


def test_votes_of_a_model_verifier_are_paid_once(tmp_path: Path) -> None:
    out = ran(tmp_path, parse("5E@m(m=4) >> 3V@j(m=4)"))
    outcomes = list(outcomes_of_run(out, LABELS))
    assert len(outcomes) == 5 * COUNT
    assert sum(each.cost_micros for each in outcomes) == 5 * (1 + 3) * EACH_COSTS
    accepted = [each.question for each in outcomes if each.is_accepted]
    assert sorted(accepted) == sorted(each.id for each in QUESTIONS)
    assert read_trace(out, "q4").given == 5 * (1 + 3)


def test_a_call_in_flight_that_another_question_joins_is_told_too(tmp_path: Path) -> None:
    """All ten wait for one call before it ends."""
    arrived = asyncio.Event()

    async def slow(call: Call) -> str:
        asyncio.get_running_loop().call_later(0.2, arrived.set)
        await arrived.wait()
        return "3"

    run_network(parse("E@m"), QUESTIONS, names({"m": answering(slow)}), tmp_path)  # type: ignore[arg-type]
    assert len(_lines(tmp_path, CallLine)) == 1
    shared = [each.question for each in _lines(tmp_path, SharedLine)]  # type: ignore[attr-defined]
    assert sorted(shared) == [f"q{n}" for n in range(1, COUNT)]


def untimed(out: Path) -> list[object]:
    return [msgspec.structs.replace(each, latency_us=0) for each in outcomes_of_run(out, LABELS)]


def test_a_run_that_goes_on_counts_nothing_twice(tmp_path: Path) -> None:
    ran(tmp_path)
    before = untimed(tmp_path)
    (tmp_path / "results.jsonl").unlink()
    ran(tmp_path)
    assert len(_lines(tmp_path, SharedLine)) == 2 * 5 * (COUNT - 1)
    assert untimed(tmp_path) == before
    assert read_trace(tmp_path, "q7").given == 5


def test_a_changed_verifier_reads_the_calls_of_all_questions_again(tmp_path: Path) -> None:
    ran(tmp_path)
    ran(tmp_path, parse("5E@m(m=4) >> V@v >> M"))
    assert len(list(outcomes_of_run(tmp_path, LABELS))) == 5 * COUNT


def test_a_journal_is_of_version_1_until_its_first_shared_line(tmp_path: Path) -> None:
    known = names({"m": numbered()})
    run_network(parse("E@m"), QUESTIONS[:1], known, tmp_path)
    assert _lines(tmp_path, Header) == [Header(format="parkade compound journal", version=1)]
    run_network(parse("E@m"), QUESTIONS[:3], known, tmp_path)
    versions = [each.version for each in _lines(tmp_path, Header)]  # type: ignore[attr-defined]
    assert versions == [1, 2]
    run_network(parse("E@m"), QUESTIONS, known, tmp_path)
    assert len(_lines(tmp_path, Header)) == 2


def test_a_journal_of_a_later_version_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    lines = [Header(format="parkade compound journal", version=version) for version in (1, 3)]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    with pytest.raises(JournalError, match=r"not a journal that this version reads .*version 3"):
        Journal(path)


def test_a_journal_from_before_shared_lines_is_read_as_it_was(tmp_path: Path) -> None:
    ran(tmp_path)
    path = tmp_path / JOURNAL
    old = [
        line
        for line in path.read_bytes().splitlines(keepends=True)
        if not line.startswith((b'{"is":"shared"',)) and b'"version":2' not in line
    ]
    path.write_bytes(b"".join(old))
    outcomes = list(outcomes_of_run(tmp_path, LABELS))
    assert [each.question for each in outcomes] == ["q0"] * 5
    assert "a call that another question made" in read_trace(tmp_path, "q7").origin
    journal = Journal(path)
    journal.close()
    assert journal.spent == Amounts(5 * EACH_COSTS, 10, 5)


def test_a_key_that_two_shards_asked_is_given_from_the_shard_s_own_call(tmp_path: Path) -> None:
    """In the journal of a whole batch: each shard's lines stand together."""
    ran(tmp_path)
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    other = []
    for line in lines[1:]:
        row = json.loads(line)
        if "question" in row:
            row["question"] = f"r{row['question']}"
        if row["is"] == "call":
            row["text"] += " of the other shard"
        other.append(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
    (tmp_path / JOURNAL).write_bytes(b"".join(lines + other))
    texts = {
        each.call.text for part in read_trace(tmp_path, "rq7").parts for each in part.candidates
    }
    assert texts == {f"{n} of the other shard" for n in range(5)}


def test_a_budget_is_charged_once_for_all_questions(tmp_path: Path) -> None:
    known = names({"m": numbered()}, verifiers={"v": is_right})
    settings = Settings(budget=Budget(calls=5))
    summary, results = run_network(ALL_FIVE, QUESTIONS, known, tmp_path, settings)
    assert summary.spent.calls == 5
    assert len(results) == COUNT
