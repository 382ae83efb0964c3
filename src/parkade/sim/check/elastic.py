"""What must hold of work whose number of nodes changes: its size, its seats, its prices, its rest.

Three looks that share no code with the decisions. A clearing's *event* is asked whether a resize
keeps the seats that stay, in order of rank, and whether a growth was due. A posting is asked
whether each node is charged once, at its own price. The market's *answer* is asked for what it
claims: the k-th node costs the least limit with which the whole bid would have got at least k. For
that the same market is cleared again with the limit at that price, and just below it.

Example. cedar asks for 2 to 3 nodes with limit 4 and gets 3; its third costs 3.00 because birch
bids 3.00 for two. With limit 3.000001 cedar still gets 3 nodes, with 2.999999 it gets 2.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from parkade.core.fleet.seat import Seat
from parkade.core.ledger.accounts import Transfer, TransferKind
from parkade.core.market.market_state import Demand, MarketState
from parkade.core.market.outcome import Clearing, ClearingLine
from parkade.core.state import lines
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.workload import Attempt, Rate, Workload
from parkade.sim.check.breach import require
from parkade.sim.check.open_nodes import is_open

RESIZE = 26
"""The number of what holds of a resize."""

PRICE = 14


def look_at_size(
    world: World,
    workload: Workload,
    won: lines.Won,
    leaving: lines.Leaving | None,
    at_us: int,
) -> None:
    """A winner with fewer or more of the nodes that it has. Nothing where it does not stand whole,
    or was told to leave: then it starts anew, with any size."""
    holder = workload.promise or workload.attempt
    if not workload.spec.is_elastic or holder is None or workload.changes_live:
        return
    name, before, after = workload.workload, holder.seats, won.promise.seats
    is_within = workload.spec.nodes <= len(after) <= workload.spec.most_nodes
    has_changed = len(after) != len(before)
    says = f"{name} is given {len(after)} nodes, which is not within what it asked for"
    require(is_within or not has_changed, RESIZE, says)
    attempt = workload.attempt
    is_left = workload.promise is None and attempt is not None and attempt.stop is not None
    if is_left or any(not is_open(world, seat.node) for seat in before):
        return
    most = max(len(after), len(before))
    if {*after[:most]} <= {*before}:
        says = f"{name} shrinks to {_named(after)}, its first ranks are on {_named(before)}"
        require(after == before[: len(after)], RESIZE, says)
        return
    if not {*before} <= {*after}:
        return
    says = f"{name} grows to {_named(after)}, its ranks are on {_named(before)}"
    require(after[: len(before)] == before, RESIZE, says)
    _look_at_growth(world, workload, len(after), leaving, at_us)


def _look_at_growth(
    world: World, workload: Workload, nodes: int, leaving: lines.Leaving | None, at_us: int
) -> None:
    """It ran for `regrow`, the new nodes outweigh its restart, and its notice says why."""
    name, attempt = workload.workload, workload.attempt
    is_due = (
        workload.promise is None
        and attempt is not None
        and is_growth_due(world, workload, attempt, nodes, at_us)
    )
    require(is_due, RESIZE, f"{name} grows to {nodes} nodes before that is due")
    stop = None if leaving is None else leaving.stop
    has_cause = stop is not None and stop.cause is Cause.RESIZED
    require(has_cause, 21, f"{name} grows to {nodes} nodes and no cause is recorded")


def is_growth_due(
    world: World, workload: Workload, attempt: Attempt, nodes: int, at_us: int
) -> bool:
    """Whether an attempt may grow to so many nodes: (more - s) x regrow > s x start grace, once it
    has run for `regrow`; at once where its ranks join while it runs."""
    if workload.spec.is_live:
        is_able = workload.changes_live and workload.promise is None
        return is_able and at_us >= attempt.grows_from_us
    terms = world.records.markets[workload.market].terms
    regrow_us, started_us, has = terms.regrow_us, attempt.started_us, len(attempt.seats)
    if attempt.stop is not None or regrow_us is None or started_us is None:
        return False
    outweighs = (nodes - has) * regrow_us > has * terms.start_grace_us
    return at_us - started_us >= regrow_us and outweighs


def _named(seats: Sequence[Seat]) -> str:
    return ", ".join(seat.node for seat in seats)


def look_at_rate(workload: Workload, rate: Rate, nodes: int) -> None:
    """Each node has a price, and none is above the limit."""
    if not workload.spec.is_elastic:
        return
    name, limit = workload.workload, workload.spec.limit_price_micros
    assert limit is not None
    says = f"{name} has {nodes} nodes and {len(rate.node_prices)} prices"
    require(len(rate.node_prices) == nodes, RESIZE, says)
    highest = max(rate.node_prices)
    require(highest <= limit, PRICE, f"{name} would pay {highest}, above its limit of {limit}")


def look_at_repriced(workload: Workload, rate: Rate) -> None:
    """The same of another rate for the seats that it has."""
    holder = workload.promise or workload.attempt
    assert holder is not None, "what has no seats has no price"
    leaves = () if workload.attempt is None else [it for it in workload.attempt.ranks if it.leaving]
    is_promised = workload.promise is not None
    look_at_rate(workload, rate, len(holder.seats) - (0 if is_promised else len(leaves)))


def look_at_parts(attempt: Attempt, transfers: Sequence[Transfer]) -> None:
    """Of each stretch of use, each node is charged once, at its own price."""
    if not any(rate.node_prices for rate in attempt.rates):
        return
    charged: dict[tuple[int, int], dict[int, int]] = {}
    for transfer in transfers:
        use = transfer.use
        if use is not None and transfer.kind in (TransferKind.USAGE, TransferKind.LATE_START):
            prices = charged.setdefault((use.start_us, use.end_us), {})
            prices[use.price_micros] = prices.get(use.price_micros, 0) + use.gpus
    for (start_us, _), prices in charged.items():
        rate = _in_force(attempt.rates, start_us)
        each = attempt.seats[0].gpus
        for price, gpus in prices.items():
            nodes = rate.node_prices.count(price)
            says = f"{attempt.attempt} is charged for {gpus} GPUs at {price}, it has {nodes} nodes"
            require(gpus == nodes * each, 13, says)


def _in_force(rates: Sequence[Rate], at_us: int) -> Rate:
    """The rate of an instant; the first also holds before it began."""
    found = rates[0]
    for rate in rates[1:]:
        if rate.from_us <= at_us:
            found = rate
    return found


def look_at_prices(
    asked: MarketState, answer: Clearing, clear: Callable[[MarketState], Clearing]
) -> None:
    """The k-th node of each elastic winner costs the least limit that gives it k. Clears the market
    twice for each price above the floors that it draws."""
    elastic = {it.demand: it for it in asked.demands if it.most_nodes}
    for line in answer.lines:
        demand = elastic.get(line.demand)
        if demand is not None and line.seats:
            _look_at_line(asked, demand, line, clear)


def _look_at_line(
    asked: MarketState,
    demand: Demand,
    line: ClearingLine,
    clear: Callable[[MarketState], Clearing],
) -> None:
    name, prices, limit = demand.demand, line.node_prices, demand.limit_micros
    assert limit is not None, "a spot demand without a limit"
    for price in sorted(set(prices)):
        number = len(prices) - prices[::-1].index(price)
        first = prices.index(price) + 1
        # A tie is not charged: where it would lose one, a micro-unit more is needed.
        gets = _nodes_at(asked, demand, min(price + 1, limit), clear)
        says = f"node {number} of {name} costs {price}, with which it gets {gets} nodes"
        require(gets >= number, PRICE, says)
        if price <= line.floor_micros:
            continue
        gets = _nodes_at(asked, demand, price - 1, clear)
        says = f"node {first} of {name} costs {price}, and with less it gets {gets} nodes"
        require(gets < first, PRICE, says)


def _nodes_at(
    asked: MarketState, demand: Demand, limit: int, clear: Callable[[MarketState], Clearing]
) -> int:
    """How many nodes a bid gets with another limit."""
    lowered = replace(demand, limit_micros=limit)
    demands = tuple(lowered if it is demand else it for it in asked.demands)
    lines_of = {it.demand: it for it in clear(replace(asked, demands=demands)).lines}
    return len(lines_of[demand.demand].seats)


def grows_from_us(world: World, workload: Workload) -> int:
    """When an elastic workload that runs may grow; 0 where it does not. Live work grows by what is
    free: once the next turnaround is over, and its wait after a rank that did not begin."""
    if workload.changes_live and workload.attempt is not None:
        return max(_next_clean_us(world), workload.attempt.grows_from_us)
    attempt, regrow_us = workload.attempt, world.records.markets[workload.market].terms.regrow_us
    if attempt is None or attempt.started_us is None or regrow_us is None:
        return 0
    is_able = workload.spec.is_elastic and not workload.spec.is_live
    is_able = is_able and len(attempt.seats) < workload.spec.most_nodes
    return attempt.started_us + regrow_us if is_able else 0


def _next_clean_us(world: World) -> int:
    clean = [
        it.vacated_us + world.records.markets[it.market].terms.turnaround_us
        for it in world.records.nodes.values()
        if it.last_org is not None and not world.held_on[it.node]
    ]
    return min((at_us for at_us in clean if at_us > world.records.now_us), default=0)


def look_at_grown(world: World, now_us: int) -> None:
    """At rest, what may grow has no room beside it that would outweigh a restart."""
    for name in world.live:
        workload = world.records.workloads[name]
        attempt = workload.attempt
        if attempt is None or not workload.spec.is_elastic:
            continue
        free = _room_beside(world, attempt.seats)
        nodes = min(workload.spec.most_nodes, len(attempt.seats) + free)
        is_left = free > 0 and is_growth_due(world, workload, attempt, nodes, now_us)
        says = f"{name} has {len(attempt.seats)} nodes for ever, though {free} beside it are free"
        require(not is_left, RESIZE, says)


def _room_beside(world: World, seats: Sequence[Seat]) -> int:
    """Open nodes of its fabric that nothing holds and no owner may keep idle."""
    nodes = world.records.nodes
    if any(not is_open(world, seat.node) for seat in seats):
        return 0
    fabric = nodes[seats[0].node].fabric
    free = sum(
        node.fabric == fabric
        and is_open(world, node.node)
        and not world.held_on[node.node]
        and not world.promised_on[node.node]
        for node in nodes.values()
    )
    kept = sum(
        dict(it.shape).get(fabric, 0)
        for it in world.records.reservations.values()
        if not it.state.is_over
    )
    return free - kept
