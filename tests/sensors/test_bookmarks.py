"""How far logs were read and judged, and sensors that go on there."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
