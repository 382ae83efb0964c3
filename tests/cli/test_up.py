"""`parkade up` on this machine, as somebody would try it: a pool, a workload, its output."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.system

POOL = """
pool: lab
site: local
instance_type: {name: cpu, gpu_model: none, gpus_per_node: 2, memory_gib: 1, cpus: 1}
fabrics: {f1: [GPU-01.cluster.local, GPU-02.cluster.local]}
terms:
  pay_as_you_go: 12
  reservation_rate: 4
  public_floor: 1
  fee: 2/7
  notice: 1s
  kill: 1s
  clearing_interval: 1s
  clearing_pause: 100ms
"""
NODES = ("GPU-01.cluster.local", "GPU-02.cluster.local")
PARKADE = [sys.executable, "-c", "from parkade.cli import main; main()"]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A server on a free port and the environment of whoever uses it."""
    environment = {**os.environ, "PARKADE_CONFIG": str(tmp_path / "config.toml"), "COLUMNS": "120"}
    data, token = tmp_path / "data", tmp_path / "token"
    options = ["--data-folder", str(data), "--port", "0", "--token-file", str(token)]
    server = subprocess.Popen(
        [*PARKADE, "up", *options], env=environment, stdout=subprocess.DEVNULL, stderr=None
    )
    try:
        wait_for(data / "port")
        address = f"http://127.0.0.1:{(data / 'port').read_text().strip()}"
        run(environment, "login", address, "--token-file", str(token))
        yield environment
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0


def wait_for(file: Path) -> None:
    """Until a file has something in it."""
    until(lambda: file.exists() and file.read_text(), lambda: f"{file} does not come")


def run(environment: dict[str, str], *words: str, stdin: str = "") -> str:
    """What a command prints."""
    done = subprocess.run(
        [*PARKADE, *words],
        env=environment, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_workload_is_run_on_this_machine_and_billed(environment: dict[str, str]) -> None:
    run(environment, "pool", "create", "-f", "-", stdin=POOL)
    run(environment, "org", "create", "acme")
    run(environment, "deposit", "acme", "10")
    run(environment, "submit", "--org", "acme", "--limit", "3", "--workdir", "/tmp",
        "--", "echo hello on $PARKADE_SEATS; sleep 1; echo done")  # fmt: skip
    until(lambda: "succeeded" in run(environment, "ps", "-a"))
    said = run(environment, "logs", "w1")
    assert said in {f"hello on {node}:1\ndone\n" for node in NODES}
    said = run(environment, "statement", "--account", "org/acme")
    assert "usage" in said and "w1.1" in said
    assert "w1: running" in run(environment, "events")


def test_real_host_names_are_names_of_nodes(environment: dict[str, str]) -> None:
    run(environment, "pool", "create", "-f", "-", stdin=POOL)
    run(environment, "node", "cordon", NODES[0], "-r", "fan")
    shown = json.loads(run(environment, "node", "list", "--json"))["nodes"]
    told = [(node["node"], len(node["cordons"])) for node in shown]
    assert told == [(NODES[0], 1), (NODES[1], 0)]


def test_a_shell_goes_on_with_a_workloads_own_exit_code(environment: dict[str, str]) -> None:
    run(environment, "pool", "create", "-f", "-", stdin=POOL)
    run(environment, "org", "create", "acme")
    run(environment, "deposit", "acme", "10")
    options = ["--org", "acme", "--limit", "3", "--workdir", "/tmp"]

    def ended(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PARKADE, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
        )

    done = ended("run", *options, "--", "echo one; sleep 1; echo two; exit 7")
    assert (done.returncode, done.stdout) == (7, "one\ntwo\n")
    assert "rank 0: exit 7" in done.stderr
    assert ended("wait", "w1").returncode == 7
    assert ended("logs", "-f", "w1").stdout == "one\ntwo\n"
    assert run(environment, "logs", "--tail", "1", "w1") == "two\n"
    assert run(environment, "logs", "--since", "10m", "w1") == "one\ntwo\n"
    assert ended("logs", "-f", "--since", "1h", "w1").stdout == "one\ntwo\n"
    misread = ended("logs", "--since", "soon", "w1")
    assert misread.returncode == 2 and "yesterday" in misread.stderr
    assert ended("run", *options, "--", "true").returncode == 0
    assert ended("wait", "w1", "w2").returncode == 7
    run(environment, "submit", "--name", "long", *options, "--", "echo begun; sleep 1000")
    following = subprocess.Popen(
        [*PARKADE, "logs", "-f", "--tail", "5", "long"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert following.stdout is not None and following.stdout.readline() == "begun\n"
    assert ended("wait", "--timeout", "1s", "long").returncode == 124
    run(environment, "cancel", "lo*")
    assert following.wait(PATIENCE_S) == 143 and ended("wait", "long").returncode == 143
    following.communicate()
    table = run(environment, "history")
    assert "EXIT" in table and " 7 " in table and "cancelled" in table


def test_an_interrupt_of_run_cancels_the_workload(environment: dict[str, str]) -> None:
    run(environment, "pool", "create", "-f", "-", stdin=POOL)
    run(environment, "org", "create", "acme")
    run(environment, "deposit", "acme", "10")
    words = ["run", "--org", "acme", "--limit", "3", "--workdir", "/tmp", "--", "echo up; sleep 99"]
    running = subprocess.Popen(
        [*PARKADE, *words],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None and running.stdout.readline() == "up\n"
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130 and "w1 is told to leave" in said
    until(lambda: "cancelled" in run(environment, "ps", "-a"))
