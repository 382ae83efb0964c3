"""Pools, markets, price sheets and nodes on the wire; `pool.yaml` is an `OpenPool`."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator

from parkade.core.units import bounds
from parkade.core.units.names import GPU_MODEL, NODE_NAME, same_host
from parkade.wire.model import Answer, Paged, Request
from parkade.wire.scalars import (
    Amount,
    Fee,
    Gpus,
    Instant,
    Multiple,
    Name,
    NodesKept,
    PositiveSpan,
    Price,
    Reasoning,
    Share,
    Span,
    Whole,
    bounded,
    named,
)

NodeName = Annotated[str, Strict(), named(NODE_NAME)]
Fabrics = Annotated[
    dict[Name, tuple[NodeName, ...]],
    Field(min_length=bounds.FABRICS.least, max_length=bounds.FABRICS.most),
]


def _seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


class InstanceType(Request):
    """A kind of node; memory and CPUs are the whole node's."""

    name: Name
    gpu_model: Annotated[str, Strict(), named(GPU_MODEL)]
    gpus_per_node: Gpus
    memory_gib: Annotated[Whole, bounded(bounds.MEMORY_GIB_PER_NODE)]
    cpus: Annotated[Whole, bounded(bounds.CPUS_PER_NODE)]


class BufferShare(Request):
    """A share of each fabric's nodes."""

    share: Share


class BufferGrowth(Request):
    """What is down now, and the quantile of how much more was down within a horizon before."""

    quantile: Share
    horizon: PositiveSpan = timedelta(days=1)


FileSystems = Annotated[list[Name], Field(max_length=bounds.FILE_SYSTEMS.most)]


class Terms(Request):
    """The published terms of a market; prices are per GPU-hour and have no default."""

    pay_as_you_go: Price = Field(description="on-demand's price")
    reservation_rate: Price = Field(description="what a reservation costs")
    public_floor: Price = Field(description="the least that unreserved capacity goes for")
    fee: Fee = Field(description="the operator's share of what lent capacity earns")
    notice: PositiveSpan = Field(_seconds(120), description="from 'you must leave' to TERM")
    heal_notice: PositiveSpan = Field(
        _seconds(30),
        description="the notice where a broken gang of higher priority must be healed",
    )
    kill: PositiveSpan = Field(_seconds(30), description="from TERM to KILL")
    turnaround: Span = Field(_seconds(30), description="between two orgs on one seat")
    start_grace: Span = Field(
        _seconds(120),
        description="billed so long after their notice, started or not, where others left for it",
    )
    minimum_charge: Span | None = Field(
        None, description="billed at least, where others left for it; default: the notice"
    )
    release_grace: PositiveSpan = Field(
        _seconds(60), description="not seen free so long after KILL: the node is suspect"
    )
    clearing_interval: PositiveSpan = Field(_seconds(30), description="at least one clearing in it")
    clearing_pause: PositiveSpan = Field(
        timedelta(milliseconds=500), description="at most one clearing in it"
    )
    billing_period: PositiveSpan = Field(
        _seconds(3600), description="reservations are charged ahead by it"
    )
    backoff: Span = Field(_seconds(300), description="the wait after repeated preemption")
    retention: PositiveSpan = Field(
        timedelta(days=7), description="what ended is shown so long, and kept in the read models"
    )
    buffer_nodes: NodesKept = Field(
        1, description="kept out of reservation sales in each fabric, lent as spot meanwhile"
    )
    buffer: BufferShare | BufferGrowth | None = Field(
        None, description="what sizes the buffer beyond buffer_nodes; null: nothing"
    )
    agent_lease: PositiveSpan | None = Field(
        _seconds(600),
        description="a guest whose pool cannot be reached for so long is ended there; null: never",
    )
    folder_retention: PositiveSpan | None = Field(
        timedelta(days=14),
        description="checkpoints and output are kept so long after the end; null: for ever",
    )
    assemble: PositiveSpan | None = Field(
        _seconds(600),
        description="smaller running bids give way to a gang that waited so long; null: never",
    )
    regrow: PositiveSpan | None = Field(
        _seconds(600),
        description="an elastic workload runs so long before it restarts on more; null: never",
    )
    min_runtime: PositiveSpan | None = Field(
        None,
        description="no bid takes the seats of a spot workload before it ran so long; null: any"
        " higher bid does",
    )
    shared_nodes: Annotated[bool, Strict()] = Field(
        False, description="whether spot work below a node of several orgs may share one"
    )
    file_systems: FileSystems = Field(
        default_factory=list,
        description="names of the file systems that all its nodes share; a workload's `storage`"
        " names those that it needs",
    )
    switching_credit: Share = Field(
        "1/20", description="how much higher a running workload counts than a newcomer"
    )
    start_limit: PositiveSpan | None = Field(
        _seconds(1800), description="without a first process so long, an attempt has failed"
    )
    payout_cap: Multiple | None = Field(
        "1", description="what a reservation earns by lending at most, by what it costs"
    )
    window_deposit: Share | None = Field(
        "1/10", description="of the time until a window begins, as much of it is paid at the sale"
    )


class Supply(Request):
    """Nodes for a market: `fabrics` names the nodes with full interconnect. `instance_type` and
    `terms` open the market; where it is open already they are left out."""

    market: Name | None = Field(
        None, description="the market that sells the nodes; default: the one named like the pool"
    )
    instance_type: InstanceType | None = None
    fabrics: Fabrics
    terms: Terms | None = None

    @field_validator("fabrics")
    @classmethod
    def _each_node_once(cls, fabrics: Fabrics) -> Fabrics:
        nodes = [node for names in fabrics.values() for node in names]
        if not bounds.NODES.holds(len(nodes)):
            raise ValueError(f"a pool has 1 to {bounds.NODES.most:,} nodes")
        count = Counter(same_host(node) for node in nodes)
        twice = sorted({node for node in nodes if count[same_host(node)] > 1})
        if twice:
            raise ValueError(f"{', '.join(twice[:5])}: name each node once, in one fabric")
        empty = sorted(fabric for fabric, names in fabrics.items() if not names)
        if empty:
            raise ValueError(f"{', '.join(empty[:5])}: an empty fabric; name its nodes")
        return fabrics

    @model_validator(mode="after")
    def _opens_with_both(self) -> Self:
        if (self.instance_type is None) is not (self.terms is None):
            raise ValueError("instance_type and terms stand together: they open a market")
        return self


class OpenPool(Supply):
    """Nodes of one supplier at one site behind one engine."""

    pool: Name
    site: Name
    engine: Name = Field("local", description="what runs attempts there")
    supplier: Name | None = Field(
        None, description="the org whose nodes they are; default: the operator"
    )


class AddNodes(Supply):
    """More nodes of a pool."""


class ChangeTerms(Request):
    """New terms of a market; what is left out stays, and null takes a term away that a market need
    not have. Prices are set by `parkade price sheet set`."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        name: f"is a price, not a term: parkade price sheet set MARKET --{name.replace('_', '-')}"
        for name in ("pay_as_you_go", "reservation_rate", "public_floor")
    }

    from_: Instant | None = Field(
        None, alias="from", description="when they come into force; default: now"
    )
    fee: Fee | None = None
    switching_credit: Share | None = None
    notice: PositiveSpan | None = None
    heal_notice: PositiveSpan | None = None
    kill: PositiveSpan | None = None
    turnaround: Span | None = None
    start_grace: Span | None = None
    minimum_charge: Span | None = None
    release_grace: PositiveSpan | None = None
    clearing_interval: PositiveSpan | None = None
    clearing_pause: PositiveSpan | None = None
    billing_period: PositiveSpan | None = None
    backoff: Span | None = None
    retention: PositiveSpan | None = None
    buffer_nodes: NodesKept | None = None
    buffer: BufferShare | BufferGrowth | None = None
    agent_lease: PositiveSpan | None = None
    start_limit: PositiveSpan | None = None
    payout_cap: Multiple | None = None
    window_deposit: Share | None = None
    assemble: PositiveSpan | None = None
    regrow: PositiveSpan | None = None
    folder_retention: PositiveSpan | None = None
    min_runtime: PositiveSpan | None = None

    shared_nodes: Annotated[bool, Strict()] | None = None
    file_systems: FileSystems | None = None


class SetPrices(Request):
    """A new price sheet; what is left out stays. Sold reservations keep their rate. `is_meant`:
    also where on-demand would cost less than the public floor."""

    pay_as_you_go: Price | None = None
    reservation_rate: Price | None = None
    public_floor: Price | None = None
    is_meant: bool = False


class NodeReason(Request):
    """The reason for a cordon or a failure, shown with the node."""

    reason: Reasoning


class Step(Answer):
    """The price with which a newcomer of `nodes` whole nodes would win now; null: none would."""

    nodes: int
    price: Amount | None


class Sheet(Answer):
    """A market's public prices per GPU-hour, and its ladder as of the last clearing."""

    market: str
    site: str
    instance_type: str
    gpu_model: str
    gpus_per_node: int
    pay_as_you_go: Amount
    reservation_rate: Amount
    public_floor: Amount
    notice: Span
    kill: Span
    ladder: tuple[Step, ...]
    cleared: Instant | None


class Prices(Paged):
    """Every market's."""

    prices: tuple[Sheet, ...]


class Market(Answer):
    """A market: its terms as published, and those that will replace them."""

    market: str
    site: str
    instance_type: InstanceType
    terms: Terms
    announced: Terms | None
    announced_from: Instant | None


class Supplied(Answer):
    """What a pool supplies of one market."""

    market: str
    fabrics: dict[str, tuple[str, ...]]
    nodes: int
    nodes_in_play: int


class Pool(Answer):
    """A pool and what it supplies. `agent` is heard, silent, or never heard; `supplier` null: the
    operator. `engine_silent_since`: the agent is there, and since then its engine, like Slurm, has
    not answered it, so that nothing of the pool is seen and `agent` becomes silent."""

    pool: str
    site: str
    engine: str
    supplier: str | None
    agent: Literal["heard", "refuses", "silent", "never heard"]
    agent_says: str | None = Field(
        None, description="why it refuses orders, or what keeps it from its work; for operators"
    )
    engine_silent_since: Instant | None = None
    fence: Literal["unneeded", "none", "asked", "stands"] = Field(
        "unneeded", description="none: jobs of others can take nodes, so only spot is sold"
    )
    nodes: int
    nodes_in_play: int
    nodes_draining: int
    nodes_drained: int
    supplies: tuple[Supplied, ...]


class Pools(Paged):
    """Every pool, and the markets that they supply."""

    pools: tuple[Pool, ...]
    markets: tuple[Market, ...]


class Cordon(Answer):
    """No new work, says `holder`; only the holder lifts it."""

    holder: str
    reason: str
    at: Instant


class Node(Answer):
    """A node and the workloads and claims on it; `seated` is empty for those who may know only how
    many `guests` it has: workloads of other orgs than its supplier's. `maintenance`: the next
    window in which it is out of use."""

    node: str
    pool: str
    market: str
    fabric: str
    gpus: int
    gpus_held: int
    gpus_promised: int
    drain: Literal["draining", "drained"] | None
    drain_reason: str | None
    health: str
    health_reason: str
    cordons: tuple[Cordon, ...]
    seated: tuple[str, ...]
    guests: int = 0
    maintenance: str | None = None
    maintenance_start: Instant | None = None
    maintenance_end: Instant | None = None


class Nodes(Paged):
    """Those asked for."""

    nodes: tuple[Node, ...]
