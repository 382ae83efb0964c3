"""The server as an operator runs it: a process, its data folder, its output."""

import asyncio
import os
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.core.state.chain import link
from parkade.core.state.events import EVENT_VERSION
from parkade.service.first import write_token
from parkade.service.up import listen_on
from parkade.service.wiring import EXIT_SOFTWARE
from tests.crash.marketplace import POOL, is_alive
from tests.service.served import Served, serving, wait_for_process
from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.system


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, is_started=False) as made:
        yield made


def token_in(printed: str) -> str:
    return next((word for word in printed.split() if word.startswith("pk_")), "")


def test_each_operator_token_is_told_once_and_kept_nowhere(served: Served) -> None:
    served.start()
    first = token_in(served.stop())
    served.start("--new-token")
    second = token_in(served.stop())
    assert first and second and first != second
    served.start()
    for served.token in (first, second):
        shown = served.ask("GET", "/whoami")
        assert (shown["user"], shown["role"]) == ("operator", "operator")
    assert served.stop() == ""
    kept = [file for file in served.data.rglob("*") if file.is_file()]
    for token in (first, second):
        assert not any(token.encode() in file.read_bytes() for file in [*kept, served.errors])


def test_token_file_and_data_folder_are_for_one_user_and_one_server(served: Served) -> None:
    path = served.folder / "token"
    served.start("--token-file", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    served.token = path.read_text().strip()
    assert served.ask("GET", "/whoami")["role"] == "operator"

    mode = 0o711 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(served.data.stat().st_mode) == mode
    files = [path for path in served.data.iterdir() if path.is_file()]
    assert served.data / "port" in files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}

    assert served.process is not None
    with served.spawn(subprocess.PIPE) as second:
        _, errors = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 2
    assert f"process {served.process.pid}" in errors
    assert served.process.poll() is None
    assert served.stop() == ""


def test_a_token_file_is_never_overwritten(served: Served) -> None:
    path = served.folder / "notes"
    path.write_text("not to be lost")
    with served.spawn(subprocess.PIPE, "--token-file", str(path)) as refused:
        _, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2
    assert "is not overwritten" in errors and "Traceback" not in errors
    assert path.read_text() == "not to be lost"
    served.start("--token-file", str(served.folder / "token"))
    served.stop()


def test_a_token_file_of_a_start_that_died_is_taken_by_the_next(tmp_path: Path) -> None:
    token, written = tmp_path / "token", tmp_path / "digest"
    first = write_token(token, written=written)("pk_first")
    assert write_token(token, written=written)("pk_second") == first == "pk_first"
    assert token.read_text() == "pk_first\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_goes_on_while_the_server_is_stopped_and_is_adopted(
    served: Served, number: signal.Signals
) -> None:
    served.start("--token-file", str(served.folder / "token"))
    served.token = (served.folder / "token").read_text().strip()
    served.ask("POST", "/pools", POOL)
    served.ask("POST", "/orgs", {"org": "acme"})
    served.ask("POST", "/orgs/acme/deposits", {"amount": "100"})
    script = "echo process $$; while [ ! -e go ]; do sleep 0.05; done; echo done"
    spec = {"name": "w", "command": script, "workdir": str(served.folder), "limit_price": "2"}
    workload = served.ask("POST", "/workloads", {"org": "acme", "spec": spec})["workload"]
    process = wait_for_process(served, workload)
    served.stop(number)
    assert is_alive(process)
    (served.folder / "go").touch()
    served.start()
    until(lambda: served.ask("GET", f"/workloads/{workload}")["phase"] == "succeeded")
    shown = served.ask("GET", f"/workloads/{workload}")
    assert (shown["failures"], shown["preemptions"]) == (0, 0)
    served.stop()


def test_what_its_operator_ended_at_the_machine_was_preempted_and_runs_again(
    served: Served,
) -> None:
    served.start("--token-file", str(served.folder / "token"))
    served.token = (served.folder / "token").read_text().strip()
    served.ask("POST", "/pools", POOL)
    served.ask("POST", "/orgs", {"org": "acme"})
    served.ask("POST", "/orgs/acme/deposits", {"amount": "100"})
    script = "echo process $$; while [ ! -e go ]; do sleep 0.05; done; echo done"
    spec = {"name": "w", "command": script, "workdir": str(served.folder), "limit_price": "2"}
    workload = served.ask("POST", "/workloads", {"org": "acme", "spec": spec})["workload"]
    wait_for_process(served, workload)
    served.stop(signal.SIGINT)
    agents = served.data / "pools" / POOL["pool"]
    words = ["agent", "end", "--data-folder", str(agents), "--notice", "0"]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0 and f"ended {workload}.1 (acme's w): by TERM" in ended.output
    (served.folder / "go").touch()
    served.start()
    until(lambda: served.ask("GET", f"/workloads/{workload}")["phase"] == "succeeded")
    shown = served.ask("GET", f"/workloads/{workload}")
    assert (shown["failures"], shown["preemptions"], shown["attempts"]) == (0, 1, 2)
    served.stop()


def intrude(journal: Path, body: bytes) -> None:
    """Adds an entry as another writer would, its digest included."""
    with sqlite3.connect(journal) as connection:
        last = "SELECT sequence, epoch, at_us, digest FROM journal ORDER BY sequence DESC LIMIT 1"
        sequence, epoch, at_us, before = connection.execute(last).fetchone()
        entry = (sequence + 1, epoch, at_us, "OrgCreated", EVENT_VERSION, body)
        names = ("sequence", "epoch", "at_us", "type", "version", "body")
        digest = link(before, **dict(zip(names, entry, strict=True)))
        connection.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", (*entry, digest))
    connection.close()


def test_a_server_whose_journal_another_wrote_to_ends_without_answering(served: Served) -> None:
    served.start("--token-file", str(served.folder / "token"))
    served.token = (served.folder / "token").read_text().strip()
    body = b'{"type":"OrgCreated","at_us":1,"org":{"org":"theirs","created_us":1}}'
    intrude(served.data / "parkade.sqlite3", body)
    with pytest.raises(httpx.TransportError):
        served.ask("POST", "/orgs", {"org": "mine"})
    assert served.process is not None
    served.process.communicate(timeout=PATIENCE_S)
    assert served.process.returncode == EXIT_SOFTWARE
    assert "another server writes to it" in served.errors.read_text()
    served.start()
    orgs = [org["org"] for org in served.ask("GET", "/orgs")["orgs"]]
    assert orgs == ["operator", "theirs"]
    served.stop()


def test_small_answers_are_sent_at_once() -> None:
    async def accepted_delay() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            seen.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen_on("127.0.0.1", 0) as listening:
            server = await asyncio.start_server(accept, sock=listening)
            _, writer = await asyncio.open_connection(*listening.getsockname())
            async with server:
                is_nodelay = await seen
            writer.close()
            await writer.wait_closed()
            return is_nodelay

    assert asyncio.run(accepted_delay()) == 1


def test_an_address_that_others_reach_is_refused_without_a_word_for_it(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "parkade.service", "--host", "0.0.0.0"],
        env={**os.environ, "PARKADE_SERVER_DATA_FOLDER": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert refused.returncode == 2
    assert "proxy" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_an_empty_journal_beside_pools_begins_no_new_marketplace(served: Served) -> None:
    (served.data / "pools" / "box" / "agent").mkdir(parents=True)
    with served.spawn(subprocess.PIPE) as refused:
        printed, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2 and "pk_" not in printed
    assert "parkade admin restore" in errors and "box" in errors and "Traceback" not in errors


def test_an_event_that_cannot_follow_is_told_with_what_to_do(served: Served) -> None:
    served.start()
    served.stop()
    body = b'{"type":"OrgCreated","at_us":1,"org":{"org":"operator","created_us":1}}'
    intrude(served.data / "parkade.sqlite3", body)
    with served.spawn(subprocess.PIPE) as refused:
        _, errors = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2
    assert "does not follow from those before" in errors and "Traceback" not in errors


def test_a_server_on_a_full_disk_says_so_stops_and_has_lost_nothing_it_answered(
    served: Served,
) -> None:
    served.start("--token-file", str(served.folder / "token"))
    served.token = (served.folder / "token").read_text().strip()
    assert served.process is not None
    room = (served.data / "parkade.sqlite3-wal").stat().st_size + 40_000
    # No file of the server may grow beyond it: every write fails as it does on a full disk.
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (room, room))
    answered: list[str] = []

    def go_on() -> None:
        while len(answered) < 1_000:
            name = f"org-{len(answered)}"
            served.ask("POST", "/orgs", {"org": name})
            answered.append(name)

    with pytest.raises(httpx.TransportError):
        go_on()
    served.process.communicate(timeout=PATIENCE_S)
    assert served.process.returncode == EXIT_SOFTWARE
    told = served.errors.read_text()
    assert "Make room" in told and "Nothing that was answered is lost" in told
    served.start()
    orgs = [org["org"] for org in served.ask("GET", "/orgs")["orgs"]]
    assert answered and orgs[1 : len(answered) + 1] == answered
    served.stop()
