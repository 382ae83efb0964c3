"""Which bids an org can set its earmark aside for in a clearing, and how many nodes elastic ones.

Money is looked at here and nowhere else in a clearing. Each bid sets aside its limit until it could
be gone, from three purses: its org's balance, its user's cap, and `max_spend`, its own or its
array's. Bids take their turns in an order of their own (what has seats, the highest limit, the
older), twice: for their least, then for more nodes. The order in which the world lists them, which
a restart may change, decides nothing.
"""

from parkade.core.billing.commitments import (
    UNCAPPED_MICROS,
    allowance_micros,
    committed_without_earmark,
    earmark_micros,
)
from parkade.core.billing.metering import accrued_micros
from parkade.core.clearing.sizes import affordable_nodes
from parkade.core.fleet.market import Market
from parkade.core.ledger.accounts import org_account
from parkade.core.state.world import World
from parkade.core.workloads.life import Why
from parkade.core.workloads.workload import Workload


def set_aside(
    world: World, market: Market, bidders: list[Workload], now_us: int
) -> tuple[dict[str, str], dict[str, int]]:
    """Bids that cannot set aside their limit until they could be gone, best bids first; and how
    many nodes each elastic one can set aside for: what it has, or its least, in its turn, and more
    of what all turns left, in the same order."""
    excluded: dict[str, str] = {}
    affordable: dict[str, int] = {}
    free: dict[str, int] = {}
    allowances: dict[str, int] = {}
    budgets: dict[str, int] = {}
    in_turn = sorted(bidders, key=_earmark_order)
    for workload in in_turn:
        if workload.org not in free:
            free[workload.org] = _purse(world, workload.org, now_us)
        earmark = earmark_micros(market, workload)
        budget = _left_to_spend(world, budgets, workload, now_us)
        if workload.spec.is_elastic:
            left = min(free[workload.org], _allowed(world, allowances, workload.user, now_us))
            left = min(left, budget)
            nodes = min(workload.ranks, affordable_nodes(market, workload, left))
            if nodes >= workload.spec.nodes:
                affordable[workload.workload] = nodes
                earmark = earmark_micros(market, workload, nodes)
        if budget < earmark:
            excluded[workload.workload] = Why.MAX_SPEND
        elif free[workload.org] < earmark:
            excluded[workload.workload] = Why.INSUFFICIENT_FUNDS
        elif (allowed := _allowed(world, allowances, workload.user, now_us)) < earmark:
            excluded[workload.workload] = Why.USER_CAP
        else:
            assert earmark <= allowed
            free[workload.org] -= earmark
            allowances[workload.user] = allowed - earmark
            budgets[workload.member_of or workload.workload] = budget - earmark
    for workload in (it for it in in_turn if it.workload in affordable):
        nodes = affordable[workload.workload]
        spent = earmark_micros(market, workload, nodes)
        left = min(free[workload.org], allowances[workload.user])
        left = min(left, _left_to_spend(world, budgets, workload, now_us))
        more = affordable_nodes(market, workload, spent + left, is_new=True)
        if more <= nodes:
            continue
        affordable[workload.workload] = more
        paid = earmark_micros(market, workload, more, is_new=True) - spent
        free[workload.org] -= paid
        allowances[workload.user] -= paid
        budgets[workload.member_of or workload.workload] -= paid
    return excluded, affordable


def _left_to_spend(world: World, budgets: dict[str, int], workload: Workload, now_us: int) -> int:
    """What `max_spend` leaves for its next earmark: its own, or that of all members of its array.
    `budgets`: what was left of each so far in this clearing."""
    name = workload.member_of or workload.workload
    if name not in budgets:
        whole = world.records.workloads.get(name, workload)
        most = whole.spec.max_spend_micros
        if most is None:
            budgets[name] = UNCAPPED_MICROS
        else:
            budgets[name] = most - whole.spent_micros - _owed(world, workload, now_us)
    return budgets[name]


def _owed(world: World, workload: Workload, now_us: int) -> int:
    """What it owes that is not charged yet; of a member, what all of its array may still cost
    that is no earmark."""
    if workload.member_of is None:
        return accrued_micros(world, workload, now_us)
    return sum(
        committed_without_earmark(world, world.records.workloads[name], now_us)
        for name in world.members.of(workload.member_of).names
    )


def _allowed(world: World, allowances: dict[str, int], user: str, now_us: int) -> int:
    """What a user's cap leaves, less what its workloads owe and may still cost."""
    if user not in allowances:
        allowances[user] = allowance_micros(world, user, now_us, cost=committed_without_earmark)
    return allowances[user]


def _earmark_order(workload: Workload) -> tuple[bool, int, int, str]:
    """Bids that have seats come first, then the highest limit, then the older."""
    is_seated = workload.promise is not None or (
        workload.attempt is not None and workload.attempt.stop is None
    )
    limit = workload.spec.limit_price_micros or 0
    return (not is_seated, -limit, workload.submitted_us, workload.workload)


def _purse(world: World, org: str, now_us: int) -> int:
    """The org's balance less what it owes and what its other workloads may still cost."""
    return world.ledger.balance(org_account(org)) - sum(
        committed_without_earmark(world, world.records.workloads[name], now_us)
        for name in world.live_of_org.get(org, {})
    )
