"""The Python client: `Client` and `AsyncClient` over one description of every call.

    with Client("https://parkade.example", token=token) as client:
        workload = client.submit(spec)
        for event in client.events():
            ...

Calls that change something carry an idempotency key and are repeated with it until they are
answered, so that a lost answer never starts or charges anything twice.

What calls take and answer, and the errors that they raise, are imported from here alone.
"""

from parkade.client.asynchronous import AsyncClient
from parkade.client.call import UNCHANGED
from parkade.client.errors import (
    Changed,
    Denied,
    Failed,
    Invalid,
    NotFound,
    ParkadeError,
    Refused,
    TryAgain,
    Unauthenticated,
    Unreachable,
)
from parkade.client.synchronous import Client
from parkade.wire.costs import Showback
from parkade.wire.effects import BoundsPlan, Effect
from parkade.wire.execs import ExecOutput, ExecSession, ExecTaken, Terminal
from parkade.wire.feed import Caller, Confirmed, Event, Standing
from parkade.wire.lot import Lot
from parkade.wire.maintenance import Maintenance, Maintenances, ScheduleMaintenance
from parkade.wire.mars import Incident, Incidents, SetAutomation
from parkade.wire.mars import Status as MarsStatus
from parkade.wire.money import Accounts, Statement
from parkade.wire.nodes import NodeInFull
from parkade.wire.people import (
    Login,
    LoginState,
    NewToken,
    Org,
    Orgs,
    Receiver,
    Receivers,
    StoppedByCap,
    Token,
    Tokens,
    User,
    Users,
)
from parkade.wire.pools import (
    AddNodes,
    ChangeTerms,
    InstanceType,
    Market,
    Node,
    Nodes,
    OpenPool,
    Pool,
    Pools,
    Prices,
    Sheet,
    Terms,
)
from parkade.wire.reservations import (
    Claim,
    Claims,
    Reservation,
    ReservationChange,
    ReservationPlan,
    Reservations,
    Reserve,
)
from parkade.wire.spec import WorkloadSpec
from parkade.wire.workloads import LogOffset, Plan, Why, Workload, Workloads

__all__ = [
    "UNCHANGED",
    "Accounts",
    "AddNodes",
    "AsyncClient",
    "BoundsPlan",
    "Caller",
    "ChangeTerms",
    "Changed",
    "Claim",
    "Claims",
    "Client",
    "Confirmed",
    "Denied",
    "Effect",
    "Event",
    "ExecOutput",
    "ExecSession",
    "ExecTaken",
    "Failed",
    "Incident",
    "Incidents",
    "InstanceType",
    "Invalid",
    "LogOffset",
    "Login",
    "LoginState",
    "Lot",
    "Maintenance",
    "Maintenances",
    "Market",
    "MarsStatus",
    "NewToken",
    "Node",
    "NodeInFull",
    "Nodes",
    "NotFound",
    "OpenPool",
    "Org",
    "Orgs",
    "ParkadeError",
    "Plan",
    "Pool",
    "Pools",
    "Prices",
    "Receiver",
    "Receivers",
    "Refused",
    "Reservation",
    "ReservationChange",
    "ReservationPlan",
    "Reservations",
    "Reserve",
    "ScheduleMaintenance",
    "SetAutomation",
    "Sheet",
    "Showback",
    "Standing",
    "Statement",
    "StoppedByCap",
    "Terminal",
    "Terms",
    "Token",
    "Tokens",
    "TryAgain",
    "Unauthenticated",
    "Unreachable",
    "User",
    "Users",
    "Why",
    "Workload",
    "WorkloadSpec",
    "Workloads",
]
