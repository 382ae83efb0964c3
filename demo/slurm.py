"""The day in the parkade on a Slurm of 16 nodes and 128 fake GPUs: `make demo-slurm`, 2 minutes.

An owner lends 8 nodes, guests park there, and the owner comes back with a plain `sbatch`: no word
of Parkade in it. A gang of 4 nodes is moved with its step saved. Then the slurmd of a guest's node
is killed, and the gang goes on with a spare in its place. At the end the books are opened. What is
claimed is checked: the demo fails where one of the promises does not hold.
"""

import sys
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial

from rich.console import Console

from demo.books import is_balanced, statements_of, table_of
from demo.cluster import agent, cluster, log_of, nodes_of, sleeps_as
from demo.picture import Picture
from demo.stage import Stage, StageError, perform
from parkade.client import Client
from parkade.wire.workloads import Workload
from tests.slurm_cluster import Slurm

NOTICE_S, KILL_S = 8, 2
OWNERS_JOB_S = 30
SLACK_S = 20
"""Of this machine, on which 16 slurmd and all else share two cores."""
STEP_S = 0.5
# Counts steps, and says each of them as a checkpoint; goes on from the step that it had.
TRAINS = """\
step=${{PARKADE_RESUME_STEP:-0}}
save() {{
  [ "$PARKADE_NODE_RANK" = 0 ] || return 0
  printf '{{"step": %d, "at": "%s"}}' $step "$(date -u +%FT%TZ)" > $PARKADE_CHECKPOINT_DIR/new
  mv $PARKADE_CHECKPOINT_DIR/new $PARKADE_CHECKPOINT_DIR/.parkade.json
}}
trap 'save; exit 85' TERM
while [ $step -lt {steps} ]; do
  sleep {pace}; step=$((step + 1)); [ $((step % 10)) -ne 0 ] || save
done
"""


class Day:
    """The story, act by act."""

    def __init__(
        self, stage: Stage, up: Slurm, picture: Picture, people: dict[str, Client]
    ) -> None:
        self._stage = stage
        self._up = up
        self._picture = picture
        self._people = people

    def play(self) -> tuple[str, str, float]:
        """All acts; the gang that was moved, the one that was healed, how long the owner waited."""
        self.owner_lends()
        gang, studio = self.guests_park()
        waited, job = self.owner_comes_back(gang)
        self.gang_goes_on(gang)
        self.slurmd_is_killed(studio)
        self.owner_is_done(job)
        self.all_finish()
        return gang, studio, waited

    def owner_lends(self) -> None:
        self._picture.act("the pool is fenced; acme reserves 8 nodes and lends them at 5")
        self._stage.operator.fence_pool("parkade")
        self._until("the fence stands", self._fence_stands)
        self._people["acme"].create_reservation({"nodes": 8})
        self._people["acme"].lend_reservation("acme", floor="5")

    def guests_park(self) -> tuple[str, str]:
        self._picture.act(
            "a studio and a student take what acme does not own; lab's gang parks on acme's nodes"
        )
        studio = self._submit("studio", "render", nodes=3, steps=130, limit="8")
        thesis = self._submit("student", "thesis", nodes=5, steps=40, limit="7.50")
        self._until_running(studio, thesis)
        gang = self._submit("lab", "gang", nodes=4, steps=130, limit="9")
        self._until_running(gang)
        self._picture.show()
        self._until("lab saved", lambda: self._look(gang).checkpoint_step is not None)
        self._until("the thesis is done", lambda: self._look(thesis).phase == "succeeded")
        return gang, studio

    def owner_comes_back(self, gang: str) -> tuple[float, str]:
        self._picture.act("acme types a plain sbatch --nodes=8: the gang has to leave")
        began = time.monotonic()
        job = sleeps_as(self._up, "--nodes=8", "--exclusive", "--gres=gpu:8", seconds=OWNERS_JOB_S)
        self._until("acme's job runs", lambda: self._up.job_state(job) == "RUNNING")
        waited = time.monotonic() - began
        on = nodes_of(self._up, job)
        self._picture.act(
            f"job {job} of acme runs on {on[0]}-{on[-1]} {waited:.1f} s after its sbatch"
            f" (notice {NOTICE_S} s, kill {KILL_S} s)"
        )
        self._picture.act(f"the gang left with step {self._look(gang).checkpoint_step} saved")
        self._picture.show()
        return waited, job

    def gang_goes_on(self, gang: str) -> None:
        self._until_running(gang)
        self._picture.act(f"the gang goes on from its step on other nodes: {self._nodes(gang)}")
        self._picture.show()

    def slurmd_is_killed(self, studio: str) -> None:
        node = self._node_list(studio)[1]
        self._picture.act(f"the slurmd of {node} is killed under the studio's gang")
        self._up.stop_node(node)
        self._until(
            "the studio is healed",
            lambda: self._look(studio).phase == "running" and node not in self._node_list(studio),
        )
        self._picture.act(f"the studio goes on with a spare: {self._nodes(studio)}")
        self._picture.show()
        self._up.start_node(node)

    def owner_is_done(self, job: str) -> None:
        self._until("acme's job is over", lambda: self._up.job_state(job) == "COMPLETED")
        self._until("its claim ended", lambda: not self._stage.operator.list_claims().claims)
        self._picture.act("acme's job is over: its nodes are lent again")

    def all_finish(self) -> None:
        self._until("all have ended", lambda: not self._stage.operator.list_workloads().workloads)
        ended = self._stage.operator.list_workloads(all=True).workloads
        failed = [it.workload for it in ended if it.phase != "succeeded"]
        if failed:
            raise StageError(f"did not succeed: {', '.join(failed)}")
        self._picture.act("everybody is done")
        self._picture.show()

    def _submit(self, org: str, name: str, *, nodes: int, steps: int, limit: str) -> str:
        spec = {
            "name": name,
            "command": TRAINS.format(steps=steps, pace=STEP_S),
            "workdir": "/tmp",
            "nodes": nodes,
            "gpus": 8,
            "capacity": "spot",
            "limit_price": limit,
            "max_duration": "10m",
        }
        return self._people[org].submit(spec).workload

    def _look(self, workload: str) -> Workload:
        return self._stage.operator.get_workload(workload)

    def _node_list(self, workload: str) -> list[str]:
        attempt = self._look(workload).attempt
        return [] if attempt is None else [seat.node for seat in attempt.seats]

    def _nodes(self, workload: str) -> str:
        return ", ".join(self._node_list(workload))

    def _fence_stands(self) -> bool:
        (pool,) = self._stage.operator.list_pools().pools
        return pool.fence == "stands"

    def _until_running(self, *workloads: str) -> None:
        for workload in workloads:
            self._until(f"{workload} runs", partial(self._is_running, workload))

    def _is_running(self, workload: str) -> bool:
        return self._look(workload).phase == "running"

    def _until(self, what: str, is_so: Callable[[], bool]) -> None:
        try:
            self._stage.until(what, is_so, seconds=120)
        except StageError as error:
            raise StageError(f"{error}\n{log_of(self._stage.folder)}\n{self._up.log()}") from None


def play(stage: Stage, console: Console) -> bool:
    """Plays the day; whether every claim of the story held."""
    began = time.monotonic()
    people = stage.admit(deposit="500")
    with cluster() as up, agent(stage, up):
        with Picture(stage.operator, console) as picture:
            gang, studio, waited = Day(stage, up, picture, people).play()
        statements = statements_of(stage)
        console.print(table_of(statements))
        moved, healed = stage.operator.get_workload(gang), stage.operator.get_workload(studio)
        claims = {
            "ledger balanced": is_balanced(statements),
            f"acme waited {waited:.1f} s, no longer than notice, kill and {SLACK_S} s": (
                waited < NOTICE_S + KILL_S + SLACK_S
            ),
            "the gang was moved once, and that is no failure": (
                (moved.preemptions, moved.failures) == (1, 0)
            ),
            "the studio was healed, and that is no failure": healed.failures == 0,
            "acme was paid for what it lent": _earned(people["acme"]) > 0,
        }
    for claim, holds in claims.items():
        console.print(f"[green]{claim}" if holds else f"[red]NOT SO: {claim}")
    console.print(f"{time.monotonic() - began:.0f} s, with the start of the cluster")
    return all(claims.values())


def _earned(owner: Client) -> Decimal:
    transfers = owner.get_statement().transfers
    return sum((it.amount for it in transfers if it.kind == "payout"), Decimal(0))


if __name__ == "__main__":
    sys.exit(perform(__doc__, "slurm", play))
