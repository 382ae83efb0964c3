"""The systemd journal's kernel messages, through `journalctl`: all of them, or those to come."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

from parkade.sensors.kernel_log.files import lines_of

COMMAND = ("journalctl", "--dmesg", "--output=short-iso-precise", "--no-pager", "--quiet")
MOST_BYTES = 1 << 20
"""That one look takes of what comes, and that a line may have."""
MOST_S = 60.0
"""For all lines of this boot; a journal on a sick disk may never end."""


class JournalError(Exception):
    """The journal cannot be read; the message says what to do."""


def journal_lines(command: tuple[str, ...] = COMMAND, *, most_s: float = MOST_S) -> Iterator[str]:
    """The kernel lines of this boot. Raises JournalError, also where they do not end within
    `most_s`. Closing the iterator ends the program."""
    child = _started(command)
    assert child.stdout is not None
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        # All of its session: what it started holds its output too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    bound = threading.Timer(most_s, end)
    bound.daemon = True
    try:
        bound.start()
        yield from lines_of(child.stdout)
        if child.wait() != 0:
            why = f"ended with status {child.returncode}"
            if is_late.is_set():
                why = f"had not told all within {most_s:g} s"
            raise JournalError(f"{command[0]} {why}")
    finally:
        bound.cancel()
        child.stdout.close()
        if child.poll() is None:
            child.terminate()
            child.wait()


class ComingLines:
    """The lines that a program prints as they come. `new` never waits."""

    def __init__(self, command: tuple[str, ...]) -> None:
        """Raises JournalError where the program cannot be run."""
        self._program = command[0]
        self._child = _started(command)
        assert self._child.stdout is not None
        self._descriptor = self._child.stdout.fileno()
        os.set_blocking(self._descriptor, False)
        self._rest = b""

    def new(self) -> list[bytes]:
        """The whole lines since the last call. Raises JournalError where the program has ended, or
        a line has more than `MOST_BYTES`."""
        try:
            chunk = os.read(self._descriptor, MOST_BYTES)
        except BlockingIOError:
            return []
        if not chunk:
            raise JournalError(f"{self._program} ended with status {self._child.wait()}")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            raise JournalError(f"{self._program} prints a line of more than {MOST_BYTES} bytes")
        return lines

    def close(self) -> None:
        """Ends the program."""
        assert self._child.stdout is not None
        self._child.stdout.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


def _started(command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise JournalError(f"{command[0]} cannot be run: {error.strerror}") from error
