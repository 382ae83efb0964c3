"""Spot work with a deadline: its on-demand window is kept for it, and taken at the last moment.

What it is sold is a window of the calendar like any on-demand, from that moment on
(`steps.fallbacks`); it is refused where there is no room for that, or no money. When the moment
comes, it becomes on-demand: where it runs it goes on in its seats, without a restart, if the
calendar has room in that fabric; where it waits, the next clearing seats it before all spot. From
then on it is on-demand in everything: the price, the window's end, and that no bid displaces it.

Example (`tests/core/running/test_falling_back.py`). Work of 2 hours is due in 3; the notice and the
rest take 3 minutes. It bids, and is outbid all the time. At 0:57 it becomes on-demand, others get
their notice, it starts at 0:58 and ends at 2:58.
"""

from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.fleet.market import Market
from parkade.core.running.buying import refuse_window, window_fabric
from parkade.core.running.capping import over_gpus, over_means
from parkade.core.running.promises import withdrawal_charge
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.capacity import refuse_unfenced, sellable
from parkade.core.steps.fallbacks import fallback_micros, falls_back_us, must_end_us, terms_now
from parkade.core.steps.notices import order_stop
from parkade.core.steps.refusals import invalid
from parkade.core.units import bounds
from parkade.core.units.money import format_amount
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import DAY_US, SECOND_US, Window
from parkade.core.workloads.deadline import Fallback
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import CapacityKind, Interconnect, Spec
from parkade.core.workloads.workload import Workload


def bad_deadline(spec: Spec, *, is_held: bool) -> Refusal | None:
    """The wire's model says this too, but that it is not held."""
    if spec.deadline is None:
        return None
    if spec.capacity.kind is not CapacityKind.SPOT:
        return invalid("deadline", "a deadline with a fallback is for spot")
    if spec.is_elastic or spec.array is not None or spec.interconnect is Interconnect.ANY:
        detail = "a deadline is for one gang of a fixed number of nodes in one fabric"
        return Refusal(reason=Reason.UNSUPPORTED, detail=detail, field="deadline")
    if spec.max_duration_us is not None:
        return invalid("max_duration", "the deadline is its end; leave max_duration out")
    if is_held or spec.after:
        detail = "its window is kept from now on: submit it when it may start"
        return Refusal(reason=Reason.UNSUPPORTED, detail=detail, field="deadline")
    return None


def kept_window(
    world: World, market: Market, workload: Workload, now_us: int
) -> Fallback | Refusal:
    """The window that is kept for a submission; refused where the calendar or the money of its org
    does not suffice."""
    assert workload.spec.deadline is not None
    if (unfenced := refuse_unfenced(world, market)) is not None:
        return unfenced
    begins_us = falls_back_us(market, workload)
    if begins_us < now_us:
        late_s = -(-(now_us - begins_us) // SECOND_US)
        return invalid(
            "deadline",
            f"even on-demand from now on would be {late_s} s late: give a later deadline",
        )
    slack_us = workload.spec.deadline.by_us - now_us - workload.spec.deadline.duration_us
    if slack_us > bounds.DEADLINE_SLACK_US.most:
        days = bounds.DEADLINE_SLACK_US.most // DAY_US
        return invalid(
            "deadline",
            f"a deadline is at most {days} days and its duration ahead: give an earlier one, or"
            " submit it later",
        )
    window = Window(start_us=begins_us, end_us=must_end_us(market, workload))
    fabric = window_fabric(world, market, workload.spec, window)
    if fabric is None:
        span = "from the moment at which it would need on-demand until its deadline"
        does = "give another deadline, or ask for fewer"
        spec = workload.spec
        return refuse_window(world, market, spec, window, span=span, does=does, field="deadline")
    price = market.terms.pay_as_you_go_micros
    kept = Fallback(fabric=fabric, price_micros=price, terms=terms_now(market))
    return _bad_money(world, market, workload, kept, now_us) or kept


def _bad_money(
    world: World, market: Market, workload: Workload, kept: Fallback, now_us: int
) -> Refusal | None:
    spec = workload.spec
    cost = fallback_micros(market, with_window(workload, kept))
    says = f"on-demand for what is left to run costs up to {format_amount(cost)}"
    if spec.max_spend_micros is not None and spec.max_spend_micros < cost:
        return invalid("max_spend", f"{says}: give at least that, or leave it out")
    org, user = workload.org, workload.user
    refusal = over_means(world, says, org=org, user=user, cost_micros=cost, now_us=now_us)
    return refusal or over_gpus(world, org=org, user=user, gpus=spec.total_gpus)


def with_window(workload: Workload, kept: Fallback) -> Workload:
    """The record with the window that is kept for it."""
    return replace(workload, fallback=kept)


def fallback_due_us(world: World, workload: Workload) -> int | None:
    """When it falls back; None where it has no deadline, has fallen back, or has ended."""
    if workload.fallback is None or workload.phase.is_ended:
        return None
    return max(
        workload.submitted_us, falls_back_us(world.records.markets[workload.market], workload)
    )


def fall_back(world: World, workload: Workload, at_us: int) -> tuple[events.AnyEvent, ...]:
    """It becomes on-demand, in the fabric where it stands if that has room in the calendar; else it
    leaves that for the one where its window is kept. Cost grows with what is sold."""
    kept, market = workload.fallback, world.records.markets[workload.market]
    assert kept is not None
    ends_us = must_end_us(market, workload)
    fabric, stands = kept.fabric, _stands_in(world, workload)
    if stands is not None and stands != fabric:
        nodes = workload.spec.nodes_alone(market.instance_type.gpus_per_node)
        free = sellable(world, market, Window(start_us=at_us, end_us=ends_us))
        fabric = stands if free.get(stands, 0) >= nodes else fabric
    leaves = stands is not None and stands != fabric
    withdraws = leaves and workload.promise is not None
    fell = events.FellBack(
        at_us=at_us,
        workload=workload.workload,
        fabric=fabric,
        must_end_us=ends_us,
        withdraws=withdraws,
    )
    if withdraws:
        return (*withdrawal_charge(world, workload, Postings(world), at_us), fell)
    if leaves:
        becomes = Phase.PREEMPTING
        return (fell, order_stop(world, workload, Cause.MOVED, at_us=at_us, becomes=becomes))
    return (fell,)


def _stands_in(world: World, workload: Workload) -> str | None:
    """The fabric of the seats that it keeps, or is promised."""
    attempt = workload.attempt
    holds = workload.promise or (attempt if attempt is not None and attempt.stop is None else None)
    if holds is None:
        return None
    found = {world.records.nodes[seat.node].fabric for seat in holds.seats}
    return found.pop() if len(found) == 1 else None
