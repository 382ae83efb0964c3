"""A market's terms: one set of prices and one notice for one instance type at one site."""

import msgspec

from parkade.core.fleet.buffer import BufferPolicy
from parkade.core.units.fraction import Fraction


class InstanceType(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A kind of node; `memory_gib` and `cpus` are the whole node's."""

    name: str
    gpu_model: str
    gpus_per_node: int
    memory_gib: int
    cpus: int


class MarketTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The published terms. Prices are micro-units per GPU-hour, spans are microseconds."""

    pay_as_you_go_micros: int
    """The posted price of on-demand."""

    reservation_rate_micros: int
    """What a reservation sold now costs; those sold before keep theirs."""

    public_floor_micros: int
    """What guests of nodes that no owner lends pay at least."""

    fee: Fraction
    """The operator's part of what lent nodes earn."""

    switching_credit: Fraction
    """By how much more a running bid's limit counts."""

    notice_us: int
    """From the notice to TERM."""

    heal_notice_us: int
    """In place of the notice where a broken gang of a higher tier must be healed, and for the
    surviving ranks of the broken gang itself."""

    kill_us: int
    """From TERM to KILL."""

    turnaround_us: int
    """Between two orgs on one seat."""

    start_grace_us: int
    """How long a winner that displaced others has its seats before they are billed anyway."""

    minimum_charge_us: int
    """How much time a winner that displaced others pays at least."""

    release_grace_us: int
    """How long after the kill a node that was not seen free becomes suspect."""

    clearing_interval_us: int
    """The longest time between two clearings."""

    clearing_pause_us: int
    """The shortest time between two clearings."""

    billing_period_us: int
    """How much of a reservation is charged in advance."""

    backoff_us: int
    """The first wait after repeated early preemption; doubled each time."""

    retention_us: int
    """How long what ended is kept in the world."""

    buffer_nodes: int
    """Nodes of each fabric that are not sold as reservations or on-demand, at least."""

    agent_lease_us: int | None = None
    """How long a guest runs on without the control plane. None: for ever, as in journals of before
    there were leases."""

    start_limit_us: int | None = None
    """How long an attempt may be without a first process; then it is stopped and has failed. None:
    as long as it likes, in journals of before there was a limit."""

    payout_cap: Fraction | None = None
    """What a reservation sold now earns at most by lending, by what it costs. None: no cap, in
    journals of before there was one."""

    window_deposit: Fraction | None = None
    """Of the time until a window begins, as much of it is paid at the sale. None: only the first
    period, in journals of before there were deposits."""

    assemble_us: int | None = None
    """How long a gang of whole nodes waits before smaller running bids count no switching credit
    against it. None: for ever, as in markets of before."""

    regrow_us: int | None = None
    """How long an elastic workload runs before it is restarted on more nodes. None: it is not, as
    in journals of before there were such."""

    folder_retention_us: int | None = None
    """How long the folders of a workload that has ended, with its checkpoints and output, are kept.
    None: for ever, as in journals of before they were deleted."""

    shared_nodes: bool = False
    """Whether spot work below a node of several orgs may share one. False in journals of before
    there was the choice."""

    buffer: BufferPolicy | None = None
    """What sizes the buffer beyond `buffer_nodes`. None: nothing does."""

    min_runtime_us: int | None = None
    """How long a spot workload that started keeps its seats, whatever others bid. None: no bid is
    kept from them, as in markets of before."""

    file_systems: tuple[str, ...] = ()
    """Names of those that all nodes share, in order. Empty where none is named, and in journals of
    before they were."""

    @property
    def leave_us(self) -> int:
        """The longest an owner waits for a seat that another org holds."""
        return self.notice_us + self.kill_us + self.turnaround_us


class AnnouncedTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Terms that replace the present ones at `from_us`. Prices are set apart and at once, so the
    price fields of `terms` are those of the day they were announced and are not applied."""

    from_us: int
    terms: MarketTerms


class Market(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A market; its nodes say which pools supply it."""

    market: str
    site: str
    instance_type: InstanceType
    terms: MarketTerms

    fabrics: tuple[str, ...]
    """In the order in which they were opened."""

    ladder: tuple[tuple[int, int | None], ...]
    """(nodes, price per GPU-hour that would have won them, or None) of the last clearing."""

    cleared_us: int
    """When a clearing last changed something; 0: never."""

    clearings: int
    """How many changed something."""

    announced: tuple[AnnouncedTerms, ...] = ()
    """In order of their dates."""
