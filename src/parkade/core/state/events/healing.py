"""Events about sick nodes, their incidents and repairs, turnarounds and buffers."""

from parkade.core.fleet.buffer import BufferPolicy, FabricBuffer
from parkade.core.healing.guards import HoldReason
from parkade.core.healing.incident import (
    Automation,
    BudgetNote,
    Incident,
    IncidentOutcome,
    Next,
    RepairKind,
    RepairOrder,
    RepairReport,
)
from parkade.core.healing.ladder import Repair
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Verdict
from parkade.core.state.events.event import Event


class AboutHealing(Event, frozen=True, kw_only=True):
    """All events about symptoms, incidents and repairs."""


class RepairsKnown(AboutHealing, frozen=True, kw_only=True):
    """What the agent of a pool can be told to do with its nodes."""

    pool: str
    kinds: tuple[RepairKind, ...]


class SurroundingsKnown(AboutHealing, frozen=True, kw_only=True):
    """What the nodes of a pool share, in place of what was known before."""

    pool: str
    nodes: tuple[Surroundings, ...]


class AutomationSet(AboutHealing, frozen=True, kw_only=True):
    """Whether Mars acts by itself, and within which guards. `asks_held`: what a stop
    held is asked again now, and where the budgets are lifted all that is held."""

    automation: Automation
    asks_held: bool = False


class VerdictGiven(AboutHealing, frozen=True, kw_only=True):
    """A sick node, says its pool's agent; `incident`: the open one that it belongs to."""

    node: str
    verdict: Verdict
    incident: str | None


class IncidentOpened(AboutHealing, frozen=True, kw_only=True):
    """A node's incident began; `budgets`: what the guards count for it; `parent`: the rack, switch,
    fabric or driver that is suspected instead, where one is (older journals do not say)."""

    node: str
    incident: Incident
    budgets: tuple[BudgetNote, ...]
    parent: str | None = None


class IncidentHeld(AboutHealing, frozen=True, kw_only=True):
    """The guards were asked again: they still hold it, or (`held` None) let it through. `next` is
    what the incident does then; None leaves what it had: it is still held, or an older journal.
    `parent` as in `IncidentOpened`."""

    node: str
    incident: str
    held: HoldReason | None
    retry_us: int | None
    budgets: tuple[BudgetNote, ...]
    next: Next | None = None
    parent: str | None = None


class IncidentTurned(AboutHealing, frozen=True, kw_only=True):
    """An incident does something else next, and why."""

    node: str
    incident: str
    next: Next
    says: str


class RepairOrdered(AboutHealing, frozen=True, kw_only=True):
    """The agent of the node's pool is told to do this."""

    node: str
    order: RepairOrder


class RepairEnded(AboutHealing, frozen=True, kw_only=True):
    """The agent did it, or could not; `repair` is what the ladder remembers of it, `next` what the
    incident does then (None: it was over already). `kind` is what was ordered; None in older
    journals, which name it in `says` only."""

    node: str
    incident: str
    report: RepairReport
    repair: Repair | None
    next: Next | None
    says: str
    kind: RepairKind | None = None


class IncidentClosed(AboutHealing, frozen=True, kw_only=True):
    """The one end of an incident."""

    node: str
    incident: str
    outcome: IncidentOutcome
    says: str


class TurnaroundOrdered(AboutHealing, frozen=True, kw_only=True):
    """A free node in service is sanitised, as another org may come."""

    node: str
    order: RepairOrder


class TurnaroundEnded(AboutHealing, frozen=True, kw_only=True):
    """That sanitising ended; `took_us` from its order on."""

    node: str
    report: RepairReport
    took_us: int


class NodeSanitised(AboutHealing, frozen=True, kw_only=True):
    """What the last org left is gone: the node is any org's."""

    node: str


class BuffersSized(AboutHealing, frozen=True, kw_only=True):
    """So many nodes of each fabric are held from now on."""

    market: str
    policy: BufferPolicy
    fabrics: tuple[FabricBuffer, ...]


HealingEvent = (
    RepairsKnown
    | AutomationSet
    | VerdictGiven
    | IncidentOpened
    | IncidentHeld
    | IncidentTurned
    | RepairOrdered
    | RepairEnded
    | IncidentClosed
    | TurnaroundOrdered
    | TurnaroundEnded
    | NodeSanitised
    | BuffersSized
    | SurroundingsKnown
)
"""About sick nodes and their repair."""
