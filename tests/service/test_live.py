"""A live workload with server and agent as processes: it grows, shrinks and loses a node, and its
result has the bytes of a run of fixed size."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.service.served import Served, serving
from tests.waits import until

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "factoring" / "live.py"
NODES = ("n1", "n2", "n3", "n4")
TERMS = builders.terms_body(clearing_interval="300ms", backoff="0s", notice="20s", kill="5s")
STEPS = 400


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server with a pool of four nodes of this machine, a GPU's slot each."""
    with serving(tmp_path) as made:
        made.ask("POST", "/pools", builders.pool_body(NODES, gpus=1, site="local", terms=TERMS))
        for org in ("acme", "rival"):
            made.ask("POST", "/orgs", {"org": org})
            made.ask("POST", f"/orgs/{org}/deposits", {"amount": "1000"})
        yield made
        made.stop()


def submit(served: Served, org: str, command: str, **keys: object) -> str:
    spec = {"name": "w", "command": command, "workdir": "/tmp", "gpus": 1, **keys}
    return str(served.ask("POST", "/workloads", {"org": org, "spec": spec})["workload"])


def of_fixed_size(out: Path) -> bytes:
    environment = {**os.environ, "PARKADE_CHECKPOINT_DIR": str(out / "saved"), "MASTER_PORT": "0"}
    words = [sys.executable, str(EXAMPLE), "--steps", str(STEPS), "--out", str(out)]
    subprocess.run(words, check=True, env=environment, timeout=600)
    return (out / "weights.npz").read_bytes()


def test_a_run_that_grew_shrank_and_lost_a_node_has_the_bytes_of_one_of_fixed_size(
    served: Served, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    waits = f"until [ -e {go} ]; do sleep 0.1; done"
    rival = submit(served, "rival", waits, nodes=2, limit_price="9")

    def seen(workload: str) -> Any:
        return served.ask("GET", f"/workloads/{workload}")

    def ranks() -> list[tuple[int, str]]:
        attempt = seen(live)["attempt"]
        return [(it["rank"], it["node"]) for it in attempt["ranks"] if it["leaves"] is None]

    def nodes() -> int:
        attempt = seen(live)["attempt"]
        return 0 if attempt is None else len(attempt["seats"])

    until(lambda: seen(rival)["phase"] == "running", lambda: seen(rival))
    out = tmp_path / "out"
    command = f"exec {sys.executable} {EXAMPLE} --steps {STEPS} --pace 0.15 --out {out}"
    live = submit(
        served, "acme", command, nodes={"min": 1, "max": 6}, limit_price="2", resize="live"
    )
    until(lambda: seen(live)["phase"] == "running", lambda: seen(live))
    assert nodes() == 2
    go.touch()
    until(lambda: nodes() == 4, lambda: seen(live))
    until(lambda: len(ranks()) == 4, lambda: seen(live))
    go.unlink()
    other = submit(served, "rival", waits, nodes=1, limit_price="9")
    until(lambda: seen(other)["phase"] == "running", lambda: (seen(other), seen(live)))
    assert len(ranks()) == 3
    lost = dict(ranks())[1]
    served.ask("POST", f"/nodes/{lost}/fail", {"reason": "test"})
    until(lambda: 1 not in dict(ranks()) and nodes() == 2, lambda: seen(live))
    go.touch()
    until(lambda: len(ranks()) == 3, lambda: seen(live))
    until(lambda: seen(live)["phase"] == "succeeded", lambda: seen(live))
    told = seen(live)
    assert (told["attempts"], told["failures"], told["preemptions"]) == (1, 0, 0)
    assert (out / "weights.npz").read_bytes() == of_fixed_size(tmp_path / "fixed")
