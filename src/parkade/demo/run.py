"""Runs the demo: a server of its own in a temporary folder, the people, and a clean end."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from parkade.client import Client
from parkade.demo.day import Day

START_S = 120.0
END_S = 60.0
OF_SERVERS = "PARKADE_SERVER_"


class DemoError(Exception):
    """The demo cannot go on; the message says where to look."""


def run_demo(*, host: str, port: int, say: Callable[[str], None], keep: Path | None = None) -> None:
    """Plays until it is interrupted (SIGINT, SIGTERM), and leaves nothing behind. `keep`: a new
    folder to play in that is left there. DemoError where the server does not start."""
    heard: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda it, _: heard.append(it))
    if keep is not None:
        keep.mkdir(parents=True)
        _play(keep.resolve(), host, port, say, lambda: bool(heard))
        return
    with tempfile.TemporaryDirectory(prefix="parkade-demo-") as folder:
        _play(Path(folder), host, port, say, lambda: bool(heard))


def _play(
    folder: Path, host: str, port: int, say: Callable[[str], None], is_over: Callable[[], bool]
) -> None:
    server = _start(folder, host, port)
    clients: list[Client] = []

    def client(token: str) -> Client:
        made = Client(url, token=token)
        clients.append(made)
        return made

    try:
        url = _await(folder, host, server, is_over)
        token = (folder / "operator.token").read_text(encoding="utf-8").strip()
        day = Day(client(token), client, folder)
        day.begin()
        _greet(say, url, {"operator": token, **day.tokens})
        try:
            for done in day.live(lambda: is_over() or server.poll() is not None):
                say(done)
        finally:
            say("ending what runs …")
            day.end()
            _until(lambda: not day.lives(), END_S)
    finally:
        for each in clients:
            each.close()
        server.terminate()
        server.wait(END_S)


def _greet(say: Callable[[str], None], url: str, tokens: dict[str, str]) -> None:
    say(f"The console is at {url}/ – log in with one of these tokens:")
    for who, token in tokens.items():
        say(f"  {who:9} {token}")
    say("Ctrl-C ends it; nothing is kept.")


def _start(folder: Path, host: str, port: int) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "parkade.service", "--host", host, "--port", str(port)),
        *("--data-folder", str(folder / "data")),
        *("--token-file", str(folder / "operator.token"), "--root-workloads"),
    ]
    with (folder / "server.log").open("wb") as log:
        # A session of its own: an interrupt of the terminal is for the demo, which ends it in time.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(os.environ),
            start_new_session=True,
        )


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What the demo's server gets of an environment: no setting of another server, which may name
    that one's journal."""
    return {name: it for name, it in given.items() if not name.startswith(OF_SERVERS)}


def _await(
    folder: Path, host: str, server: subprocess.Popen[bytes], is_over: Callable[[], bool]
) -> str:
    port, token = folder / "data" / "port", folder / "operator.token"

    def is_there() -> bool:
        if server.poll() is not None or is_over():
            log = (folder / "server.log").read_text(errors="replace")[-2000:]
            raise DemoError(f"the server did not start:\n{log}")
        return port.exists() and token.exists() and bool(port.read_text())

    if not _until(is_there, START_S):
        raise DemoError(f"the server did not start within {START_S:.0f} s")
    return f"http://{host}:{int(port.read_text())}"


def _until(is_so: Callable[[], bool], seconds: float) -> bool:
    ends_at = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > ends_at:
            return False
        time.sleep(0.1)
    return True
