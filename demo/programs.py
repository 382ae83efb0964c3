"""The programs that people run that day: the factoring example, as one rank or a gang."""

import hashlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from parkade.wire.spec import WorkloadSpec

TRAIN = Path(__file__).resolve().parents[1] / "examples" / "factoring" / "train.py"
REFERENCE_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Training:
    """A run of the example: its weights land in `out`; `pace` stretches it without work."""

    name: str
    nodes: int
    gpus: int
    steps: int
    pace: float
    seed: int
    out: Path

    def command(self, *, pace: float | None = None) -> list[str]:
        """The program's own command line."""
        options = {
            "--steps": self.steps,
            "--pace": self.pace if pace is None else pace,
            "--seed": self.seed,
            "--checkpoint-every": 20,
            "--out": self.out,
        }
        words = [str(word) for option in options.items() for word in option]
        return [sys.executable, str(TRAIN), *words]

    def spec(self, *, capacity: str, limit: str | None = None, seconds: int) -> WorkloadSpec:
        """The workload as its owner writes it; at most `seconds` long."""
        self.out.mkdir(parents=True, exist_ok=True)
        spec = {
            "name": self.name,
            "command": " ".join(self.command()),
            "workdir": str(self.out),
            "nodes": self.nodes,
            "gpus": self.gpus,
            "capacity": capacity,
            "checkpoint": {"signal": "SIGUSR1", "needs": "3s"},
            "max_duration": f"{seconds}s",
        }
        if limit is not None:
            spec["limit_price"] = limit
        return WorkloadSpec.model_validate(spec)

    def digest(self) -> str:
        """SHA-256 of the weights that the run ended with."""
        return hashlib.sha256((self.out / "weights.npz").read_bytes()).hexdigest()

    def undisturbed(self, folder: Path) -> "Training":
        """The same training run from begin to end beside the market, as fast as it goes."""
        alone = Training(
            name=self.name,
            nodes=self.nodes,
            gpus=self.gpus,
            steps=self.steps,
            pace=0.0,
            seed=self.seed,
            out=folder,
        )
        folder.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        ranks = [
            subprocess.Popen(
                alone.command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=folder,
                env={
                    # As bare as what an engine gives: a BLAS told otherwise rounds otherwise.
                    "PATH": os.environ["PATH"],
                    "HOME": str(folder),
                    "PARKADE_NODES": str(self.nodes),
                    "PARKADE_NODE_RANK": str(rank),
                    "PARKADE_CHECKPOINT_DIR": str(folder / "checkpoints"),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                },
            )
            for rank in range(self.nodes)
        ]
        codes = [rank.wait(REFERENCE_SECONDS) for rank in ranks]
        assert codes == [0] * self.nodes, f"the undisturbed run ended with {codes}"
        return alone
