"""The example over MMLU with recorded answers: what it prints is what was recorded, counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from examples.mmlu import gain, networks
from examples.mmlu.questions import BadRow, read, read_subject
from parkade.compound.values import Question
from tests.shared_data import shared_data

QUESTIONS = 40
K = 3


def row(number: int, **more: Any) -> dict[str, Any]:
    options = [f"option {number} {place}" for place in range(4)]
    return {
        "id": number,
        "prompt": f"Q{number}?",
        "options": options,
        "target": [number % 4],
        **more,
    }


def is_logic(question: Question) -> bool:
    return int(question.id) % 2 == 0


def candidate(question: Question, sample: int) -> str:
    """Right for one sample in three of half the questions, and never for the others."""
    number = int(question.id)
    is_right = number % 4 < 2 and sample == number % 3
    letter = question.fields["answer"] if is_right else "ABCD"[(number + 1) % 4]
    return f"Because of {sample}.\nAnswer: {letter}"


def recorded(questions: list[Question], path: Path) -> Path:
    """A judge that knows logic, and calls everything correct elsewhere."""
    lines = []
    for each in questions:
        texts = [candidate(each, sample) for sample in range(K)]
        lines.append({"prompt": networks.ANSWER.format(prompt=each.prompt), "answers": texts})
        for text in texts:
            is_right = text.endswith(each.fields["answer"])
            verdict = "correct" if is_right or not is_logic(each) else "wrong"
            asked = networks.CHECK.format(prompt=each.prompt, candidate=text)
            lines.append({"prompt": asked, "answers": [f"So:\nVerdict: {verdict}"]})
        named = "Formal logic" if is_logic(each) else "Geography."
        lines.append({"prompt": networks.SUBJECT.format(prompt=each.prompt), "answers": [named]})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def rows(path: Path, **more: Any) -> Path:
    lines = (json.dumps(row(number, **more)) for number in range(QUESTIONS))
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def told(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    path = rows(folder / "rows.jsonl")
    answers = recorded(read(path), folder / "answers.jsonl")
    out = ["--out", str(folder / "out")]
    gain.main([str(path), "--recorded", str(answers), *out, *words])
    return capsys.readouterr().out


def test_the_gain_of_each_subject_is_what_the_recorded_judge_can_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(told(tmp_path, capsys, "--json"))
    found = {row["subject"]: row for row in report["rows"]}
    assert set(found) == {"all", "formal logic", "geography"}
    logic = [number for number in range(QUESTIONS) if number % 2 == 0]
    solvable = sum(number % 4 < 2 for number in logic) / len(logic)
    assert found["formal logic"]["network"] == pytest.approx(solvable)
    assert found["formal logic"]["one_call"] == pytest.approx(solvable / K)
    assert found["formal logic"]["gain"]["low"] > 0.1
    first = sum(n % 4 < 2 and n % 3 == 0 for n in range(1, QUESTIONS, 2)) / (QUESTIONS // 2)
    assert found["geography"]["network"] == pytest.approx(first)
    assert found["geography"]["gain"]["low"] <= 0 <= found["geography"]["gain"]["high"]
    assert (report["subjects"], report["k"]) == ("the model", K)
    assert report["accepted_right"] == round(solvable * len(logic) + first * QUESTIONS / 2)


def test_the_same_command_again_asks_nothing_and_prints_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = told(tmp_path, capsys)
    assert "formal logic" in first
    assert "gain, points (95 %)" in first
    assert told(tmp_path, capsys) == first
    lines = (tmp_path / "out/journal.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines if '"is":"call"' in line]
    assert len(keys) == len(set(keys))


def test_subjects_come_from_a_file_or_from_the_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "subjects.jsonl"
    path.write_text(
        "".join(json.dumps({"id": n, "subject": f"s{n % 3}"}) + "\n" for n in range(30))
    )
    printed = told(tmp_path, capsys, "--subjects", str(path))
    assert [line.split()[0] for line in printed.splitlines()[1:6]].count("other") == 1
    rows(tmp_path / "rows.jsonl", subject="astronomy")
    (question, *_) = read(tmp_path / "rows.jsonl", 1)
    assert question.fields["subject"] == "astronomy"


def test_what_is_no_question_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row(0)) + "\n" + json.dumps({**row(1), "target": [7]}) + "\n")
    with pytest.raises(BadRow, match="line 2: its target"):
        read(path)
    with pytest.raises(SystemExit, match="line 2"):
        gain.main([str(path), "--recorded", str(path)])


def test_a_subject_is_read_from_a_model_s_words() -> None:
    assert read_subject("It is about Computer Science, not mathematics.") == "mathematics"
    assert read_subject("**Formal Logic**") == "formal logic"
    assert read_subject("I cannot say") == "other"


def test_all_questions_of_mixeval_s_subset_are_read() -> None:
    questions = read(shared_data("eval/mmlu_mixeval_855.jsonl.gz"))
    assert len({each.id for each in questions}) == 855
    assert {each.fields["answer"] for each in questions} == set("ABCD")
