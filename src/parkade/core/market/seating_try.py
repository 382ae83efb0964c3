"""One try of a seating: runners keep their seats, the others choose, and spot gives way where none fit.

Theory of operation
-------------------
Every winner that runs first keeps its seats. What is left to seat takes turns from a queue: owners
first, then the nodes that are kept for them, then all others in priority order. A turn takes

1. replacements in its own fabric, if it is a gang that lost a node;
2. else free nodes whose floor its price covers;
3. else the nodes of those who *give way* (`giving_way`): of all fabrics the set with the fewest moved
   GPUs, then the lowest in the order. A broken gang is healed so where that moves fewer GPUs than its
   own move, and those who gave way take a turn of their own later;
4. else free nodes on a dearer floor, which the check in `seating` then judges.

Who may give way: spot winners that are not pinned, and that sit outside the fabrics in which the
allocation counted them, or share nodes (the allocation packs these anew, so that its free nodes may
exist only once they are packed), or any spot winner with `all_runners`. So do kept nodes, and owners and
on-demand that have no seats yet, where they chose another fabric than the allocation's. No owner and no
on-demand gives way that stands on its own seats.

It ends: who gives way for the first time chooses freely. The second time it goes to the fabrics in
which it was counted and stays. So no winner takes more than three turns. Those fabrics have room for it:
whoever was counted there is counted beside it, and whoever was not may be made to give way.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from parkade.core.market.allocation import Allocation
from parkade.core.market.entitlement import KeptBlock, KeptRoom
from parkade.core.market.free_room import (
    Seats,
    Winner,
    choose_free,
    empty_open_nodes,
    fabrics_counted,
    heal,
    in_rank_order,
    surviving,
)
from parkade.core.market.giving_way import Bundle, Key, Standing, bundles_of, cheapest
from parkade.core.market.layout import Layout, shape_of
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.market.supply import DrawnFloors
from parkade.core.placement.nodes import OpenNodes
from parkade.core.placement.room import Shape

MAX_FREE_CHOICES = 1
"""How often a winner that gave way chooses freely; after that it goes where it was counted."""


class Problem(NamedTuple):
    """What all tries of one clearing share."""

    state: MarketState
    allocation: Allocation

    winners: list[Winner]
    """In priority order."""

    layout: Layout
    kept: KeptRoom

    floors_of: list[list[int]]
    """The guest floors of each fabric, ascending."""

    floor_beyond: int
    """The floor of nodes past them."""

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


class Seated(NamedTuple):
    """The seats of one try."""

    seats: dict[str, Seats]

    gave_way: dict[str, str | KeptBlock]
    """For whom each winner gave way, the last time: a winner, or an owner's kept nodes."""


Turn = tuple[int, int, int]
"""Phase, size, and place in the order: the least comes first."""


def try_seating(problem: Problem, rules: Rules) -> Seated | None:
    """Seats of all winners under these rules; None where some winner or kept node has no room.

    Floors and repeatability are not checked. Grows with seats, newcomers x fabrics where no seat is
    free at once, and for each turn without room, with the spot winners.
    """
    return _Try(problem, rules).seated()


class _Try:
    """The working state of one try. A *key* names who chooses: a winner, or a kept block by number.

    `_where`: nodes of each that stands. `_holders`: who stands on each node. `_here[f]`: who stands
    in fabric f; None until it is asked for. `_own`: runners that stand on their own seats. `_fixed`:
    who stays where it was counted. `_displaced`: how often each has given way.
    """

    def __init__(self, problem: Problem, rules: Rules) -> None:
        self._problem = problem
        self._rules = rules
        self._layout = problem.layout
        self._nodes: OpenNodes = empty_open_nodes(problem.layout)
        self._floors = problem.floors()
        self._winners = {it.demand.demand: it for it in problem.winners}
        self._place: dict[Key, int] = {}
        self._shapes: dict[Key, Shape] = {}
        self._turns: dict[Key, Turn] = {}
        for at, block in enumerate(problem.kept.blocks):
            self._place[at] = at
            self._shapes[at] = Shape(block.nodes, self._layout.node_gpus, None, any_fabric=False)
        for at, winner in enumerate(problem.winners):
            self._place[winner.demand.demand] = at
            self._shapes[winner.demand.demand] = shape_of(winner.demand, self._layout)
        self._where: dict[Key, list[str]] = {}
        self._holders: dict[str, dict[Key, None]] = {}
        self._here: list[dict[Key, None]] | None = None
        self._own: set[Key] = set()
        self._fixed: set[Key] = set()
        self._displaced: dict[Key, int] = {}
        self._gave_way: dict[str, str | KeptBlock] = {}
        self._queue: list[tuple[Turn, Key]] = []

    def seated(self) -> Seated | None:
        """The whole try."""
        self._keep_seats()
        most_turns = 3 * (len(self._winners) + len(self._problem.kept.blocks))
        turns = 0
        while self._queue:
            _, key = heappop(self._queue)
            turns += 1
            assert turns <= most_turns, "a seating that does not end"
            if not (self._set_aside(key) if isinstance(key, int) else self._seat(key)):
                return None
        seats = {it.demand.demand: self._seats_of(it.demand) for it in self._problem.winners}
        return Seated(seats, self._gave_way)

    def _seats_of(self, demand: Demand) -> Seats:
        if demand.is_pinned or demand.demand in self._own:
            return demand.seats
        return in_rank_order(demand, self._where[demand.demand])

    def _keep_seats(self) -> None:
        """Runners take their seats; who lacks some is queued, and so are the kept blocks."""
        layout = self._layout
        unseated: list[tuple[Winner, int]] = []
        for winner in self._problem.winners:
            if winner.demand.is_pinned:
                nodes = [seat.node for seat in winner.demand.seats]
                self._stand(
                    winner.demand.demand,
                    [it for it in nodes if it in layout.fabric_of and it not in layout.closed],
                )
        for winner in self._problem.winners:
            demand, name = winner.demand, winner.demand.demand
            if demand.is_pinned:
                continue
            kept: list[str] = []
            if demand.seats:
                kept = surviving(demand, self._shapes[name], layout, self._nodes)
            if name in self._rules.to_counted:
                self._fixed.add(name)
                if self._fabrics_of(kept) != fabrics_counted(winner):
                    kept = []
            self._stand(name, kept)
            if len(kept) == demand.nodes:
                self._own.add(name)
                self._turns[name] = (OTHERS, self._size(name), self._place[name])
            else:
                unseated.append((winner, demand.nodes - len(kept)))
        order = _in_turns(unseated, self._problem.kept, self._place)
        order = [((phase, self._size(key), at), key) for (phase, _, at), key in order]
        self._turns.update((key, turn) for turn, key in order)
        self._queue = order
        heapify(self._queue)

    def _size(self, key: Key) -> int:
        """Where a winner comes by its size; 0 where sizes do not count."""
        shape = self._shapes[key]
        if key in self._rules.first:
            return -1 << 40
        return -shape.nodes * shape.gpus if self._rules.largest_first else 0

    def _price(self, key: Key) -> int | None:
        return None if isinstance(key, int) else self._winners[key].price

    def _stand(self, key: Key, nodes: Iterable[str]) -> None:
        """Let ranks of a winner, or a kept block, stand on these nodes."""
        shape = self._shapes[key]
        is_spot = self._price(key) is not None
        where = self._where.setdefault(key, [])
        for node in nodes:
            fabric = self._layout.fabric_of[node]
            self._nodes.seat(node, shape)
            self._holders.setdefault(node, {})[key] = None
            if is_spot:
                self._floors.draw(fabric, (node,))
            where.append(node)
            if self._here is not None:
                self._here[fabric][key] = None

    def _leave(self, key: Key) -> None:
        """Take a winner, or a kept block, from all its nodes."""
        is_spot = self._price(key) is not None
        self._own.discard(key)
        for node in self._where.pop(key, ()):
            fabric = self._layout.fabric_of[node]
            self._nodes.unseat(node, self._shapes[key])
            holders = self._holders[node]
            del holders[key]
            if not holders and is_spot:
                self._floors.release(fabric, node)
            if self._here is not None:
                self._here[fabric].pop(key, None)

    def _fabrics_of(self, nodes: Iterable[str]) -> dict[int, int]:
        found: dict[int, int] = {}
        for node in nodes:
            fabric = self._layout.fabric_of[node]
            found[fabric] = found.get(fabric, 0) + 1
        return found

    def _counted(self, key: Key) -> dict[int, int]:
        """In which fabrics the allocation counted how many nodes of a winner or a kept block."""
        if isinstance(key, int):
            block = self._problem.kept.blocks[key]
            return {block.fabric: block.nodes}
        return fabrics_counted(self._winners[key])

    def _seat(self, name: str) -> bool:
        """Seat one winner that lacks seats; whether it could be."""
        winner, shape = self._winners[name], self._shapes[name]
        if name in self._fixed:
            return self._stand_where_counted(name)
        if name not in self._displaced and self._heal(winner):
            return True
        self._leave(name)
        if self._returns(winner):
            return True
        found = choose_free(winner, shape, self._layout, self._nodes, self._floors)
        if found is not None and not (found.is_dear and self._is_uncovered(name, found.nodes)):
            self._stand(name, found.nodes)
            return True
        option = self._cheapest_fabric(winner)
        if option is not None:
            fabric, bundles = option
            self._give_way(bundles, name)
            nodes = self._nodes.choose(fabric, shape, shape.nodes, set())
            assert nodes is not None, "too few gave way"
            self._stand(name, nodes)
            return True
        if found is not None:
            self._stand(name, found.nodes)
            return True
        return shape.any_fabric and self._stand_where_counted(name)

    def _returns(self, winner: Winner) -> bool:
        """Whether one that gave way takes its own seats after all, because they are free again."""
        demand, name = winner.demand, winner.demand.demand
        if name not in self._displaced or not demand.seats:
            return False
        kept = surviving(demand, self._shapes[name], self._layout, self._nodes)
        if len(kept) < demand.nodes:
            return False
        self._stand(name, kept)
        self._own.add(name)
        return True

    def _stand_where_counted(self, key: Key) -> bool:
        """Go to the fabrics of the allocation, for good; who is in the way leaves."""
        self._leave(key)
        self._fixed.add(key)
        shape = self._shapes[key]
        found: list[str] = []
        for fabric, ranks in sorted(self._counted(key).items()):
            bundles = self._bundles_for(fabric, shape._replace(nodes=ranks))
            if bundles is None:
                return False
            self._give_way(bundles, self._named(key))
            nodes = self._nodes.choose(fabric, shape, ranks, set())
            if nodes is None:
                return False
            found.extend(nodes)
        self._stand(key, found)
        return True

    def _named(self, key: Key) -> str | KeptBlock:
        return self._problem.kept.blocks[key] if isinstance(key, int) else key

    def _heal(self, winner: Winner) -> bool:
        """Whether a broken gang got replacements, free ones or those of few others."""
        name = winner.demand.demand
        kept = self._where.get(name, [])
        if not kept:
            return False
        shape = self._shapes[name]
        found = heal(winner.demand, shape, kept, self._layout, self._nodes)
        if found is not None:
            self._stand(name, found)
            return True
        missing = shape._replace(nodes=winner.demand.nodes - len(kept))
        options = [
            (_moved_gpus(bundles), fabric, bundles)
            for fabric in self._fabrics_of(kept)
            if (bundles := self._bundles_for(fabric, missing, besides=name)) is not None
        ]
        if not options:
            return False
        moved_gpus, fabric, bundles = min(options, key=lambda it: it[:2])
        if moved_gpus >= shape.nodes * shape.gpus:
            return False
        self._give_way(bundles, name)
        nodes = self._nodes.choose(fabric, shape, missing.nodes, set(kept))
        if nodes is None:
            return False
        self._stand(name, nodes)
        return True

    def _set_aside(self, key: int) -> bool:
        """Whether a kept block fits: in its own fabric, else whole where it is soonest free, else
        where the fewest GPUs move. No later winner has its nodes."""
        if key in self._fixed:
            return self._stand_where_counted(key)
        block = self._problem.kept.blocks[key]
        found = find_block(block, self._layout, self._nodes)
        if found is None:
            options = [
                (_moved_gpus(bundles), fabric != block.fabric, fabric, bundles)
                for fabric in range(len(self._layout.fabrics))
                if (bundles := self._bundles_for(fabric, self._shapes[key])) is not None
            ]
            if not options:
                return False
            _, _, fabric, bundles = min(options, key=lambda it: it[:3])
            self._give_way(bundles, block)
            found = self._nodes.choose(fabric, self._shapes[key], block.nodes, set())
            assert found is not None, "too few gave way for a kept block"
        self._stand(key, found)
        return True

    def _may_give_way(self, key: Key) -> bool:
        """Whether one that stands is a candidate."""
        if key in self._fixed:
            return False
        is_misplaced = self._fabrics_of(self._where[key]) != self._counted(key)
        if isinstance(key, int):
            return is_misplaced or self._rules.all_runners
        winner = self._winners[key]
        if winner.demand.is_pinned or key in self._rules.held:
            return False
        if winner.price is None:
            return key not in self._own and (is_misplaced or self._rules.all_runners)
        return is_misplaced or self._rules.all_runners or self._shapes[key].tenant is not None

    def _standing(self, fabric: int, besides: Key) -> dict[Key, Standing]:
        """The candidates of a fabric. A newcomer's choice costs nothing to change, but for an
        owner's, which left the allocation's fabric for nodes that are free now."""
        found: dict[Key, Standing] = {}
        for key in self._in(fabric):
            if key == besides or not self._may_give_way(key):
                continue
            shape = self._shapes[key]
            moved_gpus = shape.nodes * shape.gpus
            if isinstance(key, int):
                moved_gpus = 0
            else:
                demand = self._winners[key].demand
                if demand.tier is not PriorityTier.RESERVED and not demand.seats:
                    moved_gpus = 0
            found[key] = Standing(self._place[key], shape, self._where[key], moved_gpus)
        return found

    def _in(self, fabric: int) -> dict[Key, None]:
        """Who stands in a fabric; the index is made at the first question."""
        if self._here is None:
            self._here = [{} for _ in self._layout.fabrics]
            for key, nodes in self._where.items():
                for node in nodes:
                    self._here[self._layout.fabric_of[node]][key] = None
        return self._here[fabric]

    def _bundles_for(
        self, fabric: int, shape: Shape, besides: str = ""
    ) -> tuple[Bundle, ...] | None:
        """Who gives way so that the shape fits in this fabric; None where it cannot."""
        free = self._nodes.slots(fabric, shape, self._where.get(besides, ()))
        if free >= shape.nodes:
            return ()
        layout = self._layout
        bundles = bundles_of(
            self._standing(fabric, besides),
            self._holders,
            shape,
            self._nodes,
            lambda node: layout.fabric_of[node] == fabric,
        )
        return cheapest(bundles, shape.nodes - free)

    def _cheapest_fabric(self, winner: Winner) -> tuple[int, tuple[Bundle, ...]] | None:
        """The fabric in which the fewest GPUs move for a winner, and who gives way there.

        Of equal ones that whose strongest is the weakest, then the allocation's, then the tightest.
        Fabrics whose floor its price would not cover do not count.
        """
        demand, shape = winner.demand, self._shapes[winner.demand.demand]
        counted = fabrics_counted(winner)
        best: tuple[tuple[int, int, bool, int, int], tuple[Bundle, ...]] | None = None
        for fabric, name in enumerate(self._layout.fabrics):
            if demand.only_fabric not in (None, name):
                continue
            bundles = self._bundles_for(fabric, shape)
            if bundles is None:
                continue
            leaving = {it for bundle in bundles for it in bundle.workloads}
            if winner.price is not None and not self._is_covered(demand.demand, fabric, leaving):
                continue
            rank = (
                _moved_gpus(bundles),
                -min((it.strongest for it in bundles), default=0),
                fabric not in counted,
                self._nodes.empty(fabric),
                fabric,
            )
            if best is None or rank < best[0]:
                best = (rank, bundles)
        return None if best is None else (best[0][-1], best[1])

    def _is_uncovered(self, name: str, nodes: list[str]) -> bool:
        """Whether the price falls short of the floors that these free nodes draw in its turn."""
        return not all(
            self._is_covered(name, fabric, set(), ranks)
            for fabric, ranks in self._fabrics_of(nodes).items()
        )

    def _is_covered(
        self, name: str, fabric: int, leaving: set[Key], ranks: int | None = None
    ) -> bool:
        """Whether the price covers the floor of new nodes there, stronger winners drawing first."""
        price = self._price(name)
        assert price is not None, "no floor bears on it"
        if self._floors.is_one:
            return True
        place = self._place[name]
        before = {
            node
            for key in self._in(fabric)
            if self._price(key) is not None and self._place[key] < place and key not in leaving
            for node in self._where[key]
            if self._layout.fabric_of[node] == fabric
        }
        position = len(before) + (ranks or self._shapes[name].nodes) - 1
        floors = self._problem.floors_of[fabric]
        floor = floors[position] if position < len(floors) else self._problem.floor_beyond
        return floor <= price

    def _give_way(self, bundles: Iterable[Bundle], for_whom: str | KeptBlock) -> None:
        """Those who stand in the way leave, and take another turn."""
        leaving = dict.fromkeys(key for bundle in bundles for key in bundle.workloads)
        for key in leaving:
            is_queued = len(self._where[key]) < self._shapes[key].nodes
            self._leave(key)
            if isinstance(key, str):
                self._gave_way[key] = for_whom
            self._displaced[key] = self._displaced.get(key, 0) + 1
            if self._displaced[key] > MAX_FREE_CHOICES:
                self._fixed.add(key)
            if not is_queued:
                heappush(self._queue, (self._turns[key], key))


def _moved_gpus(bundles: Iterable[Bundle]) -> int:
    return sum(it.moved_gpus for it in bundles)


def find_block(block: KeptBlock, layout: Layout, nodes: OpenNodes) -> list[str] | None:
    """Free nodes for a kept block: in its own fabric, else whole in the one where it is soonest free."""
    assert block.nodes > 0, "a kept block of no nodes"
    shape = Shape(block.nodes, layout.node_gpus, None, any_fabric=False)
    found = nodes.choose(block.fabric, shape, block.nodes, set())
    if found is not None:
        return found
    elsewhere = [
        (nodes.free_from(names), nodes.empty(fabric), fabric, names)
        for fabric in range(len(layout.fabrics))
        if (names := nodes.choose(fabric, shape, block.nodes, set())) is not None
    ]
    return min(elsewhere)[3] if elsewhere else None


WITHOUT_WAIT, UNTOUCHED, BEYOND, TOUCHED, OTHERS = range(5)
"""The phases of a seating."""


def _in_turns(
    unseated: list[tuple[Winner, int]], kept: KeptRoom, places: dict[Key, int]
) -> list[tuple[Turn, Key]]:
    """In which order winners and kept blocks choose, where seats are short.

    First owners within what comes to them without a wait, then the kept blocks of owners that ask
    for no more (so that no other owner takes them), then owners that ask for more and the blocks
    that these have left, then all other winners. `unseated`: winners and the seats that they lack.
    """
    asked: dict[str, int] = {}
    order: list[tuple[Turn, Key]] = []
    waiting = set()
    for winner, missing in unseated:
        demand = winner.demand
        phase = OTHERS
        if demand.tier is PriorityTier.RESERVED:
            reservation = demand.reservation or ""
            asked[reservation] = asked.get(reservation, 0) + missing
            phase = WITHOUT_WAIT
            if asked[reservation] > kept.without_wait.get(reservation, 0):
                phase = BEYOND
                waiting.add(reservation)
        order.append(((phase, 0, places[demand.demand]), demand.demand))
    for at, block in enumerate(kept.blocks):
        phase = TOUCHED if block.reservation in waiting else UNTOUCHED
        order.append(((phase, 0, at), at))
    return order
