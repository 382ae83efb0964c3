"""What people, agents and the clock ask of the world; `decide` answers with events or a refusal.

`by` is the asking user, None the server itself. Permissions are one table (`steps.permissions`).
"""

import msgspec

from parkade.core.fleet.buffer import BufferPolicy
from parkade.core.fleet.market import InstanceType, MarketTerms
from parkade.core.fleet.pool import TakenNode
from parkade.core.healing.incident import RepairKind, RepairReport
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Verdict
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.state.people import CapPeriod, Role
from parkade.core.units.fraction import Fraction
from parkade.core.units.indexes import Spans
from parkade.core.workloads.observed import ObservedAttempt
from parkade.core.workloads.spec import Spec


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Something asked for. Frozen values form no cycle, so the collector need not walk them."""

    by: str | None


class OpenEpoch(Command, frozen=True, kw_only=True):
    """A writer took over. Both are random: `lineage` is this epoch's, `installation` becomes the
    marketplace's for ever where it has none yet. `accepts_agents`: an operator said that agents of
    a
    journal that was lost shall obey this one; `least` is above every epoch that they obeyed."""

    installation: str
    lineage: str
    accepts_agents: bool = False
    least: int = 0


class NewMarket(msgspec.Struct, frozen=True, kw_only=True):
    """What a market that is not open yet is opened with."""

    instance_type: InstanceType
    terms: MarketTerms


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes for a market; `fabrics` is (fabric, its nodes). `opens` None: the market is open."""

    market: str
    opens: NewMarket | None
    fabrics: tuple[tuple[str, tuple[str, ...]], ...]


class OpenPool(Command, frozen=True, kw_only=True):
    """Nodes of one supplier (an org; None: the operator) at one site behind one engine."""

    pool: str
    site: str
    supplier: str | None
    engine: str
    supply: Supply


class AddNodes(Command, frozen=True, kw_only=True):
    """More nodes of a pool, for a market of its own site."""

    pool: str
    supply: Supply


class DrainNode(Command, frozen=True, kw_only=True):
    """Empty a node: no new work, and the workloads there get the market's notice and are moved."""

    node: str
    reason: str


class UndrainNode(Command, frozen=True, kw_only=True):
    """The node takes work again."""

    node: str


class ScheduleMaintenance(Command, frozen=True, kw_only=True):
    """Empty nodes in time for a window, and let them take work again at its end. `start_us` None:
    now. `is_forced`: also where owners are short of nodes for it."""

    nodes: tuple[str, ...]
    start_us: int | None
    end_us: int
    reason: str
    is_forced: bool


class ChangeMaintenance(Command, frozen=True, kw_only=True):
    """Another start or end of a window; None leaves it as it is."""

    maintenance: str
    start_us: int | None
    end_us: int | None
    is_forced: bool


class CancelMaintenance(Command, frozen=True, kw_only=True):
    """A window is given up, or ends now where it has begun."""

    maintenance: str


class RemoveNode(Command, frozen=True, kw_only=True):
    """A drained node leaves its pool."""

    node: str


class ClosePool(Command, frozen=True, kw_only=True):
    """Close a pool when all its nodes are drained, and the markets that only it supplied."""

    pool: str


class TermsChange(msgspec.Struct, frozen=True, kw_only=True):
    """New terms of a market; None leaves a term as it is. Prices have a command of their own."""

    fee: Fraction | None = None
    switching_credit: Fraction | None = None
    notice_us: int | None = None
    heal_notice_us: int | None = None
    kill_us: int | None = None
    turnaround_us: int | None = None
    start_grace_us: int | None = None
    minimum_charge_us: int | None = None
    release_grace_us: int | None = None
    clearing_interval_us: int | None = None
    clearing_pause_us: int | None = None
    billing_period_us: int | None = None
    backoff_us: int | None = None
    retention_us: int | None = None
    buffer_nodes: int | None = None
    agent_lease_us: int | None = None
    start_limit_us: int | None = None
    payout_cap: Fraction | None = None
    window_deposit: Fraction | None = None
    assemble_us: int | None = None
    regrow_us: int | None = None
    folder_retention_us: int | None = None
    min_runtime_us: int | None = None

    shared_nodes: bool | None = None

    buffer: BufferPolicy | None = None
    file_systems: tuple[str, ...] | None = None


class ChangeTerms(Command, frozen=True, kw_only=True):
    """New terms from an instant on; `from_us` None is now."""

    market: str
    change: TermsChange
    from_us: int | None


class SetPrices(Command, frozen=True, kw_only=True):
    """A new price sheet; None leaves a price as it is. Sold reservations keep their rate."""

    market: str
    pay_as_you_go_micros: int | None
    reservation_rate_micros: int | None
    public_floor_micros: int | None


class CreateOrg(Command, frozen=True, kw_only=True):
    """A customer."""

    org: str


class CreateUser(Command, frozen=True, kw_only=True):
    """A person or program of an org; its workloads run as `unix_name`, None: as the agent's own
    user."""

    user: str
    org: str
    role: Role
    unix_name: str | None


class AddToken(Command, frozen=True, kw_only=True):
    """A token's digest (SHA-256 of 256 random bits, hexadecimal); the token is never stored.
    `pool`: it is for that pool's agent only. `is_read_only`: it may only look. `lasts_us`: it is
    refused so long from now on; None: it lasts as long as the token `made_with` with which it is
    asked for. `made_with` None: the server makes it."""

    token: str
    user: str
    digest: str
    pool: str | None = None
    is_read_only: bool = False
    lasts_us: int | None = None
    made_with: str | None = None


class RevokeToken(Command, frozen=True, kw_only=True):
    """The token is refused from now on."""

    token: str


class Deposit(Command, frozen=True, kw_only=True):
    """Money from outside for an org."""

    org: str
    micros: int


class Adjust(Command, frozen=True, kw_only=True):
    """Money that an operator moves by hand, and why: from the operator's own account to an org
    (`is_refund`), or from an org to the outside."""

    org: str
    micros: int
    is_refund: bool
    reason: str


class SetGrant(Command, frozen=True, kw_only=True):
    """An org gets `micros` now and every `every_us` again; `micros` 0 ends it."""

    org: str
    micros: int
    every_us: int


class SetCap(Command, frozen=True, kw_only=True):
    """The most that all workloads of a user may cost, in each period, and the most GPUs that they
    may hold at once; None: what its org may."""

    user: str
    cap_micros: int | None
    period: CapPeriod = CapPeriod.TOTAL
    most_gpus: int | None = None


class SetOrgCap(Command, frozen=True, kw_only=True):
    """As `SetCap`, of all workloads of an org; None: what its account has."""

    org: str
    cap_micros: int | None
    period: CapPeriod = CapPeriod.TOTAL
    most_gpus: int | None = None


class SetOrgBounds(Command, frozen=True, kw_only=True):
    """How many workloads an org may have open, submit and start in a minute; None: the default."""

    org: str
    open_workloads: int | None
    submits_per_minute: int | None
    starts_per_minute: int | None


class SetOrgDisabled(Command, frozen=True, kw_only=True):
    """An org's tokens are refused and its work ends with notice, or its tokens are taken again."""

    org: str
    is_disabled: bool


class SetUserDisabled(Command, frozen=True, kw_only=True):
    """All tokens of a user are refused from now on, or no longer. Its work goes on."""

    user: str
    is_disabled: bool


class SetUnixName(Command, frozen=True, kw_only=True):
    """A user's workloads run as this Unix user from their next attempt on; None: as the agent's own
    user."""

    user: str
    unix_name: str | None


class Reserve(Command, frozen=True, kw_only=True):
    """`nodes` of a market for a window, at the price sheet's rate; `start_us` None is now."""

    org: str
    market: str | None
    name: str | None
    nodes: int
    start_us: int | None
    end_us: int | None


class EndReservation(Command, frozen=True, kw_only=True):
    """An open-ended reservation ends with the period that is paid."""

    reservation: str


class ExtendReservation(Command, frozen=True, kw_only=True):
    """A later end of a reservation, at its rate."""

    reservation: str
    end_us: int


class SplitReservation(Command, frozen=True, kw_only=True):
    """Nodes of a reservation become one of their own, called `name`; `org`: another org's."""

    reservation: str
    nodes: int
    name: str | None = None
    org: str | None = None


class ShrinkReservation(Command, frozen=True, kw_only=True):
    """Nodes of a reservation are given up."""

    reservation: str
    nodes: int


class Lend(Command, frozen=True, kw_only=True):
    """The standing offer of a reservation; `floor_micros` None stops lending, `keep` None leaves it
    as it is."""

    reservation: str
    floor_micros: int | None
    keep: int | None


class MakeClaim(Command, frozen=True, kw_only=True):
    """The owner keeps nodes of its reservation for whatever it does with them."""

    reservation: str
    nodes: int


class Unclaim(Command, frozen=True, kw_only=True):
    """The claimed nodes are idle again."""

    claim: str


class Submit(Command, frozen=True, kw_only=True):
    """A workload to be run; `is_held` keeps it from starting."""

    org: str
    market: str | None
    spec: Spec
    is_held: bool


class Hold(Command, frozen=True, kw_only=True):
    """Keep a workload from starting; one that runs is refused. Of an array: open no more members,
    and keep the open ones that do not run."""

    workload: str


class Release(Command, frozen=True, kw_only=True):
    """The opposite of hold."""

    workload: str


class Cancel(Command, frozen=True, kw_only=True):
    """End a workload; one that runs gets the market's notice unless `now`. `members`: these of an
    array; None: all."""

    workload: str
    now: bool
    members: Spans | None = None


class ChangeBid(Command, frozen=True, kw_only=True):
    """A new limit per GPU-hour, from the next clearing on. `members` as in `Cancel`."""

    workload: str
    limit_price_micros: int
    members: Spans | None = None


class NewBound(msgspec.Struct, frozen=True, kw_only=True):
    """A bound in place of the one there is; None: there is none from now on."""

    value: int | None


class ChangeBounds(Command, frozen=True, kw_only=True):
    """Another `max_spend` or `max_duration` while it lives; None leaves it as it is. `members` as
    in `Cancel`, for `max_duration` alone."""

    workload: str
    max_spend_micros: NewBound | None = None
    max_duration_us: NewBound | None = None
    members: Spans | None = None


class Retry(Command, frozen=True, kw_only=True):
    """Run members of an array again that have ended; None: all that failed."""

    workload: str
    members: Spans | None


class Resubmit(Command, frozen=True, kw_only=True):
    """Run a workload that ended again, under its id and from its checkpoints. Its bounds as in
    `ChangeBounds`; `limit_price_micros` None: the limit that it had."""

    workload: str
    limit_price_micros: int | None = None
    max_spend_micros: NewBound | None = None
    max_duration_us: NewBound | None = None


class CordonNode(Command, frozen=True, kw_only=True):
    """No new work on a node, says the asking user."""

    node: str
    reason: str


class UncordonNode(Command, frozen=True, kw_only=True):
    """The asking user's cordon is lifted."""

    node: str


class FailNode(Command, frozen=True, kw_only=True):
    """The node is broken: out of play, and what runs there is healed."""

    node: str
    reason: str


class RestoreNode(Command, frozen=True, kw_only=True):
    """The node is well again and back in play."""

    node: str


class ReportVerdict(Command, frozen=True, kw_only=True):
    """A sick node of its own pool, says an agent."""

    pool: str
    verdict: Verdict


class ReportRepair(Command, frozen=True, kw_only=True):
    """How an order ended, says the agent that carried it out."""

    pool: str
    report: RepairReport


class ReportRepairKinds(Command, frozen=True, kw_only=True):
    """What an agent can be told to do with its nodes."""

    pool: str
    kinds: tuple[RepairKind, ...]


class ReportSurroundings(Command, frozen=True, kw_only=True):
    """Which racks, switches and drivers the nodes of a pool share, says its agent: all of them."""

    pool: str
    nodes: tuple[Surroundings, ...]


class SetAutomation(Command, frozen=True, kw_only=True):
    """Stop or start all automatic action, or change its budgets; None leaves it as it is. A share
    is of the nodes, within an hour."""

    reason: str
    is_on: bool | None = None
    is_limited: bool | None = None
    fabric_share: Fraction | None = None
    fleet_share: Fraction | None = None


class ReportAttempts(Command, frozen=True, kw_only=True):
    """What an agent sees of its whole pool; incomplete reports are not passed on."""

    pool: str
    attempts: tuple[ObservedAttempt, ...]


class ReportReachability(Command, frozen=True, kw_only=True):
    """An agent was not heard for a while, or is heard again."""

    pool: str
    is_reachable: bool


class SetFence(Command, frozen=True, kw_only=True):
    """Close a pool's nodes to jobs that are not ours, or open them again."""

    pool: str
    is_on: bool


class ReportFence(Command, frozen=True, kw_only=True):
    """Whether the fence that an operator asked for stands, says the agent."""

    pool: str
    stands: bool


class ReportOwnerJobs(Command, frozen=True, kw_only=True):
    """All jobs of owners in the queue of a pool's engine, says its agent: claims follow them."""

    pool: str
    jobs: tuple[OwnerJob, ...]


class ReportTakenNodes(Command, frozen=True, kw_only=True):
    """All nodes of a pool that jobs of others hold, says its agent."""

    pool: str
    nodes: tuple[TakenNode, ...]


class RunClearing(Command, frozen=True, kw_only=True):
    """Time for a market's clearing."""

    market: str


class ConfirmClock(Command, frozen=True, kw_only=True):
    """A person says that the clock's jump was right; clearing goes on."""


AnyCommand = (
    OpenEpoch
    | OpenPool
    | AddNodes
    | DrainNode
    | UndrainNode
    | ScheduleMaintenance
    | ChangeMaintenance
    | CancelMaintenance
    | RemoveNode
    | ClosePool
    | ChangeTerms
    | SetPrices
    | CreateOrg
    | CreateUser
    | AddToken
    | RevokeToken
    | Deposit
    | Adjust
    | SetGrant
    | SetCap
    | SetOrgCap
    | SetOrgBounds
    | SetUnixName
    | SetOrgDisabled
    | SetUserDisabled
    | Reserve
    | EndReservation
    | ExtendReservation
    | SplitReservation
    | ShrinkReservation
    | Lend
    | MakeClaim
    | Unclaim
    | Submit
    | Hold
    | Release
    | Cancel
    | ChangeBid
    | ChangeBounds
    | Retry
    | Resubmit
    | CordonNode
    | UncordonNode
    | FailNode
    | RestoreNode
    | ReportVerdict
    | ReportRepair
    | ReportRepairKinds
    | ReportSurroundings
    | SetAutomation
    | ReportAttempts
    | ReportReachability
    | SetFence
    | ReportFence
    | ReportOwnerJobs
    | ReportTakenNodes
    | RunClearing
    | ConfirmClock
)
"""Every command. A new one is a type error until each `match` over the union handles it."""
