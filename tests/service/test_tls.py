"""By TLS an agent and people believe the certificate authority that they were given, and no other.

The two commands of the page make the authority and the server's certificate; a proxy with it stands
in front of a server.
"""

import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import builders
from tests.service.served import Served, serving
from tests.waits import PATIENCE_S, until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl"),
]
PAGE = Path(__file__).parents[2] / "docs" / "operate.md"


def make_certificates(folder: Path) -> None:
    """By the commands of the page, for `localhost`."""
    folder.mkdir()
    (block,) = re.findall(r"```text\n(openssl .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    commands = block.replace("\\\n", " ").replace("parkade.lab", "localhost").splitlines()
    assert len(commands) == 2
    for command in commands:
        subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)


class Proxy:
    """Takes TLS, and hands what it hears to a port of loopback and back."""

    def __init__(self, certificates: Path, to: int) -> None:
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        self.to = to
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            inside = self.context.wrap_socket(client, server_side=True)
            with inside, socket.create_connection(("127.0.0.1", self.to)) as server:
                back = threading.Thread(target=hand_on, args=(server, inside), daemon=True)
                back.start()
                hand_on(inside, server)
                back.join()


def hand_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65_536):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(certificates: Path, to: int) -> Iterator[str]:
    made = Proxy(certificates, to)
    try:
        yield f"https://localhost:{made.port}"
    finally:
        made.listener.shutdown(socket.SHUT_RDWR)
        made.listener.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server, with a pool elsewhere that waits for its agent."""
    with serving(tmp_path) as made:
        made.ask("POST", "/pools", builders.pool_body(("n1",), gpus=1, pool="far", site="lab"))
        token = made.ask("POST", "/pools/far/agent-tokens")["secret"]
        (tmp_path / "agent.token").write_text(token)
        (tmp_path / "agent.token").chmod(0o600)
        yield made
        made.stop()


@contextmanager
def agent(folder: Path, server: str, authority: Path) -> Iterator[Path]:
    """Its log."""
    log = folder / "agent.log"
    words = [
        sys.executable, "-m", "parkade.service.agent", "--pool", "far", "--server", server,
        "--token-file", str(folder / "agent.token"), "--data-folder", str(folder / "agent"),
    ]  # fmt: skip
    with log.open("wb") as out:
        child = subprocess.Popen(words, env=believing(authority), stdout=out, stderr=out)
    try:
        yield log
    finally:
        child.terminate()
        child.wait(PATIENCE_S)


def believing(authority: Path) -> dict[str, str]:
    return {**os.environ, "SSL_CERT_FILE": str(authority)}


def list_pools(served: Served, server: str, authority: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parkade.cli", "pool", "list"],
        env=believing(authority) | {"PARKADE_SERVER": server, "PARKADE_TOKEN": served.token},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def heard(served: Served) -> bool:
    (pool,) = served.ask("GET", "/pools")["pools"]
    return bool(pool["agent"] == "heard")


def test_an_agent_and_people_reach_a_server_whose_certificate_the_pinned_authority_signed(
    served: Served, tmp_path: Path
) -> None:
    make_certificates(tmp_path / "own")
    authority = tmp_path / "own" / "ca.pem"
    with proxy(tmp_path / "own", served.port) as server:
        assert list_pools(served, server, authority).returncode == 0
        with agent(tmp_path, server, authority) as log:
            until(lambda: heard(served), log.read_text)


def test_a_certificate_of_another_authority_is_given_no_token(
    served: Served, tmp_path: Path
) -> None:
    for name in ("own", "others"):
        make_certificates(tmp_path / name)
    authority = tmp_path / "own" / "ca.pem"
    with proxy(tmp_path / "others", served.port) as server:
        refused = list_pools(served, server, authority)
        assert refused.returncode != 0 and "certificate verify failed" in refused.stderr
        with agent(tmp_path, server, authority) as log:
            until(lambda: "certificate verify failed" in log.read_text(), log.read_text)
    assert not heard(served)
