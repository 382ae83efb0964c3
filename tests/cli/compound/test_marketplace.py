"""A batch of questions on a real marketplace: outbid, killed, submitted again with more nodes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.client import Client
from parkade.wire.spec import WorkloadSpec
from parkade.wire.workloads import Workload
from tests import builders
from tests.compound.shards.farm import Farm, K, told
from tests.crash.marketplace import is_alive
from tests.waits import PATIENCE_S, until

pytestmark = pytest.mark.system

QUESTIONS = 240
PAUSE_S = 0.02
IN_FLIGHT = 4
POOL = builders.pool_body(
    ("n1", "n2", "n3"),
    gpus=1,
    pool="box",
    site="local",
    terms=builders.terms_body(
        notice="5s",
        heal_notice="2s",
        kill="5s",
        clearing_interval="300ms",
        backoff="0s",
        regrow="2s",
        start_grace="0s",
    ),
)


class Town:
    """A server of its own on a free port, two buyers, and the batch of one of them."""

    def __init__(self, folder: Path) -> None:
        self.farm = Farm(folder, QUESTIONS)
        self.log = folder / "server.log"
        token_file, data = folder / "token", folder / "data"
        with self.log.open("wb") as log:
            self.server = subprocess.Popen(
                [
                    *(sys.executable, "-m", "parkade.service", "--port", "0"),
                    *("--data-folder", str(data), "--token-file", str(token_file)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.data = data
        until(lambda: (data / "port").exists() and token_file.exists(), self.log.read_text)
        self.url = f"http://127.0.0.1:{int((data / 'port').read_text())}"
        self.operator = Client(self.url, token=token_file.read_text().strip())
        self.operator.create_pool(POOL)
        self.tokens = {org: self._admit(org) for org in ("lab", "studio")}
        self.studio = Client(self.url, token=self.tokens["studio"])

    def _admit(self, org: str) -> str:
        self.operator.create_org(org)
        self.operator.deposit_money(org, "1000")
        self.operator.create_user(f"{org}-user", org=org)
        return self.operator.create_token(f"{org}-user").secret

    def parkade(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the lab's user."""
        return subprocess.run(
            [sys.executable, "-m", "parkade.cli", *words],
            cwd=self.farm.folder,
            env={
                **os.environ,
                "PARKADE_SERVER": self.url,
                "PARKADE_TOKEN": self.tokens["lab"],
                "COLUMNS": "120",
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def submit(self, nodes: int | str, *flags: str, pause: float = PAUSE_S) -> str:
        """Submits the batch; the workload's id."""
        farm = self.farm
        done = self.parkade(
            "compound", "submit", "net.yaml", "questions.jsonl",
            "--out", "out", "--limit-price", "2", "--nodes", str(nodes),
            "--shard-size", "20", "--lease", "2", "--checkpoint-needs", "4",
            "--max-calls", str(K * QUESTIONS),
            "--env", f"CALLS={farm.calls}", "--env", f"PAUSE={pause}", "--json", *flags,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return str(json.loads(done.stdout)["workload"])

    def outbid(self, nodes: int, until_file: Path) -> str:
        """A better bid for so many nodes, until a file is there."""
        spec = WorkloadSpec.model_validate(
            {
                "name": "render",
                "command": f"until [ -e {until_file} ]; do sleep 0.1; done",
                "nodes": nodes,
                "gpus": 1,
                "limit_price": "9",
                "workdir": str(self.farm.folder),
            }
        )
        return self.studio.submit(spec).workload

    def look(self, workload: str) -> Workload:
        return self.operator.get_workload(workload)

    def nodes_of(self, workload: str) -> list[str]:
        """Where it runs."""
        attempt = self.look(workload).attempt
        return [] if attempt is None else sorted(seat.node for seat in attempt.seats)

    def until_phase(self, workload: str, phase: str) -> None:
        until(lambda: self.look(workload).phase == phase, lambda: self._says(workload))

    def until_called(self, least: int) -> None:
        until(lambda: sum(self.farm.called().values()) >= least, lambda: self._says("w1"))

    def _says(self, workload: str) -> str:
        logs = self.parkade("logs", workload).stdout
        return f"{self.look(workload)}\n{logs}\n{self.log.read_text()[-3000:]}"

    def workers(self) -> list[int]:
        """Processes that work on this batch."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and is_alive(int(entry.name)):
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"worker" in words and str(self.farm.out).encode() in words:
                    found.append(int(entry.name))
        return found

    def close(self) -> None:
        """Ends what runs on the nodes, then the server."""
        running = [each.workload for each in self.operator.list_workloads().workloads]
        for workload in running:
            self.operator.cancel(workload, now=True)
        until(lambda: not self.workers(), self.log.read_text)
        for client in (self.operator, self.studio):
            client.close()
        self.server.terminate()
        self.server.wait(PATIENCE_S)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_outbid_killed_and_submitted_anew_a_batch_answers_as_a_run_of_its_own(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm, enough = town.farm, tmp_path / "enough"
    first = town.submit(2)
    town.until_called(K * QUESTIONS // 16)
    seats = town.nodes_of(first)
    # A better bid for two of three nodes: one is free, so the gang of two has to leave.
    render = town.outbid(2, enough)
    town.until_phase(render, "running")
    assert town.look(first).preemptions == 1
    # One node that it had takes nothing new, so it goes on elsewhere.
    town.operator.cordon_node(seats[0], reason="a fan is loud")
    before = sum(farm.called().values())
    enough.touch()
    town.until_called(before + 40)
    # One of its workers dies: the gang goes on in another attempt. Nothing is asked of the server
    # before that, which a slow one would answer when the batch is done.
    os.kill(town.workers()[0], signal.SIGKILL)
    until(lambda: town.look(first).failures == 1)
    assert seats[0] not in until(lambda: town.nodes_of(first))
    town.operator.uncordon_node(seats[0])
    before = sum(farm.called().values())
    town.until_called(before + 40)
    # With another number of nodes, on the same folder.
    town.operator.cancel(first, now=False)
    second = town.submit(3, pause=0.0)
    town.until_phase(second, "succeeded")
    monkeypatch.setenv("CALLS", "")
    assert told(farm.results()) == farm.without_marketplace(farm.folder / "plain-calls")
    assert [row["id"] for row in farm.results()] == [str(n + 1) for n in range(QUESTIONS)]
    calls = sum(farm.called().values())
    assert len(farm.called()) == 4 * QUESTIONS
    # Beside what was in flight, a kill loses lines not written yet: 0.05 s of 4 calls in 0.02 s.
    assert calls <= 4 * QUESTIONS + 2 * (IN_FLIGHT + 4 * IN_FLIGHT)
    done = town.parkade("compound", "collect", "out", "--json")
    assert done.returncode == 0, done.stderr
    collected = json.loads(done.stdout)
    assert (collected["answered"], collected["left"]) == (QUESTIONS, 0)
    assert calls <= collected["spent"]["calls"] + collected["doubtful"]["calls"]
    assert collected["spent"]["calls"] + collected["doubtful"]["calls"] <= K * QUESTIONS
    shown = town.parkade("compound", "show", "out", "7")
    assert shown.returncode == 0
    assert "49" in shown.stdout


def test_an_elastic_batch_shrinks_grows_and_loses_a_worker_and_answers_as_a_run_of_its_own(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm, enough = town.farm, tmp_path / "enough"
    batch = town.submit("1..3", pause=5 * PAUSE_S)
    town.until_called(K)
    assert len(town.nodes_of(batch)) == 3
    render = town.outbid(2, enough)
    town.until_phase(render, "running")
    until(lambda: len(town.nodes_of(batch)) == 1, lambda: town.look(batch))
    assert town.look(batch).preemptions == 1
    town.until_called(sum(farm.called().values()) + 2 * K)
    enough.touch()
    until(lambda: len(town.nodes_of(batch)) == 3 and len(town.workers()) == 3, town.log.read_text)
    os.kill(town.workers()[0], signal.SIGKILL)
    until(lambda: town.look(batch).failures == 1, lambda: town.look(batch))
    town.until_phase(batch, "succeeded")
    monkeypatch.setenv("CALLS", "")
    assert told(farm.results()) == farm.without_marketplace(farm.folder / "plain-calls")
    assert [row["id"] for row in farm.results()] == [str(n + 1) for n in range(QUESTIONS)]
    calls = sum(farm.called().values())
    # Three workers were stopped twice and killed once, each with what was in flight.
    assert 4 * QUESTIONS <= calls <= 4 * QUESTIONS + 3 * 3 * (IN_FLIGHT + 4 * IN_FLIGHT)


def test_what_is_refused_leaves_no_folder(town: Town) -> None:
    words = ("compound", "submit", "net.yaml", "questions.jsonl", "--out", "out")
    for nodes in ("16..1", "0..2", "1..", "many"):
        done = town.parkade(*words, "--limit-price", "2", "--nodes", nodes)
        assert done.returncode == 3
        assert f"--nodes {nodes}: write a number of nodes, like 4, or a range, 1..16" in done.stderr
    without_limit = town.parkade(*words)
    assert without_limit.returncode == 3
    assert "limit_price" in without_limit.stderr
    too_little = town.parkade(*words, "--limit-price", "2", "--max-calls", "0")
    assert too_little.returncode == 7
    assert "not even one call: it may need 1 call, 0 are left" in too_little.stderr
    no_market = town.parkade(*words, "--limit-price", "2", "--market", "moon")
    assert no_market.returncode == 4, no_market.stderr
    assert not town.farm.out.exists()
