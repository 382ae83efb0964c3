"""Steps of incidents that several domains take: begun by a person, ended because a person acts."""

from parkade.core.fleet.node import Node
from parkade.core.healing.incident import Incident, IncidentOutcome, Next, RepairKind
from parkade.core.healing.verdict import Action, Level
from parkade.core.state import events
from parkade.core.state.world import World

ASKED = "asked for by a person"


def next_incident(world: World, ahead: int = 0) -> str:
    """The name of the next incident, `ahead` others before it; it counts all that were opened."""
    return f"incident-{world.records.counters.get('incident', 0) + 1 + ahead}"


def can(world: World, node: Node, kind: RepairKind) -> bool:
    """Whether the agent of the node's pool can do this."""
    return kind in world.records.repair_kinds.get(node.pool, ())


def validation(world: World, node: Node, now_us: int, *, ahead: int = 0) -> Incident:
    """An incident with which a person has a node validated before it comes or returns."""
    assert world.open_incident(node.node) is None, "a node has one open incident"
    return Incident(
        incident=next_incident(world, ahead),
        node=node.node,
        pool=node.pool,
        market=node.market,
        fabric=node.fabric,
        opened_us=now_us,
        level=Level.INFO,
        action=Action.DIAGNOSE,
        device=None,
        signal=ASKED,
        next=Next.VALIDATE,
        changed_us=now_us,
    )


def closing(
    world: World, node: str, outcome: IncidentOutcome, says: str, at_us: int
) -> tuple[events.IncidentClosed, ...]:
    """The end of a node's open incident, if it has one."""
    incident = world.open_incident(node)
    if incident is None:
        return ()
    return (
        events.IncidentClosed(
            at_us=at_us, node=node, incident=incident.incident, outcome=outcome, says=says
        ),
    )
