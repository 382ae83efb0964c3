"""The doors between Parkade and the world, as small protocols in our words.

Everything here is level-triggered: an agent is told the whole desired state of its pool and
reports a whole, dated observation. Every call may be repeated harmlessly; identity is the attempt
id, order is (epoch, sequence). Times are microseconds since 1970-01-01 UTC.

Each subject has a file; all are imported from here.
"""

from parkade.core.fleet.seat import Seat
from parkade.core.workloads.observed import (
    Checkpoint,
    ObservedAttempt,
    RankBegun,
    RankExit,
    RankLeft,
)
from parkade.core.workloads.observed import EnginePhase as Phase
from parkade.core.workloads.saving import SaveRequest
from parkade.core.workloads.workload import Stop
from parkade.ports.archiving import Archiving, Segment
from parkade.ports.desired import (
    DesiredAttempt,
    DesiredRank,
    DesiredState,
    GivenNodes,
    Lease,
    NodeShape,
    Obeyed,
)
from parkade.ports.engine import (
    Conflict,
    Engine,
    EngineError,
    InvalidSpec,
    Misconfigured,
    Transient,
    Unreachable,
    Unsupported,
)
from parkade.ports.execs import (
    ExecChunk,
    ExecEnd,
    ExecInput,
    ExecOutput,
    ExecRequest,
    ExecSession,
    Window,
)
from parkade.ports.folders import (
    FolderAnswer,
    FolderLook,
    FolderReport,
    KeptOfOrg,
    LogPlace,
    LogRequest,
    WorkloadFolder,
)
from parkade.ports.health import (
    NO_BACKLOG,
    NO_OTHERS,
    Backlog,
    HealthReport,
    LogSensor,
    LogStates,
    Missed,
    OtherLines,
    Repairs,
    Sensor,
    SensorState,
)
from parkade.ports.observed import MOST_TROUBLES, Capabilities, Observation, OwnerReport, Trouble
from parkade.ports.process import AlreadyLed, Clock, Flag, Leadership, Timer
from parkade.ports.store import (
    Batch,
    DamagedAnswer,
    Fenced,
    JournalEntry,
    Moved,
    StatedTransfer,
    Store,
    StoredAnswer,
    StoredSnapshot,
    StoreError,
)

__all__ = [
    "MOST_TROUBLES",
    "NO_BACKLOG",
    "NO_OTHERS",
    "AlreadyLed",
    "Archiving",
    "Backlog",
    "Batch",
    "Capabilities",
    "Checkpoint",
    "Clock",
    "Conflict",
    "DamagedAnswer",
    "DesiredAttempt",
    "DesiredRank",
    "DesiredState",
    "Engine",
    "EngineError",
    "ExecChunk",
    "ExecEnd",
    "ExecInput",
    "ExecOutput",
    "ExecRequest",
    "ExecSession",
    "Fenced",
    "Flag",
    "FolderAnswer",
    "FolderLook",
    "FolderReport",
    "GivenNodes",
    "HealthReport",
    "InvalidSpec",
    "JournalEntry",
    "KeptOfOrg",
    "Leadership",
    "Lease",
    "LogPlace",
    "LogRequest",
    "LogSensor",
    "LogStates",
    "Misconfigured",
    "Missed",
    "Moved",
    "NodeShape",
    "Obeyed",
    "Observation",
    "ObservedAttempt",
    "OtherLines",
    "OwnerReport",
    "Phase",
    "RankBegun",
    "RankExit",
    "RankLeft",
    "Repairs",
    "SaveRequest",
    "Seat",
    "Segment",
    "Sensor",
    "SensorState",
    "StatedTransfer",
    "Stop",
    "Store",
    "StoreError",
    "StoredAnswer",
    "StoredSnapshot",
    "Timer",
    "Transient",
    "Trouble",
    "Unreachable",
    "Unsupported",
    "Window",
    "WorkloadFolder",
]
