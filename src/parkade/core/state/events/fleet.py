"""Events about pools, nodes, and the terms and prices of markets."""

from parkade.core.fleet.market import AnnouncedTerms, Market, MarketTerms
from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.fleet.pool import Fence, Pool
from parkade.core.state.events.event import Event


class AboutFleet(Event, frozen=True, kw_only=True):
    """All events about pools, markets' terms and nodes."""


class PoolOpened(AboutFleet, frozen=True, kw_only=True):
    """A pool with its first nodes, and the market that is opened with it, if one is."""

    pool: Pool
    market: Market | None
    nodes: tuple[Node, ...]


class NodesAdded(AboutFleet, frozen=True, kw_only=True):
    """More nodes of a pool, and the market that is opened with them, if one is."""

    pool: str
    market: Market | None
    nodes: tuple[Node, ...]


class NodeDraining(AboutFleet, frozen=True, kw_only=True):
    """The node takes no new work and is being emptied."""

    node: str
    reason: str


class NodeUndrained(AboutFleet, frozen=True, kw_only=True):
    """The node takes work again."""

    node: str


class NodeRemoved(AboutFleet, frozen=True, kw_only=True):
    """The node left its pool."""

    node: str
    pool: str


class PoolClosed(AboutFleet, frozen=True, kw_only=True):
    """The pool left with its nodes, and with the markets that only it supplied."""

    pool: str
    markets: tuple[str, ...]


class TermsAnnounced(AboutFleet, frozen=True, kw_only=True):
    """New terms will hold from a date on."""

    market: str
    announced: AnnouncedTerms


class TermsChanged(AboutFleet, frozen=True, kw_only=True):
    """The terms but for the prices are these from now on."""

    market: str
    terms: MarketTerms


class PricesSet(AboutFleet, frozen=True, kw_only=True):
    """A new price sheet."""

    market: str
    pay_as_you_go_micros: int
    reservation_rate_micros: int
    public_floor_micros: int


class NodeHealthSet(AboutFleet, frozen=True, kw_only=True):
    """What is known of a node changed."""

    node: str
    health: Health
    reason: str


class NodeCordoned(AboutFleet, frozen=True, kw_only=True):
    """A holder wants no new work there."""

    node: str
    cordon: Cordon


class NodeUncordoned(AboutFleet, frozen=True, kw_only=True):
    """The holder's cordon is lifted."""

    node: str
    holder: str


class ReachabilityChanged(AboutFleet, frozen=True, kw_only=True):
    """A pool's agent fell silent, or is heard (again). `resizes_live`: nothing of that changed, but
    it said that its engine starts and ends single ranks of what runs, or that it does not."""

    pool: str
    is_reachable: bool
    resizes_live: bool | None = None


class FenceSet(AboutFleet, frozen=True, kw_only=True):
    """A pool's fence was asked for, stands, fell, or was given up."""

    pool: str
    fence: Fence


FleetEvent = (
    PoolOpened
    | NodesAdded
    | NodeDraining
    | NodeUndrained
    | NodeRemoved
    | PoolClosed
    | TermsAnnounced
    | TermsChanged
    | PricesSet
    | NodeHealthSet
    | NodeCordoned
    | NodeUncordoned
    | ReachabilityChanged
    | FenceSet
)
"""About pools, markets' terms and nodes."""
