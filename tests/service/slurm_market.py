"""A marketplace over a real Slurm: a server, an agent beside the cluster, an owner and a guest."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests import builders
from tests.service.served import Served, serving
from tests.slurm_cluster import Slurm
from tests.slurm_cluster.daemons import end_marked
from tests.waits import PATIENCE_S, until

GPUS = 4
TERMS = builders.terms_body(
    clearing_interval="300ms", backoff="0s", notice="3s", kill="2s", minimum_charge="1s"
)
SAVES = (
    "report() { [ $PARKADE_NODE_RANK = 0 ] || return 0; d=$PARKADE_CHECKPOINT_DIR;"
    ' echo "{\\"step\\": 7, \\"at\\": \\"$(date -u +%FT%TZ)\\"}" > $d/new;'
    " mv $d/new $d/.parkade.json; }; "
    "trap 'report; exit 85' TERM; echo begun; while :; do sleep 0.05; done"
)
OWNER = ("--account=acme", "--uid=nobody", "--chdir=/", "--output=/dev/null", "--exclusive")


class SlurmMarket:
    """What a test asks of it. `gpus`: of each node."""

    gpus = GPUS

    def __init__(self, served: Served, cluster: Slurm, folder: Path, pool: str) -> None:
        self.served = served
        self.cluster = cluster
        self.folder = folder
        self.pool = pool
        self.agent: subprocess.Popen[bytes] | None = None
        self.log = folder / "agent.log"

    def start_agent(self, *options: str) -> None:
        """`parkade agent run` beside the cluster."""
        given = ("root_workloads=true", "owners=account:acme=acme", *options)
        words = [
            sys.executable, "-m", "parkade.service.agent", "--pool", self.pool,
            "--server", f"http://127.0.0.1:{self.served.port}",
            "--token-file", str(self.folder / "agent.token"),
            "--data-folder", str(self.folder / "agent"), "--engine", "slurm",
            *(word for option in given for word in ("--engine-option", option)),
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.agent = subprocess.Popen(
                words, env=self.cluster.environment, stdout=log, stderr=log
            )

    def kill_agent(self) -> None:
        assert self.agent is not None
        self.agent.kill()
        self.agent.wait()

    def kill_server(self) -> None:
        assert self.served.process is not None
        self.served.process.kill()
        self.served.process.communicate()
        self.served.process = None

    def open(self, *, terms: dict[str, Any]) -> None:
        """The pool, its agent, an org with money."""
        body = builders.pool_body(
            self.cluster.nodes, gpus=self.gpus, pool=self.pool, engine="slurm", terms=terms
        )
        self.served.ask("POST", "/pools", body)
        token = self.served.ask("POST", f"/pools/{self.pool}/agent-tokens")
        (self.folder / "agent.token").write_text(token["secret"])
        (self.folder / "agent.token").chmod(0o600)
        for org in ("acme", "lab"):
            self.served.ask("POST", "/orgs", {"org": org})
            self.served.ask("POST", f"/orgs/{org}/deposits", {"amount": "100000"})
        self.start_agent()

    def fence(self) -> None:
        self.served.ask("POST", f"/pools/{self.pool}/fence")
        until(lambda: self.pool_record()["fence"] == "stands", self.said)

    def pool_record(self) -> Any:
        pools = self.served.ask("GET", "/pools")["pools"]
        return next(one for one in pools if one["pool"] == self.pool)

    def lend(self, nodes: int) -> None:
        """`acme` reserves nodes and lends them."""
        body = {"org": "acme", "nodes": nodes, "name": "acme"}
        self.served.ask("POST", "/reservations", body)
        self.served.ask("POST", "/reservations/acme/lend", {"floor": "1"})

    def observe(self) -> None:
        """As `parkade pool lend --observe`."""
        self.served.ask("POST", f"/pools/{self.pool}/observe")

    def lend_again(self) -> None:
        """As `parkade pool lend`."""
        self.served.ask("POST", f"/pools/{self.pool}/lend")

    def guest(self, command: str = SAVES, **keys: Any) -> str:
        """A bid of `lab`."""
        spec = {"name": "g", "command": command, "workdir": "/tmp", "gpus": self.gpus,
                "limit_price": "9", **keys}  # fmt: skip
        return str(self.served.ask("POST", "/workloads", {"org": "lab", "spec": spec})["workload"])

    def seen(self, workload: str) -> Any:
        return self.served.ask("GET", f"/workloads/{workload}")

    def wait_for(self, workload: str, phase: str) -> None:
        until(
            lambda: self.seen(workload)["phase"] == phase,
            lambda: (self.seen(workload), self.said()),
        )

    def owner_job(self, *options: str, script: str = "sleep 600") -> str:
        """An owner's plain sbatch: no word of Parkade."""
        return self.cluster.submit(script, *OWNER, *options)

    def wait_for_job(self, job: str, state: str) -> None:
        until(lambda: self.cluster.job_state(job) == state, self.said)

    def nodes_of(self, job: str) -> set[str]:
        line = self.cluster.run("scontrol", "--oneliner", "show", "job", job)
        short = line.partition(" NodeList=")[2].partition(" ")[0]
        return set(self.cluster.run("scontrol", "show", "hostnames", short).split())

    def reservations(self) -> str:
        return self.cluster.run("scontrol", "show", "reservation", "--oneliner")

    def fenced(self) -> set[str]:
        """The nodes of the fence that stands now."""
        lines = self.reservations().splitlines()
        own = f"ReservationName=parkade_{self.pool} "
        short = "".join(it.partition(" Nodes=")[2].split()[0] for it in lines if it.startswith(own))
        if not short:
            return set()
        return set(self.cluster.run("scontrol", "show", "hostnames", short).split())

    def said(self) -> str:
        queue = self.cluster.run("squeue", "-a", "-o", "%i %j %u %T %r %N %v")
        return f"{self.log.read_text()[-3000:]}\n{queue}\n{self.reservations()}"

    def close(self) -> None:
        if self.agent is not None and self.agent.poll() is None:
            self.agent.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.agent.wait(PATIENCE_S)
        for user in ("root", "nobody"):
            self.cluster.run("scancel", f"--user={user}")
        end_marked(f"{self.folder}/agent/")
        until(lambda: not self.cluster.run("squeue", "-h", "-a"), self.said)
        for name in [line.split()[0] for line in self.reservations().splitlines() if "=" in line]:
            self.cluster.run("scontrol", "delete", name)


@contextmanager
def slurm_market(
    cluster: Slurm,
    folder: Path,
    *,
    pool: str = "box",
    terms: dict[str, Any] = TERMS,
    kind: type[SlurmMarket] = SlurmMarket,
) -> Iterator[SlurmMarket]:
    """Open and empty; whatever runs at the end is cancelled."""
    os.chmod(folder, 0o755)  # noqa: PTH101
    with serving(folder) as served:
        market = kind(served, cluster, folder, pool)
        try:
            market.open(terms=terms)
            yield market
        finally:
            market.close()
