"""Daemons in the foreground, as children: they are known by their process, not by a file.

The kernel kills each one when the test's process ends, however it ends. What they started in turn
(steps, and programs of jobs) has the cluster's folder in its environment, and is found by that.
"""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.waits import until


class Daemon:
    """One program that can be started, killed and started again; it writes to `log`."""

    def __init__(self, *words: str, environment: Mapping[str, str], log: Path) -> None:
        self.words = words
        self.environment = environment
        self.log = log
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it where it does not run."""
        assert not self.is_running(), f"{self.words[0]} runs already"
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *self.words),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.child is not None and self.child.poll() is None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and waits until it is gone; nothing where it does not run."""
        if self.child is None:
            return
        self.child.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(30)
        self.child.kill()
        self.child.wait()

    def freeze(self) -> None:
        """It hangs: whoever asks it gets no answer."""
        assert self.child is not None
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self.child is not None
        self.child.send_signal(signal.SIGCONT)


def marked(mark: str) -> dict[int, str]:
    """Processes with that in their environment or arguments, but this one: pid to arguments."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes()
            if mark.encode() in (folder / "environ").read_bytes() or mark.encode() in words:
                found[int(folder.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found


def end_marked(mark: str) -> None:
    """Kills them all."""

    def none_is_left() -> bool:
        left = marked(mark)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    until(none_is_left)
