"""What no clearing of a market may do, asked of the states of a walk (`market_walk`).

| finding | claim |
|---|---|
| `restless` | a market of one floor, in which no gang waits, cleared anew changes no seat |
| `restless twice` | else none the third time |
| `overpaid` | no winner pays more than the least limit with which it would have had as much |
| `evicted` | on-demand that runs on open nodes keeps its seats |
| `squeezed` | no running bid loses nodes to winners that fit beside it |

A price is searched by bisection of the bid's own limit with whole clearings, so nothing of the
market's own arithmetic is taken over.

`benchmarks/market_walk.py` prints what it finds in many of them.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from msgspec.structs import replace

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.outcome import Change, Clearing
from parkade.core.market.spot import are_equals
from tests.core.market.fitting import fit_together
from tests.core.market.market_walk import carried_out
from tests.core.market.story import line_of, rebid

QUIET = (Change.KEEP, Change.WAIT)


class Finding(NamedTuple):
    """What one clearing did that it may not."""

    kind: str
    demand: str
    detail: str


def restless(state: MarketState, clearing: Clearing) -> Iterator[Finding]:
    """Demands that a second clearing of an unchanged market seats otherwise, and a third."""
    waits = any(it.has_waited for it in state.demands)
    floors = {floor for here in allocate(state).supply.floors for floor in here}
    excuse = "several floors" * (len(floors) > 1) or "a gang that waits" * waits
    for kind in (f"restless, {excuse}" if excuse else "restless", "restless twice"):
        state = carried_out(state, clearing)
        clearing = clear(state)
        changed = [line for line in clearing.lines if line.change not in QUIET]
        for line in changed:
            yield Finding(kind, line.demand, str(line.change))
        if not changed:
            return


def overpaid(state: MarketState, clearing: Clearing) -> Iterator[Finding]:
    """Spot winners whose price a lower limit shows to be above the critical value and the floor."""
    parts = allocate(state).parts
    for demand in state.demands:
        line = line_of(clearing, demand.demand)
        if demand.tier is not PriorityTier.SPOT or not line.seats:
            continue
        levels = [level for part in parts[demand.demand] for level in part.levels]
        prices = line.node_prices or (line.price_micros,)
        floors = levels if line.node_prices else [line.floor_micros]
        for number, (price, floor) in enumerate(zip(prices, floors, strict=True), 1):
            nodes = number if line.node_prices else len(line.seats)
            if price > floor and has(state, demand, nodes, price - 1):
                least = least_limit(state, demand, nodes, price - 1)
                excused = excuses(state, rebid(state, demand.demand, least), demand.demand)
                detail = f"{nodes} ranks at {price} by {line.price_set_by}, had with {least}"
                words = ["overpaid", *(["elastic"] if line.node_prices else []), *excused[:1]]
                kind = " ".join(words)
                yield Finding(kind, demand.demand, detail)


def has(state: MarketState, demand: Demand, nodes: int, limit: int) -> bool:
    """Whether it has so many ranks with this limit."""
    return len(line_of(clear(rebid(state, demand.demand, limit)), demand.demand).seats) >= nodes


def least_limit(state: MarketState, demand: Demand, nodes: int, most: int) -> int:
    """The least limit, by bisection, with which it has so many ranks; it does with `most`."""
    least = -1
    while most - least > 1:
        limit = (most + least) // 2
        if has(state, demand, nodes, limit):
            most = limit
        else:
            least = limit
    return most


def excuses(truth: MarketState, lie: MarketState, name: str) -> list[str]:
    """What in one of these markets makes the claim about limits less than absolute."""
    allocations = [allocate(truth), allocate(lie)]
    plain = [it.plain or it for it in allocations]
    notes = [
        ("pins or aside", any(it.plain is not None for it in allocations)),
        ("assemble", any(it.has_waited for it in truth.demands)),
        ("one bid", any(bid.name == name and bid.mates for it in plain for bid in it.bids)),
        ("equal keys", any(are_equals(*two) for it in plain for two in pairwise(it.bids))),
    ]
    return [note for note, holds in notes if holds]


def evicted(state: MarketState, clearing: Clearing) -> Iterator[Finding]:
    """Running on-demand that has other seats though its nodes are open."""
    is_open = {node.node for node in state.nodes if node.is_open}
    for demand in state.demands:
        line = line_of(clearing, demand.demand)
        runs = len(demand.seats) == demand.nodes and all(it.node in is_open for it in demand.seats)
        if demand.tier is PriorityTier.ON_DEMAND and runs and line.change is not Change.KEEP:
            detail = f"{line.change}, {'fall-back' * clearing.used_fallback_seating}"
            yield Finding("evicted", demand.demand, detail)


def squeezed(state: MarketState, clearing: Clearing) -> Iterator[Finding]:
    """Running bids on open nodes that lose nodes although all winners fit beside them, where one
    floor holds, which they meet, and no node is kept."""
    floors = {floor for here in allocate(state).supply.floors for floor in here}
    if len(floors) != 1 or any(it.kept for it in clearing.reservations):
        return
    (floor,) = floors
    closed = {node.node for node in state.nodes if not node.is_open}
    for demand in state.demands:
        if any(seat.node in closed for seat in demand.seats):
            continue
        lost = len(demand.seats) - len(line_of(clearing, demand.demand).seats)
        if lost <= 0 or (demand.limit_micros or 0) < floor:
            continue
        others = _winners_where_they_stand(clearing, state, demand)
        if fit_together(state, [demand, *others]):
            kind = "squeezed elastic" if demand.most_nodes else "squeezed"
            yield Finding(kind, demand.demand, f"{lost} of {len(demand.seats)} seats")


def _winners_where_they_stand(
    clearing: Clearing, state: MarketState, but: Demand
) -> Iterator[Demand]:
    """The other winners on the seats that they hold, elastic ones with as many as they won."""
    for demand in state.demands:
        line = line_of(clearing, demand.demand)
        is_owner = demand.tier is PriorityTier.RESERVED
        if line.seats and demand is not but:
            is_sized = demand.most_nodes and line.change in (Change.KEEP, Change.RESIZE)
            seats = line.seats if is_sized or is_owner else demand.seats
            yield replace(demand, nodes=len(line.seats), seats=seats)


CHECKS: dict[str, Callable[[MarketState, Clearing], Iterator[Finding]]] = {
    "restless": restless,
    "overpaid": overpaid,
    "evicted": evicted,
    "squeezed": squeezed,
}


def findings(state: MarketState, checks: tuple[str, ...] = tuple(CHECKS)) -> list[Finding]:
    """All that is found in one clearing of this market."""
    clearing = clear(state)
    return [found for check in checks for found in CHECKS[check](state, clearing)]
