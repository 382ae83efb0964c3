"""How fast symptoms are read and judged: per core, with the shipped policy and a whole watch.

python benchmarks/run.py --only mars
"""

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.figures import Figure, Kind
from parkade.core.healing.guards import GuardLimits
from parkade.core.healing.parents import ParentLimits
from parkade.core.healing.symptom import (
    ConditionFact,
    Evidence,
    Fact,
    NodeCondition,
    Source,
    Symptom,
    XidFact,
)
from parkade.core.healing.topology import NodePlace
from parkade.core.healing.watch import FleetWatch, WatchSettings
from parkade.core.units.time import SECOND_US
from parkade.mars.policy_file import shipped_policy
from parkade.sensors.kernel_log.reading import read, symptom_of

NODES, GPUS = 1_500, 8
STEADY_PER_NODE_S = 0.03
CODES = (13, 31, 43, 45, 48, 63, 74, 79, 94, 95, 109, 119, 120, 145)
LINES = (
    "[171167.620236] NVRM: Xid (PCI:0000:3b:00): 31, pid=4242, name=python3, Ch 00000008",
    (
        "[171167.620236] NVRM: Xid (PCI:0009:01:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 01"
        " (0x021425c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)"
    ),
    "[171167.7] INFO: task jfsmount:136986 blocked for more than 120 seconds.",
    "[171167.8] usb 1-1: new high-speed USB device number 2 using xhci_hcd",
    '[171167.9] audit: type=1400 audit(1700000000.1:42): apparmor="DENIED" operation="open"',
)


def watch(nodes: int, *, reports_per_minute: int = 600) -> FleetWatch:
    """A fleet with the shipped policy that acts."""
    places = tuple(
        NodePlace(node=f"n{n}", fabric=f"f{n // 64}", rack=f"r{n // 8}", switch=None, driver="570")
        for n in range(nodes)
    )
    settings = WatchSettings(
        policy=shipped_policy(),
        guards=GuardLimits(reports_per_minute=reports_per_minute),
        parents=ParentLimits(),
        acts=True,
        defers=False,
    )
    return FleetWatch(places, settings)


def symptoms(count: int, *, nodes: int, per_second: float, seed: int) -> list[Symptom]:
    """A mix of codes and readings on random devices, at random instants of one rate."""
    chance = random.Random(seed)
    now, found = 0.0, []
    for _ in range(count):
        now += chance.expovariate(per_second)
        node = f"n{chance.randrange(nodes)}"
        fact: Fact
        if chance.random() < 0.8:
            code = chance.choice(CODES)
            fact = XidFact(code=code, process_id=None, process=None, place=None)
        else:
            fact = ConditionFact(condition=chance.choice(list(NodeCondition)), amount=None)
        found.append(
            Symptom(
                node=node,
                device=f"0000:{chance.randrange(GPUS):02x}:00",
                fact=fact,
                job=chance.choice((None, "a", "b", "c")),
                evidence=Evidence(
                    line=LINES[0],
                    source=Source.KERNEL_LOG,
                    reporter=node,
                    parser="benchmark",
                    at_us=round(now * SECOND_US),
                ),
            )
        )
    return found


def run(fleet: FleetWatch, stream: list[Symptom]) -> list[float]:
    """Plays a stream; microseconds of each symptom, its tick included."""
    spent = []
    for each in stream:
        before = time.perf_counter()
        fleet.tick(each.at_us)
        fleet.observe(each, each.at_us)
        spent.append((time.perf_counter() - before) * 1e6)
    return spent


def _run_into(spent: list[float], fleet: FleetWatch, stream: list[Symptom]) -> None:
    spent += run(fleet, stream)


def figures(*, quick: bool) -> list[Figure]:
    """Throughput for each second of the processor, latency, steady cost, and the cost of lines."""
    count = 500 if quick else 50_000
    repeat = 1 if quick else 3
    storm, tail, lone = [], [], []
    for seed in range(repeat):
        stream = symptoms(count, nodes=NODES, per_second=5_000, seed=seed)
        fleet, spent = watch(NODES), list[float]()
        storm.append(count / _cpu_seconds(partial(_run_into, spent, fleet, stream)))
        tail.append(sorted(spent)[int(len(spent) * 0.99)])
        few = symptoms(count, nodes=8, per_second=5_000, seed=seed)
        small = watch(8, reports_per_minute=100_000)
        lone.append(count / _cpu_seconds(partial(_run_into, [], small, few)))
    return [
        _figure("mars.judged_per_s", "1/s", storm, f"{NODES:,} nodes, 5,000 symptoms a second"),
        _figure(
            "mars.judged_per_s_8_nodes", "1/s", lone, "the same on 8 nodes, each with many tracks"
        ),
        _figure("mars.decision_p99", "us", tail, "one symptom and the windows that close, 99 %"),
        _figure("mars.steady_core_share", "%", _steady(quick, repeat), "1,500 nodes, 0.03/s each"),
        _figure(
            "mars.lines_per_s", "1/s", _lines(quick, repeat), "kernel lines read, 2 of 5 ordinary"
        ),
    ]


def _steady(quick: bool, repeat: int) -> list[float]:
    """Share of one core that a fleet's steady events cost, lines read included."""
    seconds = 20 if quick else 600
    rate = NODES * STEADY_PER_NODE_S
    shares = []
    for seed in range(repeat):
        stream = symptoms(round(rate * seconds), nodes=NODES, per_second=rate, seed=seed)
        fleet = watch(NODES)

        def play(fleet: FleetWatch = fleet, stream: list[Symptom] = stream) -> None:
            for each in stream:
                read(LINES[0])
                fleet.tick(each.at_us)
                fleet.observe(each, each.at_us)

        shares.append(_cpu_seconds(play) / seconds * 100)
    return shares


def _lines(quick: bool, repeat: int) -> list[float]:
    count = 1_000 if quick else 100_000

    def play() -> None:
        for number in range(count):
            line = LINES[number % len(LINES)]
            symptom_of(read(line), line, node="n1", reporter="n1", at_us=number)

    return [count / _cpu_seconds(play) for _ in range(repeat)]


def _cpu_seconds(work: Callable[[], None]) -> float:
    before = time.process_time()
    work()
    return max(time.process_time() - before, 1e-9)


def _figure(name: str, unit: str, values: list[float], what: str) -> Figure:
    return Figure(name=name, kind=Kind.DECISION, unit=unit, values=tuple(values), what=what)
