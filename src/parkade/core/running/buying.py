"""Sells on-demand windows: to on-demand when it is submitted, to a list of capacity in the clearing
that gives it nothing before its last entry.

What a list may come to cost is refused with its submission, as on-demand is: its window, and beside
it the first bid of its spot entry. The calendar is asked when it buys.
"""

from typing import NamedTuple

from parkade.core.billing.commitments import (
    allowance_micros,
    available_micros,
    bid_earmark_micros,
    committed_micros,
)
from parkade.core.fleet.market import Market
from parkade.core.running.capping import over_gpus, over_means
from parkade.core.state.world import World
from parkade.core.steps.capacity import not_owned, refuse_unfenced, sellable
from parkade.core.steps.lacking import short_of_nodes
from parkade.core.steps.refusals import invalid
from parkade.core.steps.windows import (
    kept_micros,
    unbought_micros,
    window_end_us,
    window_micros,
)
from parkade.core.units.money import format_amount
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import Window
from parkade.core.workloads.entries import buying, may_buy
from parkade.core.workloads.spec import Spec
from parkade.core.workloads.workload import Workload


def window_fabric(world: World, market: Market, spec: Spec, window: Window) -> str | None:
    """The fabric that has room in its calendar for all of a window: one where no owner and no
    on-demand stands in the way now, if any, then the tightest. Cost grows with what is sold."""
    nodes = spec.nodes_alone(market.instance_type.gpus_per_node)
    free = sellable(world, market, window)
    fitting = [(left, fabric) for fabric, left in free.items() if left >= nodes]
    if not fitting:
        return None
    room_now = not_owned(world, market)
    return min((room_now.get(fabric, 0) < nodes, left, fabric) for left, fabric in fitting)[2]


def refuse_window(
    world: World, market: Market, spec: Spec, window: Window, *, span: str, does: str, field: str
) -> Refusal:
    """The refusal of a window for which `window_fabric` finds no fabric."""
    nodes = spec.nodes_alone(market.instance_type.gpus_per_node)
    free = sellable(world, market, window)
    return short_of_nodes(world, market, free, nodes, span=span, does=does, field=field)


def bad_cost(
    world: World, spec: Spec, *, org: str, user: str, cost_micros: int, now_us: int
) -> Refusal | None:
    """What keeps an org from a window that costs so much, and from a first bid beside it."""
    says = f"the whole window costs up to {format_amount(cost_micros)}"
    if spec.spot_limit_micros is not None:
        says = f"the whole window and a bid beside it cost up to {format_amount(cost_micros)}"
    if spec.max_spend_micros is not None and spec.max_spend_micros < cost_micros:
        return invalid(
            "max_spend",
            f"{says}: give at least that, leave it out, or ask for a shorter max_duration",
        )
    return over_means(world, says, org=org, user=user, cost_micros=cost_micros, now_us=now_us)


def bad_list_cost(world: World, market: Market, workload: Workload, now_us: int) -> Refusal | None:
    """What keeps a list from the window that it may buy, and from the bid of its spot entry."""
    spec = workload.spec
    if not may_buy(workload):
        return None
    if (unfenced := refuse_unfenced(world, market)) is not None:
        return unfenced
    nodes = spec.nodes_alone(market.instance_type.gpus_per_node)
    most = max(world.sizes[market.market].values(), default=0)
    if nodes > most:
        return Refusal(
            reason=Reason.TOO_LARGE,
            detail=f"a fabric here has {most} nodes, and on-demand is in one fabric; ask for fewer,"
            " or leave on-demand out",
            field="nodes",
        )
    org, user = workload.org, workload.user
    if (refusal := over_gpus(world, org=org, user=user, gpus=spec.total_gpus)) is not None:
        return refusal
    cost = unbought_micros(market, workload, now_us)
    if spec.spot_limit_micros is not None:
        cost += bid_earmark_micros(market, spec.spot_limit_micros, spec.total_gpus)
    return bad_cost(world, spec, org=org, user=user, cost_micros=cost, now_us=now_us)


class Lack(NamedTuple):
    """No fabric of a market has room for so many nodes until then."""

    market: str
    nodes: int
    end_us: int

    def covers(self, other: "Lack") -> bool:
        """Whether it says of another that there is no room for that either."""
        is_less = self.nodes <= other.nodes and self.end_us <= other.end_us
        return is_less and self.market == other.market


def wanted(world: World, workload: Workload, now_us: int) -> Lack:
    """The room that a list would buy now."""
    market = world.records.markets[workload.market]
    nodes = workload.spec.nodes_alone(market.instance_type.gpus_per_node)
    return Lack(market.market, nodes, window_end_us(market, workload, now_us))


def bought(world: World, workload: Workload, now_us: int) -> Workload | Lack | None:
    """The record of a list that waits, with the window that it buys now; a Lack where there is no
    room for one; None: it cannot be paid, or has less time left than others take to leave. Cost
    grows with what is sold, and with its org's live workloads."""
    market = world.records.markets[workload.market]
    if not may_buy(workload) or refuse_unfenced(world, market) is not None:
        return None
    want = wanted(world, workload, now_us)
    ends_us = want.end_us
    if ends_us <= now_us + market.terms.leave_us:
        return None
    fabric = window_fabric(world, market, workload.spec, Window(start_us=now_us, end_us=ends_us))
    if fabric is None:
        return want
    then = buying(workload, fabric=fabric, must_end_us=ends_us, at_us=now_us)
    return then if _is_paid(world, market, workload, then, now_us) else None


def _is_paid(world: World, market: Market, before: Workload, then: Workload, now_us: int) -> bool:
    """Whether what it costs beyond what is set aside for it can be had."""
    assert then.agreed_price_micros is not None and then.must_end_us is not None
    rate = then.agreed_price_micros * then.spec.total_gpus
    cost = window_micros(market, rate, now_us=now_us, must_end_us=then.must_end_us)
    is_known = before.workload in world.records.workloads
    more = cost - (kept_micros(market, before, now_us) if is_known else 0)
    if more <= 0:
        return True
    if available_micros(world, then.org, now_us) < more:
        return False
    left = allowance_micros(world, then.org, then.user, now_us, cost=committed_micros)
    return left >= more
