"""An incident: one node's way from the first bad verdict to its end, as a record and as orders.

An incident is opened by a degraded or fatal verdict, or by a person who wants a node validated.
While it is open, every further verdict on the node belongs to it. It has at most one repair under
way and one `next`; it ends in exactly one `IncidentOutcome`. A node has at most one open incident.
"""

import enum

import msgspec
from msgspec.structs import replace

from parkade.core.healing.guards import GuardLimits, HoldReason
from parkade.core.healing.ladder import Repair
from parkade.core.healing.parents import ParentLimits
from parkade.core.healing.symptom import Source
from parkade.core.healing.verdict import Action, Level, Verdict

MOST_VERDICTS = 8
MOST_LINES = 100
MOST_HURT = 64
MOST_CLOSED = 200
"""Closed incidents that the world keeps; the journal keeps all."""
MOST_RECENT = 16


class RepairKind(enum.StrEnum):
    """What an agent can be told to do with a node. Never renamed: it is in the journal."""

    RESET = "reset"
    REBOOT = "reboot"
    VALIDATE = "validate"
    SANITISE = "sanitise"
    TICKET = "ticket"


class Next(enum.StrEnum):
    """What an open incident does as soon as it may."""

    RESET = "reset"
    REBOOT = "reboot"
    VALIDATE = "validate"
    SANITISE = "sanitise"
    RETURN = "return"
    RETIRE = "retire"
    PERSON = "person"
    """Nothing: a person must act, and `says` tells why."""


class Grade(enum.StrEnum):
    """How hard a validation looks: short after a first repair, long for what keeps failing."""

    SHORT = "short"
    LONG = "long"


class IncidentOutcome(enum.StrEnum):
    """How an incident ended. Exactly one each."""

    RETURNED = "returned"
    """Repaired, validated, sanitised where the tenant may change, back in service."""
    RETIRED = "retired"
    WAIVED = "waived"
    """A person took the node over, or gave it back on its own word."""
    EXPIRED = "expired"
    """Held for a day, and the fault was not seen again."""


class RepairOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing for an agent to do, once. `order` is its name for ever; `grade` is a validation's;
    `device` None is the whole node. `is_diagnosis`: a long validation because of a fault, which the
    ladder counts where it passes."""

    order: str
    incident: str
    node: str
    kind: RepairKind
    grade: Grade | None
    device: str | None
    ordered_us: int
    is_diagnosis: bool = False


class RepairReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an order ended, as the agent says. `exit_code` None: it could not be run, or it was ended
    by its time-out; `says` is the check's own words."""

    order: str
    node: str
    is_done: bool
    exit_code: int | None
    says: str
    began_us: int
    ended_us: int


class StoryLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of the story."""

    at_us: int
    kind: str
    says: str


class Hurt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A workload that had to leave the node. It stood still from `from_us` (None: not yet) until
    `until_us` (None: still); `with_notice`: it could save first."""

    workload: str
    org: str
    with_notice: bool
    from_us: int | None
    until_us: int | None
    moved_to: tuple[str, ...]
    checkpoint_step: int | None


class Incident(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See the module. `held`: the guards do not let it act, and are asked again at `retry_us`;
    `changed_us` is when it last went on; `struck_us` the last fatal verdict; `validated_us` when
    the last validation was ordered that passed (0: none did)."""

    incident: str
    node: str
    pool: str
    market: str
    fabric: str
    opened_us: int
    level: Level
    action: Action
    device: str | None
    signal: str
    next: Next
    changed_us: int
    held: HoldReason | None = None
    retry_us: int | None = None
    struck_us: int = 0
    validated_us: int = 0
    failed_validations: int = 0
    failed_sanitisings: int = 0
    orders: int = 0
    order: RepairOrder | None = None
    verdicts: tuple[Verdict, ...] = ()
    lines: tuple[StoryLine, ...] = ()
    hurt: tuple[Hurt, ...] = ()
    outcome: IncidentOutcome | None = None
    closed_us: int | None = None


def is_passed(incident: Incident, order: RepairOrder, report: RepairReport) -> bool:
    """Whether a validation passed: a fatal fault meanwhile fails it, whatever the check says."""
    return report.is_done and incident.struck_us <= order.ordered_us


def is_validated(incident: Incident) -> bool:
    """Whether its last validation passed, and no fatal fault came after that was ordered."""
    return incident.validated_us > 0 and incident.struck_us <= incident.validated_us


def raised(incident: Incident, verdict: Verdict) -> Incident:
    """With the verdict's level, action, device and signal, where that is worse."""
    if verdict.level.rank <= incident.level.rank:
        return incident
    return replace(
        incident,
        level=verdict.level,
        action=verdict.action,
        device=verdict.device,
        signal=verdict.signal,
    )


class TakenVerdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verdict that was taken in, by its name, so that a repeated report changes nothing."""

    verdict: str
    level: Level
    sources: tuple[Source, ...]
    at_us: int


class Care(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is remembered of a node beyond its incidents: `repairs` feed the ladder."""

    node: str
    incident: str | None = None
    repairs: tuple[Repair, ...] = ()
    recent: tuple[TakenVerdict, ...] = ()
    fatal_us: tuple[int, ...] = ()


class Automation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whether Mars acts at all, and within which guards. `is_limited` False lifts the budgets, the
    second source and the suspicion of parents: for a drill, or where a person knows better. `by`
    set it last, at `set_us`; None: it never was, or an older journal does not say."""

    is_on: bool = True
    is_limited: bool = True
    reason: str = ""
    guards: GuardLimits = GuardLimits()
    parents: ParentLimits = ParentLimits()
    by: str | None = None
    set_us: int | None = None


class BudgetNote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a decision changes of one budget (`fleet`, or market/fabric): its breaker's state, and
    the node that it takes, if it takes one."""

    budget: str
    nodes: int
    state: str
    changed_us: int
    taken: str | None
