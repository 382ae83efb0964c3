"""How far logs were read and judged, and sensors that go on there."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.healing.symptom import signals_of
from parkade.core.units.time import SECOND_US
from parkade.sensors.bookmarks import ReadSoFar
from parkade.sensors.kernel_log.live import KernelLogFile, KernelRing
from tests.sensors.ring import HeldRecords

XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."


def test_a_round_counts_once_the_windows_open_at_its_end_have_closed() -> None:
    read: ReadSoFar[int] = ReadSoFar({"n1": 3}, coalesce_us=5 * SECOND_US)
    read.note({"n1": 7}, 10 * SECOND_US)
    read.note({"n1": 8}, 12 * SECOND_US)
    read.settle(15 * SECOND_US)
    assert read.judged == {"n1": 3}
    read.settle(17 * SECOND_US)
    assert read.judged == {"n1": 7}
    read.settle(None)
    assert read.judged == {"n1": 8}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=20))
def test_no_line_with_an_open_window_is_taken_for_judged(lines: list[tuple[int, bool]]) -> None:
    """Each round reads a line some seconds after the last one; some open a window of 5 s."""
    read: ReadSoFar[int] = ReadSoFar({}, coalesce_us=5 * SECOND_US)
    now_us, opened = 0, list[tuple[int, int]]()
    for number, (after_s, opens) in enumerate(lines):
        now_us += after_s * SECOND_US
        if opens:
            opened.append((number, now_us))
        read.note({"log": number}, now_us)
        still = [one for one in opened if one[1] + 5 * SECOND_US > now_us]
        read.settle(min((at + 5 * SECOND_US for _, at in still), default=None))
        assert all(read.judged.get("log", -1) < line for line, _ in still)
        assert still or read.judged == {"log": number}


@pytest.mark.parametrize("bookmark", ["", "1:2", "a:b:c", "9:9:999999999999"])
def test_a_file_that_is_another_one_is_read_from_its_beginning(
    tmp_path: Path, bookmark: str
) -> None:
    log = tmp_path / "log"
    log.write_text(f"{XID}\n")
    sensor = KernelLogFile(log, node="n1")
    sensor.resume(bookmark)
    assert len(sensor.poll(0)) == (1 if bookmark.startswith("9") else 0)
    sensor.close()


def test_a_log_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{XID}\n{XID[:20]}")
    first = KernelLogFile(log, node="n1", from_end=False)
    assert len(first.poll(0)) == 1
    mark = first.bookmark
    first.close()
    assert mark is not None
    with log.open("a") as handle:
        handle.write(f"{XID[20:]}\n{XID}\n")
    again = KernelLogFile(log, node="n1")
    again.resume(mark)
    assert len(again.poll(0)) == 2
    again.close()


def test_a_ring_goes_on_within_one_life_of_the_kernel() -> None:
    records = [f"4,{number},1000,-;{XID}" for number in range(3)]

    def ring(boot: str | None) -> KernelRing:
        return KernelRing(node="n1", records=lambda: HeldRecords(records), boot=lambda: boot)

    first = ring("b1")
    assert first.bookmark is None
    first.poll(0)
    assert first.bookmark == "b1:2"
    same, other = ring("b1"), ring("b2")
    for sensor in (same, other):
        sensor.resume("b1:1")
    assert (len(same.reread(0)), len(same.poll(0)), len(other.poll(0))) == (2, 1, 3)
    unknown = ring(None)
    unknown.poll(0)
    assert unknown.bookmark is None


def line(code: int) -> str:
    return f"{XID.replace(' 79,', f' {code},')}\n"


def codes(sensor: KernelLogFile) -> list[str]:
    return [signals_of(each.fact)[0] for each in sensor.poll(0)]


def stopped_reader(log: Path) -> str:
    """A bookmark behind a first line, of a log that got another one since."""
    log.write_text(line(79))
    first = KernelLogFile(log, node="n1", from_end=False)
    assert codes(first) == ["xid/79"]
    mark = first.bookmark
    first.close()
    assert mark is not None
    with log.open("a") as handle:
        handle.write(line(63).rstrip())
    return mark


@pytest.mark.parametrize("name", ["kern.log.1", "kern.log-20261127"])
def test_a_log_that_was_rotated_meanwhile_is_read_on_where_it_stands(
    tmp_path: Path, name: str
) -> None:
    log = tmp_path / "kern.log"
    mark = stopped_reader(log)
    log.rename(tmp_path / name)
    os.utime(tmp_path / name, (100, 100))
    (tmp_path / "kern.log.bak").write_text(line(94))
    log.write_text(line(74))
    again = KernelLogFile(log, node="n1")
    again.resume(mark)
    assert again.missed is None
    assert codes(again) == ["xid/63", "xid/74"]
    with log.open("a") as handle:
        handle.write(line(48))
    assert codes(again) == ["xid/48"]
    again.close()


def test_a_log_that_was_rotated_twice_is_read_file_by_file(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    mark = stopped_reader(log)
    for number, code in ((2, 92), (1, 74)):
        log.rename(tmp_path / f"kern.log.{number}")
        log.write_text(line(code))
    for number, at in ((2, 100), (1, 200)):
        os.utime(tmp_path / f"kern.log.{number}", (at, at))
    again = KernelLogFile(log, node="n1")
    again.resume(mark)
    assert again.bookmark == mark, "what is not read yet is read again by the next one"
    assert codes(again) == ["xid/63", "xid/92", "xid/74"]
    again.close()


@pytest.mark.parametrize("rotated", ["kern.log.1.gz", "kern.log-20261127.xz"])
def test_what_was_compressed_meanwhile_is_said_to_be_missed(tmp_path: Path, rotated: str) -> None:
    log = tmp_path / "kern.log"
    mark = stopped_reader(log)
    log.unlink()
    (tmp_path / rotated).write_bytes(b"compressed")
    log.write_text(line(74))
    again = KernelLogFile(log, node="n1")
    again.resume(mark.replace(":", ":9", 1))
    assert again.missed is not None
    assert (
        f"behind byte {len(line(79))}" in again.missed.why
        and f"look in {rotated}" in again.missed.why
    )
    assert codes(again) == ["xid/74"]
    again.close()


def test_a_file_between_that_was_compressed_is_said_to_be_missed(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    mark = stopped_reader(log)
    log.rename(tmp_path / "kern.log.2")
    os.utime(tmp_path / "kern.log.2", (100, 100))
    (tmp_path / "kern.log.1.gz").write_bytes(b"compressed")
    log.write_text(line(74))
    again = KernelLogFile(log, node="n1")
    again.resume(mark)
    assert again.missed is not None
    assert again.missed.why == "it was rotated, and kern.log.1.gz was compressed and not read"
    assert codes(again) == ["xid/63", "xid/74"]
    again.close()


def test_a_log_that_was_cut_meanwhile_says_what_may_be_missed(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    mark = stopped_reader(log)
    log.write_text("")
    again = KernelLogFile(log, node="n1")
    again.resume(mark)
    assert again.missed is not None and "was cut" in again.missed.why
    again.close()


def test_a_ring_that_ran_over_meanwhile_says_how_many_records_are_gone() -> None:
    records = [f"4,{number},1000,-;{XID}" for number in range(5, 8)]
    ring = KernelRing(node="n1", records=lambda: HeldRecords(records), boot=lambda: "b1")
    ring.resume("b1:1")
    ring.reread(0)
    assert ring.missed is not None
    assert ring.missed.why == "the kernel's ring ran over, and 3 records of it were not read"
    ring.poll(0)
    assert ring.missed.spans == 1, "it is told once"
    records += [f"4,{number},1000,-;{XID}" for number in (8, 12)]
    ring.poll(0)
    assert ring.missed == ("the kernel's ring ran over, and 3 records of it were not read", 0, 2)


def test_a_ring_that_ran_over_is_told_also_where_it_is_not_read_again() -> None:
    records = [f"4,{number},1000,-;{XID}" for number in range(5, 8)]
    ring = KernelRing(node="n1", records=lambda: HeldRecords(records), boot=lambda: "b1")
    ring.resume("b1:1")
    ring.poll(0)
    assert ring.missed is not None and ring.missed.spans == 1
