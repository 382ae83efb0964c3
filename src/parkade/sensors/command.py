"""Runs a command of a cluster: bounded in time, with all that it starts, and its own words where it
fails."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

MOST_OUTPUT = 16 * 1024 * 1024
MOST_ERROR = 300
"""Characters of what a command that failed says on stderr."""


class CommandError(Exception):
    """The command cannot be run, failed, or gave no answer in time; the message says which."""


def output_of(words: Sequence[str], *, timeout_s: float) -> str:
    """What a command prints. It runs in a session of its own: Ctrl-C ends the program and not the
    command, and at the time-out what the command started is ended with it."""
    program = words[0]
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"{program} cannot be run: {error.strerror}") from error
    with child:
        try:
            output, errors = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            # And what it started, which holds its output too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise CommandError(f"{program} gave no answer within {timeout_s:g} s") from None
    if child.returncode != 0:
        says = " ".join(errors.decode("utf-8", "replace").split())[:MOST_ERROR]
        raise CommandError(_how_it_ended(program, child.returncode) + (f": {says}" if says else ""))
    return output[:MOST_OUTPUT].decode("utf-8", "replace")


def _how_it_ended(program: str, status: int) -> str:
    if status < 0:
        return f"{program} was ended by signal {-status}"
    return f"{program} ended with status {status}"
