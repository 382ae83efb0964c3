"""Following a log: no line is lost that can be read, whatever becomes of its file."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.ports import NO_BACKLOG
from parkade.sensors.kernel_log.following import QUIET_S, Follower


class Steady:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def steady() -> Steady:
    return Steady()


def test_a_log_that_grows_rotates_and_is_cut_loses_no_line(tmp_path: Path, steady: Steady) -> None:
    log = tmp_path / "kern.log"
    log.write_text("old\n")
    follower = Follower(log, from_end=True, steady=steady)
    assert follower.poll() == []
    with log.open("a") as handle:
        handle.write("one\ntwo\nhal")
        handle.flush()
        assert follower.poll() == ["one", "two"]
        handle.write("f\nlast words")
        handle.flush()
    log.rename(tmp_path / "kern.log.1")
    assert follower.poll() == ["half"]
    assert follower.unread == f"{log} is not there"
    log.write_text("new\n")
    assert follower.poll() == ["new"]
    assert follower.unread is None
    steady.now_s += QUIET_S
    assert follower.poll() == ["last words"], "no more of it comes"
    log.write_text("cut\n")
    follower.poll()
    log.write_text("c\n")
    assert follower.poll() == ["c"]
    follower.close()


def test_what_a_writer_writes_into_the_renamed_log_is_read(tmp_path: Path, steady: Steady) -> None:
    log = tmp_path / "kern.log"
    with log.open("w") as old:
        follower = Follower(log, from_end=False, steady=steady)
        log.rename(tmp_path / "kern.log.1")
        log.touch()
        assert follower.poll() == []
        steady.now_s += 100 * QUIET_S
        old.write("long after\n")
        old.flush()
        assert follower.poll() == ["long after"], "the new file has not begun"
        log.write_text("new\n")
        old.write("both\n")
        old.flush()
        assert follower.poll() == ["both", "new"]
        steady.now_s += QUIET_S - 1
        old.write("last\n")
        old.flush()
        assert follower.poll() == ["last"]
        steady.now_s += QUIET_S - 1
        assert follower.poll() == []
        steady.now_s += 1
        follower.poll()
        old.write("to nobody\n")
    assert follower.poll() == []
    follower.close()


def test_a_restart_in_the_middle_of_a_rotation_loses_and_repeats_nothing(
    tmp_path: Path, steady: Steady
) -> None:
    log = tmp_path / "kern.log"
    with log.open("w") as old:
        old.write("one\n")
        old.flush()
        first = Follower(log, from_end=False, steady=steady)
        log.rename(tmp_path / "kern.log.1")
        log.write_text("new one\n")
        assert first.poll() == ["one", "new one"]
        mark = first.bookmark
        first.close()
        assert mark is not None
        old.write("two\n")
    with log.open("a") as handle:
        handle.write("new two\n")
    again = Follower(log, from_end=True, steady=steady)
    again.resume(mark)
    assert again.missed is None
    assert again.poll() == ["two", "new two"]
    (tmp_path / "kern.log.1").unlink()
    again.resume(mark)
    assert again.missed is not None, "what stood behind its place is gone"
    assert again.poll() == ["new two"]
    again.close()


def stopped(log: Path) -> str:
    """A bookmark behind a first line."""
    log.write_text("a first line\n")
    first = Follower(log, from_end=False)
    first.poll()
    mark = first.bookmark
    first.close()
    assert mark is not None
    return mark


def test_a_log_that_was_copied_and_cut_and_grew_past_the_old_place_goes_on_in_the_copy(
    tmp_path: Path,
) -> None:
    log, copy = tmp_path / "kern.log", tmp_path / "kern.log.1"
    mark = stopped(log)
    with log.open("a") as handle:
        handle.write("before the cut\n")
    copy.write_bytes(log.read_bytes())
    log.write_text("behind the cut, and longer than what there was\n")
    again = Follower(log, from_end=True)
    again.resume(mark)
    assert again.missed is None
    assert again.poll() == ["before the cut", "behind the cut, and longer than what there was"]
    again.close()


def test_a_log_that_was_cut_and_whose_copy_is_gone_says_from_when_lines_are_missing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "kern.log"
    mark = stopped(log)
    (tmp_path / "kern.log.1.gz").write_bytes(b"compressed")
    log.write_text("behind the cut, and longer than what there was\n")
    again = Follower(log, from_end=True)
    again.resume(mark)
    assert again.missed is not None
    assert (
        "was cut" in again.missed.why and "was not read; look in kern.log.1.gz" in again.missed.why
    )
    assert again.poll() == ["behind the cut, and longer than what there was"]
    again.close()


def test_a_cut_between_two_looks_goes_on_in_the_copy(tmp_path: Path, steady: Steady) -> None:
    log, copy = tmp_path / "kern.log", tmp_path / "kern.log.1"
    log.write_text("a first line\n")
    follower = Follower(log, from_end=False, steady=steady)
    assert follower.poll() == ["a first line"]
    with log.open("a") as handle:
        handle.write("just before\n")
    copy.write_bytes(log.read_bytes())
    log.write_text("behind the cut, and longer than what there was\n")
    assert follower.poll() == ["just before", "behind the cut, and longer than what there was"]
    assert follower.missed is None
    follower.close()


def test_another_file_that_has_the_inode_by_now_is_not_taken_for_the_log(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    mark = stopped(log)
    log.rename(tmp_path / "kern.log.1")
    with (tmp_path / "kern.log.1").open("a") as handle:
        handle.write("second\n")
    log.write_text("a line of the new log\n")
    inode = log.stat().st_ino
    device, _, rest = mark.split(":", 2)
    again = Follower(log, from_end=True)
    again.resume(f"{device}:{inode}:{rest}")
    assert again.poll() == ["second", "a line of the new log"]
    again.close()


def test_a_bookmark_of_the_first_form_is_still_read(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    mark = stopped(log)
    with log.open("a") as handle:
        handle.write("second\n")
    again = Follower(log, from_end=True)
    again.resume(":".join(mark.split(":")[:3]))
    assert again.poll() == ["second"]
    again.close()


def test_what_a_look_leaves_unread_is_told(tmp_path: Path, steady: Steady) -> None:
    log = tmp_path / "kern.log"
    log.write_text("line\n" * 10)
    follower = Follower(log, from_end=False, steady=steady)
    assert follower.backlog == NO_BACKLOG
    assert len(follower.poll(4)) == 4
    steady.now_s += 7
    assert follower.backlog == (30, 7.0)
    follower.poll(4)
    assert follower.backlog == (10, 7.0)
    follower.poll(4)
    assert follower.backlog == NO_BACKLOG
    follower.close()


PIECES = st.lists(
    st.one_of(
        st.text(alphabet="ab\n", min_size=1, max_size=12),
        st.sampled_from(["rename", "restart", "quiet"]),
    ),
    max_size=16,
)


def be_quiet(steady: Steady, folder: Path) -> None:
    """As if nothing had been written for a while."""
    steady.now_s += QUIET_S
    for path in folder.iterdir():
        at_s = path.stat().st_mtime - QUIET_S
        os.utime(path, (at_s, at_s))


@given(PIECES, st.booleans())
def test_however_a_file_is_written_and_rotated_its_lines_come_whole_and_once(
    pieces: list[str], rests: bool
) -> None:
    steady = Steady()

    def following(log: Path, *, from_end: bool) -> Follower:
        return Follower(log, from_end=from_end, rests=rests, steady=steady)

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.write_text("")
        follower, found, renamed = following(log, from_end=False), list[str](), 0
        expected, unfinished = list[str](), ""
        for piece in pieces:
            if piece == "rename":
                renamed += 1
                log.rename(Path(folder) / f"log.{renamed}")
                log.write_text("")
                expected += [unfinished] * bool(unfinished)
                unfinished = ""
            elif piece == "restart":
                mark = follower.bookmark
                follower.close()
                follower = following(log, from_end=True)
                assert mark is not None
                follower.resume(mark)
            elif piece == "quiet":
                be_quiet(steady, Path(folder))
            else:
                with log.open("a") as handle:
                    handle.write(piece)
                *whole, unfinished = (unfinished + piece).split("\n")
                expected += whole
            found += follower.poll()
        with log.open("a") as handle:
            handle.write("\n")
        expected.append(unfinished)
        for _ in range(renamed + 2):
            found += follower.poll()
            be_quiet(steady, Path(folder))
        assert follower.missed is None
        follower.close()
        assert sorted(found) == sorted(expected)


def replace(log: Path, text: str) -> None:
    """As rsync does: another file takes the log's name."""
    fresh = log.with_name(".fresh")
    fresh.write_text(text)
    fresh.replace(log)


def test_a_log_that_a_longer_copy_of_itself_replaces_is_read_on(tmp_path: Path) -> None:
    log = tmp_path / "kern.log"
    begun = "".join(f"line {number}\n" for number in range(1_000))
    log.write_text(begun)
    follower = Follower(log, from_end=False)
    assert len(follower.poll()) == 1_000
    replace(log, f"{begun}two\n")
    assert follower.poll() == ["two"]
    mark = follower.bookmark
    follower.close()
    assert mark is not None
    replace(log, f"{begun}two\nthree\n")
    again = Follower(log, from_end=True)
    again.resume(mark)
    assert again.missed is None
    assert again.poll() == ["three"]
    replace(log, "another\n")
    assert again.poll() == ["another"]
    again.close()


def test_a_new_log_that_begins_with_the_same_few_lines_is_read_from_its_beginning(
    tmp_path: Path,
) -> None:
    log = tmp_path / "kern.log"
    log.write_text("the same fault\n")
    follower = Follower(log, from_end=False)
    assert follower.poll() == ["the same fault"]
    log.rename(tmp_path / "kern.log.1")
    log.write_text("the same fault\nagain\n")
    assert follower.poll() == ["the same fault", "again"]
    follower.close()


def test_what_is_no_regular_file_is_told_and_waited_for_by_nobody(tmp_path: Path) -> None:
    """A pipe has no places to go on from, and its opening waits for a writer."""
    path = tmp_path / "kern.log"
    os.mkfifo(path)
    follower = Follower(path, from_end=False)
    assert follower.poll() == []
    assert follower.unread is not None and "no regular file" in follower.unread
    assert Follower(Path("/dev/null"), from_end=True).unread is not None
    path.unlink()
    path.write_text("a line\n")
    assert follower.poll() == ["a line"] and follower.unread is None
    follower.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc")
def test_a_follower_that_rests_holds_no_file_open(tmp_path: Path) -> None:
    log, before = tmp_path / "kern.log", open_files()
    log.write_text("old\n")
    follower = Follower(log, from_end=True, rests=True)
    assert follower.poll() == [] and open_files() == before
    with log.open("a") as handle:
        handle.write("one\ntwo\nthree\nfo")
    assert follower.poll(2) == ["one", "two"] and open_files() == before
    assert follower.backlog.unread_bytes == 8
    assert follower.poll() == ["three"] and follower.backlog == NO_BACKLOG
    with log.open("a") as handle:
        handle.write("ur\nlast\n")
    log.rename(tmp_path / "kern.log-20261128")
    assert follower.poll() == [] and follower.unread == f"{log} is not there"
    mark = follower.bookmark
    log.write_text("new\n")
    assert follower.poll() == ["four", "last", "new"] and open_files() == before
    assert follower.unread is None and follower.missed is None
    log.write_text("")
    assert follower.poll() == [] and follower.missed is not None
    assert mark is not None
    follower.resume(mark)
    assert open_files() == before
    follower.close()


@pytest.mark.parametrize("rests", [True, False])
def test_a_log_that_is_not_there_at_the_start_is_read_on_when_it_comes(
    tmp_path: Path, *, rests: bool
) -> None:
    log = tmp_path / "kern.log"
    mark = stopped(log)
    with log.open("a") as handle:
        handle.write("second\n")
    log.rename(tmp_path / "kern.log.1")
    again = Follower(log, from_end=True, rests=rests)
    again.resume(mark)
    assert again.poll() == [] and again.unread == f"{log} is not there"
    assert again.bookmark == mark, "a third start knows it, too"
    log.write_text("new\n")
    assert again.poll() == ["second", "new"]
    assert again.missed is None and again.unread is None
    again.close()
