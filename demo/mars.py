"""A GPU falls off the bus, and nobody has to get up: `make demo-mars`, about a minute.

Five nodes in one fabric, real processes, real kernel lines. A gang of an owner trains on all three
that it reserved, the other two are the buffer. An Xid line is written into the watched log: the
node is taken out, the gang resumes on the buffer from its checkpoint, the node is rebooted,
validated, sanitised and returned. Then a planted bad GPU fails its validation twice and is retired,
and the owner keeps its shape. Where Prometheus is found, it watches with the shipped rules, and
every expression of them and of the dashboards must have data in the end. What is claimed is
checked: the demo fails where one of the promises does not hold.
"""

import contextlib
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rich.console import Console

from demo.monitoring import Monitoring, prometheus
from demo.programs import Training
from demo.stage import Stage, StageError, perform
from parkade.client import Client
from parkade.mars.story import story_page, story_text
from parkade.wire.mars import Incident, SetAutomation
from parkade.wire.workloads import Workload

HEAL_NOTICE_S, KILL_S = 2, 1
LONGEST_S = 10.0
"""From the line in the log to the resumed training, beyond the load of the checkpoint."""
ALERTS = {"ParkadeFatalVerdict", "ParkadeMarsFatal"}
"""What Prometheus must have fired."""
WATCHED_S, BETWEEN_S = 60.0, 0.5
NODES = ("n1", "n2", "n3", "n4", "n5")
GPU = "0000:3b:00"
XID_79 = "NVRM: Xid (PCI:{gpu}): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
XID_95 = "NVRM: Xid (PCI:{gpu}): 95, pid=4242, name=python3, Uncontained: SRAM(0), DRAM(1)"
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
    "fabrics": {"a": list(NODES)},
    "terms": {
        "pay_as_you_go": "12",
        "reservation_rate": "4",
        "public_floor": "8",
        "fee": "2/7",
        "notice": "8s",
        "heal_notice": f"{HEAL_NOTICE_S}s",
        "kill": f"{KILL_S}s",
        "turnaround": "0s",
        "start_grace": "10s",
        "release_grace": "10s",
        "clearing_interval": "1s",
        "clearing_pause": "200ms",
        "billing_period": "30s",
        "backoff": "2s",
        "buffer_nodes": 2,
    },
}


class Night:
    """The story, act by act; `logs` are the kernel logs that the agent watches."""

    def __init__(self, stage: Stage, console: Console, folder: Path) -> None:
        self._stage = stage
        self._console = console
        self._logs = folder / "kernel"
        self._folder = folder / "weights"
        self._bad = folder / "bad-gpu"
        self._began = time.monotonic()

    def prepare(self) -> None:
        """The agent's own file: what it watches, and what it may do. Then the pool is opened."""
        self._logs.mkdir()
        for node in NODES:
            (self._logs / node).touch()
        place = self._stage.folder / "data" / "pools" / "parkade"
        place.mkdir(parents=True)
        engine = place / "engine"
        check = f"{sys.executable} -m parkade.repairs.check validate --engine {engine}"
        planted = f"test ! -e {self._bad}-$PARKADE_NODE || {{ echo GPU 0 fails its test; exit 1; }}"
        file = {
            "format": 1,
            "every": "250ms",
            "nodes": {node: {"kernel_log": str(self._logs / node)} for node in NODES},
            "repairs": {
                "reset": "simulated",
                "reboot": "simulated",
                "validate": {"run": ["sh", "-c", f"{planted}; {check}"], "timeout": "60s"},
                "sanitise": "shipped",
            },
        }
        path = place / "mars.yaml"
        path.write_text(yaml.safe_dump(file))
        path.chmod(0o600)
        self._stage.operator.create_pool(POOL)
        self._stage.operator.set_automation(
            SetAutomation(reason="a fabric of five nodes", fabric_share="1/1", fleet_share="1/1")
        )
        self._stage.until(
            "the agent watches",
            lambda: len(self._stage.operator.get_mars().sensors) == len(NODES),
            seconds=60,
        )

    def play(self, owner: Client) -> tuple[Incident, Incident]:
        """Both incidents, when they are over."""
        program = prometheus()
        if program is None:
            self.act("without Prometheus: tools/get-prometheus fetches it")
            return self.play_watched(owner, None)
        logs = {node: self._logs / node for node in NODES}
        watch = Monitoring(program, self._stage.folder / "monitoring", self._stage.url, logs)
        with contextlib.closing(watch):
            self.act("Prometheus watches, with the shipped rules")
            return self.play_watched(owner, watch)

    def play_watched(self, owner: Client, watch: Monitoring | None) -> tuple[Incident, Incident]:
        """The story; in its end Prometheus must have data."""
        owner.create_reservation({"nodes": 3})
        self.act(f"heal notice {HEAL_NOTICE_S} s, kill {KILL_S} s; two nodes are the buffer")
        self.act("acme trains a gang on all three nodes that it reserved")
        training = Training(
            name="gang", nodes=3, gpus=2, steps=500, pace=0.05, seed=4, out=self._folder / "gang"
        )
        spec = training.spec(capacity="reservation/acme", seconds=600)
        gang = owner.submit(spec).workload
        self._stage.until("the gang saved", lambda: self._step(gang) is not None, seconds=60)
        first = self.falls_off_the_bus(gang)
        second = self.bad_gpu(gang)
        self._stage.until(
            "the gang is done", lambda: self._look(gang).phase == "succeeded", seconds=120
        )
        self.act(f"the gang succeeded at step {self._step(gang)}; acme kept its shape")
        if watch is not None:
            self.is_watched(watch)
        return first, second

    def is_watched(self, watch: Monitoring) -> None:
        """Every expression of the shipped rules and dashboards has data, and both alerts fired."""
        until = time.monotonic() + WATCHED_S
        found = watch.answers()
        while found.empty or not set(found.fired) >= ALERTS:
            if time.monotonic() > until:
                raise StageError(f"without data: {found.empty}; fired: {found.fired}")
            time.sleep(BETWEEN_S)
            found = watch.answers()
        self.act(f"Prometheus has data for all {found.asked} expressions of rules and dashboards")
        for alert in found.fired:
            self.act(f"fired: {alert}")

    def falls_off_the_bus(self, gang: str) -> Incident:
        """A fatal fault under the running gang."""
        sick = self._nodes(gang)[0]
        self.act(f"{sick}: Xid 79, the GPU has fallen off the bus")
        written = self._log(sick, XID_79)
        self._resumed(gang, sick, written)
        name = self._incident_of(sick)
        self.act(f"behind it {sick} is rebooted, validated, sanitised: {name}")
        self._closed(name)
        self._loses_no_step(gang, name)
        return self._expect(name, "returned")

    def _loses_no_step(self, gang: str, incident: str) -> None:
        """The program's own words beside what the server had as its last checkpoint."""
        (hurt,) = self._stage.operator.get_incident(incident).hurt
        told: list[str] = []

        def is_told() -> bool:
            told[:] = re.findall(r"resumed from step (\d+)", self._output(gang))
            return bool(told)

        self._stage.until("the gang says where it resumed", is_told, seconds=30)
        if int(told[0]) != hurt.checkpoint_step:
            raise StageError(f"resumed from step {told[0]}, saved was {hurt.checkpoint_step}")
        if self._look(gang).failures:
            raise StageError("a platform's fault counted as the workload's failure")
        self.act(f"the gang resumed from step {told[0]}, its last checkpoint: none is repeated")

    def bad_gpu(self, gang: str) -> Incident:
        """A GPU that no reset helps."""
        sick = self._nodes(gang)[0]
        Path(f"{self._bad}-{sick}").touch()
        self.act(f"{sick}: Xid 95, and a planted bad GPU: its validation will fail")
        written = self._log(sick, XID_95)
        self._resumed(gang, sick, written)
        name = self._incident_of(sick)
        self._closed(name)
        health = {it.node: it.health for it in self._stage.operator.get_mars().sick}
        if health.get(sick) != "retired" or self._look(gang).phase != "running":
            raise StageError(f"{sick} should be retired and the gang run on: {health}")
        nodes = ", ".join(self._nodes(gang))
        self.act(f"{sick} failed twice and is retired; the gang runs on {nodes}")
        return self._expect(name, "retired")

    def act(self, words: str) -> None:
        """One line of the story."""
        self._console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/]  {words}")

    def _log(self, node: str, line: str) -> float:
        """Writes the line as the kernel does, with its stamp; when."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        with (self._logs / node).open("a") as file:
            file.write(f"{stamp} {node} kernel: {line.format(gpu=GPU)}\n")
        return time.monotonic()

    def _resumed(self, gang: str, sick: str, written: float) -> None:
        """Waits until the gang runs without the node, and holds the promise of its time."""
        generation = self._generation(gang)
        self._stage.until(
            "the gang is swapped",
            lambda: (
                self._generation(gang) > generation
                and self._look(gang).phase == "running"
                and sick not in self._nodes(gang)
            ),
            seconds=60,
        )
        took = time.monotonic() - written
        limit = LONGEST_S * (1 if os.environ.get("CI") is None else 3)
        nodes = ", ".join(self._nodes(gang))
        self.act(f"{took:.1f} s from that line until the gang runs, on {nodes}")
        if took > limit:
            raise StageError(f"it took {took:.1f} s; promised are {limit:.0f}")

    def _closed(self, incident: str) -> None:
        self._stage.until(
            f"{incident} is over",
            lambda: self._stage.operator.get_incident(incident).outcome is not None,
            seconds=90,
        )

    def _expect(self, incident: str, outcome: str) -> Incident:
        found = self._stage.operator.get_incident(incident)
        if found.outcome != outcome:
            raise StageError(f"{incident} should have {outcome}, but {found.outcome}")
        return found

    def _incident_of(self, node: str) -> str:
        return self._stage.operator.list_incidents(node).incidents[0].incident

    def _output(self, gang: str) -> str:
        return "".join(
            chunk.decode(errors="replace") for chunk in self._stage.operator.logs(gang, rank=0)
        )

    def _look(self, workload: str) -> Workload:
        return self._stage.operator.get_workload(workload)

    def _step(self, workload: str) -> int | None:
        return self._look(workload).checkpoint_step

    def _nodes(self, workload: str) -> list[str]:
        attempt = self._look(workload).attempt
        return [] if attempt is None else [seat.node for seat in attempt.seats]

    def _generation(self, workload: str) -> int:
        attempt = self._look(workload).attempt
        return attempt.generation if attempt is not None else 0


def play(stage: Stage, console: Console) -> bool:
    """Plays the night. StageError where a claim of the story does not hold."""
    night = Night(stage, console, stage.folder)
    night.prepare()
    for incident in night.play(stage.admit(deposit="50")["acme"]):
        console.print()
        console.print(story_text(incident, width=console.width), markup=False)
        (stage.folder / f"{incident.incident}.html").write_text(story_page(incident))
    return True


if __name__ == "__main__":
    sys.exit(perform(__doc__, "mars", play))
