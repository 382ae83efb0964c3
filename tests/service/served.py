"""A server as a process of its own, with its data folder and its output."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.waits import PATIENCE_S, until


class Served:
    """A data folder and the process on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None
        self.errors = folder / "errors"
        self.token = ""
        self.program = [sys.executable, "-m", "parkade.service"]

    def start(self, *flags: str) -> None:
        with self.errors.open("a") as errors:
            self.process = self.spawn(errors, *flags)
        until(self._is_up, self.errors.read_text)

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.errors.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz").is_success
        except httpx.TransportError:
            return False

    def spawn(self, errors: Any, *flags: str) -> subprocess.Popen[str]:
        program = [*self.program, "--log-format", "json"]
        place = ["--data-folder", str(self.data), "--port", str(self.port)]
        return subprocess.Popen(
            [*program, *place, *flags], stdout=subprocess.PIPE, stderr=errors, text=True
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Everything it printed."""
        assert self.process is not None
        self.process.send_signal(number)
        printed, _ = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, self.errors.read_text()
        return printed

    def attempt_to(self, method: str, path: str, body: object = None) -> httpx.Response:
        return httpx.request(
            method,
            f"http://127.0.0.1:{self.port}/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=PATIENCE_S,
        )

    def ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self.attempt_to(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text


@contextmanager
def serving(folder: Path, *flags: str, is_started: bool = True) -> Iterator[Served]:
    """A server in this folder, with the operator's token; killed if it still runs at the end."""
    made = Served(folder)
    if is_started:
        made.start("--token-file", str(folder / "token"), *flags)
        made.token = (folder / "token").read_text().strip()
    try:
        yield made
    finally:
        if made.process is not None:
            if made.process.poll() is None:
                made.process.kill()
            made.process.communicate()


def wait_for_process(served: Served, workload: str) -> int:
    """Until its output is relayed; the process that wrote it."""

    def process() -> int | None:
        if served.ask("GET", f"/workloads/{workload}")["phase"] != "running":
            return None
        text = served.ask("GET", f"/workloads/{workload}/logs")
        return int(text.split()[1]) if text.startswith("process ") else None

    found = until(process)
    assert found is not None
    return found
