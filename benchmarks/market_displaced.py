"""How often running bids lose their nodes, or are moved, though all winners fit beside them.

    python benchmarks/market_displaced.py [WALKS]

The markets of WALKS (2,500) walks of `tests/core/market/market_walk.py`, of four clearings each,
and WALKS markets in which gangs run beside some idle nodes. Those with one floor and no kept nodes
are counted, as newcomers step aside to no higher floor: once as shipped, and once without the
exchange of places of decision 185. Half a minute of one core.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parkade.core.market import stepping_aside
from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.outcome import Change, Clearing
from tests.core.market.fitting import fit_together
from tests.core.market.market_findings import squeezed
from tests.core.market.market_walk import walk
from tests.core.market.story import bid, line_of, with_demands
from tests.core.market.test_stepping_aside import stepping_market


def markets(walks: int) -> Iterator[tuple[str, MarketState]]:
    """(which kind, a market)."""
    for seed in range(walks):
        for state in walk(seed):
            yield "walks", state
        yield "gangs beside idle nodes", gangs_beside_idle_nodes(seed)


def gangs_beside_idle_nodes(seed: int) -> MarketState:
    """A market of `stepping_market`, whose newcomers are of one node, with one of two or three."""
    state, chance = stepping_market(seed), random.Random(seed)
    wide = bid("wide", chance.randint(3, 12), chance.choice((2, 2, 3)), org="c")
    return with_demands(state, *state.demands, wide)


def displaced(state: MarketState, clearing: Clearing) -> Iterator[Demand]:
    """Running spot bids on open nodes that meet the floor and lose nodes."""
    closed = {node.node for node in state.nodes if not node.is_open}
    floor = state.terms.public_floor_micros
    for demand in state.demands:
        is_open = all(seat.node not in closed for seat in demand.seats)
        is_bid = demand.tier is PriorityTier.SPOT and (demand.limit_micros or 0) >= floor
        if is_bid and is_open and len(demand.seats) > len(line_of(clearing, demand.demand).seats):
            yield demand


def moves_without_need(state: MarketState, clearing: Clearing) -> bool | None:
    """Whether all winners would fit with what runs where it runs; None: nothing is moved."""
    winners = [it for it in state.demands if line_of(clearing, it.demand).seats]
    if not any(line_of(clearing, it.demand).change is Change.MOVE for it in winners):
        return None
    return fit_together(state, winners)


def count(walks: int, found: Counter[tuple[str, str]]) -> None:
    """Adds up the markets and what their clearings do."""
    for kind, state in markets(walks):
        floors = {floor for here in allocate(state).supply.floors for floor in here}
        clearing = clear(state)
        if len(floors) != 1 or any(it.kept for it in clearing.reservations):
            continue
        found[kind, "markets"] += 1
        found[kind, "displaced"] += len(list(displaced(state, clearing)))
        found[kind, "displaced without need"] += len(list(squeezed(state, clearing)))
        needless = moves_without_need(state, clearing)
        found[kind, "markets with moves"] += needless is not None
        found[kind, "markets with moves without need"] += bool(needless)


def main() -> None:
    """Prints a line for each count of each kind, as shipped and without the exchange."""
    walks = int(sys.argv[1]) if len(sys.argv) > 1 else 2_500
    shipped, without = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    count(walks, shipped)
    with patch.object(stepping_aside, "_exchange", lambda *_: {}):
        count(walks, without)
    print(f"{'':<60}{'shipped':>10}{'without':>10}")
    for kind, what in without:
        print(f"{f'{kind}: {what}':<60}{shipped[kind, what]:>10,}{without[kind, what]:>10,}")


if __name__ == "__main__":
    main()
