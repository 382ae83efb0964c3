"""Where a log went while its reader was down: by its inode whatever its name, a copy by its name
and bytes; what is not found or is compressed is told, and nothing else is taken for it."""

import os
import shutil
from pathlib import Path

import pytest

from parkade.sensors.kernel_log.following import LONG_S, Follower
from parkade.sensors.kernel_log.rotation import names_of


def stopped(log: Path, text: str = "a first line\n") -> str:
    """A bookmark behind the text, of a log that got another line since."""
    log.write_text(text)
    first = Follower(log, from_end=False)
    assert len(first.poll()) == text.count("\n")
    mark = first.bookmark
    first.close()
    assert mark is not None
    with log.open("a") as handle:
        handle.write("unread\n")
    return mark


def resumed(log: Path, mark: str, olddir: Path | None = None) -> Follower:
    again = Follower(log, from_end=True, olddir=olddir)
    again.resume(mark)
    return again


def aged(path: Path, hours: int) -> None:
    """Last written so many hours ago."""
    at_s = path.stat().st_mtime - 3_600 * hours
    os.utime(path, (at_s, at_s))


NAMES = [
    "kern.log.1", "kern.log.0", "kern.log-20261128", "kern.log-2026-11-28", "kern.log-1795824000",
    "kern.log.20261128T2200", "kern.log_2026-11-28_22:00:00", "kern.log.old", "kern-20261128.log",
    "kern.1.log", "kern.log.061128225959",
]  # fmt: skip


@pytest.mark.parametrize("name", [*NAMES, "kern.log.before-upgrade", "2026-11-28", "@40000000.s"])
def test_a_renamed_log_is_read_on_whatever_its_name(tmp_path: Path, name: str) -> None:
    log = tmp_path / "kern.log"
    mark = stopped(log)
    log.rename(tmp_path / name)
    log.write_text("new\n")
    (tmp_path / "other.log").write_text("a first line\nof another log\n")
    again = resumed(log, mark)
    assert again.missed is None
    assert again.poll() == ["unread", "new"]
    again.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_found_by_its_name_and_bytes(tmp_path: Path, name: str) -> None:
    log = tmp_path / "kern.log"
    mark = stopped(log)
    shutil.copy(log, tmp_path / name)
    log.write_text("behind the cut, and longer than all that stood there before\n")
    again = resumed(log, mark)
    assert again.missed is None
    assert again.poll() == [
        "unread", "behind the cut, and longer than all that stood there before"
    ]  # fmt: skip
    again.close()


@pytest.mark.parametrize("name", ["kern.log", "kern.log.1", "archive-7"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_log_that_was_moved_into_another_folder_is_read_on_there(
    tmp_path: Path, name: str, *, is_whole: bool
) -> None:
    log = tmp_path / "logs" / "kern.log"
    log.parent.mkdir()
    old = log.parent / "old"
    old.mkdir()
    mark = stopped(log)
    log.rename(old / name)
    log.write_text("new\n")
    again = resumed(log, mark, old if is_whole else Path("old"))
    assert again.missed is None
    assert again.poll() == ["unread", "new"]
    again.close()
    without = resumed(log, mark)
    assert without.missed is not None and without.missed.since_s > 0
    assert without.poll() == ["new"]
    without.close()


@pytest.mark.parametrize(
    "names",
    [
        ("syslog-20261126", "syslog-20261127"),
        ("gpu-1 2026.11.26", "gpu-1 2026.11.27"),
        ("11-26.txt", "11-27.txt"),
    ],
)
def test_files_between_are_known_by_the_form_of_the_first_ones_name(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    log = tmp_path / ("gpu-1" if names[0].startswith("gpu") else "syslog")
    mark = stopped(log)
    log.rename(tmp_path / names[0])
    aged(tmp_path / names[0], 24)
    (tmp_path / names[1]).write_text("between\n")
    for other in ("gpu-2", "gpu-2 2026.11.27", "other-20261127", "11-27.csv"):
        (tmp_path / other).write_text("another node's\n")
    log.write_text("new\n")
    again = resumed(log, mark)
    assert again.missed is None
    assert again.poll() == ["unread", "between", "new"]
    again.close()


@pytest.mark.parametrize("ending", ["gz", "xz", "bz2", "zst", "lz4", "lzma", "Z"])
@pytest.mark.parametrize("name", NAMES)
def test_what_was_compressed_is_told_with_its_name_and_since_when(
    tmp_path: Path, name: str, ending: str
) -> None:
    log = tmp_path / "kern.log"
    mark = stopped(log)
    read_s = int(mark.rpartition(":")[2])
    log.unlink()
    (tmp_path / f"{name}.{ending}").write_bytes(b"compressed")
    older = tmp_path / f"kern.log.9.{ending}"
    older.write_bytes(b"compressed")
    aged(older, 48)
    log.write_text("new, and longer than what there was at the place before\n")
    again = resumed(log, mark)
    assert again.missed is not None
    assert again.missed.why.endswith(f"was not read; look in {name}.{ending}")
    assert (again.missed.since_s, again.missed.spans) == (read_s, 1)
    assert len(again.poll()) == 1
    again.close()


def test_a_file_that_was_written_since_and_may_be_read_already_is_named_and_not_judged_again(
    tmp_path: Path,
) -> None:
    """A folder that was copied without its times looks as if all of it were new."""
    log = tmp_path / "kern.log"
    mark = stopped(log)
    log.unlink()
    (tmp_path / "kern.log.1").write_text("long ago\n")
    log.write_text("new, and longer than what there was at the place before\n")
    again = resumed(log, mark)
    assert again.missed is not None and again.missed.why.endswith("look in kern.log.1")
    assert again.poll() == ["new, and longer than what there was at the place before"]
    again.close()


def test_another_log_that_has_the_inode_of_an_empty_one_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    log = tmp_path / "gpu-1.log"
    log.touch()
    first = Follower(log, from_end=False)
    first.poll()
    mark = first.bookmark
    first.close()
    assert mark is not None
    log.rename(tmp_path / "gpu-2.log")
    (tmp_path / "gpu-2.log").write_text("of gpu-2\n")
    log.write_text("of gpu-1\n")
    again = resumed(log, mark)
    assert again.poll() == ["of gpu-1"]
    again.close()


def test_a_log_that_was_rotated_twice_between_two_looks_loses_no_line(tmp_path: Path) -> None:
    log, now_s = tmp_path / "kern.log", [100.0]
    log.write_text("one\n")
    follower = Follower(log, from_end=False, steady=lambda: now_s[0])
    assert follower.poll() == ["one"]
    with log.open("a") as handle:
        handle.write("two\n")
    log.rename(tmp_path / "kern.log.2")
    aged(tmp_path / "kern.log.2", 2)
    (tmp_path / "kern.log.1").write_text("between\n")
    (tmp_path / "kern.log.3").write_text("read long ago\n")
    aged(tmp_path / "kern.log.3", 26)
    log.write_text("new\n")
    now_s[0] += LONG_S
    assert follower.poll() == ["two", "between", "new"]
    assert follower.poll() == [] and follower.missed is None
    follower.close()


def test_names_of_other_logs_are_none_of_a_rotation() -> None:
    for log, others in {
        "kern.log": ("kern.log.bak", "kern.log2", "kern2.log", "xkern.log.1", "kern.log.1.tmp"),
        "gpu-1": ("gpu-10", "gpu-1-2", "gpu-1.log", "gpu-11.1"),
        "gpu-1.log": ("gpu-1-2.log", "gpu-12.log.1", "gpu-10.log"),
        "gpu": ("gpu-1", "gpu-001", "gpu-1.log"),
    }.items():
        for other in others:
            assert names_of(log).fullmatch(other) is None, (log, other)
