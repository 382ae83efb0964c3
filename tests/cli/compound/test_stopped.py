"""A run that is stopped tells what it did, why, and in one word."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parkade.cli import exit_codes
from parkade.cli.compound.app import compound

KEPT = Path(__file__).parent / "kept/error-v2.json"


class Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"error": {"message": "this key is no key"}}'
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def dead() -> Iterator[str]:
    """A port that is taken, and where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def run(folder: Path, url: str, *more: str) -> tuple[int, str]:
    (folder / "net.yaml").write_text(
        f'models: {{m: {{url: "{url}", model: x, key_env: STOPPED_KEY}}}}\nnetwork: "E@m"\n'
    )
    (folder / "q.jsonl").write_text('{"prompt": "what?"}\n')
    words = ["run", folder / "net.yaml", folder / "q.jsonl", "--out", folder / "out", *more]
    done = CliRunner().invoke(compound, [str(word) for word in words])
    return done.exit_code, done.output


def test_a_refused_key_is_denied_and_a_dead_server_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: str, dead: str
) -> None:
    monkeypatch.setenv("STOPPED_KEY", "secret-1")
    kept = json.loads(KEPT.read_text())
    for word, url in (("denied", refusing), ("unreachable", dead)):
        code, printed = run(tmp_path, url, "--patience", "0", "--json")
        told = json.loads(printed.splitlines()[-1])
        assert code == exit_codes.COMPOUND_DENIED
        assert (told["v"], told["error"]) == (kept["v"], word)
        assert word in kept["words"]
        assert set(told["summary"]) >= set(kept["summary"])
        assert told["summary"]["calls"] == 0
        assert "secret-1" not in printed
        assert url.split("//")[1].split("/")[0] in told["detail"]
        assert ("STOPPED_KEY" in told["detail"]) is (word == "denied")


def test_what_was_done_is_printed_before_why_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    monkeypatch.setenv("STOPPED_KEY", "secret-1")
    _, printed = run(tmp_path, refusing)
    assert printed.index("0 answered") < printed.index("parkade: model 'm': 401")
