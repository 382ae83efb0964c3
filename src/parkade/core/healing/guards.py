"""Guards of automatic action: how many nodes may be taken out of service, and on whose word.

Theory of operation. A wrong verdict on one node costs one node; a wrong verdict on many takes a
fleet down. So automatic action has a **budget**: at most so many nodes of a fabric, and of the
fleet, within a window. When a request does not fit, the breaker of that budget **opens** and every
request is held, to be shown to people. After `cool_us` it is **half-open**: one node is let
through. If no further request had to be held for `probe_us` after that, it closes; if one had, it
is open again.

Before the budgets: nothing is done on the word of one kind of sensor once `mass` nodes are under
action (the **two-source rule**), nothing where a parent is suspected, and nothing without
permission to act at all. A node that is under action already takes no more of the budget.

A **reporter** speaks for its own nodes only, within its rate, and not of the future.

Worked example. Fabric of 32 nodes, 10 % each hour: 3 nodes. n1, n2, n3 fail and are let through. n4
fails: held, the breaker opens. n5, 10 min later: held. After 30 min n6 is let through as the probe.
10 min pass without a request: the breaker closes, with n6 counted in the hour's budget.
"""

import enum
from collections.abc import Iterable

import msgspec

from parkade.core.healing.symptom import Source, Symptom
from parkade.core.healing.verdict import Action
from parkade.core.units.fraction import Fraction
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US

MOST_TAKEN = 4_096
ACTING = frozenset(
    {
        Action.RESET_AT_IDLE,
        Action.DRAIN_AND_RESET,
        Action.RESET_GPU,
        Action.RESET_FABRIC,
        Action.RESTART_VM,
        Action.REBOOT,
        Action.DIAGNOSE,
        Action.INSPECT,
        Action.RMA,
    }
)
"""Actions that take a node or a device out of service."""


class HoldReason(enum.StrEnum):
    """Why an action waits for a person."""

    OBSERVE_ONLY = "observe_only"
    PARENT_SUSPECTED = "parent_suspected"
    SECOND_SOURCE_NEEDED = "second_source_needed"
    FABRIC_BUDGET = "fabric_budget"
    FLEET_BUDGET = "fleet_budget"
    POOL_BUDGET = "pool_budget"


class Rejected(enum.StrEnum):
    """Why a symptom is not believed; each is counted."""

    UNKNOWN_NODE = "unknown_node"
    NOT_ITS_NODE = "not_its_node"
    TOO_MANY = "too_many"
    FROM_THE_FUTURE = "from_the_future"


class GuardLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Budgets are shares of the nodes, at least one node."""

    fabric_share: Fraction = Fraction(numerator=1, denominator=10)
    fleet_share: Fraction = Fraction(numerator=1, denominator=20)
    window_us: int = HOUR_US
    cool_us: int = 30 * MINUTE_US
    probe_us: int = 10 * MINUTE_US
    mass_nodes: int = 3
    source_window_us: int = 10 * MINUTE_US
    reports_per_minute: int = 600
    reports_at_once: int = 300
    future_us: int = 5 * MINUTE_US


class BreakerState(enum.StrEnum):
    """Closed lets through, open holds, half-open probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """One budget. `taken` are the nodes under action and since when; `changed_us` is when the state
    was entered, for half-open the instant of the probe."""

    budget: int
    state: BreakerState
    changed_us: int
    taken: tuple[tuple[str, int], ...]


def breaker_of(nodes: int, share: Fraction) -> Breaker:
    """A closed breaker for so many nodes; its budget is rounded down, at least one node."""
    budget = max(1, nodes * share.numerator // share.denominator)
    return Breaker(budget=budget, state=BreakerState.CLOSED, changed_us=0, taken=())


def ask(breaker: Breaker, node: str, now_us: int, limits: GuardLimits) -> tuple[Breaker, bool]:
    """Whether the budget lets a node be acted on, and the breaker after that."""
    breaker = settle(breaker, now_us, limits)
    if any(name == node for name, _ in breaker.taken):
        return breaker, True
    match breaker.state:
        case BreakerState.CLOSED:
            if len(breaker.taken) < breaker.budget:
                return _take(breaker, node, now_us), True
        case BreakerState.OPEN:
            if now_us - breaker.changed_us >= limits.cool_us:
                probing = msgspec.structs.replace(
                    breaker, state=BreakerState.HALF_OPEN, changed_us=now_us
                )
                return _take(probing, node, now_us), True
            return breaker, False
        case BreakerState.HALF_OPEN:
            pass
    opened = msgspec.structs.replace(breaker, state=BreakerState.OPEN, changed_us=now_us)
    return opened, False


def has_room(breaker: Breaker, node: str, now_us: int, limits: GuardLimits) -> bool:
    """Whether `ask` would let a node through that was held before. Asking leaves no trace, so what
    waits neither opens a breaker nor keeps one from closing; a probe needs room in the budget."""
    breaker = settle(breaker, now_us, limits)
    if any(name == node for name, _ in breaker.taken):
        return True
    if breaker.state is BreakerState.HALF_OPEN or len(breaker.taken) >= breaker.budget:
        return False
    return breaker.state is BreakerState.CLOSED or now_us - breaker.changed_us >= limits.cool_us


def taken_before(breaker: Breaker, taken: Iterable[tuple[str, int]]) -> Breaker:
    """The breaker of a program that begins, with the nodes that the one before it acted on."""
    latest: dict[str, int] = {}
    for node, at_us in taken:
        latest[node] = max(at_us, latest.get(node, at_us))
    ordered = sorted(latest.items(), key=lambda each: each[1])
    return msgspec.structs.replace(breaker, taken=tuple(ordered[-MOST_TAKEN:]))


def settle(breaker: Breaker, now_us: int, limits: GuardLimits) -> Breaker:
    """The breaker as time has left it: old nodes leave the budget, a quiet probe closes it."""
    taken = tuple(each for each in breaker.taken if now_us - each[1] < limits.window_us)
    state, changed_us = breaker.state, breaker.changed_us
    if state is BreakerState.HALF_OPEN and now_us - changed_us >= limits.probe_us:
        state, changed_us = BreakerState.CLOSED, changed_us + limits.probe_us
    if (taken, state) == (breaker.taken, breaker.state):
        return breaker
    return msgspec.structs.replace(breaker, taken=taken, state=state, changed_us=changed_us)


def needs_second_source(
    fleet: Breaker, sources: frozenset[Source], now_us: int, limits: GuardLimits
) -> bool:
    """Whether so many nodes are under action that one kind of sensor is not enough."""
    under_action = len(settle(fleet, now_us, limits).taken)
    return under_action >= limits.mass_nodes and len(sources) < 2


class Reporter(msgspec.Struct, frozen=True, kw_only=True):
    """A reporter's allowance in symptoms x microseconds, so that no fraction is lost."""

    allowance: int
    at_us: int


def reporter_at(now_us: int, limits: GuardLimits) -> Reporter:
    """A reporter that has not spoken yet."""
    return Reporter(allowance=limits.reports_at_once * 60 * SECOND_US, at_us=now_us)


def admit(
    reporter: Reporter,
    symptom: Symptom,
    now_us: int,
    *,
    own_nodes: frozenset[str],
    limits: GuardLimits,
) -> tuple[Reporter, Rejected | None]:
    """Whether a symptom is believed. A token bucket: `reports_at_once`, then so many a minute."""
    if symptom.node not in own_nodes:
        return reporter, Rejected.NOT_ITS_NODE
    if symptom.at_us > now_us + limits.future_us:
        return reporter, Rejected.FROM_THE_FUTURE
    minute = 60 * SECOND_US
    most = limits.reports_at_once * minute
    gained = max(0, now_us - reporter.at_us) * limits.reports_per_minute
    allowance = min(most, reporter.allowance + gained)
    at_us = max(now_us, reporter.at_us)
    if allowance < minute:
        return Reporter(allowance=allowance, at_us=at_us), Rejected.TOO_MANY
    return Reporter(allowance=allowance - minute, at_us=at_us), None


def _take(breaker: Breaker, node: str, now_us: int) -> Breaker:
    taken = (*breaker.taken, (node, now_us))[-MOST_TAKEN:]
    return msgspec.structs.replace(breaker, taken=taken)
