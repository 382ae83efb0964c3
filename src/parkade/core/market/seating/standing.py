"""The winners that stand in a seating in the making, and those that may give way in a fabric.

The working state of one try (`trying`), which decides the turns. These may give way: spot
winners that keep no closed nodes and sit outside the fabrics in which the allocation counted them,
or share nodes (the allocation packs these anew, so that its free nodes may exist only once they are
packed), or any spot winner with `all_runners`; kept nodes, and owners and on-demand without own
seats, where they chose another fabric than the allocation's. No owner and no on-demand gives way
that stands on its own seats.

The one surprising rule: a newcomer's choice costs nothing to change, because no seat has been
promised yet. An owner's does: it left the allocation's fabric for nodes that are free now.
"""

from collections.abc import Iterable
from typing import NamedTuple

from parkade.core.market.allocation import Allocation
from parkade.core.market.entitlement import KeptRoom
from parkade.core.market.layout import Layout
from parkade.core.market.market_state import MarketState, PriorityTier
from parkade.core.market.seating.free_room import (
    Seats,
    Winner,
    may_use,
)
from parkade.core.market.seating.giving_way import Bundle, Key, Standing, bundles_of, cheapest
from parkade.core.market.supply import DrawnFloors
from parkade.core.placement.nodes import OpenNodes
from parkade.core.placement.room import Shape


class Problem(NamedTuple):
    """What all tries of one clearing share."""

    state: MarketState
    allocation: Allocation

    winners: list[Winner]
    """In priority order."""

    in_turn: list[Winner]
    """In the order in which they draw floors: those that are counted where they stand before any
    turn was taken, then the others in priority order."""

    by_name: dict[str, Winner]

    empty: OpenNodes
    """All open nodes, empty. It is only copied."""

    layout: Layout
    kept: KeptRoom

    floors_of: list[list[int]]
    """The guest floors of each fabric, ascending."""

    floor_beyond: int
    """The floor of nodes past them."""

    counted: dict[str, dict[int, int]]
    """How many ranks of each winner the allocation counted in each fabric."""

    shapes: dict[Key, Shape]
    """Of each winner, and of each kept block by its number."""

    place: dict[Key, int]
    """Of each of them in its order."""

    turn: dict[str, int]
    """Of each winner in the order in which they draw floors."""

    at_home: frozenset[str]
    """Owners' demands that were counted in their own fabrics: they sit there, and guests give way
    for it."""

    protected: frozenset[str]
    """Spot that no bid pushes out: it gives way to none."""

    must_move: frozenset[str]
    """Runners that lose a seat of theirs if they sit where they were counted."""

    repeats: dict[tuple[Seats, ...], Allocation]
    """The allocation repeated with the seats of all winners, for each set of seats that was
    checked: two searches often come to the same seats."""

    starts: dict[frozenset[str], "Start"]
    """Starts of tries so far, by the runners that do not keep their seats (`starting`)."""

    tried: set["Rules"]
    """Rules of the rounds so far: another search that comes to the same goes on alike, so it finds
    nothing better."""

    def floors(self) -> DrawnFloors:
        """None drawn yet."""
        return DrawnFloors(self.floors_of, self.floor_beyond)


class Rules(NamedTuple):
    """How one try differs from another."""

    to_counted: frozenset[str] = frozenset()
    """Winners that sit where the allocation counted them."""

    held: frozenset[str] = frozenset()
    """Winners that give way to none."""

    all_runners: bool = False
    """Whether winners give way that sit where they were counted."""

    first: frozenset[str] = frozenset()
    """Newcomers that choose before others of their phase."""

    largest_first: bool = False
    """Whether newcomers choose by size, and by priority only among equals."""

    looks_ahead: bool = True
    """Whether the prices of the next clearing have to cover the floors as well (`check`)."""


class SeatsInMaking:
    """The state of one try. A *key* names who stands: a winner, or a kept block by its number.

    `where`: the node of each rank of each that stands. `own`: runners that stand on their own
    seats. `fixed`: who stays where it was counted. `place`, `shapes`: of each key. `_holders`: who
    stands on each node. `_here[f]`: who stands in fabric f, in the order of coming.
    `_candidates[f]`: who may give way there, as long as nothing changed in that fabric.
    """

    def __init__(self, problem: Problem, rules: Rules) -> None:
        self._problem = problem
        self._rules = rules
        self.layout = problem.layout
        self.winners = problem.by_name
        self.place = problem.place
        self.shapes = problem.shapes
        self.nodes = problem.empty.copy()
        self.floors = problem.floors()
        self.where: dict[Key, tuple[str, ...]] = {}
        self.own: set[Key] = set()
        self.fixed: set[Key] = set()
        self._holders: dict[str, tuple[Key, ...]] = {}
        self._here: list[dict[Key, None]] = [{} for _ in problem.layout.fabrics]
        self._candidates: dict[int, dict[Key, Standing]] = {}

    def copy(self, rules: Rules) -> "SeatsInMaking":
        """An independent state with the same seats, under other rules; grows with nodes, but costs
        far less than seating all anew."""
        twin = SeatsInMaking.__new__(SeatsInMaking)
        twin._problem, twin._rules = self._problem, rules
        twin.layout, twin.winners = self.layout, self.winners
        twin.place, twin.shapes = self.place, self.shapes
        twin.nodes = self.nodes.copy()
        twin.floors = self.floors.copy()
        twin.where = self.where.copy()
        twin.own = self.own.copy()
        twin.fixed = self.fixed.copy()
        twin._holders = self._holders.copy()
        twin._here = [here.copy() for here in self._here]
        twin._candidates = {}
        return twin

    def price(self, key: Key) -> int | None:
        """What a spot winner pays, micro-units per GPU-hour; None for others."""
        return None if isinstance(key, int) else self.winners[key].price

    def stand(self, key: Key, nodes: Iterable[str]) -> None:
        """Let ranks of a winner, or a kept block, stand on these nodes."""
        shape = self.shapes[key]
        is_spot = self.price(key) is not None
        fabric_of, holders_on, here = self.layout.fabric_of, self._holders, self._here
        where = list(self.where.get(key, ()))
        for node in nodes:
            fabric = fabric_of[node]
            self.nodes.seat(node, shape)
            holders = holders_on.get(node, ())
            if key not in holders:
                holders_on[node] = (*holders, key)
            if is_spot:
                self.floors.draw(fabric, node)
            where.append(node)
            here[fabric][key] = None
        self.where[key] = tuple(where)
        self._forget_candidates(where)

    def leave(self, key: Key) -> None:
        """Take a winner, or a kept block, from all its nodes."""
        is_spot = self.price(key) is not None
        self.own.discard(key)
        self._forget_candidates(self.where.get(key, ()))
        where = self.where.pop(key, ())
        for node in where:
            self.nodes.unseat(node, self.shapes[key])
        for node in dict.fromkeys(where):
            fabric = self.layout.fabric_of[node]
            holders = tuple(it for it in self._holders[node] if it != key)
            self._holders[node] = holders
            if not holders and is_spot:
                self.floors.release(fabric, node)
            self._here[fabric].pop(key, None)

    def draw_anew(self, fabrics: Iterable[int]) -> None:
        """Draw the floors of these fabrics as if those who left had never been there."""
        for fabric in fabrics:
            self.floors.forget(fabric)
            for key in self._here[fabric]:
                if self.price(key) is not None:
                    for node in self.where[key]:
                        if self.layout.fabric_of[node] == fabric:
                            self.floors.draw(fabric, node)

    def _forget_candidates(self, nodes: Iterable[str]) -> None:
        """The candidates in the fabrics of these nodes are found anew."""
        if self._candidates:
            for node in nodes:
                self._candidates.pop(self.layout.fabric_of[node], None)

    def fabrics_of(self, nodes: Iterable[str]) -> dict[int, int]:
        """How many of these ranks are in each fabric, by their nodes."""
        found: dict[int, int] = {}
        for node in nodes:
            fabric = self.layout.fabric_of[node]
            found[fabric] = found.get(fabric, 0) + 1
        return found

    def counted(self, key: Key) -> dict[int, int]:
        """In which fabrics the allocation counted how many ranks of a winner, or kept nodes."""
        if isinstance(key, int):
            block = self._problem.kept.blocks[key]
            return {block.fabric: block.nodes}
        return self._problem.counted[key]

    def _may_give_way(self, key: Key) -> bool:
        """Whether one that stands is a candidate."""
        if key in self.fixed:
            return False
        is_misplaced = self.fabrics_of(self.where[key]) != self.counted(key)
        if isinstance(key, int):
            return is_misplaced or self._rules.all_runners
        winner = self.winners[key]
        if winner.stays or key in self._rules.held or key in self._problem.protected:
            return False
        if winner.price is None:
            return key not in self.own and (is_misplaced or self._rules.all_runners)
        return is_misplaced or self._rules.all_runners or self.shapes[key].tenant is not None

    def _candidates_in(self, fabric: int, besides: Key) -> dict[Key, Standing]:
        """The candidates of a fabric, without one of them."""
        found = self._candidates.get(fabric)
        if found is None:
            found = self._candidates[fabric] = self._find_candidates(fabric)
        if besides in found:
            return {key: it for key, it in found.items() if key != besides}
        return found

    def _find_candidates(self, fabric: int) -> dict[Key, Standing]:
        found: dict[Key, Standing] = {}
        for key in self._here[fabric]:
            if not self._may_give_way(key):
                continue
            shape = self.shapes[key]
            moved_gpus = shape.nodes * shape.gpus
            if isinstance(key, int):
                moved_gpus = 0
            else:
                demand = self.winners[key].demand
                if demand.tier is not PriorityTier.RESERVED and not demand.seats:
                    moved_gpus = 0
            found[key] = Standing(self.place[key], shape, self.where[key], moved_gpus)
        return found

    def bundles_for(
        self, fabric: int, shape: Shape, besides: str = ""
    ) -> tuple[Bundle, ...] | None:
        """Those that give way so that the shape fits in this fabric; None where it cannot."""
        without = self.where.get(besides, ()) if shape.ranks_per_node == 1 else ()
        free = self.nodes.slots(fabric, shape, without)
        if free >= shape.nodes:
            return ()
        layout = self.layout
        bundles = bundles_of(
            self._candidates_in(fabric, besides),
            self._holders,
            shape,
            self.nodes,
            lambda node: layout.fabric_of[node] == fabric,
        )
        return cheapest(bundles, shape.nodes - free)

    def cheapest_fabric(self, winner: Winner) -> tuple[int, tuple[Bundle, ...]] | None:
        """The fabric in which the fewest GPUs move for a winner, and who gives way there.

        Of equal ones that whose strongest is the weakest, then the allocation's, then the tightest.
        Fabrics whose floor its price would not cover do not count.
        """
        demand, shape = winner.demand, self.shapes[winner.demand.demand]
        counted = self.counted(demand.demand)
        best: tuple[tuple[int, int, bool, int, int], tuple[Bundle, ...]] | None = None
        for fabric in range(len(self.layout.fabrics)):
            if not may_use(winner, self.layout, fabric):
                continue
            bundles = self.bundles_for(fabric, shape)
            if bundles is None:
                continue
            leaving = {it for bundle in bundles for it in bundle.workloads}
            if winner.price is not None and not self._is_covered(demand.demand, fabric, leaving):
                continue
            rank = (
                gpus_moved(bundles),
                -min((it.strongest for it in bundles), default=0),
                fabric not in counted,
                self.nodes.empty(fabric),
                fabric,
            )
            if best is None or rank < best[0]:
                best = (rank, bundles)
        return None if best is None else (best[0][-1], best[1])

    def is_uncovered(self, name: str, nodes: Iterable[str]) -> bool:
        """Whether the price falls short of the floors that these free nodes draw in its turn."""
        return not all(
            self._is_covered(name, fabric, set(), ranks)
            for fabric, ranks in self.fabrics_of(nodes).items()
        )

    def _is_covered(
        self, name: str, fabric: int, leaving: set[Key], ranks: int | None = None
    ) -> bool:
        """Whether the price covers the floor of new nodes there, earlier winners drawing first."""
        price = self.price(name)
        assert price is not None, "no floor bears on it"
        if self.floors.is_one:
            return True
        turn = self._problem.turn
        before = {
            node
            for key in self._here[fabric]
            if isinstance(key, str) and self.price(key) is not None
            if turn[key] < turn[name] and key not in leaving
            for node in self.where[key]
            if self.layout.fabric_of[node] == fabric
        }
        shape = self.shapes[name]
        position = len(before) + shape.nodes_for(ranks or shape.nodes) - 1
        floors = self._problem.floors_of[fabric]
        floor = floors[position] if position < len(floors) else self._problem.floor_beyond
        return floor <= price


class Start(NamedTuple):
    """Seats before the first turn of a try."""

    now: SeatsInMaking
    """It is only copied."""

    lacking: dict[str, int]
    """Winners by the seats that they lack, in priority order."""

    is_disputed: bool
    """Whether a runner lost an open node of its own to another runner: then who keeps its seats
    depends on who else does."""


def gpus_moved(bundles: Iterable[Bundle]) -> int:
    """GPUs that move when all of these give way."""
    return sum(it.moved_gpus for it in bundles)
