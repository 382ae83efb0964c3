"""Commands about sick nodes: what agents find and repair, and whether Mars acts by itself."""

from parkade.core.healing.incident import RepairKind, RepairReport
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Verdict
from parkade.core.state.commands.command import Command
from parkade.core.units.fraction import Fraction


class AboutHealing(Command, frozen=True, kw_only=True):
    """All commands about symptoms, repairs and automation."""


class ReportVerdict(AboutHealing, frozen=True, kw_only=True):
    """A sick node of its own pool, says an agent."""

    pool: str
    verdict: Verdict


class ReportRepair(AboutHealing, frozen=True, kw_only=True):
    """How an order ended, says the agent that carried it out."""

    pool: str
    report: RepairReport


class ReportRepairKinds(AboutHealing, frozen=True, kw_only=True):
    """What an agent can be told to do with its nodes."""

    pool: str
    kinds: tuple[RepairKind, ...]


class ReportSurroundings(AboutHealing, frozen=True, kw_only=True):
    """Which racks, switches and drivers the nodes of a pool share, says its agent: all of them."""

    pool: str
    nodes: tuple[Surroundings, ...]


class SetAutomation(AboutHealing, frozen=True, kw_only=True):
    """Stop or start all automatic action, or change its budgets; None leaves it as it is. A share
    is of the nodes, within an hour."""

    reason: str
    is_on: bool | None = None
    is_limited: bool | None = None
    fabric_share: Fraction | None = None
    fleet_share: Fraction | None = None


HealingCommand = (
    ReportVerdict | ReportRepair | ReportRepairKinds | ReportSurroundings | SetAutomation
)
"""About sick nodes and their repair."""
