from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.evaluate.outcomes import (
    CandidateOutcome,
    CountsOutcome,
    OutcomesUnreadable,
    encode_outcomes,
    read_outcomes,
    tally,
)

HEADER = '{"kind": "outcomes", "version": 1}\n'
KEPT = Path(__file__).parent / "kept"


def test_the_kept_file_of_version_one_is_still_read() -> None:
    first, second = tally(read_outcomes(KEPT / "outcomes-v1.jsonl"))
    assert (first.question, first.accepted_right, first.accepted_wrong) == ("q1", 1, 1)
    assert (first.rejected_right, first.rejected_wrong, first.unlabelled) == (0, 1, 1)
    assert (first.cost_micros, first.latency_us) == (480, 164_000)
    assert first.answers == {"18": (1, True), "17": (2, False)}
    assert (second.question, second.samples, second.right) == ("q2", 10_000, 122)
    assert (second.verified, second.candidates) == (0, 10_000)


candidates = st.builds(
    CandidateOutcome,
    question=st.sampled_from(["a", "b"]),
    is_correct=st.none() | st.booleans(),
    is_accepted=st.none() | st.booleans(),
    answer=st.none() | st.text(max_size=5),
    cost_micros=st.integers(0, 2**62),
    latency_us=st.integers(0, 2**62),
)
counts = st.integers(0, 99).flatmap(
    lambda n: st.builds(
        CountsOutcome, question=st.just("c"), samples=st.just(n), correct=st.integers(0, n)
    )
)


@given(st.lists(candidates | counts, max_size=20))
def test_what_is_written_is_read(outcomes: list[CandidateOutcome | CountsOutcome]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.jsonl"
        path.write_bytes(b"".join(encode_outcomes(outcomes)))
        assert list(read_outcomes(path)) == outcomes


@given(st.lists(candidates, max_size=30))
def test_the_corners_of_a_tally_add_up(outcomes: list[CandidateOutcome]) -> None:
    tallies = tally(outcomes)
    assert sum(each.candidates for each in tallies) == len(outcomes)
    assert sum(each.right for each in tallies) == sum(o.is_correct is True for o in outcomes)
    labelled = [o for o in outcomes if o.is_correct is not None]
    assert sum(each.verified for each in tallies) == sum(
        o.is_accepted is not None for o in labelled
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ('{"kind": "counts", "question": "q", "samples": 1, "correct": 1}\n', "line 1: the first"),
        ('{"kind": "outcomes", "version": 2}\n', "is of version 2; this Parkade reads version 1"),
        ('{"kind": "outcomes", "version": 1}\n{"kind": "outcomes", "version": 1}\n', "line 2"),
        ('{"kind": "outcomes", "version": 1}\n{"kind": "candi', "line 2"),
        (
            HEADER + '{"kind": "counts", "question": "q", "samples": 1, "correct": 2}\n',
            r"line 2: correct 2 must lie in 0\.\.samples 1",
        ),
        (
            '{"kind": "outcomes", "version": 1}\n{"kind": "candidate"}\n',
            "lacks the field 'question'",
        ),
    ],
)
def test_a_broken_file_is_refused_with_its_line(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_text(text)
    with pytest.raises(OutcomesUnreadable, match=complaint):
        list(read_outcomes(path))


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(b'{"kind": "outcomes", "version": 1}\n' + b"x" * (1 << 21))
    with pytest.raises(OutcomesUnreadable, match="line 2: longer than 1048576 bytes"):
        list(read_outcomes(path))
    with pytest.raises(OutcomesUnreadable, match="No such file"):
        list(read_outcomes(tmp_path / "none"))
