"""The stage: a server of its own in a temporary folder, and a client for each person of the story.

Everything is started on loopback and stopped by its own process id.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from parkade.client import Client
from parkade.wire.people import Role

START_SECONDS = 120.0
STOP_SECONDS = 60.0
PEOPLE: dict[str, Role] = {
    "acme": "owner",
    "lab": "member",
    "student": "member",
    "studio": "member",
}


class StageError(Exception):
    """The day cannot go on; the message says where to look."""


class Stage:
    """A running server and who may speak to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self._clients: list[Client] = []
        token_file = folder / "operator.token"
        self._server = self._start(token_file)
        try:
            self.url = self._await_server(token_file)
            self.operator = self._client(token_file.read_text(encoding="utf-8").strip())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops the server that this stage started."""
        for client in self._clients:
            client.close()
        self._server.terminate()
        try:
            self._server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def admit(self, deposit: str) -> dict[str, Client]:
        """Orgs with money, a user in each, and a client that speaks for it."""
        people = {}
        for org, role in PEOPLE.items():
            self.operator.create_org(org)
            self.operator.deposit_money(org, deposit)
            user = f"{org}-{role}"
            self.operator.create_user(user, org=org, role=role)
            people[org] = self._client(self.operator.create_token(user).secret)
        return people

    def until(self, what: str, is_so: Callable[[], bool], *, seconds: float) -> float:
        """Waits for something to be true; the seconds it took."""
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > seconds:
                raise StageError(f"after {seconds:.0f} s still not true: {what}; see {self.log}")
            if self._server.poll() is not None:
                raise StageError(f"the server stopped; see {self.log}")
            time.sleep(0.1)
        return time.monotonic() - began

    def _start(self, token_file: Path) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "parkade.service", "--port", "0"),
            *("--data-folder", str(self.folder / "data"), "--token-file", str(token_file)),
            # The play's own commands, also where it is run as root.
            "--root-workloads",
        ]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ)
            )

    def _await_server(self, token_file: Path) -> str:
        port_file = self.folder / "data" / "port"
        self.until(
            "the server listens",
            lambda: port_file.exists() and token_file.exists() and bool(port_file.read_text()),
            seconds=START_SECONDS,
        )
        return f"http://127.0.0.1:{int(port_file.read_text())}"

    def _client(self, token: str) -> Client:
        client = Client(self.url, token=token)
        self._clients.append(client)
        return client


def perform(title: str | None, name: str, act: Callable[[Stage, Console], bool]) -> int:
    """Plays a story on a stage of its own; 0 where each of its claims held. `--keep` names a new
    folder that is left there."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--keep", type=Path, help="play in this new folder, and leave it")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    if asked.keep is not None:
        asked.keep.mkdir(parents=True)
        return _play(asked.keep.resolve(), console, act)
    with tempfile.TemporaryDirectory(prefix=f"parkade-{name}-") as folder:
        return _play(Path(folder), console, act)


def _play(folder: Path, console: Console, act: Callable[[Stage, Console], bool]) -> int:
    try:
        with Stage(folder) as stage:
            is_true = act(stage, console)
    except StageError as error:
        console.print(f"[red]{error}")
        log = folder / "server.log"
        if log.exists():
            console.print(log.read_text(errors="replace")[-4000:], markup=False)
        return 1
    return 0 if is_true else 1
