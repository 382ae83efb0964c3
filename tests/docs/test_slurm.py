"""The page names each command of Slurm that a running agent, and what it starts, gives."""

import re

from tests.docs.pages import ROOT

ENGINE = ROOT / "src" / "parkade" / "engines" / "slurm"
# What `pool doctor` and `agent join` ask; the page has tables of its own for both.
BEFORE_A_POOL = re.compile(r"doctor|admitting|finding")
PROGRAMS = "sacct|sacctmgr|sbatch|scancel|scontrol|sinfo|squeue|srun"


def test_each_command_that_is_sent_to_slurm_is_named() -> None:
    page = (ROOT / "docs" / "slurm.md").read_text("utf-8")
    section = page.partition("\n## What is sent to Slurm\n")[2].partition("\n## ")[0]
    named = set(re.findall(rf"`({PROGRAMS})\b", section))
    sent = {
        program
        for path in ENGINE.glob("*.py")
        if not BEFORE_A_POOL.search(path.stem)
        for program in re.findall(rf'"({PROGRAMS})"', path.read_text("utf-8"))
    }
    assert sent, "the engine gives commands"
    assert named == sent
