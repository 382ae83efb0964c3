"""Plays systemd for one unit file: what it starts, with what environment, and whom a stop reaches.

What is played is what systemd.service(5), systemd.kill(5) and sd_listen_fds(3) state: the command
of ExecStart with its variables, the socket as descriptor 3, SIGTERM to the first process alone
(KillMode=process) or, in place of the unit's control group, to all its descendants.
"""

import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict

import psutil

from tests.waits import PATIENCE_S


def sections(text: str) -> dict[str, list[str]]:
    """By key, the values of a unit file in order; a backslash at a line's end joins the next."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.replace("\\\n", " ").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            found[key].append(value)
    return found


class PlayedUnit:
    """One service of a unit file; `changed` replaces words of its command, such as folders."""

    def __init__(self, text: str, *, instance: str = "", changed: dict[str, str]) -> None:
        self._keys = sections(text.replace("%i", instance))
        self._changed = changed
        self.variables: dict[str, str] = {}
        for line in self._keys["Environment"]:
            self.variables |= dict(pair.split("=", 1) for pair in shlex.split(line))
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._folder = tempfile.TemporaryDirectory()
        self._notified.bind(f"{self._folder.name}/notify")
        self._notified.settimeout(PATIENCE_S)
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """ExecStart with its variables: `${NAME}` is one word, `$NAME` is split into words."""
        words = []
        for word in shlex.split(self._keys["ExecStart"][0]):
            if word.startswith("$") and not word.startswith("${"):
                words += self.variables.get(word[1:], "").split()
                continue
            for name, value in self.variables.items():
                word = word.replace(f"${{{name}}}", value)
            for old, new in self._changed.items():
                word = word.replace(old, new)
            words.append(word)
        return [*parkade(), *words[1:]]

    def start(self, listening: socket.socket | None = None) -> None:
        """Returns when it is ready, where its type says that it tells."""
        environment = os.environ | {
            name: self._changed.get(value, value) for name, value in self.variables.items()
        }
        environment["NOTIFY_SOCKET"] = self._notified.getsockname()
        program, passed = self.command(), tuple[int, ...]()
        if listening is not None:
            program, passed = handed(listening, program), (listening.fileno(),)
        self.process = subprocess.Popen(program, env=environment, pass_fds=passed)
        if self._keys["Type"] == ["notify"]:
            while self._notified.recv(100) != b"READY=1":
                pass  # What its last life told.

    def stop(self) -> int:
        """The exit status of the first process."""
        assert self.process is not None
        reached = [psutil.Process(self.process.pid)]
        if self._keys["KillMode"] != ["process"]:
            reached += reached[0].children(recursive=True)
        for process in reached:
            process.terminate()
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Ends what the test left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._notified.close()
        self._folder.cleanup()


def handed(listening: socket.socket, program: list[str]) -> list[str]:
    """The command that runs a program with a socket handed over; it must inherit its descriptor."""
    script = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3);"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'};"
        "os.execvp(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-c", script, str(listening.fileno()), *program]


def parkade() -> list[str]:
    """The program in place of the installed command."""
    return [sys.executable, "-c", "from parkade.cli import main; main()"]
