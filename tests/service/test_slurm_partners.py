"""A partner lends the buffer of a second small Slurm: the marked nodes, and no other."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.service.served import Served
from tests.service.slurm_market import GPUS, SAVES, SlurmMarket, slurm_market
from tests.slurm_cluster import Slurm, missing, open_folder, slurm
from tests.waits import PATIENCE_S, until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]
OWN, LENT = ("b0", "b1"), ("b2", "b3")
QUICK = {"clearing_interval": "300ms", "backoff": "0s", "kill": "2s", "minimum_charge": "1s"}
JOB = ("--uid=nobody", "--chdir=/", "--output=/dev/null", "--exclusive")


@pytest.fixture(scope="module")
def house() -> Iterator[Slurm]:
    """The operator's own cluster."""
    with open_folder() as folder, slurm(folder / "c", nodes=("n0",), gpus=GPUS) as made:
        yield made


@pytest.fixture(scope="module")
def partners() -> Iterator[Slurm]:
    """The partner's: two nodes of its own, two that it lends."""
    with open_folder() as folder, slurm(folder / "c", nodes=OWN + LENT, gpus=GPUS) as made:
        yield made


class Partner(SlurmMarket):
    """The partner's side: what `join.sh` opens, and its agent."""

    def __init__(self, served: Served, cluster: Slurm, folder: Path) -> None:
        super().__init__(served, cluster, folder, "far")

    def parkade(self, *words: str) -> str:
        done = subprocess.run(
            (sys.executable, "-m", "parkade.cli", *words), env=self.environment(),
            capture_output=True, text=True, timeout=PATIENCE_S * 2, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.served.port}"
        return {
            **self.cluster.environment, "PARKADE_SERVER": url, "PARKADE_TOKEN": self.served.token
        }  # fmt: skip

    def join(self) -> None:
        """As a partner and an operator type it, with times of a test."""
        out = self.folder / "join"
        self.parkade("agent", "join", "--engine", "slurm", "--observe", "--pool", "far",
                     "--lend", "buffer", "--marked", "b[2-3]", "--org", "bay", "--floor", "1",
                     "--notice", "4s", "--out", str(out))  # fmt: skip
        pool = yaml.safe_load((out / "pool.yaml").read_text())
        assert pool["fabrics"] == {"all": ["b2", "b3"]} and pool["supplier"] == "bay"
        pool["terms"] |= QUICK
        (out / "pool.yaml").write_text(yaml.safe_dump(pool))
        program = self.folder / "bin" / "parkade"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m parkade.cli "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-e", str(out / "join.sh")], env={**self.environment(), "PATH": path},
            capture_output=True, text=True, timeout=PATIENCE_S * 4, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        lines = (out / "join.sh").read_text().splitlines()
        (run,) = [line for line in lines if "agent run" in line]
        words = shlex.split(run.removeprefix("# "))
        given = [words[at + 1] for at, word in enumerate(words) if word == "--engine-option"]
        (out / "agent.token").rename(self.folder / "agent.token")
        self.start_agent(*given)
        until(lambda: self.pool_record()["agent"] == "heard", self.said)
        for line in lines[-3:]:
            self.parkade(*shlex.split(line.removeprefix("# parkade ")))
            until(lambda: self.pool_record()["fence"] == "stands", self.said)

    def start_agent(self, *options: str) -> None:
        super().start_agent(*options)

    def token_of(self, user: str) -> str:
        return str(self.served.ask("POST", "/tokens", {"user": user})["secret"])

    def guest_here(self, nodes: int) -> str:
        spec = {"name": "g", "command": SAVES, "workdir": "/tmp", "gpus": GPUS, "nodes": nodes,
                "limit_price": "9"}  # fmt: skip
        body = {"org": "lab", "spec": spec, "market": "far"}
        return str(self.served.ask("POST", "/workloads", body)["workload"])

    def job(self, nodes: int) -> str:
        """The partner's plain sbatch."""
        asked = (f"--nodes={nodes}", f"--gres=gpu:{GPUS}")
        return self.cluster.submit("sleep 600", *JOB, *asked)

    def fenced(self) -> set[str]:
        """The nodes of the fence."""
        line = next((it for it in self.reservations().splitlines() if "=parkade_far " in it), "")
        short = line.partition(" Nodes=")[2].partition(" ")[0]
        return set(self.cluster.run("scontrol", "show", "hostnames", short).split()) if short else (
            set()
        )  # fmt: skip

    def asked_by(self, token: str, path: str) -> Any:
        own = Served(self.folder)
        own.port, own.token = self.served.port, token
        return own.ask("GET", path)


@pytest.fixture
def partner(house: Slurm, partners: Slurm, tmp_path: Path) -> Iterator[Partner]:
    (tmp_path / "b").mkdir()
    os.chmod(tmp_path, 0o755)  # noqa: PTH101
    with slurm_market(house, tmp_path) as market:
        made = Partner(market.served, partners, tmp_path / "b")
        try:
            made.join()
            yield made
        finally:
            made.close()


@pytest.mark.timeout(1800)
def test_a_partner_lends_its_marked_nodes_and_has_them_back_for_its_jobs_and_its_failed_nodes(
    partner: Partner,
) -> None:
    token = partner.token_of("bay-partner")
    guest = partner.guest_here(2)
    partner.wait_for(guest, "running")
    nodes = {it["node"]: it["guests"] for it in partner.asked_by(token, "/nodes")["nodes"]}
    assert nodes == dict.fromkeys(LENT, 1)
    assert partner.fenced() == set(LENT), "its other nodes are Slurm's alone"

    # Its own nodes serve its jobs as ever; what does not fit there asks for a lent one.
    first = partner.job(2)
    partner.wait_for_job(first, "RUNNING")
    assert partner.nodes_of(first) == set(OWN) and partner.seen(guest)["preemptions"] == 0
    second = partner.job(1)
    partner.wait_for_job(second, "RUNNING")
    assert partner.nodes_of(second) <= set(LENT)
    assert partner.seen(guest)["preemptions"] == 1 and partner.seen(guest)["failures"] == 0
    partner.cluster.run("scancel", first, second)
    partner.wait_for(guest, "running")

    # A node of its own fails: a lent one stands in, and any job may start there.
    partner.cluster.run("scontrol", "update", "NodeName=b0", "State=DRAIN", "Reason=fan")
    until(lambda: len(partner.fenced()) == 1, partner.said)
    assert partner.seen(guest)["preemptions"] == 2 and partner.seen(guest)["failures"] == 0
    pair = partner.job(2)
    partner.wait_for_job(pair, "RUNNING")
    assert partner.nodes_of(pair) == {"b1", *set(LENT) - partner.fenced()}
    assert partner.pool_record()["fence"] == "stands"
    small = partner.guest_here(1)
    partner.wait_for(small, "running")
    partner.cluster.run("scancel", pair)
    partner.cluster.run("scontrol", "update", "NodeName=b0", "State=RESUME")
    until(lambda: partner.fenced() == set(LENT), partner.said)
    partner.served.ask("POST", f"/workloads/{small}/cancel", {})
    partner.wait_for(guest, "running")

    # What guests paid is on its statement, and nothing of the marketplace beside it.
    stated = partner.asked_by(token, "/statement")
    assert float(stated["balance"]) > 0, stated
    assert partner.parkade("statement", "--account", "operator")
