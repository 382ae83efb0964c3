"""Renders the batch script of an attempt, and the `srun` by which the head starts the members."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from parkade.engines.slurm.answers import MARK
from parkade.engines.slurm.planning import Part
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import DesiredAttempt, Misconfigured

WORD = re.compile(r"[A-Za-z0-9_.,@+:-]+")
HEAD = "parkade.engines.slurm.head"
MEMBER = "parkade.engines.slurm.member"


def mark(attempt: DesiredAttempt, nonce: str) -> str:
    """The job's comment: whose it is, of which launch, and a word that no other submission has."""
    words = (
        MARK, attempt.attempt, str(attempt.generation), str(attempt.launch_sequence),
        str(attempt.ordered_us), nonce,
    )  # fmt: skip
    return ":".join(quote(word, safe="") for word in words)


def batch(
    attempt: DesiredAttempt,
    parts: Sequence[Part],
    folder: Path,
    settings: SlurmSettings,
    *,
    nonce: str,
    python: Sequence[str],
) -> str:
    """The whole script; its lines of options are all that Slurm is told."""
    common = [
        f"--job-name={MARK}-{quote(attempt.attempt, safe='')}",
        f"--comment={mark(attempt, nonce)}",
        "--no-requeue",
        "--export=NONE",
        "--chdir=/",
        "--open-mode=append",
        # A percent sign begins one of Slurm's own names.
        f"--output={str(folder / 'job' / 'batch.out').replace('%', '%%')}",
    ]
    for key in ("partition", "account", "qos", "reservation"):
        value = getattr(settings, key)
        if value and not WORD.fullmatch(value):
            raise Misconfigured(f"engine option {key}: {value!r} is not one word")
        common += [f"--{key}={value}"] if value else []
    lines = ["#!/bin/bash"]
    for number, part in enumerate(parts):
        lines += [] if number == 0 else ["#SBATCH hetjob"]
        options = [*(common if number == 0 else common[7:]), *_options(part)]
        lines += [f"#SBATCH {shlex.quote(option)}" for option in options]
    words = shlex.join([*python, "-m", HEAD, str(folder)])
    return "\n".join([*lines, f"exec env {words}", ""])


def step(
    parts: int, folder: Path, python: Sequence[str], srun: Sequence[str] = ("srun",)
) -> list[str]:
    """The words that start a member on each node of a job of so many parts; `srun`: the program
    and what a container adds to it."""
    groups = ",".join(str(number) for number in range(parts))
    of_parts = [f"--het-group={groups}"] if parts > 1 else []
    return [
        *srun, *of_parts, "--ntasks-per-node=1", "--kill-on-bad-exit=0", "--wait=0",
        "--input=none", "--mpi=none", "--export=ALL", "--cpu-bind=none",
        "env", *python, "-m", MEMBER, str(folder),
    ]  # fmt: skip


def _options(part: Part) -> list[str]:
    count = len(part.nodes)
    gpus = [f"--gres=gpu:{part.gpus}"] if part.gpus else []
    return [
        f"--nodes={count}", f"--nodelist={','.join(part.nodes)}", f"--ntasks={count}",
        "--ntasks-per-node=1", f"--cpus-per-task={part.cpus}", f"--mem={part.memory_mb}M", *gpus,
    ]  # fmt: skip
