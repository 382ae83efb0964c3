"""Runs the command of a batch script as the ranks of a workload would, with programs that say how
they were called in place of trainers."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.waits import PATIENCE_S

SAYS = """#!/bin/bash
echo "$(basename "$0") $* [task ${SLURM_PROCID-} of ${SLURM_NTASKS-}, GPUs $CUDA_VISIBLE_DEVICES]"
"""
PROGRAMS = (
    "accelerate", "apptainer", "conda", "module", "nvidia-smi", "python", "python3", "ray",
    "sbatch", "torchrun",
)  # fmt: skip


class Gang:
    """A folder of programs, one of checkpoints, and one to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.checkpoints = folder / "checkpoints"
        self.work = folder / "work"
        for each in (self.bin, self.checkpoints, self.work):
            each.mkdir(exist_ok=True)
        # A login shell sets its path anew, then reads this.
        (folder / ".bash_profile").write_text(f"PATH={self.bin}:$PATH\n")
        for name in PROGRAMS:
            self.program(name, SAYS)

    def program(self, name: str, text: str) -> None:
        """Puts a program in the path of the ranks."""
        file = self.bin / name
        file.write_text(text)
        file.chmod(0o755)

    def start(
        self,
        command: str,
        *,
        nodes: int,
        gpus: int,
        attempt: int = 1,
        index: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> list[subprocess.Popen[bytes]]:
        """Each rank writes into a file of its own."""
        started = []
        for rank in range(nodes):
            with (self.folder / f"rank.{rank}").open("wb") as output:
                started.append(
                    subprocess.Popen(
                        ["/bin/bash", "-c", command],
                        env={**(env or {}), **variables(self, rank, nodes, gpus, attempt, index)},
                        cwd=self.work,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        return started

    def run(self, command: str, **shape: Any) -> tuple[list[int], list[str]]:
        """The exit codes of the ranks, and their outputs."""
        started = self.start(command, **shape)
        codes = [each.wait(PATIENCE_S) for each in started]
        return codes, [(self.folder / f"rank.{rank}").read_text() for rank in range(len(codes))]


def lines(output: str, folder: Path) -> Sequence[str]:
    """What was printed, in an order that does not hang on which task was first."""
    return sorted(line.replace(str(folder), "HOME") for line in output.splitlines())


def variables(
    gang: Gang, rank: int, nodes: int, gpus: int, attempt: int, index: int | None
) -> dict[str, str]:
    """What the engine sets for a rank."""
    name = "w12" if index is None else f"w12_{index}"
    found = {
        "PATH": f"{gang.bin}:{os.defpath}",
        "HOME": str(gang.folder),
        "USER": "ann",
        "LANG": "C.UTF-8",
        "PARKADE_WORKLOAD": name,
        "PARKADE_ATTEMPT": f"{name}.{attempt}",
        "PARKADE_NODES": str(nodes),
        "PARKADE_NODE_RANK": str(rank),
        "PARKADE_NODE_IPS": ",".join(f"10.0.0.{each + 1}" for each in range(nodes)),
        "PARKADE_SEATS": ",".join(f"node{each + 1}:{gpus}" for each in range(nodes)),
        "PARKADE_GPUS": str(gpus),
        "PARKADE_CHECKPOINT_DIR": str(gang.checkpoints),
        "CUDA_VISIBLE_DEVICES": ",".join(str(each) for each in range(gpus)),
    }
    return found if index is None else {**found, "PARKADE_ARRAY_INDEX": str(index)}
