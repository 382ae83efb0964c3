"""Which signals a program listens to is seen from outside, whatever it does to its memory."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parkade.engines.local import listening
from tests.waits import until

USR1 = 1 << (signal.SIGUSR1 - 1)
PROGRAM = Path(__file__).with_name("silent_memory.py")


@contextmanager
def waiting(folder: Path, *before: str) -> Iterator[int]:
    """The pid of the program that waits."""
    words = [*before, sys.executable, str(PROGRAM), str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process.pid
        finally:
            process.kill()


def test_what_a_thread_waits_for_is_read(tmp_path: Path) -> None:
    with waiting(tmp_path / "none") as pid:
        until(lambda: listening.taken(pid) & USR1)


def test_a_program_whose_memory_never_comes_holds_nobody_up(tmp_path: Path) -> None:
    """Its keeper would not kill it at its deadline."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.W_OK) or not shutil.which("unshare"):
        pytest.skip("needs root, /dev/fuse and unshare")
    with waiting(tmp_path, "unshare", "--mount") as pid:
        for _ in range(2 * listening.MOST_READERS):
            assert not listening.taken(pid) & USR1
        assert len(listening._readers) == 1
        for name in ("environ", "cmdline", "stat", "status"):
            assert Path(f"/proc/{pid}/{name}").read_bytes()


def test_where_there_is_no_room_for_a_thread_no_set_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with waiting(tmp_path / "none") as pid:
        until(lambda: listening.taken(pid) & USR1)
        monkeypatch.setattr(threading.Thread, "start", no_room)
        assert not listening.taken(pid) & USR1
