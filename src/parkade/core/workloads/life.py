"""The life of a workload: one transition table; the docs are drawn from it."""

import enum


class Phase(enum.StrEnum):
    """Where a workload is. The last four are for ever."""

    HELD = "held"
    QUEUED = "queued"
    PLACED = "placed"
    STARTING = "starting"
    RUNNING = "running"
    PREEMPTING = "preempting"
    DEGRADED = "degraded"
    HEALING = "healing"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in ENDED


class Cause(enum.StrEnum):
    """Why an attempt has to leave."""

    OUTBID = "outbid"
    BELOW_FLOOR = "below_floor"
    RECLAIMED = "reclaimed"
    MOVED = "moved"
    RESIZED = "resized"
    HEALED = "healed"
    BUDGET = "budget"
    OPERATOR = "operator"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LAPSED = "lapsed"
    NOT_STARTED = "not_started"


class Why(enum.StrEnum):
    """Why a workload or claim waits or ended: one machine-readable word, shown as it is.

    What a clearing refuses has the words of its `WaitReason`, what must leave those of its `Cause`.
    """

    NEXT_CLEARING = "next_clearing"
    PLACED = "placed"
    HELD = "held"
    BACK_OFF = "back_off"
    NOT_ADMITTED = "not_admitted"
    NO_ROOM = "no_room"
    OUTBID = "outbid"
    BELOW_FLOOR = "below_floor"
    PROTECTED = "protected"
    RESERVATION_FULL = "reservation_full"
    RESERVATION_NOT_IN_FORCE = "reservation_not_in_force"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    USER_CAP = "user_cap"
    ORG_CAP = "org_cap"
    USER_GPUS = "user_gpus"
    ORG_GPUS = "org_gpus"
    ORG_STARTS = "org_starts"
    MAX_SPEND = "max_spend"
    MAX_DURATION = "max_duration"
    DEPENDENCY = "dependency"
    DEPENDENCY_FAILED = "dependency_failed"
    RESERVATION_ENDED = "reservation_ended"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


BLAMELESS = frozenset(
    {
        Cause.BELOW_FLOOR,
        Cause.RECLAIMED,
        Cause.MOVED,
        Cause.RESIZED,
        Cause.HEALED,
        Cause.OPERATOR,
        Cause.LAPSED,
    }
)
"""Causes of a notice that excuse what is owed for having made others leave."""

CAPPED = frozenset({Why.USER_CAP, Why.ORG_CAP, Why.USER_GPUS, Why.ORG_GPUS})
"""Why a bid waits that a cap of its user or org keeps from winning."""

NO_REAL_BID = CAPPED | {
    Why.BELOW_FLOOR, Why.INSUFFICIENT_FUNDS, Why.MAX_SPEND, Why.ORG_STARTS, Why.NOT_ADMITTED,
}  # fmt: skip
"""Why a bid waits that no other keeps from winning."""

ENDED = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.EXPIRED})

TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.HELD: frozenset({Phase.QUEUED, Phase.CANCELLED, Phase.EXPIRED}),
    Phase.QUEUED: frozenset(
        {Phase.HELD, Phase.PLACED, Phase.FAILED, Phase.CANCELLED, Phase.EXPIRED}
    ),
    Phase.PLACED: frozenset(
        {Phase.HELD, Phase.QUEUED, Phase.STARTING, Phase.CANCELLED, Phase.EXPIRED}
    ),
    Phase.STARTING: frozenset(
        {
            Phase.RUNNING,
            Phase.PREEMPTING,
            Phase.DEGRADED,
            Phase.HEALING,
            Phase.STOPPING,
            Phase.QUEUED,
            Phase.SUCCEEDED,
            Phase.FAILED,
        }
    ),
    Phase.RUNNING: frozenset(
        {
            Phase.PREEMPTING,
            Phase.DEGRADED,
            Phase.HEALING,
            Phase.STOPPING,
            Phase.QUEUED,
            Phase.SUCCEEDED,
            Phase.FAILED,
        }
    ),
    Phase.PREEMPTING: frozenset(
        {Phase.QUEUED, Phase.PLACED, Phase.STOPPING, Phase.SUCCEEDED, Phase.FAILED, Phase.EXPIRED}
    ),
    Phase.DEGRADED: frozenset(
        {
            Phase.HEALING,
            Phase.PREEMPTING,
            Phase.STOPPING,
            Phase.QUEUED,
            Phase.SUCCEEDED,
            Phase.FAILED,
        }
    ),
    Phase.HEALING: frozenset(
        {Phase.QUEUED, Phase.PLACED, Phase.STOPPING, Phase.SUCCEEDED, Phase.FAILED}
    ),
    Phase.STOPPING: frozenset({Phase.CANCELLED, Phase.EXPIRED, Phase.SUCCEEDED}),
    Phase.SUCCEEDED: frozenset(),
    Phase.FAILED: frozenset(),
    Phase.CANCELLED: frozenset(),
    Phase.EXPIRED: frozenset(),
}


def is_allowed(before: Phase, after: Phase) -> bool:
    """Whether the table has the step; staying is always allowed."""
    return before is after or after in TRANSITIONS[before]
