"""Which arrivals push out work on whose nodes they do not sit.

What makes work leave is not where the others sit, but that they draw the floors, or take the room,
without which it loses. A greater bid may draw the low floors of a fabric and sit on free nodes. So
the market is asked anew: without all that arrives, would the work have kept its seats? Where it
would not, a right, a node or a floor made it leave, and no arrival owes. Where it would, its
*pushers* are arrivals that together make it leave, and each of which is needed for that: without
any one of them it would have stayed.

How they are found: with none of the arrivals the work stays. They come back in priority order; the
one with which it loses is needed. Those before it come back anew beside what is needed, until that
alone makes the work lose. Only arrivals that come before it in the order are asked.

    arrives, or waits     as if it were not there
    grows, or may         as if it did not
    leaves for a          as if it stayed in its own fabric
    lower floor, or may

What waits is left out as well: else a second bid would excuse the first, which keeps it waiting.

Example (`tests/core/clearing/test_sweeps.py`). Three nodes are public at a floor of 1, three are
lent at 5. w1 runs on the public ones with a limit of 3. w2 bids 9 for three nodes: it draws the
three low floors and is seated on the free lent nodes, which are as good. Without w2 w1 would stay,
so w2 is its pusher, and owes what it would owe on the nodes of w1.

Cost: one allocation more where work leaves for no arrival that sits on its nodes, and at most
MOST_ASKED in a clearing; what is not told apart by then counts with all that arrives in its
fabrics. Decision record 260.
"""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from parkade.core.clearing.arrivals import Arrivals
from parkade.core.market.allocation import Allocation, allocate
from parkade.core.market.layout import Layout, build_layout, own_fabrics
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.outcome import Change, Clearing

MOST_ASKED = 16
"""Allocations of one clearing by which pushers are told apart; one or two more where that ends in
the middle of a question."""


class Sweeps:
    """The pushers of one clearing. `state`: what the market saw."""

    def __init__(
        self, state: MarketState, outcome: Clearing, arrivals: Callable[[], Arrivals]
    ) -> None:
        self._state = state
        self._arrivals = arrivals
        self._demands = {it.demand: it for it in state.demands}
        self._moved = frozenset(it.demand for it in outcome.lines if it.change is Change.MOVE)
        self._nodes = {it.demand: len(it.seats) for it in outcome.lines}
        self._layout: Layout | None = None
        self._asked: dict[frozenset[str], Allocation] = {}
        self._found: dict[str, tuple[str, ...]] = {}

    def pushers_of(self, name: str) -> tuple[str, ...]:
        """The arrivals that made this demand lose seats, or its fabric, the strongest first; none
        where it would have lost them anyway."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._pushers(name)
        return found

    def are_arriving(self, names: Iterable[str]) -> bool:
        """Whether all of these arrive."""
        arriving = self._arrivals().names
        return all(it in arriving for it in names)

    def stays_alone(self, name: str) -> bool:
        """Whether this demand would have kept its seats, or more of them, if nothing had arrived;
        True where the market was not asked for it."""
        return name not in self._demands or self._stays(name, ())

    def nodes_lost(self, name: str) -> int:
        """How many seats more it would have if nothing had arrived."""
        demand = self._demands[name]
        alone = self._allocation(frozenset()).sized.get(name, demand)
        return min(alone.nodes, len(demand.seats)) - self._nodes[name]

    def _pushers(self, name: str) -> tuple[str, ...]:
        if name not in self._demands:
            return ()
        arriving = [it for it in self._arrivals().names if it in self._demands]
        before = [it for it in arriving if self._arrivals().precedes(it, name)]
        if not before or not self._stays(name, ()):
            return ()
        needed: list[str] = []
        while before:
            if len(self._asked) >= MOST_ASKED:
                break
            if needed and not self._stays(name, needed):
                return self._in_order(needed)
            count = self._first_that_makes_lose(name, needed, before)
            if count is None:
                return ()
            needed.append(before[count - 1])
            before = before[: count - 1]
        rest = [it for it in before if self._is_in_its_fabrics(it, name)]
        return self._in_order((*needed, *rest))

    def _first_that_makes_lose(self, name: str, needed: list[str], before: list[str]) -> int | None:
        """How many of those before it come back until it loses; None: it stays beside all."""
        stays, loses = 0, len(before)
        while loses - stays > 1 and len(self._asked) < MOST_ASKED:
            middle = (stays + loses) // 2
            if self._stays(name, (*needed, *before[:middle])):
                stays = middle
            else:
                loses = middle
        is_known = loses < len(before)
        return loses if is_known or not self._stays(name, (*needed, *before)) else None

    def _stays(self, name: str, present: Iterable[str]) -> bool:
        """Whether it would have more seats than it has, beside these arrivals and no other; what is
        moved, in its own fabrics."""
        allocation, demand = self._allocation(frozenset(present)), self._demands[name]
        if name not in allocation.parts:
            return False
        if name in self._moved:
            fabrics = {part.fabric for part in allocation.parts[name]}
            return fabrics == set(own_fabrics(demand, allocation.layout))
        return allocation.sized.get(name, demand).nodes > self._nodes[name]

    def _allocation(self, present: frozenset[str]) -> Allocation:
        found = self._asked.get(present)
        if found is None:
            if self._layout is None:
                self._layout = build_layout(self._state)
            demands = tuple(
                left
                for it in self._state.demands
                if (left := it if it.demand in present else self._without(it)) is not None
            )
            state = replace(self._state, demands=demands)
            found = self._asked[present] = allocate(state, self._layout)
        return found

    def _without(self, demand: Demand) -> Demand | None:
        """What is left of a demand where it does not arrive."""
        if demand.tier is PriorityTier.RESERVED:
            return demand
        if not demand.seats:
            return None
        if demand.most_nodes and demand.grows_by:
            demand = replace(demand, grows_by=0)
        if demand.moves_if_cheaper:
            return replace(demand, moves_if_cheaper=False)
        is_growing = demand.demand in self._arrivals().growing
        return demand if is_growing or demand.demand not in self._arrivals().names else None

    def _is_in_its_fabrics(self, arrival: str, name: str) -> bool:
        whole = self._allocation(frozenset(self._arrivals().names))
        own = own_fabrics(self._demands[name], whole.layout)
        return any(part.fabric in own for part in whole.parts.get(arrival, ()))

    def _in_order(self, names: Iterable[str]) -> tuple[str, ...]:
        wanted = set(names)
        return tuple(it for it in self._arrivals().names if it in wanted)
