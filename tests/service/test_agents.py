"""Agents in processes of their own: children of the server, and one that an operator starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.crash.marketplace import POOL, is_alive
from tests.service.served import Served, serving, wait_for_process
from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.system

PARKADE = [sys.executable, "-c", "from parkade.cli import main; main()"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the pool `box`, for tests that leave both as they were."""
    with serving(tmp_path_factory.mktemp("boxed")) as made:
        made.ask("POST", "/pools", POOL)
        yield made
        made.stop()


def lock_of(data: Path, pool: str = "box") -> Path:
    return data / "pools" / pool / "agent" / "agent.lock"


def agent_of(served: Served) -> int:
    """The process that holds the pool's lock, once there is one."""

    def holder() -> int:
        try:
            process = int(lock_of(served.data).read_text() or 0)
        except FileNotFoundError:
            return 0
        return process if process and is_alive(process) else 0

    return int(until(holder))


def submit(served: Served, command: str, **keys: Any) -> str:
    """A workload of an org with money."""
    served.ask("POST", "/orgs", {"org": "acme"})
    served.ask("POST", "/orgs/acme/deposits", {"amount": "100"})
    spec = {
        "name": "w",
        "command": command,
        "workdir": str(served.folder),
        "limit_price": "2",
        **keys,
    }
    return str(served.ask("POST", "/workloads", {"org": "acme", "spec": spec})["workload"])


def phase_of(served: Served, workload: str) -> str:
    return str(served.ask("GET", f"/workloads/{workload}")["phase"])


WAITS = "echo process $$; while [ ! -e go ]; do sleep 0.05; done; echo done"


def test_a_killed_agent_is_started_again_and_adopts_what_runs(boxed: Served) -> None:
    workload = submit(boxed, WAITS)
    process = wait_for_process(boxed, workload)
    first = agent_of(boxed)
    os.kill(first, signal.SIGKILL)
    until(lambda: agent_of(boxed) != first)
    assert is_alive(process)
    (boxed.folder / "go").touch()
    until(lambda: phase_of(boxed, workload) == "succeeded")
    shown = boxed.ask("GET", f"/workloads/{workload}")
    assert (shown["failures"], shown["preemptions"]) == (0, 0)


def test_an_agent_ends_with_its_server_however_that_ends(served: Served) -> None:
    served.ask("POST", "/pools", POOL)
    agent = agent_of(served)
    assert served.process is not None
    served.process.kill()
    served.process.communicate()
    until(lambda: not is_alive(agent))
    served.start()
    agent = agent_of(served)
    served.stop()
    assert not is_alive(agent)


def test_an_agent_runs_nodes_that_are_added_while_it_runs(served: Served) -> None:
    served.ask("POST", "/pools", {**POOL, "fabrics": {"a": ["n1"]}})
    agent = agent_of(served)
    served.ask("POST", "/pools/box/nodes", {"fabrics": {"b": ["n2"]}})
    served.ask("POST", "/nodes/n1/drain", {"reason": "old"})
    workload = submit(served, "echo on another node")
    until(lambda: phase_of(served, workload) == "succeeded")
    assert served.ask("GET", f"/workloads/{workload}/logs") == "on another node\n"
    assert agent_of(served) == agent
    served.stop()


def test_an_agent_ends_when_its_pool_is_closed(served: Served) -> None:
    served.ask("POST", "/pools", POOL)
    agent = agent_of(served)
    for node in ("n1", "n2", "n3"):
        served.ask("POST", f"/nodes/{node}/drain", {"reason": "old"})
    served.ask("POST", "/pools/box/close")
    until(lambda: not is_alive(agent))
    served.stop()


def test_a_plan_shows_what_would_run_and_no_path_of_the_server(boxed: Served) -> None:
    agent_of(boxed)
    until(lambda: boxed.ask("GET", "/pools")["pools"][0]["agent"] == "heard")
    spec = {"name": "w", "command": "exit 0", "workdir": "/", "limit_price": "2"}
    plan = boxed.attempt_to("POST", "/workloads/plan", {"org": "operator", "spec": spec})
    assert "$POOL" in plan.json()["rendered"]
    for path in (boxed.data, boxed.data.resolve(), Path.cwd()):
        assert str(path) not in plan.text


def test_no_process_list_shows_the_agents_token(boxed: Served) -> None:
    agent = agent_of(boxed)
    token = lock_of(boxed.data).with_name("token").read_bytes().strip()
    assert token.startswith(b"pk_")
    for name in ("cmdline", "environ"):
        assert token not in Path(f"/proc/{agent}/{name}").read_bytes()


def test_the_agents_token_is_kept_over_restarts_and_made_anew_where_it_is_revoked(
    served: Served,
) -> None:
    served.ask("POST", "/pools", POOL)
    file = lock_of(served.data).with_name("token")
    agent_of(served)
    first = file.read_text()
    served.stop()
    served.start()
    agent_of(served)
    assert file.read_text() == first
    (name,) = [t["token"] for t in served.ask("GET", "/tokens")["tokens"] if t["pool"] == "box"]
    served.ask("POST", f"/tokens/{name}/revoke")
    served.stop()
    served.start()
    until(lambda: file.read_text() != first)
    until(lambda: served.ask("GET", "/pools")["pools"][0]["agent"] == "heard")
    served.stop()


def flags(served: Served, pool: str, token_file: Path, data_folder: Path) -> list[str]:
    return [
        *("--pool", pool, "--server", f"http://127.0.0.1:{served.port}"),
        *("--token-file", str(token_file), "--data-folder", str(data_folder)),
    ]


def test_a_second_agent_on_a_data_folder_is_refused(boxed: Served) -> None:
    first = agent_of(boxed)
    folder = boxed.data / "pools" / "box"
    second = subprocess.run(
        [*PARKADE, "agent", "run", *flags(boxed, "box", folder / "agent" / "token", folder)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert second.returncode == 2
    assert f"process {first}" in second.stderr
    assert is_alive(first)


def test_a_second_agent_of_a_pool_with_another_folder_is_refused(boxed: Served) -> None:
    first = agent_of(boxed)
    token = boxed.data / "pools" / "box" / "agent" / "token"
    errors = boxed.folder / "second-errors"
    with errors.open("wb") as log:
        second = subprocess.Popen(
            [*PARKADE, "agent", "run", *flags(boxed, "box", token, boxed.folder / "second")],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        until(lambda: "another agent runs pool box" in errors.read_text(), errors.read_text)
        assert str(boxed.data / "pools" / "box") in errors.read_text()
    finally:
        second.send_signal(signal.SIGTERM)
        assert second.wait(PATIENCE_S) == 0
    assert agent_of(boxed) == first


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--engine", "cloud"], "choose one of: local"),
        (["--engine-option", "speed=fast"], "its options: devices, root_workloads"),
        (["--engine-option", "fast"], "write KEY=VALUE"),
        (["--token-file", "/nowhere/token"], "parkade pool agent-token"),
    ],
)
def test_an_agent_that_cannot_run_says_what_to_do(
    tmp_path: Path, more: list[str], says: str
) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("pk_x\n")
    place = ["--token-file", str(token), "--data-folder", str(tmp_path / "data")]
    refused = subprocess.run(
        [*PARKADE, "agent", "run", "--pool", "p", "--server", "http://127.0.0.1:1", *place, *more],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert refused.returncode == 2
    assert says in refused.stderr


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("pk_x\n")
    token.chmod(0o644)
    place = ["--token-file", str(token), "--data-folder", str(tmp_path / "data")]
    refused = subprocess.run(
        [*PARKADE, "agent", "run", "--pool", "p", "--server", "http://127.0.0.1:1", *place],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert refused.returncode == 2
    assert "chmod 600" in refused.stderr


def token_of_box(served: Served) -> Path:
    """An agent's token of the pool `box`, in a file that an operator made."""
    environment = {
        **os.environ,
        "PARKADE_SERVER": f"http://127.0.0.1:{served.port}",
        "PARKADE_TOKEN": served.token,
        "PARKADE_CONFIG": str(served.folder / "config.toml"),
    }
    token = served.folder / "agent.token"
    subprocess.run(
        [*PARKADE, "pool", "agent-token", "box", "--out", str(token)],
        env=environment,
        check=True,
        timeout=PATIENCE_S,
    )
    assert token.stat().st_mode & 0o777 == 0o600
    return token


@contextmanager
def an_agent(served: Served, token: Path, errors: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that an operator starts, until it is told to stop, unless it was killed."""
    with errors.open("wb") as log:
        agent = subprocess.Popen(
            [
                *(*PARKADE, "agent", "run", *flags(served, "box", token, served.folder / "node")),
                *("--engine-option", "root_workloads=true"),
            ],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        yield agent
    finally:
        if agent.poll() is None:
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(PATIENCE_S) == 0, errors.read_text()


def test_an_agent_that_an_operator_starts_runs_a_pool_elsewhere(served: Served) -> None:
    served.ask("POST", "/pools", {**POOL, "site": "elsewhere"})
    with an_agent(served, token_of_box(served), served.folder / "agent-errors"):
        workload = submit(served, "echo hello")
        until(lambda: phase_of(served, workload) == "succeeded")
        assert served.ask("GET", f"/workloads/{workload}/logs") == "hello\n"
    assert not (served.data / "pools").exists()
    kept = msgspec.json.decode((served.folder / "node" / "agent" / "agent.json").read_bytes())
    assert kept["last"] is not None
    served.stop()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_that_is_restarted_on_its_folder_is_answered_at_once(
    served: Served, how: signal.Signals
) -> None:
    served.ask("POST", "/pools", {**POOL, "site": "elsewhere"})
    token = token_of_box(served)
    first, second = served.folder / "first-errors", served.folder / "second-errors"
    with an_agent(served, token, first) as agent:
        until(lambda: "connected" in first.read_text(), first.read_text)
        agent.send_signal(how)
        agent.wait(PATIENCE_S)
    with an_agent(served, token, second):
        until(lambda: "connected" in second.read_text(), second.read_text)
    assert "another agent" not in second.read_text()
    served.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_root_a_user_without_a_unix_name_is_refused_and_an_operator_can_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARKADE_SERVER_ROOT_WORKLOADS")
    with serving(tmp_path) as served:
        served.ask("POST", "/pools", POOL)
        until(lambda: served.ask("GET", "/pools")["pools"][0]["agent"] == "heard")
        spec = {"name": "w", "command": "id -u", "workdir": "/", "limit_price": "2"}
        refused = served.attempt_to("POST", "/workloads", {"org": "operator", "spec": spec})
        assert (refused.status_code, refused.json()["code"]) == (422, "unsupported")
        assert "parkade user unix-name" in refused.json()["detail"]
        for name in ("root", "daemon"):
            answer = served.attempt_to("POST", "/users/operator/unix-name", {"unix_name": name})
            assert answer.status_code == 422
        named = served.ask("POST", "/users/operator/unix-name", {"unix_name": "no-such-person"})
        assert named["unix_name"] == "no-such-person"
        served.ask("POST", "/orgs/operator/deposits", {"amount": "100"})
        workload = served.ask("POST", "/workloads", {"org": "operator", "spec": spec})["workload"]
        until(lambda: phase_of(served, workload) == "failed")
        assert "not known on this machine" in str(served.ask("GET", f"/workloads/{workload}"))
        served.stop()
