"""What the auditor of Mars notes of a node and of its open incident: see `mars`."""

from dataclasses import dataclass, field

from parkade.core.fleet.node import MARS, Health
from parkade.core.healing.incident import Next, RepairOrder


@dataclass(kw_only=True)
class Book:
    """One open incident."""

    incident: str
    is_held: bool
    retry_us: int | None
    next: Next
    changed_us: int
    order: RepairOrder | None = None


@dataclass(kw_only=True)
class NodeBook:
    """A node as its events tell it. `passed_us`: when the validation was ordered that passed since
    it left service; `fatal_us`: its last fatal fault."""

    pool: str
    market: str
    health: Health
    cordons: set[str] = field(default_factory=set)
    open: Book | None = None
    passed_us: int | None = None
    fatal_us: int = -1
    orgs: set[str] = field(default_factory=set)
    """Those that sat there since it was last clean."""

    holders: set[str] = field(default_factory=set)
    cleaned_us: int = -1
    """When a sanitising was last told to have passed."""

    turning: str | None = None
    """The order between two orgs that is under way."""

    @property
    def is_in_service(self) -> bool:
        """Whether work may sit there: see `mars`."""
        return self.health is Health.HEALTHY and MARS not in self.cordons

    @property
    def is_a_persons(self) -> bool:
        """Whether another than Mars cordons it."""
        return any(holder != MARS for holder in self.cordons)
