"""The batch of the table as a workload on a marketplace of its own, preempted in the middle.

It starts a server on a free port of this machine, in a temporary folder, with two nodes. lab
submits the batch on spot; studio bids more for both nodes, so lab's workers leave and go on when
studio is done. What comes back is what was drawn, for the same table. A small batch may be done
before studio's bid wins; then it says so.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demo.stage import Stage
from examples.factoring.primes import Products
from examples.factoring.sample import PRODUCTS_AT_ONCE
from examples.factoring_network.generator import CANDIDATES_A_CALL, pairs_of
from parkade.client import Client
from parkade.compound.shards.board import Board
from parkade.compound.shards.folder import SharedFolder

Array = npt.NDArray[Any]

PATIENCE_S = 300.0
STUDIO_S = 2
NODES = 2
POOL = {
    "pool": "parkade",
    "site": "local",
    "instance_type": {
        "name": "slots-1",
        "gpu_model": "slot",
        "gpus_per_node": 1,
        "memory_gib": 4,
        "cpus": 2,
    },
    "fabrics": {"a": ["a1", "a2"]},
    "terms": {
        "pay_as_you_go": "12",
        "reservation_rate": "4",
        "public_floor": "1",
        "fee": "2/7",
        "notice": "8s",
        "heal_notice": "5s",
        "kill": "2s",
        "turnaround": "0s",
        "clearing_interval": "500ms",
        "clearing_pause": "100ms",
        "backoff": "0s",
        "buffer_nodes": 0,
    },
}
NETWORK = """\
models:
  generator: {{function: "{generator}:candidates"}}
network: "{calls}E@generator"
"""


class Batch:
    """The batch and the marketplace it runs on."""

    def __init__(self, stage: Stage, products: Products, environment: dict[str, str]) -> None:
        self._stage = stage
        self._environment = environment
        self._out = stage.folder / "out"
        samples = int(environment["FACTORING_SAMPLES"])
        generator = Path(__file__).with_name("generator.py")
        calls = -(-samples // CANDIDATES_A_CALL)
        (stage.folder / "net.yaml").write_text(NETWORK.format(generator=generator, calls=calls))
        rows = (json.dumps({"id": str(n), "prompt": str(n)}) for n in products.n.tolist())
        (stage.folder / "questions.jsonl").write_text("\n".join(rows) + "\n")

    def submit(self) -> str:
        """`parkade compound submit`, paid by lab; the workload's id."""
        words = [
            *("net.yaml", "questions.jsonl", "--out", "out", "--org", "lab", "--json"),
            *("--limit-price", "2", "--nodes", str(NODES), "--shard-size", str(PRODUCTS_AT_ONCE)),
            *("--checkpoint-needs", "6", "--name", "factoring"),
        ]
        for name, text in self._environment.items():
            words += ["--env", f"{name}={text}"]
        token = (self._stage.folder / "operator.token").read_text("utf-8").strip()
        done = subprocess.run(
            [sys.executable, "-m", "parkade.cli", "compound", "submit", *words],
            cwd=self._stage.folder,
            env=os.environ | {"PARKADE_SERVER": self._stage.url, "PARKADE_TOKEN": token},
            stdout=subprocess.PIPE,
            check=True,
        )
        return str(json.loads(done.stdout)["workload"])

    def shards(self) -> tuple[int, int]:
        """How many are done, and of how many."""
        folder = SharedFolder(self._out)
        state = Board(folder.log, folder.read().shards, "demo").state
        return len(state.shards) - state.left(), len(state.shards)

    def drawn(self, products: Products) -> tuple[Array, Array]:
        """All candidates, by product."""
        found = {}
        with (self._out / "results.jsonl").open() as lines:
            for line in lines:
                row = json.loads(line)
                found[row["id"]] = pairs_of(row.get("candidates") or [row["answer"]])
        rows = [found[str(n)] for n in products.n.tolist()]
        return np.stack([one for one, _ in rows]), np.stack([other for _, other in rows])


def play(
    folder: Path, products: Products, environment: dict[str, str]
) -> tuple[tuple[Array, Array], list[str]]:
    """Run the batch with a preemption in the middle; what was drawn, and what happened."""
    with Stage(folder) as stage:
        stage.operator.create_pool(POOL)
        people = stage.admit("1000")
        batch = Batch(stage, products, environment)
        workload = batch.submit()
        stage.until("a shard is done", lambda: batch.shards()[0] > 0, seconds=PATIENCE_S)
        studio = outbid(people["studio"], folder)
        wait_for(stage, studio, "running")
        done, shards = batch.shards()
        told = [f"lab's batch: {shards} shards on {NODES} nodes at most 2.00 per GPU-hour"]
        how = f"leaves with {done} of {shards} done" if done < shards else "was done before"
        told.append(f"studio bids 9.00 for both nodes: lab {how}")
        wait_for(stage, workload, "succeeded")
        ended = stage.operator.get_workload(workload)
        times = "once" if ended.preemptions == 1 else f"{ended.preemptions} times"
        told.append(f"lab's batch {ended.phase}, preempted {times}; it paid {ended.spent}")
        return batch.drawn(products), told


def outbid(studio: Client, folder: Path) -> str:
    spec = {
        "name": "render",
        "command": f"sleep {STUDIO_S}",
        "nodes": NODES,
        "limit_price": "9",
        "workdir": str(folder),
    }
    return studio.submit(spec).workload


def wait_for(stage: Stage, workload: str, phase: str) -> None:
    def is_there() -> bool:
        now = stage.operator.get_workload(workload).phase
        assert now != "failed", f"{workload} failed; see {stage.log}"
        return now == phase

    stage.until(f"{workload} {phase}", is_there, seconds=PATIENCE_S)
