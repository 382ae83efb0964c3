"""A kept folder of three networks in a row: what is read for the last one, now and for ever."""

import shutil
from pathlib import Path

import msgspec
import pytest

from parkade.compound.distil.gather import gather
from parkade.compound.evaluate.recorded_run import outcomes_of_run
from parkade.compound.run.described import RunUnreadable, read_described
from parkade.compound.run.failures import read_failures
from parkade.compound.run.lines import CallLine
from parkade.compound.run.recorded_lines import recorded_lines
from parkade.compound.show.trace import read_trace

KEPT = Path(__file__).parent / "kept" / "run-1"


def test_of_a_kept_run_the_calls_count_that_the_last_network_asks() -> None:
    (kept,) = gather(KEPT).values()
    assert [each.text for each in kept.accepted] == ["new question 1 1"]
    assert [each.text for each in kept.rejected] == ["new question 1 0", "new question 1 2"]
    answers = [each.answer for each in outcomes_of_run(KEPT, None)]
    assert answers == [f"new question 1 {sample}" for sample in range(3)]
    trace = read_trace(KEPT, "q1")
    assert trace.calls == 3
    assert trace.result is not None
    assert trace.result.answer == "new question 1 1"


def test_of_a_kept_run_the_failures_are_read() -> None:
    (failed,) = read_failures(KEPT / "failures.jsonl")
    assert (failed.id, len(failed.failures)) == ("q3", 3)
    assert "out of memory" in read_trace(KEPT, "q3").failures[0]


def test_a_description_from_before_there_were_digests_is_matched_by_labels(tmp_path: Path) -> None:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    plain = msgspec.json.decode((KEPT / "run.json").read_bytes())
    del plain["requests"]
    for start in plain["starts"]:
        del start["requests"]
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(plain))
    described = read_described(tmp_path / "run.json")
    found = [line.text for line in recorded_lines(tmp_path / "journal.jsonl", CallLine, described)]
    assert found[:2] == ["old question 1 0", "old question 1 1"]
    assert len(found) == 5


@pytest.mark.parametrize("how", ["its begin", "its end"])
def test_a_damaged_line_stops_every_reading_with_its_place(tmp_path: Path, how: str) -> None:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    wanted = [n for n, line in enumerate(lines) if b'"is":"call"' in line and b'"q1"' in line][-1]
    line = lines[wanted]
    lines[wanted] = b"\0\0\0" + line[3:] if how == "its begin" else line[:-20] + line[-8:]
    journal.write_bytes(b"".join(lines))
    place = sum(map(len, lines[:wanted]))
    says = f"journal.jsonl cannot be read: the line at byte {place:,} is damaged"
    for read in (
        gather,
        lambda out: list(outcomes_of_run(out, None)),
        lambda out: read_trace(out, "q1"),
    ):
        with pytest.raises(RunUnreadable, match=says):
            read(tmp_path)


def test_a_torn_last_line_is_one_that_is_being_written(tmp_path: Path) -> None:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"is":"call","key":"01')
    assert read_trace(tmp_path, "q1") == read_trace(KEPT, "q1")
