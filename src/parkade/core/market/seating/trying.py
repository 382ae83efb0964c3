"""One try of a seating: runners keep their seats, the others choose, and spot gives way where none
fit.

Theory of operation
-------------------
Every winner that runs first keeps its seats (`starting`). What is left to seat takes turns from a
queue: owners first, then the nodes that are kept for them, then all others in priority order. A
turn takes

1. replacements in its own fabric, if it is a gang that lost a node;
   where it was counted, if it is an owner's demand that its own fabrics hold: guests give way for
   it, unless it asks for no more than it keeps and other nodes are free now;
2. else free nodes whose floor its price covers;
3. else the nodes of those who *give way* (`giving_way`): of all fabrics the set with the fewest
   moved GPUs, then the lowest in the order. A broken gang is healed so where that moves fewer GPUs
   than its own move, and those who gave way take a turn of their own later;
4. else free nodes on a dearer floor, which the check in `check` then judges.

Which of them may give way is decided in `standing`.

It ends: a winner that gives way for the first time takes free nodes, or else goes to the fabrics in
which it was counted and stays there. The second time it goes there at once. So no winner takes more
than three turns. Those fabrics have room for it: winners that were counted there are counted beside
it, and others may be made to give way.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from parkade.core.market.entitlement import KeptBlock
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.seating.free_room import (
    Choice,
    Seats,
    Winner,
    choose_free,
    find_block,
    heal,
    in_rank_order,
    surviving,
)
from parkade.core.market.seating.giving_way import Bundle, Key
from parkade.core.market.seating.standing import Problem, Rules, gpus_moved
from parkade.core.market.seating.starting import start_of

MAX_FREE_CHOICES = 1
"""How often a winner that gave way chooses freely; after that it goes where it was counted."""


class Seated(NamedTuple):
    """The seats of one try."""

    seats: dict[str, Seats]

    gave_way: dict[str, str | KeptBlock]
    """For whom each winner gave way, the last time: a winner, or an owner's kept nodes."""

    away: tuple[str, ...]
    """Owners' demands that have no room in the own fabrics that were counted to hold them."""


Turn = tuple[int, int, int]
"""Phase, size, and place in the order: the least comes first."""


def try_seating(problem: Problem, rules: Rules, below_gpus: int) -> Seated | None:
    """Seats of all winners under these rules; None where some winner or kept node has no room, or
    as many GPUs of runners surely move, or twice as many gave way (some return to their seats).

    Floors and repeatability are not checked. Grows with seats, newcomers x fabrics where no seat is
    free at once, and for each turn without room, with the spot winners.
    """
    return _Try(problem, rules, below_gpus).seated()


class _Try:
    """The turns of one try. `_displaced`: how often each winner, or kept block, has given way;
    `_displaced_gpus`: those of runners among them, in all. `_certain_gpus`: those of runners that
    will have moved, whatever comes."""

    def __init__(self, problem: Problem, rules: Rules, below_gpus: int) -> None:
        start = start_of(problem, rules)
        self._problem = problem
        self._rules = rules
        self._most_displaced_gpus = 2 * below_gpus
        self._now = start.now.copy(rules)
        self._displaced: dict[Key, int] = {}
        self._displaced_gpus = 0
        self._certain_gpus = 0
        self._below_gpus = below_gpus
        self._gave_way: dict[str, str | KeptBlock] = {}
        self._away: dict[str, None] = {}
        for name in rules.to_counted:
            self._fix(name)
        order = _in_turns(start.lacking, problem)
        self._turn_of: dict[Key, Turn] = {
            key: (phase, self._size(key), at) for key, (phase, at) in order.items()
        }
        self._queue = [(turn, key) for key, turn in self._turn_of.items()]
        heapify(self._queue)

    def seated(self) -> Seated | None:
        """The whole try."""
        most_turns = 3 * (len(self._now.winners) + len(self._problem.kept.blocks))
        taken = 0
        while self._queue:
            _, key = heappop(self._queue)
            taken += 1
            assert taken <= most_turns, "a seating that does not end"
            if self._displaced_gpus > self._most_displaced_gpus:
                return None
            if self._certain_gpus >= self._below_gpus:
                return None
            if not (self._set_aside(key) if isinstance(key, int) else self._seat(key)):
                return None
        seats = {it.demand.demand: self._seats_of(it.demand) for it in self._problem.winners}
        return Seated(seats, self._gave_way, tuple(self._away))

    def _seats_of(self, demand: Demand) -> Seats:
        if self._now.winners[demand.demand].stays or demand.demand in self._now.own:
            return demand.seats
        return in_rank_order(demand, self._now.where[demand.demand])

    def _size(self, key: Key) -> int:
        """Where a winner comes by its size; 0 where sizes do not count."""
        shape = self._now.shapes[key]
        if key in self._rules.first:
            return -1 << 40
        return -shape.nodes * shape.gpus if self._rules.largest_first else 0

    def _seat(self, name: str) -> bool:
        """Seat one winner that lacks seats; whether it could be."""
        winner, shape = self._now.winners[name], self._now.shapes[name]
        if name in self._now.fixed:
            return self._stand_where_counted(name)
        if name not in self._displaced and self._heal(winner):
            return True
        self._now.leave(name)
        if self._returns(winner):
            return True
        found = choose_free(winner, shape, self._now.layout, self._now.nodes, self._now.floors)
        if name in self._problem.at_home and not (found and self._comes_at_once(name, found)):
            if self._seat_at_home(name):
                return True
            self._away[name] = None
        if found is not None and not (found.is_dear and self._now.is_uncovered(name, found.nodes)):
            self._now.stand(name, found.nodes)
            return True
        if name in self._displaced:
            return self._stand_where_counted(name)
        option = self._now.cheapest_fabric(winner)
        if option is not None:
            fabric, bundles = option
            self._give_way(bundles, name)
            nodes = self._now.nodes.choose(fabric, shape, shape.nodes, set(), winner.demand.org)
            assert nodes is not None, "too few gave way"
            self._now.stand(name, nodes)
            return True
        if found is not None:
            self._now.stand(name, found.nodes)
            return True
        return shape.any_fabric and self._stand_where_counted(name)

    def _returns(self, winner: Winner) -> bool:
        """Whether one that gave way takes its own seats after all, because they are free again."""
        demand, name = winner.demand, winner.demand.demand
        if name not in self._displaced or not demand.seats:
            return False
        kept = surviving(demand, self._now.shapes[name], self._now.layout, self._now.nodes)
        if len(kept) < demand.nodes:
            return False
        self._now.stand(name, kept)
        self._now.own.add(name)
        return True

    def _comes_at_once(self, name: str, found: Choice) -> bool:
        """Whether these nodes are free now, for an owner that asks for no more than it keeps: the
        nodes kept for it may be those of another fabric."""
        phase, _, _ = self._turn_of[name]
        org = self._now.winners[name].demand.org
        return phase == WITHOUT_WAIT and self._now.nodes.ready_for_us(found.nodes, org) <= 0

    def _seat_at_home(self, name: str) -> bool:
        """Whether an owner's demand that its own fabrics hold sits there; guests give way for it
        although nodes of another fabric are free."""
        shape = self._now.shapes[name]
        has_room = all(
            self._now.bundles_for(fabric, shape._replace(nodes=ranks)) is not None
            for fabric, ranks in self._now.counted(name).items()
        )
        return has_room and self._sit_where_counted(name)

    def _stand_where_counted(self, key: Key) -> bool:
        """Go to the fabrics of the allocation, for good; who is in the way leaves."""
        self._now.leave(key)
        self._fix(key)
        return self._sit_where_counted(key)

    def _sit_where_counted(self, key: Key) -> bool:
        """Whether it sits in the fabrics of the allocation now; who is in the way leaves."""
        shape = self._now.shapes[key]
        found: list[str] = []
        for fabric, ranks in sorted(self._now.counted(key).items()):
            bundles = self._now.bundles_for(fabric, shape._replace(nodes=ranks))
            if bundles is None:
                return False
            self._give_way(bundles, self._named(key))
            nodes = self._now.nodes.choose(fabric, shape, ranks, set(), self._org_of(key))
            if nodes is None:
                return False
            found.extend(nodes)
        self._now.stand(key, found)
        return True

    def _fix(self, key: Key) -> None:
        """From now on it sits where it was counted."""
        if key not in self._now.fixed and key in self._problem.must_move:
            shape = self._now.shapes[key]
            self._certain_gpus += shape.nodes * shape.gpus
        self._now.fixed.add(key)

    def _org_of(self, key: Key) -> str:
        if isinstance(key, int):
            return self._problem.kept.blocks[key].org
        return self._now.winners[key].demand.org

    def _named(self, key: Key) -> str | KeptBlock:
        return self._problem.kept.blocks[key] if isinstance(key, int) else key

    def _heal(self, winner: Winner) -> bool:
        """Whether a broken gang got replacements, free ones or those of few others."""
        name = winner.demand.demand
        kept = self._now.where.get(name, ())
        if not kept:
            return False
        shape = self._now.shapes[name]
        found = heal(winner.demand, shape, kept, self._now.layout, self._now.nodes)
        if found is not None:
            self._now.stand(name, found)
            return True
        missing = shape._replace(nodes=winner.demand.nodes - len(kept))
        options = [
            (gpus_moved(bundles), fabric, bundles)
            for fabric in self._now.fabrics_of(kept)
            if (bundles := self._now.bundles_for(fabric, missing, besides=name)) is not None
        ]
        if not options:
            return False
        moved_gpus, fabric, bundles = min(options, key=lambda it: it[:2])
        if moved_gpus >= shape.nodes * shape.gpus:
            return False
        self._give_way(bundles, name)
        org = winner.demand.org
        without = set(kept) if shape.ranks_per_node == 1 else set()
        nodes = self._now.nodes.choose(fabric, shape, missing.nodes, without, org)
        if nodes is None:
            return False
        self._now.stand(name, nodes)
        return True

    def _set_aside(self, key: int) -> bool:
        """Whether a kept block fits: in its own fabric, else whole where it is soonest free, else
        where the fewest GPUs move. No later winner has its nodes."""
        if key in self._now.fixed:
            return self._stand_where_counted(key)
        block = self._problem.kept.blocks[key]
        found = find_block(block, self._now.layout, self._now.nodes)
        if found is None:
            options = [
                (gpus_moved(bundles), fabric != block.fabric, fabric, bundles)
                for fabric in range(len(self._now.layout.fabrics))
                if (bundles := self._now.bundles_for(fabric, self._now.shapes[key])) is not None
            ]
            if not options:
                return False
            _, _, fabric, bundles = min(options, key=lambda it: it[:3])
            self._give_way(bundles, block)
            shape = self._now.shapes[key]
            found = self._now.nodes.choose(fabric, shape, block.nodes, set(), block.org)
            assert found is not None, "too few gave way for a kept block"
        self._now.stand(key, found)
        return True

    def _give_way(self, bundles: Iterable[Bundle], for_whom: str | KeptBlock) -> None:
        """Those who stand in the way leave, and take another turn."""
        leaving = dict.fromkeys(key for bundle in bundles for key in bundle.workloads)
        for key in leaving:
            is_queued = len(self._now.where[key]) < self._now.shapes[key].nodes
            is_runner = key in self._now.own
            self._now.leave(key)
            if isinstance(key, str):
                self._gave_way[key] = for_whom
                shape = self._now.shapes[key]
                self._displaced_gpus += shape.nodes * shape.gpus if is_runner else 0
            self._displaced[key] = self._displaced.get(key, 0) + 1
            if self._displaced[key] > MAX_FREE_CHOICES:
                self._fix(key)
            if not is_queued:
                turn = self._turn_of.get(key) or (OTHERS, self._size(key), self._now.place[key])
                heappush(self._queue, (turn, key))


WITHOUT_WAIT, UNTOUCHED, BEYOND, TOUCHED, OTHERS = range(5)
"""The phases of a seating."""


def _in_turns(lacking: dict[str, int], problem: Problem) -> dict[Key, tuple[int, int]]:
    """Phase and place of winners that lack seats, and of kept blocks, where seats are short.

    First owners within what comes to them without a wait, then the kept blocks of owners that ask
    for no more (so that no other owner takes them), then owners that ask for more and the blocks
    that these have left, then all other winners. `lacking`: in priority order.
    """
    asked: dict[str, int] = {}
    order: dict[Key, tuple[int, int]] = {}
    waiting = set()
    for name, missing in lacking.items():
        demand = problem.by_name[name].demand
        phase = OTHERS
        if demand.tier is PriorityTier.RESERVED:
            reservation = demand.reservation or ""
            asked[reservation] = asked.get(reservation, 0) + missing
            phase = WITHOUT_WAIT
            if asked[reservation] > problem.kept.without_wait.get(reservation, 0):
                phase = BEYOND
                waiting.add(reservation)
        order[name] = (phase, problem.place[name])
    for at, block in enumerate(problem.kept.blocks):
        order[at] = (TOUCHED if block.reservation in waiting else UNTOUCHED, at)
    return order
