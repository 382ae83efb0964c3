"""One day in the parkade, compressed to about a minute and a half: `make demo`.

Six nodes of two GPU slots in two fabrics. An owner lends what it does not use, guests park there,
the owner comes back, a node breaks, and everybody gets done; then the books are opened.
"""

import sys

from rich.console import Console

from demo.books import open_the_books
from demo.picture import Picture
from demo.programs import Training
from demo.stage import Stage, StageError, perform
from parkade.client import Client
from parkade.wire.workloads import Workload

POOL = {
    "pool": "parkade",
    "site": "local",
    "instance_type": {
        "name": "slots-2",
        "gpu_model": "slot",
        "gpus_per_node": 2,
        "memory_gib": 4,
        "cpus": 2,
    },
    "fabrics": {"a": ["a1", "a2", "a3"], "b": ["b1", "b2", "b3"]},
    "terms": {
        "pay_as_you_go": "12",
        "reservation_rate": "4",
        "public_floor": "8",
        "fee": "2/7",
        "notice": "8s",
        "heal_notice": "5s",
        "kill": "2s",
        "turnaround": "0s",
        "start_grace": "10s",
        "release_grace": "10s",
        "clearing_interval": "1s",
        "clearing_pause": "200ms",
        "billing_period": "30s",
        "backoff": "2s",
        "buffer_nodes": 1,
    },
}


WELL_UNDER_WAY = 120


class Day:
    """The story, act by act."""

    def __init__(self, stage: Stage, picture: Picture, people: dict[str, Client]) -> None:
        self._stage = stage
        self._picture = picture
        self._people = people
        self._folder = stage.folder / "weights"

    def play(self) -> tuple[Workload, Training]:
        """All acts; the lone guest's first run, and the gang that was moved."""
        self.owner_lends()
        lone = self.lone_guest()
        gang, training = self.guests_park()
        own = self.owner_comes_back(gang)
        self.gang_resumes(gang)
        self.node_breaks(own)
        self.all_finish()
        return lone, training

    def owner_lends(self) -> None:
        self._picture.act("acme reserves 4 GPUs and lends them at 5")
        self._people["acme"].create_reservation({"nodes": 2})
        self._people["acme"].lend_reservation("acme", floor="5")

    def lone_guest(self) -> Workload:
        """A short first run of lab, alone in the parkade."""
        self._picture.act("lab bids 9 and is alone: it pays what acme and the operator get")
        training = self._training("first-run", nodes=2, gpus=2, steps=60, pace=0.1)
        return self._finish(self._submit("lab", training, capacity="spot", limit="9"))

    def guests_park(self) -> tuple[str, Training]:
        self._picture.act("lab's gang trains; a student and a studio park beside it")
        training = self._training("gang", nodes=2, gpus=2, steps=850, pace=0.06)
        gang = self._submit("lab", training, capacity="spot", limit="9")
        self._until_running(gang)
        small = self._training("thesis", nodes=1, gpus=1, steps=900, pace=0.06)
        student = self._submit("student", small, capacity="spot", limit="8.50")
        render = self._training("render", nodes=2, gpus=2, steps=240, pace=0.1)
        studio = self._submit("studio", render, capacity="on-demand")
        self._until_running(student)
        self._until_running(studio)
        self._stage.until(
            "lab saved", lambda: self._look(gang).checkpoint_step is not None, seconds=20
        )
        self._picture.show()
        return gang, training

    def owner_comes_back(self, gang: str) -> str:
        self._picture.act("acme comes back: its seats within the notice, the gang saves and leaves")
        training = self._training("own", nodes=2, gpus=2, steps=450, pace=0.08)
        own = self._submit("acme", training, capacity="reservation/acme")
        waited = self._stage.until("acme runs", lambda: self._phase(own) == "running", seconds=20)
        self._picture.act(f"acme runs {waited:.1f} s after it asked (notice 8 s, kill 2 s)")
        saved = self._look(gang)
        self._picture.act(f"the gang left with step {saved.checkpoint_step} saved")
        self._picture.show()
        return own

    def gang_resumes(self, gang: str) -> None:
        self._stage.until("the gang is resumed", lambda: self._phase(gang) == "running", seconds=40)
        seats = self._look(gang).attempt
        assert seats is not None
        nodes = ", ".join(seat.node for seat in seats.seats)
        self._picture.act(f"the gang goes on from its step in the other fabric: {nodes}")

    def node_breaks(self, own: str) -> None:
        attempt = self._look(own).attempt
        assert attempt is not None
        node = attempt.seats[0].node
        self._picture.act(f"{node} breaks: acme's own job is healed on the buffer, a guest moves")
        self._stage.operator.fail_node(node, reason="Xid 79: the GPU has fallen off the bus")
        self._picture.show()
        self._stage.until(
            "acme is healed",
            lambda: self._phase(own) == "running" and self._generation(own) > 1,
            seconds=30,
        )
        self._picture.show()

    def all_finish(self) -> None:
        self._picture.act("everybody gets done")
        self._stage.until("all have ended", lambda: not self._alive(), seconds=90)
        ended = self._stage.operator.list_workloads(all=True).workloads
        failed = [it.workload for it in ended if it.phase != "succeeded"]
        if failed:
            raise StageError(f"did not succeed: {', '.join(failed)}; see {self._stage.log}")
        self._picture.show()

    def _training(self, name: str, *, nodes: int, gpus: int, steps: int, pace: float) -> Training:
        return Training(
            name=name,
            nodes=nodes,
            gpus=gpus,
            steps=steps,
            pace=pace,
            seed=len(name),
            out=self._folder / name,
        )

    def _submit(
        self, org: str, training: Training, *, capacity: str, limit: str | None = None
    ) -> str:
        seconds = 60 if capacity == "on-demand" else 300
        spec = training.spec(capacity=capacity, limit=limit, seconds=seconds)
        return self._people[org].submit(spec).workload

    def _look(self, workload: str) -> Workload:
        return self._stage.operator.get_workload(workload)

    def _phase(self, workload: str) -> str:
        return self._look(workload).phase

    def _step(self, workload: str) -> int | None:
        return self._look(workload).checkpoint_step

    def _generation(self, workload: str) -> int:
        attempt = self._look(workload).attempt
        return attempt.generation if attempt is not None else 0

    def _alive(self) -> bool:
        return bool(self._stage.operator.list_workloads().workloads)

    def _until_running(self, workload: str) -> None:
        self._stage.until(
            f"{workload} runs", lambda: self._phase(workload) == "running", seconds=20
        )

    def _finish(self, workload: str) -> Workload:
        self._stage.until(
            f"{workload} is done", lambda: self._phase(workload) == "succeeded", seconds=40
        )
        return self._look(workload)


def play(stage: Stage, console: Console) -> bool:
    """Plays the day; whether every claim of the story held."""
    stage.operator.create_pool(POOL)
    people = stage.admit(deposit="50")
    with Picture(stage.operator, console) as picture:
        lone, gang = Day(stage, picture, people).play()
    return open_the_books(stage, console, lone=lone, gang=gang)


if __name__ == "__main__":
    sys.exit(perform(__doc__, "day", play))
