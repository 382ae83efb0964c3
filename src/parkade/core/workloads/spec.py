"""A workload as submitted, as the core sees it: checked, whole, with every unit in its name.

The user's YAML is checked by `wire`; this is the value it becomes. It is written for ever in the
journal, so `env` is public and secrets stay in `env_file`, which only the node reads.
"""

import enum

import msgspec

from parkade.core.workloads.array import ArrayTerms
from parkade.core.workloads.choice import Choice
from parkade.core.workloads.deadline import DeadlineTerms
from parkade.core.workloads.dependency import Dependency
from parkade.core.workloads.saving import CheckpointTerms


class Interconnect(enum.StrEnum):
    """Whether a gang stays in one fabric."""

    FABRIC = "fabric"
    ANY = "any"


class Moves(enum.StrEnum):
    """For what a running spot workload gives up its seats for others."""

    NEEDED = "needed"
    """Only where its own fabric does not hold it within its limit."""

    CHEAPER = "cheaper"
    """Also for a lower floor."""


class Resize(enum.StrEnum):
    """How an elastic workload gets another number of nodes."""

    RESTART = "restart"
    """Its attempt ends, and another one begins on the other seats."""

    LIVE = "live"
    """Ranks join and leave the attempt that runs."""


class CapacityKind(enum.StrEnum):
    """The kind of capacity that a workload may use."""

    RESERVATION = "reservation"
    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Capacity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of `capacity`; `reservation` names it where the kind is RESERVATION."""

    kind: CapacityKind
    reservation: str | None = None

    def __str__(self) -> str:
        return f"reservation/{self.reservation}" if self.reservation else self.kind.value


class Spec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A workload as submitted; only a spot workload's limit may change later."""

    name: str
    """Shown beside the id; two workloads may share one."""

    command: str
    workdir: str

    env: tuple[tuple[str, str], ...]
    """Public: journaled and shown."""

    env_file: str | None
    """A path that is read on the node, as the user; None: no file."""

    storage: tuple[str, ...]
    """Names of the file systems it needs."""

    nodes: int
    """Ranks of the gang; of an elastic one the least."""

    gpus: int
    """GPUs of each rank."""

    instance_type: str | None
    """The instance type or GPU model it needs; None: whatever the market has."""

    interconnect: Interconnect
    capacity: Capacity

    limit_price_micros: int | None
    """The most it pays, per GPU-hour; None unless spot."""

    max_spend_micros: int | None
    """The most that all its attempts cost together; None: no bound of its own."""

    checkpoint: CheckpointTerms | None
    """How it is asked to save at a notice; None: as with the signal `auto`."""

    priority: int
    """Orders the workloads of one reservation, and the spot work of one org where all else is
    equal; the greatest first."""

    retry_failures: int
    """How many failures are followed by another attempt."""

    max_duration_us: int | None
    """Wall time from its first start over all attempts; for on-demand, the window. None: no end."""

    moves: Moves = Moves.NEEDED
    """For what it is moved; specs that were submitted before this key say nothing."""

    spread: bool = True
    """Whether each rank stands on another node; else ranks below a node share nodes. True for specs
    that were submitted before this key."""

    labels: tuple[tuple[str, str], ...] = ()
    """Words of its user's own, by which it is listed and chosen, in order of their keys; specs that
    were submitted before this key have none."""

    most_nodes: int = 0
    """The most ranks that it takes, each a whole node; `resize` says how their number changes. 0:
    it has `nodes`, as all specs of before this key."""

    after: tuple[Dependency, ...] = ()
    """What it waits for before its first bid; nothing in specs of before this key."""

    array: ArrayTerms | None = None
    """Its members; None: it is one workload, as all specs of before this key."""

    image: str | None = None
    """The container image that its ranks run in; None: in none, as all specs of before this key."""

    deadline: DeadlineTerms | None = None
    """By when it is to be done, on-demand in time if it must; None: whenever, as all specs of
    before this key."""

    choices: tuple[Choice, ...] = ()
    """The markets in which it bids, in the order of its wishes; `limit_price_micros` is that of the
    one where it stands, or of the first. Empty: it bids in one, as all specs of before this key."""

    entries: tuple[Capacity, ...] = ()
    """Its list of capacity, in the order of its choice; `capacity` is the one it uses or asks for
    now. Empty: `capacity` alone, as all specs of before this key."""

    spot_limit_micros: int | None = None
    """The limit of the list's spot entry; `limit_price_micros` has it while that one is asked
    for. None without a list."""

    resize: Resize = Resize.RESTART
    """Of an elastic one; specs that were submitted before this key restart."""

    @property
    def total_gpus(self) -> int:
        """GPUs of all ranks together; of an elastic gang at its least."""
        return self.nodes * self.gpus

    @property
    def bid_limit_micros(self) -> int | None:
        """The limit of its bid; of a list that of its spot entry, also while it uses another."""
        return self.limit_price_micros if self.spot_limit_micros is None else self.spot_limit_micros

    @property
    def is_elastic(self) -> bool:
        """Whether its number of nodes may change."""
        return self.most_nodes > 0

    @property
    def is_live(self) -> bool:
        """Whether ranks join and leave while it runs."""
        return self.is_elastic and self.resize is Resize.LIVE

    def holds(self, ranks: int) -> bool:
        """Whether it may have so many ranks."""
        return self.nodes <= ranks <= max(self.nodes, self.most_nodes)

    def ranks_per_node(self, node_gpus: int) -> int:
        """The most of its ranks that one node of so many GPUs holds."""
        return 1 if self.spread else max(1, node_gpus // self.gpus)

    def nodes_alone(self, node_gpus: int) -> int:
        """How many empty nodes of so many GPUs its ranks need."""
        return -(-self.nodes // self.ranks_per_node(node_gpus))
