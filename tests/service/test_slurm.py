"""A pool over a real Slurm, with server and agent as processes: sold, taken back, resumed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.service.served import Served, serving
from tests.slurm_cluster import Slurm, missing, slurm
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]

NODES = ("n0", "n1", "n2", "n3")
GPUS = 4
TERMS = builders.terms_body(clearing_interval="300ms", backoff="0s", notice="30s", kill="5s")
SAVES = (
    "report() { [ $PARKADE_NODE_RANK = 0 ] || return 0; d=$PARKADE_CHECKPOINT_DIR;"
    ' echo "{\\"step\\": 7, \\"at\\": \\"$(date -u +%FT%TZ)\\"}" > $d/new;'
    " mv $d/new $d/.parkade.json; }; "
    'if [ -n "$PARKADE_RESUME_STEP" ]; then echo resumed at $PARKADE_RESUME_STEP; exit 0; fi; '
    "trap 'report; exit 85' TERM; echo begun; while :; do sleep 0.05; done"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Four nodes, for all tests of the module."""
    with slurm(tmp_path_factory.mktemp("slurm") / "c", nodes=NODES, gpus=GPUS) as made:
        yield made


@pytest.fixture
def served(cluster: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server with a pool of these nodes."""
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster.environment[name])
    with serving(tmp_path) as made:
        pool = builders.pool_body(
            NODES, gpus=GPUS, pool="box", site="local", engine="slurm", terms=TERMS
        )
        made.ask("POST", "/pools", pool)
        made.ask("POST", "/orgs", {"org": "acme"})
        made.ask("POST", "/orgs/acme/deposits", {"amount": "1000"})
        yield made
        made.stop()


def submit(served: Served, command: str, **keys: object) -> str:
    spec = {"name": "w", "command": command, "workdir": "/tmp", "gpus": GPUS, **keys}
    return str(served.ask("POST", "/workloads", {"org": "acme", "spec": spec})["workload"])


def test_a_gang_is_sold_taken_back_with_notice_and_resumes(cluster: Slurm, served: Served) -> None:
    guest = submit(served, SAVES, nodes=3, limit_price="2")

    def seen(workload: str) -> Any:
        return served.ask("GET", f"/workloads/{workload}")

    def output() -> str:
        """Of its present attempt; a problem's text before there is one."""
        return served.attempt_to("GET", f"/workloads/{guest}/logs").text

    until(lambda: "begun" in output(), lambda: seen(guest))
    used = cluster.run("squeue", "-h", "-t", "running", "-o", "%D %b")
    assert used == f"3 gres:gpu:{GPUS}"
    dearer = submit(served, "echo first", nodes=4, limit_price="9")
    until(lambda: seen(dearer)["phase"] == "succeeded", lambda: seen(dearer))
    until(lambda: seen(guest)["phase"] == "succeeded", lambda: (seen(guest), cluster.log()))
    told = seen(guest)
    assert (told["preemptions"], told["failures"]) == (1, 0)
    assert "resumed at 7" in output()
    until(cluster.is_idle)
