"""The journal survives a kill at any byte and never forgets or repeats a bill."""

from pathlib import Path

import msgspec
import pytest

from parkade.compound.run.budget import NOTHING, Amounts
from parkade.compound.run.journal import Journal, JournalError
from parkade.compound.run.lines import CallLine, FailedLine, VerdictLine
from parkade.compound.values import call_key


def line(number: int, text: str = "text") -> CallLine:
    return CallLine(
        key=call_key(b"body", number),
        question=f"q{number}",
        node=1,
        model="m",
        sample=number,
        input=10 + number,
        output=5,
        cost=100 + number,
        us=7,
        finish="stop",
        text=text,
    )


def verdict(number: int) -> VerdictLine:
    return VerdictLine(
        key=call_key(b"verdict", number),
        question="q",
        node=2,
        of=call_key(b"body", number),
        verifier="v",
        accepted=number % 2 == 0,
        us=3,
        score=0.5,
        reason="because",
    )


def written(path: Path, calls: int) -> bytes:
    journal = Journal(path)
    for number in range(calls):
        journal.call(line(number, text="ä" * number))
        journal.verdict_given(verdict(number))
    journal.close()
    return path.read_bytes()


def test_what_is_written_is_found_again(tmp_path: Path) -> None:
    written(tmp_path / "j", 50)
    journal = Journal(tmp_path / "j")
    for number in range(50):
        assert journal.completion(call_key(b"body", number)) == line(number, "ä" * number)
        assert journal.verdict(call_key(b"verdict", number)) == verdict(number)
    assert journal.completion(call_key(b"body", 50)) is None
    assert journal.spent == Amounts(
        sum(100 + n for n in range(50)), sum(15 + n for n in range(50)), 50
    )
    journal.close()


def test_what_is_still_in_memory_is_found(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.call(line(1))
    assert journal.completion(line(1).key) == line(1)
    journal.close()


def test_cut_at_any_byte_it_opens_with_the_whole_lines_before(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", 4)
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    near = {end + step for end in ends for step in (-1, 0, 1)}
    # A file of many bytes behaves alike inside of a line; the last line is cut at each.
    for cut in sorted({*range(0, len(whole), 9), *range(ends[-2], len(whole) + 1), *near}):
        path = tmp_path / "cut"
        path.write_bytes(whole[:cut])
        journal = Journal(path)
        kept = whole[:cut].count(b"\n")
        assert journal.calls + journal.verdicts == max(0, kept - 1)
        assert journal.spent.micros == sum(100 + n for n in range(journal.calls))
        # What was cut is written again, and the file is whole.
        for number in range(journal.calls, 4):
            journal.call(line(number, "ä" * number))
        journal.close()
        again = Journal(path)
        assert again.calls == 4
        assert again.spent.micros == sum(100 + n for n in range(4))
        again.close()
        path.unlink()


def test_a_line_damaged_inside_is_refused(tmp_path: Path) -> None:
    whole = bytearray(written(tmp_path / "j", 3))
    whole[whole.index(b"\n") + 5] = 0
    (tmp_path / "j").write_bytes(whole)
    with pytest.raises(JournalError, match="damaged"):
        Journal(tmp_path / "j")


def test_a_key_that_is_no_key_is_damage_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "j"
    whole = written(path, 3)
    key = line(1).key.encode()
    path.write_bytes(whole.replace(b'"key":"' + key, b'"key":"' + b"no-key" + key[6:], 1))
    place = whole.rindex(b"\n", 0, whole.index(key)) + 1
    with pytest.raises(JournalError, match=f"the line at byte {place} is damaged"):
        Journal(path)


def test_an_edited_answer_is_read_as_it_stands_and_not_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "j"
    whole = written(path, 3)
    path.write_bytes(whole.replace(b'"cost":102,', b'"cost":7,'))
    journal = Journal(path)
    found = journal.completion(line(2).key)
    assert found is not None
    assert found.cost == 7
    assert journal.spent.micros == 100 + 101 + 7
    journal.close()


def test_two_keys_that_begin_alike_keep_their_own_lines(tmp_path: Path) -> None:
    """The index compares the first 36 bits; the lines have all 128."""
    alike = [f"{7:08x}{number:08x}{0:016x}" for number in range(5)]
    for _ in range(2):
        journal = Journal(tmp_path / "j")
        for number, key in enumerate(alike):
            found = journal.completion(key)
            if found is None:
                journal.call(msgspec.structs.replace(line(number), key=key))
            else:
                assert found.sample == number
        assert journal.calls == len(alike)
        assert journal.completion(f"{7:08x}{9:08x}{0:016x}") is None
        journal.close()


def test_a_key_that_stands_twice_is_answered_by_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    journal.call(line(1, "earlier"))
    journal.call(line(1, "later"))
    journal.close()
    journal = Journal(path)
    assert journal.completion(line(1).key) == line(1, "later")
    assert journal.calls == 2
    journal.call(line(1, "latest"))
    assert journal.completion(line(1).key) == line(1, "latest")
    journal.close()


def test_a_file_without_a_header_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "j", 2)
    (tmp_path / "j").write_bytes(whole[whole.index(b"\n") + 1 :])
    with pytest.raises(JournalError, match="its first line is no header"):
        Journal(tmp_path / "j")


def test_two_runs_cannot_share_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    with pytest.raises(JournalError, match="in use"):
        Journal(tmp_path / "j")
    journal.close()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"is":"journal","format":"other","version":1}\n')
    with pytest.raises(JournalError, match="not a journal"):
        Journal(tmp_path / "j")


def test_a_promise_that_was_not_withdrawn_is_doubtful(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.promise(Amounts(500, 50, 5))
    journal.call(line(1))
    journal.flush()
    copied = (tmp_path / "j").read_bytes()
    journal.close()
    (tmp_path / "killed").write_bytes(copied)
    killed = Journal(tmp_path / "killed")
    assert killed.doubtful == Amounts(500, 50, 5)
    killed.close()
    again = Journal(tmp_path / "killed")
    assert again.doubtful == Amounts(500, 50, 5)
    again.close()
    closed = Journal(tmp_path / "j")
    assert closed.doubtful == NOTHING
    closed.close()


@pytest.mark.parametrize(
    ("is_same_boot", "lost"), [(True, Amounts(100, 10, 1)), (False, Amounts(500, 50, 5))]
)
def test_a_killed_process_loses_what_was_told_and_a_crashed_machine_what_was_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_same_boot: bool, lost: Amounts
) -> None:
    boot = tmp_path / "boot"
    boot.write_text("one")
    monkeypatch.setattr("parkade.boots.BOOT_ID", boot)
    journal = Journal(tmp_path / "j")
    journal.promise(Amounts(500, 50, 5))
    journal.tell = lambda: Amounts(100, 10, 1)
    journal.write_in_flight()
    copied = (tmp_path / "j").read_bytes()
    journal.close()
    (tmp_path / "killed").write_bytes(copied)
    boot.write_text("one" if is_same_boot else "two")
    killed = Journal(tmp_path / "killed")
    assert killed.doubtful == lost
    killed.close()


def test_failed_calls_stay_on_the_bill(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.failed(
        FailedLine(
            key="k", question="q", node=1, model="m", why="timeout", cost=9, tokens=8, calls=1
        )
    )
    journal.close()
    again = Journal(tmp_path / "j")
    assert again.doubtful == Amounts(9, 8, 1)
    again.close()


def test_the_kept_journal_of_version_1_is_still_read() -> None:
    kept = Path(__file__).parent / "kept" / "journal-1.jsonl"
    copy = kept.read_bytes()
    journal = Journal(kept)
    try:
        assert journal.calls == 2
        assert journal.verdicts == 1
        assert journal.spent == Amounts(201, 31, 2)
        assert journal.doubtful == Amounts(9, 8, 1)
        assert journal.completion("c0ffee00c0ffee00c0ffee00c0ffee00").text == "ünï"  # type: ignore[union-attr]
    finally:
        journal.close()
    assert kept.read_bytes() == copy


def test_the_kept_journal_with_the_price_of_a_model_verifier_s_votes_is_still_read(
    tmp_path: Path,
) -> None:
    kept = Path(__file__).parent / "kept" / "journal-1-votes.jsonl"
    path = tmp_path / "j"
    path.write_bytes(kept.read_bytes())
    journal = Journal(path)
    try:
        assert (journal.calls, journal.verdicts) == (4, 1)
        line = journal.verdict("258bee1e81b0a92a4c654df12cb1f18c")
        assert line is not None
        assert (line.cost, line.accepted, line.score) == (6, True, 1.0)
    finally:
        journal.close()


def test_the_kept_journal_whose_calls_name_their_candidate_is_still_read(tmp_path: Path) -> None:
    kept = Path(__file__).parent / "kept" / "journal-1-about.jsonl"
    path = tmp_path / "j"
    path.write_bytes(kept.read_bytes())
    journal = Journal(path)
    try:
        vote = journal.completion("681e435434af313b57875db8c218e83a")
        assert vote is not None
        judged = journal.completion(vote.of)
        assert judged is not None
        assert (judged.text, judged.of) == ("it is 1", "")
    finally:
        journal.close()
