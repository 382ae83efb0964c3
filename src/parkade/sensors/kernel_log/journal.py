"""Follows the systemd journal's kernel messages through `journalctl`."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

from parkade.sensors.kernel_log.files import lines_of

COMMAND = ("journalctl", "--dmesg", "--output=short-iso-precise", "--no-pager", "--quiet")


MOST_S = 60.0
"""For all lines of this boot; a journal on a sick disk may never end."""


class JournalError(Exception):
    """The journal cannot be read; the message says what to do."""


def journal_lines(
    command: tuple[str, ...] = COMMAND, *, follow: bool = False, most_s: float = MOST_S
) -> Iterator[str]:
    """The kernel lines of this boot, with `follow` also those to come. Raises JournalError, also
    where the lines of this boot do not end within `most_s`.

    Closing the iterator ends the program.
    """
    wanted = (*command, "--follow", "--lines=all") if follow else command
    try:
        child = subprocess.Popen(
            wanted,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise JournalError(f"{command[0]} cannot be run: {error.strerror}") from error
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
        if not follow:
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
