"""What happened, for ever: the journal is a sequence of these, each with the instant it tells.

`at_us` is when the thing took effect (a deadline's own time, not when it was noticed). Records
that an event creates travel whole, so that `evolve` computes nothing that `decide` already did.
A kept journal of each landed version must replay: fields are added with defaults; a version that
changes more is lifted on reading (`lift`), never edited.

Each subject has a file, with the union of its events; all are read as `events.NAME`. A new event
is a struct there, its name in that union, and its name in the lists below.
"""

from parkade.core.state.events.accounts import (
    AccountEvent,
    CapNoted,
    CapSet,
    GrantSet,
    OrgBoundsSet,
    OrgCapSet,
    OrgCreated,
    OrgDisabled,
    TokenAdded,
    TokenRevoked,
    UnixNameSet,
    UserCreated,
    UserDisabled,
)
from parkade.core.state.events.clearing import Cleared
from parkade.core.state.events.event import (
    EVENT_VERSION,
    Event,
)
from parkade.core.state.events.fleet import (
    FenceSet,
    FleetEvent,
    NodeCordoned,
    NodeDraining,
    NodeHealthSet,
    NodeRemoved,
    NodesAdded,
    NodeUncordoned,
    NodeUndrained,
    PoolClosed,
    PoolOpened,
    PricesSet,
    ReachabilityChanged,
    TermsAnnounced,
    TermsChanged,
)
from parkade.core.state.events.healing import (
    AutomationSet,
    BuffersSized,
    HealingEvent,
    IncidentClosed,
    IncidentHeld,
    IncidentOpened,
    IncidentTurned,
    NodeSanitised,
    RepairEnded,
    RepairOrdered,
    RepairsKnown,
    SurroundingsKnown,
    TurnaroundEnded,
    TurnaroundOrdered,
    VerdictGiven,
)
from parkade.core.state.events.leasing import (
    Claimed,
    ClaimSeated,
    LeasingEvent,
    LendingSet,
    ReservationChanged,
    Reserved,
    Unclaimed,
)
from parkade.core.state.events.maintenance import (
    MaintenanceBegun,
    MaintenanceChanged,
    MaintenanceEnded,
    MaintenanceEvent,
    MaintenanceScheduled,
)
from parkade.core.state.events.money import (
    MoneyEvent,
    MoneyMoved,
    ReservationDivided,
    ReservationPaid,
    ReservationSettled,
    UsePosted,
    WithdrawalCharged,
)
from parkade.core.state.events.server import (
    ClockAdvanced,
    ClockConfirmed,
    ClockJumped,
    EpochOpened,
    Forgotten,
    ServerEvent,
)
from parkade.core.state.events.workloads import (
    BidChanged,
    BoundsChanged,
    Broken,
    BudgetNoted,
    Checkpointed,
    DependenciesMet,
    Ended,
    EntryTaken,
    FellBack,
    Launched,
    MembersEnded,
    MembersOpened,
    MembersRetried,
    PhaseChanged,
    Resubmitted,
    Started,
    StopOrdered,
    Submitted,
    WorkloadEvent,
    WorkloadStep,
)

__all__ = [
    "EVENT_VERSION",
    "AccountEvent",
    "AnyEvent",
    "AutomationSet",
    "BidChanged",
    "BoundsChanged",
    "Broken",
    "BudgetNoted",
    "BuffersSized",
    "CapNoted",
    "CapSet",
    "Checkpointed",
    "ClaimSeated",
    "Claimed",
    "Cleared",
    "ClockAdvanced",
    "ClockConfirmed",
    "ClockJumped",
    "DependenciesMet",
    "Ended",
    "EntryTaken",
    "EpochOpened",
    "Event",
    "FellBack",
    "FenceSet",
    "FleetEvent",
    "Forgotten",
    "GrantSet",
    "HealingEvent",
    "IncidentClosed",
    "IncidentHeld",
    "IncidentOpened",
    "IncidentTurned",
    "Launched",
    "LeasingEvent",
    "LendingSet",
    "MaintenanceBegun",
    "MaintenanceChanged",
    "MaintenanceEnded",
    "MaintenanceEvent",
    "MaintenanceScheduled",
    "MembersEnded",
    "MembersOpened",
    "MembersRetried",
    "MoneyEvent",
    "MoneyMoved",
    "NodeCordoned",
    "NodeDraining",
    "NodeHealthSet",
    "NodeRemoved",
    "NodeSanitised",
    "NodeUncordoned",
    "NodeUndrained",
    "NodesAdded",
    "OrgBoundsSet",
    "OrgCapSet",
    "OrgCreated",
    "OrgDisabled",
    "PhaseChanged",
    "PoolClosed",
    "PoolOpened",
    "PricesSet",
    "ReachabilityChanged",
    "RepairEnded",
    "RepairOrdered",
    "RepairsKnown",
    "ReservationChanged",
    "ReservationDivided",
    "ReservationPaid",
    "ReservationSettled",
    "Reserved",
    "Resubmitted",
    "ServerEvent",
    "Started",
    "StopOrdered",
    "Submitted",
    "SurroundingsKnown",
    "TermsAnnounced",
    "TermsChanged",
    "TokenAdded",
    "TokenRevoked",
    "TurnaroundEnded",
    "TurnaroundOrdered",
    "Unclaimed",
    "UnixNameSet",
    "UsePosted",
    "UserCreated",
    "UserDisabled",
    "VerdictGiven",
    "WithdrawalCharged",
    "WorkloadEvent",
    "WorkloadStep",
]

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
