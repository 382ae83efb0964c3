"""A model server that a network starts: ready before the first call, gone after the last."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from parkade.compound.loading import load
from parkade.compound.models.local_server import serving
from parkade.compound.network import NetworkError
from parkade.compound.questions import read_questions
from parkade.compound.run.progressing import RunStopped
from parkade.compound.run.running import Settings, run
from tests.waits import until

MOCK = Path(__file__).with_name("mock_server.py")
NETWORK = """
server: {command: "%s %s {port} %s", ready: "http://127.0.0.1:{port}/health", timeout: %s}
models: {m: {url: "http://127.0.0.1:{port}/v1", model: mock, max_tokens: 9}}
network: "E@m"
"""


def network(folder: Path, *words: str, timeout: float = 100) -> Path:
    path = folder / "net.yaml"
    path.write_text(NETWORK % (sys.executable, MOCK, " ".join(words), timeout))
    return path


def servers() -> list[int]:
    """Children of this process that are the mock server, and theirs."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if str(MOCK) in child.cmdline():
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


def test_a_run_starts_the_server_asks_it_and_ends_it_with_all_it_started(tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    loaded = load(network(tmp_path, "child"))
    settings = Settings(server=loaded.server)
    summary = run(
        loaded.network,
        read_questions(questions),
        names=loaded.names,
        out=tmp_path / "out",
        settings=settings,
    )
    assert (summary.answered, summary.failed) == (2, 0)
    assert "mock says" in (tmp_path / "out" / "results.jsonl").read_text()
    until(lambda: not servers())


@pytest.mark.parametrize(
    ("words", "timeout", "says"),
    [(("broken",), 100, "exit status 3"), (("slow",), 0.5, "not ready after 0.5 s")],
)
def test_a_server_that_does_not_come_up_stops_the_run(
    tmp_path: Path,
    words: tuple[str, ...],
    timeout: float,
    says: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def start() -> None:
        async with serving(load(network(tmp_path, *words, timeout=timeout)).server):
            raise AssertionError("it is never ready")

    with pytest.raises(RunStopped, match=says) as raised:
        asyncio.run(start())
    assert not servers()
    if words == ("broken",):
        last = "its last lines:\n  loading …\n  cannot load the weights"
        assert str(raised.value).endswith(last)
        # All that it prints goes on to where this program's errors go.
        assert "loading" in capfd.readouterr().err


def test_a_stranger_on_the_port_is_not_taken_for_the_server(tmp_path: Path) -> None:
    server = load(network(tmp_path)).server

    async def twice() -> None:
        async with serving(server), serving(server):
            raise AssertionError("two servers on one port")

    with pytest.raises(RunStopped, match="before the model server was started"):
        asyncio.run(twice())


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("server: 3", "server"),
        ("server: {command: x}", "ready"),
        ("server: {command: '', ready: 'http://x/'}", "no words"),
        ("server: {command: x, ready: 'x'}", "no URL"),
        ("server: {command: x, ready: 'http://x/', timeout: 0}", "timeout"),
        ("server: {command: x, ready: 'http://x/', port: 1}", "port"),
    ],
)
def test_a_wrong_section_says_where(tmp_path: Path, section: str, says: str) -> None:
    (tmp_path / "net.yaml").write_text(f"{section}\nmodels: {{}}\nnetwork: E@m\n")
    with pytest.raises(NetworkError, match=says):
        load(tmp_path / "net.yaml")
