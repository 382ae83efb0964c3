"""Follows the systemd journal's kernel messages through `journalctl`."""

import subprocess
from collections.abc import Iterator

from parkade.sensors.kernel_log.files import lines_of

COMMAND = ("journalctl", "--dmesg", "--output=short-iso-precise", "--no-pager", "--quiet")


class JournalError(Exception):
    """The journal cannot be read; the message says what to do."""


def journal_lines(command: tuple[str, ...] = COMMAND, *, follow: bool = False) -> Iterator[str]:
    """The kernel lines of this boot, with `follow` also those to come. Raises JournalError.

    Closing the iterator ends the program.
    """
    wanted = (*command, "--follow", "--lines=all") if follow else command
    try:
        child = subprocess.Popen(
            wanted, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise JournalError(f"{command[0]} cannot be run: {error.strerror}") from error
    assert child.stdout is not None
    try:
        yield from lines_of(child.stdout)
        if child.wait() != 0:
            raise JournalError(f"{command[0]} ended with status {child.returncode}")
    finally:
        child.stdout.close()
        if child.poll() is None:
            child.terminate()
            child.wait()
