"""A command of Slurm hangs beside a running agent: guests that are to leave hear it meanwhile."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.slurm_market import GPUS, SlurmMarket, slurm_market
from tests.slurm_cluster import Slurm, missing, open_folder, slurm
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is lacking"),
]

HANGS = """#!/bin/sh
# As the program itself; while there is a file beside it, it says that it hangs, and hangs.
while [ -e @beside@.hangs ]; do : > @beside@.hung; sleep 0.1; done
exec @program@ "$@"
"""


class HangingMarket(SlurmMarket):
    """Its agent waits longer for a command than any test does."""

    def start_agent(self, *options: str) -> None:
        super().start_agent("timeout_s=3600", *options)

    def hang(self, program: str) -> None:
        """From now on, and until it is let go; until the agent waits for it."""
        self.beside(program, "hangs").touch()
        until(self.beside(program, "hung").exists, self.said)

    def let_go(self, program: str) -> None:
        self.beside(program, "hangs").unlink(missing_ok=True)

    def beside(self, program: str, what: str) -> Path:
        return self.cluster.folder / "front" / f"{program}.{what}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """Two nodes, and commands in front of Slurm's own that hang when they are told to."""
    with open_folder() as folder, slurm(folder / "c", nodes=("n0", "n1"), gpus=GPUS) as made:
        front = made.folder / "front"
        front.mkdir()
        for name in ("squeue", "scontrol"):
            program = shutil.which(name, path=made.environment["PATH"])
            text = HANGS.replace("@beside@", str(front / name)).replace("@program@", str(program))
            (front / name).write_text(text)
            (front / name).chmod(0o755)
        made.environment["PATH"] = f"{front}:{made.environment['PATH']}"
        yield made


@pytest.fixture
def market(cluster: Slurm, tmp_path: Path) -> Iterator[SlurmMarket]:
    with slurm_market(cluster, tmp_path, kind=HangingMarket) as made:
        yield made


@pytest.mark.parametrize("program", ["scontrol", "squeue"])
def test_a_guest_saves_at_its_notice_while_a_command_hangs(
    market: HangingMarket, program: str
) -> None:
    guest = market.guest(nodes=2, limit_price="2")
    market.wait_for(guest, "running")
    market.hang(program)
    try:
        dearer = market.guest(nodes=2, limit_price="9")
        saved = f"agent/**/{guest}/**/.parkade.json"
        until(lambda: list(market.folder.glob(saved)), market.log.read_text)
    finally:
        market.let_go(program)
    market.wait_for(dearer, "running")
    told = market.seen(guest)
    assert (told["preemptions"], told["failures"]) == (1, 0)
    assert told["checkpoint_step"] == 7
