"""A parkade with Mars: verdicts of its agent, and an agent whose repairs end as a test says."""

from typing import Any

from msgspec.structs import replace

from parkade.core.fleet.node import Health, Node
from parkade.core.healing.incident import Incident, RepairKind, RepairOrder, RepairReport
from parkade.core.healing.symptom import Evidence, Source
from parkade.core.healing.verdict import Action, Level, Scope, Verdict
from parkade.core.state import commands, events
from parkade.core.units.fraction import Fraction
from tests.core.kernel.story import Parkade

ALL = tuple(RepairKind)
WHOLE = Fraction(numerator=1, denominator=1)


def verdict(node: str, name: str = "v1", **changes: Any) -> Verdict:
    """Xid 79: fatal, reboot; seen in the kernel's log."""
    made = Verdict(
        verdict=f"{node}/{name}",
        supersedes=None,
        node=node,
        device="0000:3b:00",
        scope=Scope.NODE,
        signal="xid/79",
        level=Level.FATAL,
        action=Action.REBOOT,
        reasons=("fell off the bus",),
        count=1,
        jobs=(),
        since_us=1,
        at_us=1,
        sources=(Source.KERNEL_LOG,),
        evidence=(
            Evidence(
                line="NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.",
                source=Source.KERNEL_LOG,
                reporter=node,
                parser="test/1",
                at_us=1,
            ),
        ),
        policy="test 1",
    )
    return replace(made, **changes)


DEGRADED: dict[str, Any] = {"level": Level.DEGRADED, "action": Action.DRAIN_AND_RESET}
AT_IDLE: dict[str, Any] = {"level": Level.DEGRADED, "action": Action.RESET_AT_IDLE}


class Sick(Parkade):
    """See the module; budgets are a whole fabric unless a test says otherwise. `turns`: what is
    ordered between two orgs is done at once, as long as a test does not say otherwise."""

    def __init__(
        self,
        *,
        kinds: tuple[RepairKind, ...] = ALL,
        limited: bool = False,
        turns: bool = True,
        **rest: Any,
    ):
        self.turns = turns
        super().__init__(**rest)
        if kinds:
            self.do(commands.ReportRepairKinds(by=None, pool="pool", kinds=kinds))
        if not limited:
            self.do(commands.SetAutomation(by=None, reason="test", is_limited=False))

    def tick(self, seconds: float = 0) -> None:
        """Time passes; what is ordered between two orgs ends well."""
        super().tick(seconds)
        while self.turns and (nodes := self.turning()):
            self.turned(nodes[0])

    def turning(self) -> list[str]:
        """Nodes that are sanitised between two orgs now."""
        turnarounds = self.world.records.turnarounds.values()
        return [it.node for it in turnarounds if it.order is not None]

    def turned(self, node: str, *, is_done: bool = True, says: str = "") -> None:
        """The sanitising of a node between two orgs ends."""
        order = self.world.records.turnarounds[node].order
        assert order is not None, f"{node} is not sanitised now"
        self._told(order, is_done=is_done, says=says)

    def verdict(self, node: str, name: str = "v1", **changes: Any) -> tuple[events.AnyEvent, ...]:
        """The agent reports one."""
        changes.setdefault("at_us", self.now_us)
        command = commands.ReportVerdict(
            by=None, pool="pool", verdict=verdict(node, name, **changes)
        )
        return self.do(command)

    def node(self, name: str) -> Node:
        """Its record."""
        return self.world.records.nodes[name]

    def health(self, name: str) -> Health:
        """Where it is in its life."""
        return self.node(name).health

    def incident(self, number: int = 1) -> Incident:
        """By its number."""
        return self.world.records.incidents[f"incident-{number}"]

    def order(self, node: str) -> RepairOrder:
        """The order that is under way; fails the test where none is."""
        incident = self.world.open_incident(node)
        assert incident is not None and incident.order is not None, f"no order on {node}"
        return incident.order

    def repaired(self, node: str, *, is_done: bool = True, says: str = "") -> RepairKind:
        """The order under way ends; its kind."""
        order = self.order(node)
        self._told(order, is_done=is_done, says=says)
        return order.kind

    def _told(self, order: RepairOrder, *, is_done: bool, says: str) -> None:
        report = RepairReport(
            order=order.order,
            node=order.node,
            is_done=is_done,
            exit_code=0 if is_done else 1,
            says=says,
            began_us=self.now_us,
            ended_us=self.now_us,
        )
        pool = self.node(order.node).pool
        self.do(commands.ReportRepair(by=None, pool=pool, report=report))

    def healed(self, node: str) -> list[RepairKind]:
        """Every order ends well until the incident is over; what was ordered."""
        ordered = []
        while self.world.open_incident(node) is not None:
            ordered.append(self.repaired(node))
        return ordered

    def way(self, node: str) -> list[str]:
        """Every state that the node was set to, in order."""
        return [
            event.health.value
            for event in self.journal
            if isinstance(event, events.NodeHealthSet) and event.node == node
        ]
