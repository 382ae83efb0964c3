"""Fault storms over two pools with tenants that change: what Mars and the market promise holds.

A storm is a seed. It has one of four shapes (a rack that loses power, a driver that is rolled out,
an agent that lies about all of its nodes, links that flap) beside single faults, tenants that come
and go, and repairs and sanitisings of which some fail. After it a person goes through what is left,
so that every incident must have ended. All is told from the journal.
"""

import random
from collections import Counter

import pytest

from parkade.core.fleet.node import MARS, Health
from parkade.core.healing.incident import Next
from parkade.core.healing.symptom import Source
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Action, Level
from parkade.core.kernel.decide import decide
from parkade.core.state import commands, events
from parkade.core.state.codec import encode_snapshot
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.life import Phase
from tests import builders
from tests.core.repairing.sick import ALL, Sick, verdict
from tests.core.repairing.test_storms import unvalidated
from tests.core.repairing.test_turnarounds import tenants

SHAPES = ("rack", "driver", "liar", "links")
PER_FABRIC = 6
BUDGET = 2
"""Nodes that the budgets let through within an hour: one of each pool's twelve."""
PROBES = 2
"""Nodes more that each breaker lets through within an hour while it is half-open."""


class Storm:
    """See the module; `pool` is honest, `second` may lie."""

    def __init__(self, seed: int, shape: str) -> None:
        self.random = random.Random(seed)
        self.shape = shape
        self.it = Sick(
            fabrics={"a": PER_FABRIC, "b": PER_FABRIC}, buffer_nodes=1, limited=True, turns=False
        )
        more = {"c": PER_FABRIC, "d": PER_FABRIC}
        self.it.do(builders.open_pool("second", more, market="pool", opens=None))
        self.it.do(commands.ReportReachability(by=None, pool="second", is_reachable=True))
        self.it.do(commands.ReportRepairKinds(by=None, pool="second", kinds=ALL))
        self.names = list(self.it.world.records.nodes)
        for pool in ("pool", "second"):
            self.it.do(
                commands.ReportSurroundings(
                    by=None,
                    pool=pool,
                    nodes=tuple(
                        Surroundings(node=node, rack=f"r{node[1:]}", driver="570.1")
                        for node in self.names
                        if self.pool_of(node) == pool
                    ),
                )
            )
        self.it.reserve("owner", 3)
        self.it.lend("owner", 5)
        self.it.on_reservation("owner", "owner", nodes=2)
        self.count = 0

    def pool_of(self, node: str) -> str:
        """The pool of a node."""
        return self.it.world.records.nodes[node].pool

    def play(self, steps: int) -> None:
        """So many things happen, then everything is cleaned up."""
        deeds = (self.storm, self.fault, self.tenant, self.tenant, self.done, self.answer)
        for _ in range(steps):
            self.random.choice(deeds)()
            self.it.run(self.random.choice((1, 30, 700)))
        self.clean_up()

    def storm(self) -> None:
        """Many at once, in the shape of this storm."""
        match self.shape:
            case "rack":
                rack = self.random.randint(1, PER_FABRIC)
                sick = [node for node in self.names if node[1:] == str(rack)]
                self.tell(sick, "xid/79", Action.REBOOT, Level.FATAL)
            case "driver":
                sick = self.random.sample(self.names, 10)
                self.tell(sick, "xid/119", Action.RESET_GPU, Level.FATAL)
            case "liar":
                sick = [node for node in self.names if self.pool_of(node) == "second"]
                self.tell(sick, "xid/79", Action.REBOOT, Level.FATAL)
            case _:
                for _ in range(3):
                    sick = self.random.sample(self.names, 6)
                    action, source = Action.INSPECT, Source.INFINIBAND
                    self.tell(sick, "link_flapping", action, Level.DEGRADED, source)
                    self.it.run(20)

    def tell(
        self,
        nodes: list[str],
        signal: str,
        action: Action,
        level: Level,
        source: Source = Source.KERNEL_LOG,
    ) -> None:
        """Each node's agent tells of it."""
        for node in nodes:
            self.count += 1
            told = verdict(
                node,
                f"v{self.count}",
                signal=signal,
                action=action,
                level=level,
                sources=(source,),
                at_us=self.it.now_us,
            )
            command = commands.ReportVerdict(by=None, pool=self.pool_of(node), verdict=told)
            self.it.do(command)

    def fault(self) -> None:
        """One node."""
        source = self.random.choice((Source.KERNEL_LOG, Source.NVML))
        level = self.random.choice((Level.DEGRADED, Level.FATAL))
        self.tell([self.random.choice(self.names)], "xid/95", Action.RESET_GPU, level, source)

    def tenant(self) -> None:
        """One of few orgs bids."""
        org = self.random.choice(("lab", "acme", "studio"))
        self.it.bid(org, 9 + self.random.randint(0, 9), nodes=self.random.randint(1, 3))

    def done(self) -> None:
        """A workload ends by itself."""
        running = [name for name in self.it.world.live if self.it.phase(name) is Phase.RUNNING]
        if running:
            self.it.ended(self.random.choice(running))

    def answer(self, chance: float = 0.8) -> None:
        """What was ordered ends, mostly well."""
        for node in self.it.turning():
            self.it.turned(node, is_done=self.random.random() < chance)
        for incident in list(self.it.world.records.incidents.values()):
            if incident.order is not None and incident.outcome is None:
                self.it.repaired(incident.node, is_done=self.random.random() < chance)

    def clean_up(self) -> None:
        """Days pass, everything ordered is done; a person restores what waits for one."""
        for _ in range(30):
            self.answer(chance=1.0)
            self.it.run(60)
        for _ in range(2):
            self.it.do(commands.SetAutomation(by=None, reason="over", is_limited=False))
            for node in self.names:
                incident = self.it.world.open_incident(node)
                if incident is not None and incident.next is Next.PERSON:
                    asked = commands.RestoreNode(by=None, node=node)
                    if not isinstance(decide(self.it.world, asked, self.it.now_us), Refusal):
                        self.it.do(asked)
            for name in list(self.it.world.live):
                if self.it.phase(name) is Phase.RUNNING:
                    self.it.ended(name)
            for _ in range(8):
                self.answer(chance=1.0)
                self.it.run(60)


def many_at_once(journal: list[events.AnyEvent]) -> int:
    """The most nodes that Mars took out of service within an hour while budgets held."""
    taken: list[int] = []
    for event in journal:
        match event:
            case events.AutomationSet(automation=automation) if not automation.is_limited:
                break
            case events.NodeCordoned(cordon=cordon, at_us=at_us) if cordon.holder == MARS:
                taken.append(at_us)
            case _:
                pass
    return max((sum(at <= it < at + HOUR_US for it in taken) for at in taken), default=0)


def check(storm: Storm) -> None:
    """Every promise, from the journal alone."""
    it, journal = storm.it, storm.it.journal
    assert list(unvalidated(journal)) == [], "nothing returns to service unvalidated"
    bad, _ = tenants(journal)
    assert bad == [], "no tenant changes unsanitised"
    assert many_at_once(journal) <= BUDGET + 2 * PROBES, "no false mass cordon"
    closed = Counter(e.incident for e in journal if isinstance(e, events.IncidentClosed))
    opened = {e.incident.incident for e in journal if isinstance(e, events.IncidentOpened)}
    assert set(closed.values()) <= {1} and set(closed) == opened, "every incident ends once"
    health: dict[str, Health] = {}
    for event in journal:
        match event:
            case events.NodeHealthSet(node=node, health=state):
                health[node] = state
            case events.VerdictGiven(node=node, verdict=given, incident=name):
                is_watched = health.get(node) not in (Health.FAILED, Health.RETIRED)
                if given.level is Level.FATAL and is_watched:
                    assert name in closed, f"a fatal fault of {node} has no end"
            case _:
                pass
    assert it.replayed() == encode_snapshot(it.world)


CASES = [
    *(("rack", 1, 8), ("driver", 2, 8), ("liar", 3, 8), ("links", 4, 8)),
    *(
        pytest.param(shape, seed, 16, marks=pytest.mark.slow)
        for shape in SHAPES
        for seed in range(10, 35)
    ),
]


@pytest.mark.parametrize(("shape", "seed", "steps"), CASES)
def test_in_a_fault_storm_every_promise_holds(shape: str, seed: int, steps: int) -> None:
    storm = Storm(seed, shape)
    storm.play(steps)
    check(storm)
