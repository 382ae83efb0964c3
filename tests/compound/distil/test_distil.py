"""Training data: what is kept, once each, and nothing of a test set."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.distil.examples import Choice, ExampleCounts, examples, why_none
from parkade.compound.distil.gather import Judged, Kept, gather
from parkade.compound.distil.similar import TestSet, fingerprint
from parkade.compound.distil.writing import WritingError, write
from parkade.compound.network import BestOf, Generate, Rank
from parkade.compound.values import Question, Verdict
from tests.compound.building import answering, names, run_network

QUESTIONS = [Question(id=str(n), prompt=f"what is {n} plus one") for n in range(4)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Samples 0 to 5 say A 0, b 1, A 2 … ; those with an even number are accepted, scored by it."""
    model = answering(lambda call: f"{'A' if call.sample % 2 == 0 else 'b'} {call.sample // 4}")

    def judge(question: Question, candidate: Any) -> Verdict:
        is_accepted = candidate.text.startswith("A")
        return Verdict(is_accepted=is_accepted, score=float(candidate.sample))

    network = BestOf(Generate("m"), k=6, verify=judge, stop="all")
    run_network(network, QUESTIONS, names({"m": model}), tmp_path)
    return tmp_path


def made(
    out: Path, *, test_set: TestSet | None = None, **choice: Any
) -> tuple[list[Any], ExampleCounts]:
    counted = ExampleCounts()
    rows = list(examples(QUESTIONS, gather(out), Choice(**choice), test_set, counted))
    return rows, counted


def test_verified_candidates_are_kept_once_each(out: Path) -> None:
    rows, counted = made(out, most=10)
    assert [row["messages"][-1]["content"] for row in rows[:2]] == ["A 0", "A 1"]
    assert rows[0]["messages"][0] == {"role": "user", "content": "what is 0 plus one"}
    assert (counted.written, counted.duplicates) == (8, 4)


def test_best_keeps_one_and_pairs_put_an_accepted_beside_a_rejected(out: Path) -> None:
    rows, _ = made(out, keep="best")
    assert [row["messages"][-1]["content"] for row in rows] == ["A 1"] * 4
    rows, _ = made(out, keep="pairs", form="dpo", most=1)
    assert rows[0]["chosen"][0]["content"].startswith("A")
    assert rows[0]["rejected"][0]["content"].startswith("b")


def test_a_batch_asks_the_kept_questions_of_another_model(out: Path) -> None:
    rows, _ = made(out, keep="best", form="batch", model="teacher")
    assert [row["custom_id"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[0]["body"]["model"] == "teacher"


def test_another_ending_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WritingError, match=r"out\.csv: write \.jsonl or \.parquet, not \.csv"):
        write(tmp_path / "out.csv", [])
    assert not list(tmp_path.iterdir())


def test_a_score_alone_is_no_acceptance(tmp_path: Path) -> None:
    known = names({"m": answering(lambda call: "x"), "j": answering(lambda call: "Score: 90", "j")})
    summary, results = run_network(Generate("m") >> Rank("j"), QUESTIONS, known, tmp_path)
    assert {(each.accepted, each.score) for each in results.values()} == {(None, 90.0)}
    assert summary.accepted == 0
    assert made(tmp_path)[0] == []


@pytest.mark.parametrize(
    "choice",
    [{"keep": "all"}, {"form": "x"}, {"form": "dpo"}, {"keep": "pairs"}, {"form": "batch"}],
)
def test_a_choice_that_makes_no_sense_is_refused(out: Path, choice: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        made(out, **choice)


def test_questions_of_the_test_set_are_left_out(out: Path) -> None:
    rows, counted = made(out, test_set=TestSet(["What is 2, plus ONE?"]), keep="best")
    assert [row["messages"][0]["content"][8] for row in rows] == ["0", "1", "3"]
    assert counted.contaminated == 1


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"]), min_size=3, max_size=30)


@given(before=WORDS, test=WORDS, after=WORDS)
def test_a_test_question_inside_another_text_always_touches(
    before: list[str], test: list[str], after: list[str]
) -> None:
    inside = " ".join([*before, *test, *after])
    assert TestSet([" ".join(test)], words=5).touches(inside.upper())


@given(texts=st.lists(st.text(max_size=20), max_size=3), text=st.text(max_size=30))
def test_touching_is_sharing_a_run_of_words(texts: list[str], text: str) -> None:
    from parkade.compound.distil.similar import words_of

    def runs(words: list[str], length: int) -> set[tuple[str, ...]]:
        return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}

    expected = any(
        runs(words_of(each), min(3, len(words_of(each))))
        & runs(words_of(text), min(3, len(words_of(each))))
        for each in texts
        if words_of(each)
    )
    assert TestSet(texts, words=3).touches(text) is expected


def test_case_space_and_punctuation_do_not_make_a_text_new() -> None:
    assert fingerprint("A, b!", "c") == fingerprint(" a  B", "C")
    assert fingerprint("ab") != fingerprint("a b")
    assert fingerprint("a", "b") != fingerprint("a b")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield {"a": 1}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "x.jsonl", broken())
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "x.jsonl", [{"a": 1}, {"a": "ü"}])
    assert (tmp_path / "x.jsonl").read_text() == '{"a":1}\n{"a":"ü"}\n'


def test_parquet_says_what_it_needs_or_holds_the_rows(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": str(n)}]} for n in range(3)]
    try:
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(WritingError, match=r"pip install .*\[sim\]"):
            write(tmp_path / "x.parquet", rows)
    else:
        write(tmp_path / "x.parquet", rows)
        assert parquet.read_table(tmp_path / "x.parquet").to_pylist() == rows


def test_why_nothing_was_written_is_told(out: Path) -> None:
    kept = gather(out)
    other = [Question(id="other", prompt="what is it")]
    nothing_accepted = {"0": Kept(rejected=[Judged("b", None, "m")])}
    one = QUESTIONS[:1]
    for questions, found, keep, says in (
        ([], kept, "verified", "the file of questions is empty"),
        (one, {}, "verified", "the run has no verdicts: give its network a verifier"),
        (other, kept, "verified", "no verdict on any of these questions"),
        (one, nothing_accepted, "verified", "no candidate was accepted"),
        (one, nothing_accepted, "pairs", "both an accepted and a rejected"),
        (one, kept, "verified", None),
    ):
        counted = ExampleCounts()
        choice = Choice(keep=keep, form="dpo" if keep == "pairs" else "sft")
        list(examples(questions, found, choice, None, counted))
        why = why_none(counted, found, choice)
        assert (why is None) if says is None else says in str(why)
    counted = ExampleCounts()
    tests = TestSet([QUESTIONS[0].prompt], words=2)
    list(examples(one, kept, Choice(), tests, counted))
    assert why_none(counted, kept, Choice()) == "every question touches the test set"
