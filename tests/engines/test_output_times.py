"""Since an instant: nothing from then on is left out, and little from before is shown."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as some

from parkade.engines.local import output, times

STEP_US = times.STEP_US
pauses = some.integers(min_value=0, max_value=5 * STEP_US)
lines = some.binary(max_size=30).map(lambda it: it.replace(b"\n", b"") + b"\n")


def printed(folder: Path, pieces: list[tuple[int, bytes]], *, segment_bytes: int) -> list[int]:
    """Prints each piece after its pause, by two keepers one after the other; when each came."""
    came: list[int] = []
    now = [1_000 * STEP_US]
    os.mkfifo(output.pipe_path(folder, 0))
    halves = pieces[: len(pieces) // 2], pieces[len(pieces) // 2 :]
    for number, half in enumerate(halves):
        taken = output.Output(folder, 0, segment_bytes=segment_bytes, clock=lambda: now[0])
        for pause_us, piece in half:
            now[0] += pause_us
            os.write(taken.pipe, piece)
            taken.pump()
            came.append(now[0])
        if number == 1:
            taken.close()
        else:
            os.close(taken.pipe)
    return came


@settings(max_examples=60)
@given(
    some.lists(some.tuples(pauses, lines), min_size=1, max_size=30),
    some.integers(min_value=-STEP_US, max_value=160 * STEP_US),
    some.sampled_from([64, 10_000]),
)
def test_since_begins_with_the_first_line_that_came_then_and_at_most_a_step_early(
    pieces: list[tuple[int, bytes]], after_us: int, segment_bytes: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        came = printed(folder, pieces, segment_bytes=segment_bytes)
        at_us = 1_000 * STEP_US + after_us
        found = output.offset_since(folder, 0, at_us)
        assert found is not None
        kept = output.segments(folder, 0)[0][0]
        ends, length = [], 0
        for _, piece in pieces:
            length += len(piece)
            ends.append(length)
        starts = [0, *ends[:-1]]
        late = [start for start, us in zip(starts, came, strict=True) if us >= at_us]
        assert found <= max(kept, late[0] if late else length), "nothing that came then is missing"
        for start, us in zip(starts, came, strict=True):
            if start >= max(found, kept):
                assert us > at_us - STEP_US, "what came before is left out"
        assert found in (kept, length, *starts), "it is the beginning of a line"


def test_a_line_that_was_begun_before_is_shown_whole(tmp_path: Path) -> None:
    pieces = [(0, b"early\nhalf "), (10 * STEP_US, b"a line\nlate\n")]
    printed(tmp_path, pieces, segment_bytes=10_000)
    found = output.offset_since(tmp_path, 0, 1_005 * STEP_US)
    assert found == len(b"early\n")


def test_output_without_times_is_not_guessed_at(tmp_path: Path) -> None:
    assert output.offset_since(tmp_path, 0, 5) == 0, "nothing was printed yet"
    (tmp_path / "rank-0.log.0").write_bytes(b"of an agent of before\n")
    assert output.offset_since(tmp_path, 0, 5) is None
    assert output.offset_since(tmp_path, 0, 5, uid=os.getuid() + 1) is None


def test_a_clock_that_is_set_back_leaves_nothing_out(tmp_path: Path) -> None:
    pieces = [(0, b"one\n"), (60 * STEP_US, b"two\n"), (-3_600 * STEP_US, b"three\n")]
    printed(tmp_path, [*pieces, (2 * STEP_US, b"four\n")], segment_bytes=10_000)
    assert output.offset_since(tmp_path, 0, 1_060 * STEP_US) == len(b"one\n")
    noted = times.read_times(tmp_path, 0, 0, uid=None)
    assert [it.offset for it in noted] == [0, 4, 8, 14]


def test_the_index_of_a_segment_is_bounded(tmp_path: Path) -> None:
    index = times.Times(tmp_path, 0, 0)
    now_us = 0
    for offset in range(3 * times.ENTRIES_OF_A_STEP):
        index.note(offset, now_us)
        now_us += STEP_US
    index.close()
    noted = times.read_times(tmp_path, 0, 0, uid=None)
    assert times.ENTRIES_OF_A_STEP < len(noted) <= 2 * times.ENTRIES_OF_A_STEP + 1
    assert noted[-1].step_us == 2 * STEP_US
    widest = times.MOST_ENTRIES // times.ENTRIES_OF_A_STEP - 1
    assert times.step_us(times.MOST_ENTRIES - 1) == STEP_US << widest


def test_the_index_goes_with_its_segment(tmp_path: Path) -> None:
    printed(tmp_path, [(STEP_US, b"x" * 20 + b"\n")] * 40, segment_bytes=64)
    kept = {start for start, _ in output.segments(tmp_path, 0)}
    indexes = {int(it.name.rpartition(".")[2]) for it in tmp_path.glob("rank-0.times.*")}
    assert indexes == kept and len(kept) == output.SEGMENTS_KEPT
