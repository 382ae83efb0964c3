"""How long it takes to take many sick nodes out at once, and what a verdict costs on its way.

python benchmarks/run.py --only mars_quarantine

*Quarantine*: 750 of 1,500 nodes get a fatal verdict in one report, with the breaker lifted, while
gangs of eight nodes run on half of them. Counted from the report until every sick node is out of
play in the journal on disk; and until the next clearing has seated the gangs anew.

*Pipeline*: symptoms, judged with the shipped policy; their verdicts decided and committed. Once by
the clock on the wall, which also counts the disk and whoever else uses the processor; once by the
processor's time of this process, which is what "on one core" means on a shared machine.
"""

import contextlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec.structs import replace

from benchmarks.figures import Figure, Kind
from benchmarks.mars_judge import symptoms
from parkade.control.cycle import Asked
from parkade.control.health_intake import HealthIntake
from parkade.control.rules import RULES
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Dependencies, Writer
from parkade.core.healing.judge import judge
from parkade.core.healing.memory import empty_memory
from parkade.core.healing.verdict import Verdict
from parkade.core.state import commands
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.observed import EnginePhase
from parkade.mars.policy_file import shipped_policy
from parkade.ports import HealthReport
from parkade.store import open_sqlite
from tests import builders
from tests.clocks import HandClock
from tests.core.repairing.sick import verdict

NODES, PER_FABRIC, GANG = 1_500, 100, 8


class Fleet:
    """A writer over a journal on disk, driven turn by turn, with gangs on every node."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.clock = HandClock()
        self.store = open_sqlite(folder / "journal.sqlite3")
        dependencies = Dependencies(
            store=self.store,
            clock=self.clock,
            rules=RULES,
            on_fatal=_raise,
            crash_point=lambda _: None,
            leadership=builders.Leading(),
        )
        self.writer = Writer(dependencies, PlaneSettings())
        fabrics = {f"f{number}x": PER_FABRIC for number in range(nodes // PER_FABRIC)}
        self.ask(
            builders.open_pool("pool", fabrics),
            commands.CreateOrg(by=None, org="lab"),
            builders.create_user("ann", "lab"),
            commands.Deposit(by=None, org="lab", micros=10**15),
            commands.SetAutomation(by=None, reason="a drill", is_limited=False),
        )
        state = self.writer.outbox.state("pool")
        assert state is not None
        self.nodes = state.nodes
        self.ask(
            *(
                builders.submit("lab", by="ann", nodes=GANG, gpus=4, limit_price_micros=9_000_000)
                for _ in range(nodes // GANG // 2)
            )
        )
        self.settle()
        self.start()

    def ask(self, *asked: commands.AnyCommand) -> None:
        """Commands in one turn."""
        turn = self.writer.turn(tuple(Asked(command=command) for command in asked))
        refused = [it for it in turn.outcomes if isinstance(it, Refusal)]
        assert not refused, refused[:3]

    def settle(self) -> None:
        """A clearing, and what follows from it."""
        for _ in range(4):
            self.clock.pass_us(1_000_000)
            self.writer.turn()

    def start(self) -> None:
        """The engine reports that everything runs."""
        state = self.writer.outbox.state("pool")
        assert state is not None
        seen = tuple(
            builders.observed(
                it.attempt,
                generation=it.generation,
                ordered_us=it.ordered_us,
                started_us=self.clock.now_us(),
                phase=EnginePhase.RUNNING,
            )
            for it in state.attempts
        )
        self.ask(commands.ReportAttempts(by=None, pool="pool", attempts=seen))

    @property
    def names(self) -> frozenset[str]:
        """Of its nodes."""
        return frozenset(it.node for it in self.nodes)

    def report(self, *verdicts: Verdict) -> HealthReport:
        """An agent's report."""
        return HealthReport(
            pool="pool", at_us=self.clock.now_us(), verdicts=verdicts, repairs=(), kinds=()
        )


def _raise(error: BaseException) -> None:
    raise error


def quarantine(nodes: int) -> tuple[float, float]:
    """Seconds until half of the nodes are out of play, and until the clearing after that."""
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder), nodes)
        with contextlib.closing(fleet.store):
            now_us = fleet.clock.now_us()
            sick = [verdict(it.node, at_us=now_us) for it in fleet.nodes[: nodes // 2]]
            report = fleet.report(*sick)
            intake = HealthIntake()
            began = time.perf_counter()
            fleet.ask(*intake.take(report, nodes=fleet.names, steady_us=0))
            out = time.perf_counter() - began
            fleet.settle()
            swapped = time.perf_counter() - began
            down = sum(it.down for it in fleet.writer.healing.figures.buffers)
            assert down == nodes // 2, f"{down} nodes are out"
            return out, swapped


def pipeline(count: int) -> tuple[float, float]:
    """Symptoms a second of the wall and of the processor, through judge, intake, decision and the
    journal on disk."""
    policy = shipped_policy()
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder), NODES)
        with contextlib.closing(fleet.store):
            stream = symptoms(count, nodes=NODES, per_second=5_000, seed=1)
            names = {f"n{number}": it.node for number, it in enumerate(fleet.nodes)}
            memories = {name: empty_memory(name) for name in names}
            intake, base_us = HealthIntake(), fleet.clock.now_us()
            waiting: list[Verdict] = []
            began, began_cpu = time.perf_counter(), time.process_time()
            for number, symptom in enumerate(stream, 1):
                memory, verdicts = judge(
                    memories[symptom.node], symptom, symptom.at_us, policy=policy
                )
                memories[symptom.node] = memory
                waiting += [_moved(it, names[it.node], base_us) for it in verdicts]
                if number % 2_500 == 0:
                    report = fleet.report(*waiting)
                    commands_ = intake.take(report, nodes=fleet.names, steady_us=symptom.at_us)
                    fleet.ask(*commands_)
                    waiting.clear()
            spent, spent_cpu = time.perf_counter() - began, time.process_time() - began_cpu
            return count / spent, count / spent_cpu


def _moved(found: Verdict, node: str, base_us: int) -> Verdict:
    return replace(found, node=node, at_us=base_us)


def figures(*, quick: bool) -> list[Figure]:
    """Both."""
    nodes, count, repeat = (200, 2_500, 1) if quick else (NODES, 25_000, 3)
    found = [quarantine(nodes) for _ in range(repeat)]
    judged = [pipeline(count) for _ in range(repeat)]
    half = nodes // 2
    return [
        Figure(
            name="mars_quarantine.all_out_s",
            kind=Kind.DURABLE,
            unit="s",
            values=tuple(out for out, _ in found),
            what=f"{half} of {nodes:,} nodes out of play, on disk",
        ),
        Figure(
            name="mars_quarantine.swapped_s",
            kind=Kind.DURABLE,
            unit="s",
            values=tuple(swapped for _, swapped in found),
            what="and their gangs seated elsewhere as far as there is room",
        ),
        Figure(
            name="mars_quarantine.symptoms_per_s",
            kind=Kind.DURABLE,
            unit="1/s",
            values=tuple(wall for wall, _ in judged),
            what="symptoms judged, their verdicts decided and committed, one thread",
        ),
        Figure(
            name="mars_quarantine.symptoms_per_cpu_s",
            kind=Kind.DURABLE,
            unit="1/s",
            values=tuple(cpu for _, cpu in judged),
            what="the same for each second of the processor",
        ),
    ]
