"""How much an org may begin: open workloads, submissions and starts in each minute.

A bound is an operator's for one org, or the default of every org (`units.bounds`). Minutes are
those of the clock (UTC). A submission beyond a bound is refused with `too_many`; a bid that would
start beyond it waits with `org_starts`. Starts are counted when seats are promised, so that none is
held for a start that has to wait; work in a reservation and on demand counts, and is not kept
waiting.

Example (`tests/core/running/test_pacing.py`): lab may start 2 a minute. Four bids win at 10:00:05:
the first two by limit are promised seats, the others wait. In the clearing of 10:00:35 they take no
part and others have the room; in that of 10:01:05 two more start.
"""

from collections.abc import Iterable

from parkade.core.market.outcome import ClearingLine
from parkade.core.state.people import NOTHING_BEGUN, OrgBounds
from parkade.core.state.world import World
from parkade.core.steps.holdings import is_standing
from parkade.core.units import bounds
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import MINUTE_US, SECOND_US
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload

NO_BOUNDS = OrgBounds()


def bounds_of(world: World, org: str) -> OrgBounds:
    """What an operator set for the org; None in it is the default."""
    record = world.records.orgs.get(org)
    return NO_BOUNDS if record is None or record.bounds is None else record.bounds


def most_open(own: OrgBounds) -> int:
    """How many workloads may be open."""
    return bounds.DEFAULT_OPEN if own.open_workloads is None else own.open_workloads


def most_submits(own: OrgBounds) -> int:
    """How many submissions and retries a minute has."""
    return bounds.DEFAULT_SUBMITS if own.submits_per_minute is None else own.submits_per_minute


def most_starts(own: OrgBounds) -> int:
    """How many starts a minute has."""
    return bounds.DEFAULT_STARTS if own.starts_per_minute is None else own.starts_per_minute


def refuse_more(world: World, org: str, now_us: int) -> Refusal | None:
    """The refusal of one more workload of an org: too many are open, or were submitted in this
    minute."""
    most = most_open(bounds_of(world, org))
    if len(world.live_of_org.get(org, {})) >= most:
        return Refusal(
            reason=Reason.TOO_MANY,
            detail=f"{org} has {most:,} open workloads, as many as it may: cancel some or let them"
            " end; an operator can raise it (parkade org bounds)",
        )
    return refuse_pace(world, org, now_us)


def refuse_pace(world: World, org: str, now_us: int) -> Refusal | None:
    """The refusal of a submission or a retry in this minute."""
    most = most_submits(bounds_of(world, org))
    begun = world.records.begun_by_org.get(org, NOTHING_BEGUN)
    if begun.minute != now_us // MINUTE_US or begun.submits < most:
        return None
    left_s = -(-(MINUTE_US - now_us % MINUTE_US) // SECOND_US)
    return Refusal(
        reason=Reason.TOO_MANY,
        detail=f"{org} submitted {most:,} workloads in this minute, as many as it may; the next"
        f" begins in {left_s} s. An array is one",
    )


def starts_left(world: World, org: str, now_us: int) -> int:
    """How many more may be promised seats in this minute; below zero where more began than may.
    Cost grows with the org's live workloads where they could be too many."""
    most = most_starts(bounds_of(world, org))
    begun = world.records.begun_by_org.get(org, NOTHING_BEGUN)
    left = most - (begun.starts if begun.minute == now_us // MINUTE_US else 0)
    live = world.live_of_org.get(org, {})
    if left >= 2 * len(live):
        return left
    promised = (world.records.workloads[name].promise for name in live)
    return left - sum(1 for promise in promised if promise is not None)


def beyond_starts(world: World, lines: Iterable[ClearingLine], now_us: int) -> frozenset[str]:
    """The bids that have to wait because their org would start too many: all new ones but for the
    best that won, as many as may start. Those that took no part are among them: what others of the
    org set aside may be theirs now. Empty where no org is beyond."""
    winners: dict[str, list[Workload]] = {}
    for line in lines:
        workload = world.records.workloads.get(line.demand) if line.seats else None
        if workload is not None and is_new_bid(workload):
            winners.setdefault(workload.org, []).append(workload)
    starting: dict[str, frozenset[str]] = {}
    for org, found in winners.items():
        left = max(0, starts_left(world, org, now_us))
        if len(found) > left:
            best = sorted(found, key=_start_order)[:left]
            starting[org] = frozenset(it.workload for it in best)
    return frozenset(
        name
        for org, kept in starting.items()
        for name in world.live_of_org[org]
        if name not in kept and is_new_bid(world.records.workloads[name])
    )


def is_new_bid(workload: Workload) -> bool:
    """Whether it bids and would start."""
    return workload.spec.capacity.kind is CapacityKind.SPOT and not is_standing(workload)


def _start_order(workload: Workload) -> tuple[int, int, int, str]:
    """More priority first, then the highest limit, then the older."""
    limit = workload.spec.limit_price_micros or 0
    return (-workload.spec.priority, -limit, workload.submitted_us, workload.workload)
