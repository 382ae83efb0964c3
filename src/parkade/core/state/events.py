"""What happened, for ever: the journal is a sequence of these, each with the instant it tells.

`at_us` is when the thing took effect (a deadline's own time, not when it was noticed). Records
that an event creates travel whole, so that `evolve` computes nothing that `decide` already did.
A kept journal of each landed version must replay: fields are added with defaults; a version that
changes more is lifted on reading (`lift`), never edited.
"""

import msgspec

from parkade.core.fleet.buffer import BufferPolicy, FabricBuffer
from parkade.core.fleet.maintenance import Maintenance
from parkade.core.fleet.market import AnnouncedTerms, Market, MarketTerms
from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.fleet.pool import Fence, Pool
from parkade.core.healing.guards import HoldReason
from parkade.core.healing.incident import (
    Automation,
    BudgetNote,
    Incident,
    IncidentOutcome,
    Next,
    RepairKind,
    RepairOrder,
    RepairReport,
)
from parkade.core.healing.ladder import Repair
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Verdict
from parkade.core.ledger.accounts import Transfer
from parkade.core.reservations.missing import MissingNode
from parkade.core.reservations.reservation import (
    Claim,
    Lending,
    Reservation,
    ReservationState,
)
from parkade.core.state.lines import ClaimKept, Leaving, Repriced, Waiting, Won
from parkade.core.state.people import Cap, CapPeriod, Grant, Org, OrgBounds, Token, User
from parkade.core.units.indexes import Spans
from parkade.core.units.time import Window
from parkade.core.workloads.dependency import Dependency
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.workload import Attempt, Stop, Workload

EVENT_VERSION = 2


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag=True,
    omit_defaults=True,
    gc=False,
):
    """Something that happened at an instant; `by`: the user that asked for it, if one did.

    Frozen values form no cycle, so the collector need not walk them: they are many.
    """

    at_us: int
    by: str | None = None


class EpochOpened(Event, frozen=True, kw_only=True):
    """A writer began; desired states of older epochs are refused.

    `lineage` is random for each epoch, `installation` the marketplace's own since its first;
    both None in journals of version 1. `accepts_agents`: agents that obeyed an earlier epoch which
    this journal has lost obey this one, as an operator said.
    """

    epoch: int
    installation: str | None = None
    lineage: str | None = None
    accepts_agents: bool = False


class ClockJumped(Event, frozen=True, kw_only=True):
    """The clock went ahead by more than a pause explains; clearing stops until confirmed."""

    from_us: int


class ClockConfirmed(Event, frozen=True, kw_only=True):
    """A person confirmed the clock."""


class ClockAdvanced(Event, frozen=True, kw_only=True):
    """The present goes on `by_us` later though no time passed, as the wall clock was set ahead.

    Told only where it matters. In a silent pool, what is timed on its nodes does not end sooner for
    it. In a pool that is heard, what has not started is not later for it: for `unheard_us` no agent
    could tell of a first process. That is the same span, or, with a `by_us` of 0, the time from the
    last event to this epoch's first; 0 in older journals.
    """

    by_us: int
    unheard_us: int = 0


class PoolOpened(Event, frozen=True, kw_only=True):
    """A pool with its first nodes, and the market that is opened with it, if one is."""

    pool: Pool
    market: Market | None
    nodes: tuple[Node, ...]


class NodesAdded(Event, frozen=True, kw_only=True):
    """More nodes of a pool, and the market that is opened with them, if one is."""

    pool: str
    market: Market | None
    nodes: tuple[Node, ...]


class NodeDraining(Event, frozen=True, kw_only=True):
    """The node takes no new work and is being emptied."""

    node: str
    reason: str


class NodeUndrained(Event, frozen=True, kw_only=True):
    """The node takes work again."""

    node: str


class MaintenanceScheduled(Event, frozen=True, kw_only=True):
    """Nodes will be out of use over a window."""

    maintenance: Maintenance


class MaintenanceChanged(Event, frozen=True, kw_only=True):
    """A maintenance window is at another time."""

    maintenance: str
    window: Window

    lead_us: int | None = None
    """So long before its start its nodes are emptied; None in journals of before it was kept."""


class MaintenanceBegun(Event, frozen=True, kw_only=True):
    """The nodes of a window are being emptied; their cordons and notices are events beside."""

    maintenance: str


class MaintenanceEnded(Event, frozen=True, kw_only=True):
    """A window is over, or was cancelled."""

    maintenance: str
    is_cancelled: bool


class NodeRemoved(Event, frozen=True, kw_only=True):
    """The node left its pool."""

    node: str
    pool: str


class PoolClosed(Event, frozen=True, kw_only=True):
    """The pool left with its nodes, and with the markets that only it supplied."""

    pool: str
    markets: tuple[str, ...]


class TermsAnnounced(Event, frozen=True, kw_only=True):
    """New terms will hold from a date on."""

    market: str
    announced: AnnouncedTerms


class TermsChanged(Event, frozen=True, kw_only=True):
    """The terms but for the prices are these from now on."""

    market: str
    terms: MarketTerms


class PricesSet(Event, frozen=True, kw_only=True):
    """A new price sheet."""

    market: str
    pay_as_you_go_micros: int
    reservation_rate_micros: int
    public_floor_micros: int


class OrgCreated(Event, frozen=True, kw_only=True):
    """A customer."""

    org: Org


class UserCreated(Event, frozen=True, kw_only=True):
    """A user."""

    user: User


class TokenAdded(Event, frozen=True, kw_only=True):
    """A token's digest."""

    token: Token


class TokenRevoked(Event, frozen=True, kw_only=True):
    """The token is refused from now on."""

    token: str


class MoneyMoved(Event, frozen=True, kw_only=True):
    """Transfers from or to the outside, and what the operator credits. `reason`: an operator's, for
    what it moved by hand; None for the rest, and in journals of before it was asked for."""

    transfers: tuple[Transfer, ...]
    reason: str | None = None


class UsePosted(Event, frozen=True, kw_only=True):
    """Use of an attempt up to `charged_until_us` was charged and paid out.

    `charged_numerator`: what is accrued below one micro-unit (micro-units per hour x
    microseconds); `billed_us`: the time that these transfers cover; `buffer_micros`: how much of it
    stands on lent nodes of buffers (0 in older journals); `attempt`, and
    `market` where nothing is owed, are None in journals of version 1; `owed`: what the market owes
    below one micro-unit, (account, numerator) after this.
    """

    market: str | None
    workload: str
    attempt: str | None
    transfers: tuple[Transfer, ...]
    charged_until_us: int
    charged_numerator: int
    billed_us: int
    owed: tuple[tuple[str, int], ...]
    buffer_micros: int = 0


class WithdrawalCharged(Event, frozen=True, kw_only=True):
    """A workload gave up a promise for which others had to leave, or whose seats were idle for its
    own org, or lowered the bid of an attempt for which others had to leave; `owed` as in
    `UsePosted`. `attempt` is None for a promise."""

    market: str
    workload: str
    transfers: tuple[Transfer, ...]
    owed: tuple[tuple[str, int], ...]
    attempt: str | None = None


class GrantSet(Event, frozen=True, kw_only=True):
    """What an org gets again and again changed, or came due and is next due later."""

    org: str
    grant: Grant | None


class CapSet(Event, frozen=True, kw_only=True):
    """The most that a user's workloads may cost, in each `period`, or hold, changed."""

    user: str
    cap_micros: int | None
    period: CapPeriod = CapPeriod.TOTAL
    most_gpus: int | None = None


class OrgCapSet(Event, frozen=True, kw_only=True):
    """The most that all workloads of an org may cost or hold changed; None: no cap."""

    org: str
    cap: Cap | None


class OrgBoundsSet(Event, frozen=True, kw_only=True):
    """How much an org may have open and begin changed; None: the defaults."""

    org: str
    bounds: OrgBounds | None


class CapNoted(Event, frozen=True, kw_only=True):
    """Four fifths of what a cap allows are spent, or spent and owed; `user` None: the cap is the
    org's."""

    org: str
    user: str | None
    spent_micros: int
    cap_micros: int
    period: CapPeriod


class OrgDisabled(Event, frozen=True, kw_only=True):
    """The tokens of an org's users are refused from now on, and its work and claims end by
    deadlines; or, where not `is_disabled`, it is as any other again."""

    org: str
    is_disabled: bool


class UserDisabled(Event, frozen=True, kw_only=True):
    """The user's tokens are refused from now on, or, where not `is_disabled`, no longer."""

    user: str
    is_disabled: bool


class UnixNameSet(Event, frozen=True, kw_only=True):
    """The Unix user of a user's workloads changed, from their next attempt on."""

    user: str
    unix_name: str | None


class Reserved(Event, frozen=True, kw_only=True):
    """A reservation was sold."""

    reservation: Reservation


class ReservationPaid(Event, frozen=True, kw_only=True):
    """A billing period was charged."""

    reservation: str
    paid_until_us: int
    transfers: tuple[Transfer, ...]


class ReservationSettled(Event, frozen=True, kw_only=True):
    """Money of a reservation moved that is no charge: credit for the time that GPUs of it were
    missing, what was delivered of what it paid ahead, what it earned and had to wait for.

    `short`: (claim or workload, GPUs that it is short of from now on; 0: of none any more), of
    those for which that changed or was credited up to now; `owed` as in `UsePosted`. `missing`: the
    nodes that the right lacked while it was short; older journals do not say.
    """

    market: str
    reservation: str
    transfers: tuple[Transfer, ...]
    short: tuple[tuple[str, int], ...] = ()
    owed: tuple[tuple[str, int], ...] = ()
    missing: tuple[MissingNode, ...] = ()


class ReservationDivided(Event, frozen=True, kw_only=True):
    """Nodes of a reservation became one of their own, `part`; what is left has `shape` and lends
    as `lending` says. `transfers`: what was paid ahead for the part."""

    market: str
    reservation: str
    shape: tuple[tuple[str, int], ...]
    lending: Lending | None
    part: Reservation
    transfers: tuple[Transfer, ...]


class ReservationChanged(Event, frozen=True, kw_only=True):
    """It came into force, ended or lapsed; `end_us` where the end became known."""

    reservation: str
    state: ReservationState
    end_us: int | None


class LendingSet(Event, frozen=True, kw_only=True):
    """The standing offer changed."""

    reservation: str
    lending: Lending | None


class Claimed(Event, frozen=True, kw_only=True):
    """The owner wants nodes for itself: queued like a workload, seated by the next clearing."""

    claim: Claim


class ClaimSeated(Event, frozen=True, kw_only=True):
    """Nodes of a claim are free and the owner's."""

    claim: str

    nodes: tuple[str, ...] | None = None
    """Those that it was promised in place of lost ones; None: all, for the first time."""


class Unclaimed(Event, frozen=True, kw_only=True):
    """The claimed nodes are idle again; `reservation` is None in journals of version 1."""

    claim: str
    reservation: str | None = None


class Submitted(Event, frozen=True, kw_only=True):
    """A workload was accepted."""

    workload: Workload


class Resubmitted(Event, frozen=True, kw_only=True):
    """A workload that had ended goes on under its id: its record as it is from now on."""

    workload: Workload


class PhaseChanged(Event, frozen=True, kw_only=True):
    """A workload was held, released, or ended without an attempt to stop."""

    workload: str
    phase: Phase
    why: str


class DependenciesMet(Event, frozen=True, kw_only=True):
    """Others that a workload waited for started or ended as it wants; `phase` is what it becomes,
    and `why` says why it still waits."""

    workload: str
    met: tuple[Dependency, ...]
    phase: Phase
    why: str


class BidChanged(Event, frozen=True, kw_only=True):
    """A new limit per GPU-hour. `members`: of an array, those that wait to be opened and bid this;
    none: the array itself, and so all that wait."""

    workload: str
    limit_price_micros: int
    members: Spans = ()


class BoundsChanged(Event, frozen=True, kw_only=True):
    """`max_spend` and `max_duration` of a workload are these from now on; None: it has none.

    `must_end_us`: when its seats must be free by it; `is_budget_noted`: whether the event at 80 %
    counts as made. `members`: of an array, those that wait to be opened and take this
    `max_duration`; none: the array itself, and so all that wait and have none of their own."""

    workload: str
    max_spend_micros: int | None
    max_duration_us: int | None
    must_end_us: int | None
    is_budget_noted: bool
    members: Spans = ()


class FellBack(Event, frozen=True, kw_only=True):
    """Spot work becomes on-demand, so that it makes its deadline: with a window in this fabric, at
    the price that was agreed when it was submitted, until `must_end_us`."""

    workload: str
    fabric: str
    must_end_us: int

    withdraws: bool
    """Whether it gives up seats that it was promised in another fabric."""


class MembersOpened(Event, frozen=True, kw_only=True):
    """Members of an array take part from now on, each as a workload of its own."""

    workload: str
    members: Spans

    attempts_before: int = 0
    """The attempts from which those that ran before are numbered on, so that none of these counts
    for their back-off; 0: all count, as in journals of before this was said."""


class MembersEnded(Event, frozen=True, kw_only=True):
    """Members of an array that were not open will not be: they ended as `phase` says."""

    workload: str
    members: Spans
    phase: Phase
    why: str


class MembersRetried(Event, frozen=True, kw_only=True):
    """Members of an array that had ended wait to be opened again."""

    workload: str
    members: Spans


class StopOrdered(Event, frozen=True, kw_only=True):
    """An attempt must leave, decided outside a clearing; `phase` is what its workload becomes."""

    workload: str
    stop: Stop
    phase: Phase


class NodeHealthSet(Event, frozen=True, kw_only=True):
    """What is known of a node changed."""

    node: str
    health: Health
    reason: str


class NodeCordoned(Event, frozen=True, kw_only=True):
    """A holder wants no new work there."""

    node: str
    cordon: Cordon


class NodeUncordoned(Event, frozen=True, kw_only=True):
    """The holder's cordon is lifted."""

    node: str
    holder: str


class ReachabilityChanged(Event, frozen=True, kw_only=True):
    """A pool's agent fell silent, or is heard (again)."""

    pool: str
    is_reachable: bool


class FenceSet(Event, frozen=True, kw_only=True):
    """A pool's fence was asked for, stands, fell, or was given up."""

    pool: str
    fence: Fence


class Cleared(Event, frozen=True, kw_only=True):
    """One clearing: everything that changed, and nothing that did not."""

    market: str
    left: tuple[Leaving, ...]
    won: tuple[Won, ...]
    repriced: tuple[Repriced, ...]
    waiting: tuple[Waiting, ...]
    ladder: tuple[tuple[int, int | None], ...]

    claims: tuple[ClaimKept, ...] = ()
    """Claims that were handed over before and keep some of their nodes; in journals of before they
    did, such a claim is among `won` or `left`, with all its nodes."""


class Launched(Event, frozen=True, kw_only=True):
    """All promised seats were free: the attempt is ordered."""

    workload: str
    attempt: Attempt


class Started(Event, frozen=True, kw_only=True):
    """The engine reported the first process, at `at_us`."""

    workload: str
    attempt: str


class Checkpointed(Event, frozen=True, kw_only=True):
    """The program reported a finished checkpoint."""

    workload: str
    attempt: str
    step: int


class Broken(Event, frozen=True, kw_only=True):
    """A node of the attempt failed; nothing after this is billed."""

    workload: str
    attempt: str


class Ended(Event, frozen=True, kw_only=True):
    """The seats were seen free. `phase` is what the workload becomes, `summary` how it exited.

    `failures` and `preemptions` are the counts after it. `is_saved`: it said that it saved what it
    had and is to be run again; False in journals that did not say. `is_unstarted`: it ended before
    its first process by its org's own doing; False in journals of before this counted.
    `exit_code`: as `exit_code_of` has it; None where it is not known, and in journals of before it
    was kept. `held_us`: for how long it held its seats before its first process beyond what is
    free; billed unless it is the first of its org in a day. None in journals in which only
    `is_unstarted` counted. `held_in_grace_us`: the part of that time which is within the
    start grace, `held_idle_us`: that before the launch, in which its promise held idle seats for
    its own org; both are always billed. None in journals of before they were. `is_refused`: the
    engine did not start it by no doing of its org, and nothing is billed; False in journals of
    before this was told.
    """

    workload: str
    attempt: str
    phase: Phase
    why: str
    cause: Cause | None
    summary: str
    failures: int
    preemptions: int
    not_before_us: int
    is_saved: bool = False
    is_unstarted: bool = False
    exit_code: int | None = None
    held_us: int | None = None
    held_in_grace_us: int | None = None
    held_idle_us: int | None = None
    is_refused: bool = False


class BudgetNoted(Event, frozen=True, kw_only=True):
    """80 % of `max_spend` is spent."""

    workload: str


class RepairsKnown(Event, frozen=True, kw_only=True):
    """What the agent of a pool can be told to do with its nodes."""

    pool: str
    kinds: tuple[RepairKind, ...]


class SurroundingsKnown(Event, frozen=True, kw_only=True):
    """What the nodes of a pool share, in place of what was known before."""

    pool: str
    nodes: tuple[Surroundings, ...]


class AutomationSet(Event, frozen=True, kw_only=True):
    """Whether Mars acts by itself, and within which guards. `asks_held`: what a stop
    held is asked again now, and where the budgets are lifted all that is held."""

    automation: Automation
    asks_held: bool = False


class VerdictGiven(Event, frozen=True, kw_only=True):
    """A sick node, says its pool's agent; `incident`: the open one that it belongs to."""

    node: str
    verdict: Verdict
    incident: str | None


class IncidentOpened(Event, frozen=True, kw_only=True):
    """A node's incident began; `budgets`: what the guards count for it; `parent`: the rack, switch,
    fabric or driver that is suspected instead, where one is (older journals do not say)."""

    node: str
    incident: Incident
    budgets: tuple[BudgetNote, ...]
    parent: str | None = None


class IncidentHeld(Event, frozen=True, kw_only=True):
    """The guards were asked again: they still hold it, or (`held` None) let it through. `next` is
    what the incident does then; None leaves what it had: it is still held, or an older journal.
    `parent` as in `IncidentOpened`."""

    node: str
    incident: str
    held: HoldReason | None
    retry_us: int | None
    budgets: tuple[BudgetNote, ...]
    next: Next | None = None
    parent: str | None = None


class IncidentTurned(Event, frozen=True, kw_only=True):
    """An incident does something else next, and why."""

    node: str
    incident: str
    next: Next
    says: str


class RepairOrdered(Event, frozen=True, kw_only=True):
    """The agent of the node's pool is told to do this."""

    node: str
    order: RepairOrder


class RepairEnded(Event, frozen=True, kw_only=True):
    """The agent did it, or could not; `repair` is what the ladder remembers of it, `next` what the
    incident does then (None: it was over already). `kind` is what was ordered; None in older
    journals, which name it in `says` only."""

    node: str
    incident: str
    report: RepairReport
    repair: Repair | None
    next: Next | None
    says: str
    kind: RepairKind | None = None


class IncidentClosed(Event, frozen=True, kw_only=True):
    """The one end of an incident."""

    node: str
    incident: str
    outcome: IncidentOutcome
    says: str


class TurnaroundOrdered(Event, frozen=True, kw_only=True):
    """A free node in service is sanitised, as another org may come."""

    node: str
    order: RepairOrder


class TurnaroundEnded(Event, frozen=True, kw_only=True):
    """That sanitising ended; `took_us` from its order on."""

    node: str
    report: RepairReport
    took_us: int


class NodeSanitised(Event, frozen=True, kw_only=True):
    """What the last org left is gone: the node is any org's."""

    node: str


class BuffersSized(Event, frozen=True, kw_only=True):
    """So many nodes of each fabric are held from now on."""

    market: str
    policy: BufferPolicy
    fabrics: tuple[FabricBuffer, ...]


class Forgotten(Event, frozen=True, kw_only=True):
    """What ended long ago leaves the world; read models keep it."""

    workloads: tuple[str, ...]
    reservations: tuple[str, ...]


ServerEvent = EpochOpened | ClockJumped | ClockConfirmed | ClockAdvanced
"""About the writer and its clock."""

MaintenanceEvent = MaintenanceScheduled | MaintenanceChanged | MaintenanceBegun | MaintenanceEnded
"""About windows in which nodes are out of use."""

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

AccountEvent = (
    OrgCreated
    | UserCreated
    | OrgDisabled
    | UserDisabled
    | TokenAdded
    | TokenRevoked
    | GrantSet
    | CapSet
    | OrgCapSet
    | OrgBoundsSet
    | CapNoted
    | UnixNameSet
)
"""About orgs, users and tokens."""

MoneyEvent = (
    MoneyMoved
    | UsePosted
    | WithdrawalCharged
    | ReservationPaid
    | ReservationSettled
    | ReservationDivided
)
"""Those with transfers."""

HealingEvent = (
    RepairsKnown
    | AutomationSet
    | VerdictGiven
    | IncidentOpened
    | IncidentHeld
    | IncidentTurned
    | RepairOrdered
    | RepairEnded
    | IncidentClosed
    | TurnaroundOrdered
    | TurnaroundEnded
    | NodeSanitised
    | BuffersSized
    | SurroundingsKnown
)
"""About sick nodes and their repair."""

LeasingEvent = Reserved | ReservationChanged | LendingSet | Claimed | ClaimSeated | Unclaimed
"""About reservations, lending and claims."""

WorkloadStep = (
    PhaseChanged
    | DependenciesMet
    | BidChanged
    | BoundsChanged
    | FellBack
    | MembersOpened
    | MembersEnded
    | MembersRetried
    | StopOrdered
    | Launched
    | Started
    | Checkpointed
    | Broken
    | Ended
    | BudgetNoted
)
"""Of one workload that is known, by its id in `workload`."""

WorkloadEvent = Submitted | Resubmitted | WorkloadStep
"""About one workload, outside a clearing."""

AnyEvent = (
    ServerEvent
    | FleetEvent
    | MaintenanceEvent
    | AccountEvent
    | MoneyEvent
    | LeasingEvent
    | WorkloadEvent
    | HealingEvent
    | Cleared
    | Forgotten
)
"""Every event. A new one is a type error until each `match` over the union handles it."""
