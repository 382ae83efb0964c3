"""What is seen of a pool: its attempts, its fence, jobs of others, and whether it is heard."""

from parkade.core.fleet.pool import TakenNode
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.state.commands.command import Command
from parkade.core.workloads.observed import ObservedAttempt


class AboutReports(Command, frozen=True, kw_only=True):
    """All commands about what agents saw."""


class ReportAttempts(AboutReports, frozen=True, kw_only=True):
    """What an agent sees of its whole pool; incomplete reports are not passed on."""

    pool: str
    attempts: tuple[ObservedAttempt, ...]


class ReportReachability(AboutReports, frozen=True, kw_only=True):
    """An agent was not heard for a while, or is heard again. `resizes_live`: it says whether its
    engine starts and ends single ranks of what runs; None: it says nothing of that."""

    pool: str
    is_reachable: bool
    resizes_live: bool | None = None


class ReportFence(AboutReports, frozen=True, kw_only=True):
    """Whether the fence that an operator asked for stands, says the agent."""

    pool: str
    stands: bool


class ReportOwnerJobs(AboutReports, frozen=True, kw_only=True):
    """All jobs of owners in the queue of a pool's engine, says its agent: claims follow them."""

    pool: str
    jobs: tuple[OwnerJob, ...]


class ReportTakenNodes(AboutReports, frozen=True, kw_only=True):
    """All nodes of a pool that jobs of others hold, says its agent."""

    pool: str
    nodes: tuple[TakenNode, ...]


ReportCommand = (
    ReportAttempts | ReportReachability | ReportFence | ReportOwnerJobs | ReportTakenNodes
)
"""What is seen of a pool."""
