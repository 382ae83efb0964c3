"""What people, agents and the clock ask of the world; `decide` answers with events or a refusal.

`by` is the asking user, None the server itself. Permissions are one table (`steps.permissions`).

Each subject has a file, with the union of its commands; all are read as `commands.NAME`. A new
command is a struct there, its name in that union, and its name in the lists below. It derives from
the class of its subject (`About…`), by which a `match` over all of them asks for the subject first.
"""

from parkade.core.state.commands.accounts import (
    AboutAccounts,
    AccountCommand,
    AddToken,
    Adjust,
    CreateOrg,
    CreateUser,
    DeleteOrg,
    DeleteUser,
    Deposit,
    DescribeOrg,
    RevokeToken,
    SetCap,
    SetGrant,
    SetOrgBounds,
    SetOrgCap,
    SetOrgDisabled,
    SetUnixName,
    SetUserDisabled,
    SetUserRole,
)
from parkade.core.state.commands.command import Command
from parkade.core.state.commands.fleet import (
    AboutFleet,
    AddNodes,
    ClosePool,
    CordonNode,
    DrainNode,
    FailNode,
    FleetCommand,
    NewMarket,
    ObservePool,
    OpenPool,
    RemoveNode,
    RestoreNode,
    SetFence,
    Supply,
    UncordonNode,
    UndrainNode,
)
from parkade.core.state.commands.healing import (
    AboutHealing,
    HealingCommand,
    ReportRepair,
    ReportRepairKinds,
    ReportSurroundings,
    ReportVerdict,
    SetAutomation,
)
from parkade.core.state.commands.leasing import (
    AboutLeasing,
    EndReservation,
    ExtendReservation,
    LeasingCommand,
    Lend,
    MakeClaim,
    Reserve,
    ShrinkReservation,
    SplitReservation,
    Unclaim,
)
from parkade.core.state.commands.maintenance import (
    AboutMaintenance,
    CancelMaintenance,
    ChangeMaintenance,
    MaintenanceCommand,
    ScheduleMaintenance,
)
from parkade.core.state.commands.reports import (
    AboutReports,
    ReportAttempts,
    ReportCommand,
    ReportFence,
    ReportOwnerJobs,
    ReportReachability,
    ReportTakenNodes,
)
from parkade.core.state.commands.server import (
    AboutServer,
    ConfirmClock,
    OpenEpoch,
    RunClearing,
    ServerCommand,
)
from parkade.core.state.commands.terms import (
    AboutTerms,
    ChangeTerms,
    SetPrices,
    TermsChange,
    TermsCommand,
)
from parkade.core.state.commands.workloads import (
    AboutWorkloads,
    Cancel,
    ChangeBid,
    ChangeBounds,
    Hold,
    NewBound,
    OpenExec,
    Release,
    Resubmit,
    Retry,
    Submit,
    WorkloadCommand,
)

__all__ = [
    "AboutAccounts",
    "AboutFleet",
    "AboutHealing",
    "AboutLeasing",
    "AboutMaintenance",
    "AboutReports",
    "AboutServer",
    "AboutTerms",
    "AboutWorkloads",
    "AccountCommand",
    "AddNodes",
    "AddToken",
    "Adjust",
    "AnyCommand",
    "Cancel",
    "CancelMaintenance",
    "ChangeBid",
    "ChangeBounds",
    "ChangeMaintenance",
    "ChangeTerms",
    "ClosePool",
    "Command",
    "ConfirmClock",
    "CordonNode",
    "CreateOrg",
    "CreateUser",
    "DeleteOrg",
    "DeleteUser",
    "Deposit",
    "DescribeOrg",
    "DrainNode",
    "EndReservation",
    "ExtendReservation",
    "FailNode",
    "FleetCommand",
    "HealingCommand",
    "Hold",
    "LeasingCommand",
    "Lend",
    "MaintenanceCommand",
    "MakeClaim",
    "NewBound",
    "NewMarket",
    "ObservePool",
    "OpenEpoch",
    "OpenExec",
    "OpenPool",
    "Release",
    "RemoveNode",
    "ReportAttempts",
    "ReportCommand",
    "ReportFence",
    "ReportOwnerJobs",
    "ReportReachability",
    "ReportRepair",
    "ReportRepairKinds",
    "ReportSurroundings",
    "ReportTakenNodes",
    "ReportVerdict",
    "Reserve",
    "RestoreNode",
    "Resubmit",
    "Retry",
    "RevokeToken",
    "RunClearing",
    "ScheduleMaintenance",
    "ServerCommand",
    "SetAutomation",
    "SetCap",
    "SetFence",
    "SetGrant",
    "SetOrgBounds",
    "SetOrgCap",
    "SetOrgDisabled",
    "SetPrices",
    "SetUnixName",
    "SetUserDisabled",
    "SetUserRole",
    "ShrinkReservation",
    "SplitReservation",
    "Submit",
    "Supply",
    "TermsChange",
    "TermsCommand",
    "Unclaim",
    "UncordonNode",
    "UndrainNode",
    "WorkloadCommand",
]

AnyCommand = (
    ServerCommand
    | FleetCommand
    | MaintenanceCommand
    | TermsCommand
    | AccountCommand
    | LeasingCommand
    | WorkloadCommand
    | HealingCommand
    | ReportCommand
)
"""Every command. A new one is a type error until each `match` over the union handles it."""
