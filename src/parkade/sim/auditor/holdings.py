"""The books of the auditor of seats: a node, a demand, and what a demand holds, as events tell."""

from dataclasses import dataclass, field

from parkade.core.fleet.node import Health
from parkade.core.fleet.seat import Seat
from parkade.core.workloads.workload import Stop


@dataclass(kw_only=True)
class NodeBook:
    """A node as its events tell it."""

    market: str
    pool: str
    gpus: int
    health: Health
    cordons: dict[str, str | None] = field(default_factory=dict)
    """Holders, and the user that set each."""

    is_draining: bool = False
    last_org: str | None = None
    vacated_us: int = 0

    @property
    def is_well(self) -> bool:
        """Whether newcomers may sit here, as far as the node itself goes."""
        return self.health is Health.HEALTHY and not self.cordons and not self.is_draining


@dataclass(kw_only=True)
class Held:
    """Seats that a workload or claim has."""

    seats: tuple[Seat, ...]
    attempt: str = ""
    stop: Stop | None = None
    is_broken: bool = False


@dataclass(kw_only=True)
class DemandBook:
    """A workload or claim."""

    org: str
    market: str
    nodes: int
    most_nodes: int = 0
    """0: it has `nodes`, neither more nor fewer."""

    limit_micros: int | None = None
    is_on_demand: bool = False
    is_spread: bool = True
    generation: int = 0
    is_retried: bool = False
    """A member of an array that waits again: its attempts may skip numbers, and repeat none."""

    started_us: int | None = None
    """When its attempt began; None where none runs."""

    failures: int = 0
    preemptions: int = 0
    not_before_us: int = 0
    is_over: bool = False
