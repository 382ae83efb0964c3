"""Commands about pools and nodes: what there is, and what takes no work."""

import msgspec

from parkade.core.fleet.market import InstanceType, MarketTerms
from parkade.core.state.commands.command import Command


class NewMarket(msgspec.Struct, frozen=True, kw_only=True):
    """What a market that is not open yet is opened with."""

    instance_type: InstanceType
    terms: MarketTerms


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes for a market; `fabrics` is (fabric, its nodes). `opens` None: the market is open."""

    market: str
    opens: NewMarket | None
    fabrics: tuple[tuple[str, tuple[str, ...]], ...]


class AboutFleet(Command, frozen=True, kw_only=True):
    """All commands about pools and nodes."""


class OpenPool(AboutFleet, frozen=True, kw_only=True):
    """Nodes of one supplier (an org; None: the operator) at one site behind one engine."""

    pool: str
    site: str
    supplier: str | None
    engine: str
    supply: Supply


class AddNodes(AboutFleet, frozen=True, kw_only=True):
    """More nodes of a pool, for a market of its own site."""

    pool: str
    supply: Supply


class DrainNode(AboutFleet, frozen=True, kw_only=True):
    """Empty a node: no new work, and the workloads there get the market's notice and are moved."""

    node: str
    reason: str


class UndrainNode(AboutFleet, frozen=True, kw_only=True):
    """The node takes work again."""

    node: str


class RemoveNode(AboutFleet, frozen=True, kw_only=True):
    """A drained node leaves its pool."""

    node: str


class ClosePool(AboutFleet, frozen=True, kw_only=True):
    """Close a pool when all its nodes are drained, and the markets that only it supplied."""

    pool: str


class CordonNode(AboutFleet, frozen=True, kw_only=True):
    """No new work on a node, says the asking user."""

    node: str
    reason: str


class UncordonNode(AboutFleet, frozen=True, kw_only=True):
    """The asking user's cordon is lifted."""

    node: str


class FailNode(AboutFleet, frozen=True, kw_only=True):
    """The node is broken: out of play, and what runs there is healed."""

    node: str
    reason: str


class RestoreNode(AboutFleet, frozen=True, kw_only=True):
    """The node is well again and back in play."""

    node: str


class ObservePool(AboutFleet, frozen=True, kw_only=True):
    """Let guests onto no node of a pool, or onto its nodes again, in one step."""

    pool: str
    is_on: bool


class SetFence(AboutFleet, frozen=True, kw_only=True):
    """Close a pool's nodes to jobs that are not ours, or open them again."""

    pool: str
    is_on: bool


FleetCommand = (
    OpenPool
    | AddNodes
    | DrainNode
    | UndrainNode
    | RemoveNode
    | ClosePool
    | ObservePool
    | SetFence
    | CordonNode
    | UncordonNode
    | FailNode
    | RestoreNode
)
"""About pools and nodes."""
