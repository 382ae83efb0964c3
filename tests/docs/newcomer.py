"""Somebody who reads a document and types what it says, at a home of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.pages import Step
from tests.waits import PATIENCE_S

BETWEEN_S = 0.2
# They change nothing: asked too early they are asked again.
QUESTIONS = frozenset(
    {
        "ps",
        "why",
        "prices",
        "status",
        "statement",
        "accounts",
        "claims",
        "reservations",
        "logs",
        "node list",
    }
)
_TIMES = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?"), "<instant>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<instant>"),
    (re.compile(r"(?<![\w.])\d+(ms|s|m)\b"), "<span>"),
)


class Newcomer:
    """A home, a folder and a free port; `type` runs one step and asserts what it shows."""

    def __init__(self, folder: Path, programs: Path | None = None) -> None:
        """`programs` is where `parkade` and `python` are; by default the tests' own."""
        self._programs = programs or Path(sys.executable).parent
        self.folder = folder / "work"
        self._home = folder / "home"
        self._exports = folder / "exports"
        self._server: subprocess.Popen[bytes] | None = None
        self._log = folder / "server.log"
        for each in (self.folder, self._home):
            each.mkdir()
        self._exports.write_text("")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends what runs on the nodes, then the server."""
        if self._server is not None and self._server.poll() is None:
            self._run(
                "unset PARKADE_CONFIG; for id in $(parkade ps --json | grep -o '\"w[0-9]*\"');"
                ' do parkade cancel --now ${id//\\"/}; done; true'
            )
            self._until_idle()
        self.stop_server()

    def type(self, step: Step) -> None:
        """One step of a document; the test fails where it shows something else."""
        if step.file is not None:
            (self.folder / step.file).write_text(step.text)
        elif step.rule in ("server", "restart"):
            self.stop_server()
            self._start_server(step)
        elif step.rule == "follow":
            self._follow(step)
        elif step.rule != "elsewhere":
            self._ask(step)

    def stop_server(self) -> None:
        """As Ctrl-C does."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGINT)
        try:
            self._server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
            raise
        finally:
            self._server = None

    def _ask(self, step: Step) -> None:
        began = time.monotonic()
        while True:
            status, shown = self._run(step.text)
            is_right = status == 0 and (step.printed is None or matches(step.printed, shown))
            if is_right or not _is_question(step) or time.monotonic() - began > PATIENCE_S:
                break
            time.sleep(BETWEEN_S)
        assert status == 0, f"$ {step.text}\n{shown}\nexit {status}{self._server_says()}"
        expected = "\n".join(step.printed or ())
        assert is_right, f"$ {step.text}\n{shown}\nthe document shows:\n{expected}"

    def _run(self, command: str) -> tuple[int, str]:
        """A command in a shell that has what earlier ones exported."""
        script = f"source {self._exports}\n{command}\nstatus=$?\nexport -p > {self._exports}\n"
        done = subprocess.run(
            ["bash", "-c", f"{script}exit $status"],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
        )
        return done.returncode, done.stdout.decode()

    def _follow(self, step: Step) -> None:
        out = self.folder.parent / "followed"
        with out.open("wb") as sink:
            shell = subprocess.Popen(
                ["bash", "-c", f"source {self._exports}\nexec {step.text}"],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        try:
            began = time.monotonic()
            while time.monotonic() - began < PATIENCE_S:
                if matches((*(step.printed or ()), "…"), out.read_text()):
                    return
                time.sleep(BETWEEN_S)
            raise AssertionError(f"$ {step.text}\n{out.read_text()}{self._server_says()}")
        finally:
            shell.send_signal(signal.SIGINT)
            shell.wait(PATIENCE_S)

    def _start_server(self, step: Step) -> None:
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                ["bash", "-c", f"exec {step.text}"],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_S:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            assert self._server.poll() is None, self._log.read_text()
            time.sleep(BETWEEN_S)
        raise AssertionError(self._log.read_text())

    def _until_idle(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_S:
            if '"workloads": []' in self._run("unset PARKADE_CONFIG; parkade ps --json")[1]:
                return
            time.sleep(BETWEEN_S)

    def _environment(self) -> dict[str, str]:
        """Nothing of ours but the programs; a free port stands in for 8300. Where it is root, the
        newcomer does as the README says."""
        return {
            "HOME": str(self._home),
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "PARKADE_SERVER": f"http://127.0.0.1:{self._port}",
            "PARKADE_SERVER_PORT": str(self._port),
            "PARKADE_SERVER_ROOT_WORKLOADS": "true",
        }

    def _server_says(self) -> str:
        return f"\n{self._log.read_text()[-2000:]}" if self._log.exists() else ""


def _is_question(step: Step) -> bool:
    words = [word for word in step.text.split() if not word.startswith("PARKADE_")]
    return words[0] == "parkade" and (words[1] in QUESTIONS or " ".join(words[1:3]) in QUESTIONS)


def matches(expected: tuple[str, ...], shown: str) -> bool:
    """Whether the lines are those, but for spaces, moments and what `…` stands for."""
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        elif line.strip():
            pieces = [re.escape(piece) for piece in _plain(line).split("…")]
            pattern += r"[^\n]*".join(pieces) + r"\n"
    lines = [_plain(line) for line in shown.splitlines() if line.strip()]
    text = "".join(f"{line}\n" for line in lines)
    return re.fullmatch(pattern, text) is not None


def _plain(line: str) -> str:
    for moment, word in _TIMES:
        line = moment.sub(word, line)
    line = re.sub(r"http://127\.0\.0\.1:\d+", "<server>", line)
    return re.sub(r"\s+", " ", line).strip()
