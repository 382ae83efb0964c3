"""A server process that dies, and a client that does not: it repeats each request under its key
until it is answered, and remembers what it was told."""

import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests import builders
from tests.waits import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
POOL = builders.pool_body(
    ("n1", "n2", "n3"),
    gpus=4,
    pool="box",
    site="local",
    terms=builders.terms_body(clearing_interval="300ms", backoff="0s"),
)


class Died(Exception):
    """The server died before it answered."""


class Marketplace:
    """One data folder through many lives of its server."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.runs = folder / "runs"
        self.runs.mkdir()
        self.token_file = folder / "token"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.log = (folder / "log").open("ab")
        self.lives = 0
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE_S)

    def start(self, crash_at: str = "") -> None:
        """A new life; with `crash_at` it ends by itself at that point."""
        self.lives += 1
        environment = {
            **os.environ,
            "PARKADE_CRASH_AT": crash_at,
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        }
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.crash.server",
                str(self.data), str(self.port), str(self.token_file),
            ],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )  # fmt: skip

    def wait_ready(self) -> None:
        """Returns when it answers; Died if it never will."""
        until(self._is_ready, lambda: f"the server did not come up\n{self.last_words()}")

    def _is_ready(self) -> bool:
        self._died_already()
        try:
            return self._client.get("/healthz").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """As if the power had gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def kill_agent(self) -> None:
        """Its agent, a child of the server, as if it had been killed from outside."""
        lock = self.data / "pools" / str(POOL["pool"]) / "agent" / "agent.lock"
        holder = int(lock.read_text() or 0) if lock.exists() else 0
        assert self.process is not None
        # Only a child of this server: a number may have been used again.
        if holder and is_alive(holder) and _parent(holder) == self.process.pid:
            os.kill(holder, signal.SIGKILL)

    def wait_death(self, timeout_s: float) -> bool:
        """Whether its trap got it in time."""
        assert self.process is not None
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        assert self.process.returncode == -9, self.last_words()
        return True

    def stop(self) -> None:
        """Asks it to stop, and waits for it."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0, self.last_words()

    def close(self) -> None:
        """Leaves no server behind, nor what it ran."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for _, process in self.started():
            if is_alive(process) and b"sleep" in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
        self._client.close()
        self.log.close()

    def last_words(self) -> str:
        """The end of its log."""
        return Path(self.log.name).read_text()[-4000:]

    def get(self, path: str) -> Any:
        """What it shows; Died if it is dead."""
        return self._ask("GET", path, None, None)

    def post(self, path: str, body: dict[str, Any], key: str) -> Any:
        """What it answers to one try; Died if it is dead."""
        return self._ask("POST", path, body, key)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, key: str | None) -> Any:
        headers = {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            answer = self._client.request(method, f"/v1{path}", json=body, headers=headers)
        except httpx.TransportError as error:
            raise Died(str(error)) from error
        if answer.status_code == 503:
            raise Died("it is stopping")
        assert answer.status_code < 500, answer.text
        return answer.json()

    def _died_already(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            assert self.process.returncode == -9, self.last_words()
            raise Died("it died while starting")

    def journal(self) -> list[bytes]:
        """Every event's body, read while no server runs."""
        return [row[0] for row in self._rows("SELECT body FROM journal ORDER BY sequence")]

    def transfers(self) -> list[tuple[Any, ...]]:
        """The read model of the statements."""
        columns = "sequence, position, debit, credit, micros"
        return self._rows(f"SELECT {columns} FROM transfers ORDER BY sequence, position")

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        path = self.data / "parkade.sqlite3"
        if not path.exists():
            return []
        connection = sqlite3.connect(path)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []
        finally:
            connection.close()

    def started(self) -> list[tuple[str, int]]:
        """(attempt, process) of every program that ever ran, as the programs themselves say."""
        lines = [line for file in self.runs.iterdir() for line in file.read_text().splitlines()]
        return [(line.split()[0], int(line.split()[1])) for line in lines]


def new_key() -> str:
    """A name for a request, never used before."""
    return secrets.token_hex(8)


def _parent(process: int) -> int:
    stat = Path(f"/proc/{process}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def is_alive(process: int) -> bool:
    """Whether a process runs and is no zombie."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
