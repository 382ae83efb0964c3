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
    def is_in_play(self) -> bool:
        """Whether its health lets work stay."""
        return self.health in (Health.HEALTHY, Health.SUSPECT)

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

    leaving: dict[str, Stop] = field(default_factory=dict)
    """Of a live attempt, by node, the notice of a rank that leaves alone."""

    ranks: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of a live attempt, by node, the number of its rank and the count with which it came."""

    can_resize: bool = True
    """Of live work: whether its engine changes it while it runs."""

    waits_us: dict[str, int] = field(default_factory=dict)
    """Of a live attempt, by node, when a rank joined that was not seen to have begun."""

    resizes: int = 0

    @property
    def kept(self) -> tuple[Seat, ...]:
        """Those that were not told to leave alone."""
        return tuple(it for it in self.seats if it.node not in self.leaving)

    min_runtime_us: int | None = None
    """So long after its start no bid takes them; None: any higher one does."""

    agreed_micros: int = 0
    """The most that one of its nodes cost when it was launched, micro-units per GPU-hour."""

    def is_protected(self, demand: "DemandBook", at_us: int) -> bool:
        """Whether no bid takes its seats now, as far as its nodes are well."""
        if self.min_runtime_us is None or demand.started_us is None or self.is_broken:
            return False
        is_at_its_price = (demand.limit_micros or 0) >= self.agreed_micros
        return is_at_its_price and at_us < demand.started_us + self.min_runtime_us


@dataclass(kw_only=True)
class DemandBook:
    """A workload or claim."""

    org: str
    market: str
    nodes: int
    most_nodes: int = 0
    """0: it has `nodes`, neither more nor fewer."""

    is_live: bool = False
    limit_micros: int | None = None
    limits: dict[str, int] = field(default_factory=dict)
    """By market, of a bid that names several; `limit_micros` is that of `market`."""

    spot_limit_micros: int | None = None
    """Of a list of capacity, the limit while it asks for spot."""

    is_on_demand: bool = False
    is_spread: bool = True
    generation: int = 0
    started_us: int | None = None
    """When its attempt began; None where none runs."""

    failures: int = 0
    preemptions: int = 0
    not_before_us: int = 0
    is_over: bool = False
    awaits_protected: frozenset[str] = frozenset()
    """Markets in which it lost its last clearing to protected seats."""

    follows_protected: bool = False
    """Whether its last promise was given while a bid before it waited for protected room."""

    def limit_in(self, market: str) -> int | None:
        """The most that it pays there."""
        return self.limits.get(market, self.limit_micros)

    def rebid(self, limit_micros: int, market: str | None) -> None:
        """Another limit in a market; None: it bids in one."""
        if market is not None:
            self.limits[market] = limit_micros
        if market in (None, self.market):
            is_later = self.spot_limit_micros is not None and self.limit_micros is None
            self.limit_micros = None if is_later else limit_micros
            self.spot_limit_micros = limit_micros

    def settle(self, market: str | None) -> None:
        """It has no attempt: it is where it is promised seats, or in the first of its list."""
        if self.limits:
            self.market = next(iter(self.limits)) if market is None else market
            self.limit_micros = self.limits[self.market]
