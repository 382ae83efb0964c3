"""Exact critical values of all winners, in one sweep down the priority order.

Theory of operation
-------------------
By definition a winner's price needs the allocation without it: one re-run for each winner, hours a
day in a large market. The sweep runs all of them side by side and computes only what differs.

1. A *counterfactual* is the room as it would be without one winner, kept as a difference to the
   base allocation: nodes drawn more or less in a fabric, gaps on shared nodes. Winners of one shape
   in one fabric leave the same difference, so there are about fabrics x shapes of them.
2. All bids take their turns once more, strongest first. After a winner's turn a price query for it
   waits in the counterfactual without it (`add_query`). Losers and the ladder are newcomers that
   wait from the start in the counterfactual without a difference.
3. Each turn (`take_turn`) is put only to the counterfactuals in which the rival could choose
   otherwise than in the base. Where it chooses the same, the difference stands. Where not, the
   difference changes, and equal ones merge.
4. For each shape that waits in a counterfactual the least floor at which it fits there is known
   (`ShapeFit`), with a fabric that offers it and how many nodes must stay free in that fabric. When
   a turn draws more, the fit is computed anew.
5. Let a turn raise that floor from `before` to `after`, and let `asked` be the least limit that
   comes before the rival's key. If before >= asked, the shape's own floor was the price already. If
   after > asked, the rival's key is the price: with any less the bid comes after the rival and does
   not fit. Else the query goes on waiting.
6. Members of an array that lost take no turn in the counterfactuals of its winners (decision
   record 136).
7. A query that is left at the end pays the floor at which its shape fits then (`finish`).
8. A loser that no counterfactual had room for is remembered by its shape and limit. Rooms only
   shrink, and the one without a later winner is no larger than the base was at this turn. So the
   next losers of that shape that bid no more take no turn at all.

Invariants: base difference + counterfactual = the room that a re-run would have; the floor of a
fit never falls; each query is answered once. The tests compare every answer with an oracle that
plays single nodes and searches the least winning limit.

Example: that of `allocation`: floors amber [7] and birch [1, 1]; turns a (2 nodes, limit 10),
b (1 node, 8), c (1 node, 6). Queries from the start: newcomers of 1 and of 2 nodes.

| turn | base | without a | without b | answers |
|---|---|---|---|---|
| start | 1 node fits at 1, 2 nodes at 1 | | | |
| a | birch +2 | starts as {birch: -2}; 2 nodes fit at 1 | | newcomer of 2: 10.000001 |
| b | amber +1 | b takes birch: {birch: -1, amber: -1}; no fit | {amber: -1}; fits at 7 | a: 8 |
| | | | | newcomer of 1: 8.000001 |
| c | loses | | 6 is below 7: the same | |
| end | | | fits at 7 | b: 7 |

Cost: N log N, plus newcomers x counterfactuals, plus the changes of counterfactuals. A running
bid that keeps its fabric looks only at counterfactuals with less room there, a loser only at
those with more room than the base. A gang that may use any fabrics is put to every counterfactual
by running its choice there. Decision record 3 has the figures and what was weighed instead.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import chain

from parkade.core.market.fabrics_by_offer import FabricsByOffer
from parkade.core.market.layout import Parts
from parkade.core.market.prices.counterfactuals import (
    Counterfactual,
    Difference,
    GapKey,
    Kind,
    Name,
    PriceQuery,
    ShapeFit,
    shifted,
)
from parkade.core.market.prices.floor_index import FloorIndex
from parkade.core.market.prices.preferences import Preferences
from parkade.core.market.sizes import Sizes, choose_size
from parkade.core.market.spot import (
    FITS_NOWHERE,
    NO_FABRIC,
    Bid,
    Preference,
    choose,
    preference_of,
)
from parkade.core.placement.room import Offer, Part, Room, Shape, Tenant

Answer = tuple[int | None, str | None]

Filed = tuple[frozenset[tuple[int | GapKey, int]], str]
"""A difference, and the array whose waiting members take no turn."""

_BASE = Counterfactual({})


class CounterfactualSweep:
    """The state of one sweep; `answers` by query: micro-units per GPU-hour and the rival.

    `_by_drawn[f][n]`: counterfactuals that differ by n drawn nodes in fabric f. `_thresholds[f]`: a
    heap of fits to compute anew once fewer nodes are free in fabric f. `_serial` breaks its ties.
    `_lowest_floor`: a lower bound of every floor. `_refused`: by shape and array of losers, the
    highest limit for which no counterfactual has room.
    """

    __slots__ = (
        "_by_drawn",
        "_by_offer",
        "_by_tenant",
        "_counterfactuals",
        "_floor_index",
        "_lowest_floor",
        "_refused",
        "_room",
        "_serial",
        "_thresholds",
        "answers",
    )

    def __init__(self, start: Room) -> None:
        self._room = start.copy()
        self._floor_index = FloorIndex(self._room)
        self._by_offer = FabricsByOffer(self._room)
        self._lowest_floor = min(
            (levels[0] for levels in start.levels if levels), default=FITS_NOWHERE
        )
        self._counterfactuals: dict[Filed, Counterfactual] = {}
        self._by_drawn: list[dict[int, dict[Counterfactual, None]]] = [{} for _ in start.free]
        self._thresholds: list[list[tuple[int, int, ShapeFit]]] = [[] for _ in start.free]
        self._by_tenant: dict[Tenant, dict[ShapeFit, None]] = {}
        self._refused: dict[tuple[Shape, str], int] = {}
        self._serial = 0
        self.answers: dict[Name, Answer] = {}

    def add_query(
        self, difference: Difference, shape: Shape, query: PriceQuery, array: str = ""
    ) -> None:
        """Let a query wait in the counterfactual that differs so from the base as it is now, and in
        which losers of an array take no turn."""
        assert query.factor > 0, "a limit that counts nothing"
        assert query.name not in self.answers, "a query is asked twice"
        counterfactual = self._at(difference, array)
        fit = counterfactual.fits.get(shape)
        if fit is None:
            fit = ShapeFit(counterfactual, shape)
            counterfactual.refit(self._room, self._floor_index, fit)
            if fit.floor >= FITS_NOWHERE:
                self.answers[query.name] = (None, None)
                self._drop_if_empty(counterfactual)
                return
            self._enter(counterfactual, fit)
        fit.let_wait(query.kind, (query,))

    def take_turn(self, bid: Bid, parts: Parts | None) -> Difference:
        """Let a bid take its turn in the base and in all counterfactuals; returns its change to the
        base. `parts`: what it took there, None where it lost. Bids come in priority order."""
        assert not parts or len(parts) == 1 or bid.shape.any_fabric, (
            "a gang of one fabric is divided"
        )
        if parts is None and self._is_refused(bid):
            return {}
        room = self._room
        base: Difference = {}
        for part in parts or ():
            base |= _BASE.change_of_taking(room, part.fabric, bid.shape, len(part.levels))
        preferences = Preferences(room, bid, parts, self._by_offer)
        changed = []
        is_loser = parts is None and bid.array != ""
        for counterfactual in self._candidates(bid, parts, preferences):
            if is_loser and counterfactual.array == bid.array:
                continue
            there = self._choice(counterfactual, bid, preferences)
            if there != base:
                changed.append((counterfactual, shifted(counterfactual.difference(), there, base)))
        for part in parts or ():
            room.take(part.fabric, bid.shape, len(part.levels))
            self._by_offer.opened(part.fabric)
        for counterfactual, _ in changed:
            self._detach(counterfactual)
        for counterfactual, difference in changed:
            self._merge(counterfactual, self._at(difference, counterfactual.array), bid)
        if parts is not None:
            self._recheck(bid, [part.fabric for part in parts])
        elif not changed and bid.sizes is None and not bid.shared_node:
            # Winners of its own shared node would be taken out from before its turn on.
            self._refused[bid.shape, bid.array] = bid.limit
        return base

    def _is_refused(self, bid: Bid) -> bool:
        """Whether a loser surely finds no room in any counterfactual, as one like it did not that
        bid as much."""
        return bid.sizes is None and bid.limit <= self._refused.get((bid.shape, bid.array), -1)

    def finish(self) -> dict[Name, Answer]:
        """Answer the queries that are left with their floors; all answers."""
        for counterfactual in self._counterfactuals.values():
            for fit in counterfactual.fits.values():
                self._answer(chain.from_iterable(fit.queries.values()), (fit.floor, None))
            # A fit knows its counterfactual: the sweep ends without a cycle.
            counterfactual.fits.clear()
        return self.answers

    def _candidates(
        self, bid: Bid, parts: Parts | None, preferences: Preferences
    ) -> list[Counterfactual]:
        """Counterfactuals in which this rival could choose otherwise than in the base."""
        if bid.shape.any_fabric:
            return list(self._counterfactuals.values())
        found: dict[Counterfactual, None] = {}
        if parts is None:
            self._add_better(found, bid, NO_FABRIC, -1)
            return list(found)
        chosen = parts[0].fabric
        if bid.sizes is not None:
            return self._candidates_for_sizes(bid, bid.sizes, parts[0])
        stays = chosen in bid.own and len(bid.own) == 1 and bid.leaves < 0
        # A whole-node bid that keeps its own fabric keeps it too where that has more room.
        for drawn, counterfactuals in self._by_drawn[chosen].items():
            if drawn > 0 or not stays or bid.shape.tenant is not None:
                found.update(counterfactuals)
        # It leaves its own fabric only for a lower floor, if at all, and there may be none.
        if not stays or (bid.moves_if_cheaper and self._lowest_floor < preferences.best[1]):
            self._add_better(found, bid, preferences.best, chosen)
        return list(found)

    def _candidates_for_sizes(self, bid: Bid, sizes: Sizes, part: Part) -> list[Counterfactual]:
        """As `_candidates`, for an elastic bid that won: all of them, but where it keeps what it
        has and may not grow only those with less room there."""
        keeps = len(part.levels) == sizes.stands and part.fabric in bid.own
        if keeps and sizes.grows_to > sizes.most:
            return [
                it
                for drawn, counterfactuals in self._by_drawn[part.fabric].items()
                if drawn > 0
                for it in counterfactuals
            ]
        return list(self._counterfactuals.values())

    def _add_better(
        self, found: dict[Counterfactual, None], bid: Bid, best: Preference, chosen: int
    ) -> None:
        """Add counterfactuals where a fabric that differs offers more than the base's best."""
        assert (best is NO_FABRIC) == (chosen < 0), "a bid has a best fabric exactly if it won"
        shape = bid.shape
        is_shared = shape.tenant is not None
        room = self._room
        # Grows with fabrics x the different counts of nodes by which counterfactuals differ there.
        for fabric, buckets in enumerate(self._by_drawn):
            if not buckets or fabric == chosen:
                continue
            levels = room.levels[fabric]
            nodes = shape.nodes if shape.held is None else shape.open_ranks(fabric)
            for drawn, counterfactuals in buckets.items():
                if is_shared:
                    found.update(counterfactuals)
                    continue
                free = room.free[fabric] - drawn
                if free < nodes or not drawn or not nodes:
                    # A gang whose nodes there are all closed has the same offer in each of them.
                    continue
                level = levels[len(levels) - free + nodes - 1]
                if nodes < shape.nodes and shape.held is not None:
                    level = max(level, shape.held.level)
                preference = preference_of(bid, fabric, Offer(level, nodes), free)
                if level <= bid.limit and preference < best:
                    found.update(counterfactuals)

    def _choice(
        self, counterfactual: Counterfactual, bid: Bid, preferences: Preferences
    ) -> Difference:
        """What this rival's turn changes in a counterfactual."""
        shape = bid.shape
        if shape.any_fabric:
            division = choose(counterfactual.as_room(self._room), bid, 0)
            change: Difference = {}
            for fabric, nodes in division or ():
                change |= counterfactual.change_of_taking(self._room, fabric, shape, nodes)
            return change
        if bid.sizes is not None:
            left = self._room.free.copy()
            for fabric, drawn in counterfactual.drawn.items():
                left[fabric] -= drawn
            found = choose_size(bid.sizes, bid.own, bid.limit, self._room.levels, left)
            return {} if found is None else {found[0]: found[1]}
        best = preferences.best_outside(counterfactual)
        for fabric in counterfactual.fabrics:
            if counterfactual.differs_at(fabric, shape):
                offer = counterfactual.offer(self._room, fabric, shape)
                if offer is not None and offer.level <= bid.limit:
                    free = self._room.free[fabric] - counterfactual.drawn.get(fabric, 0)
                    best = min(best, preference_of(bid, fabric, offer, free))
        if best is NO_FABRIC:
            return {}
        return counterfactual.change_of_taking(
            self._room, best[-1], shape, shape.open_ranks(best[-1])
        )

    def _merge(self, source: Counterfactual, target: Counterfactual, bid: Bid) -> None:
        """Queries of a counterfactual that changed go on in another, or are priced."""
        assert source is not target, "a counterfactual that changed is still filed"
        for shape, old in source.fits.items():
            fit = ShapeFit(target, shape)
            fit.queries = old.queries
            target.refit(self._room, self._floor_index, fit)
            self._price(fit, old.floor, bid)
            if not fit.queries:
                continue
            there = target.fits.get(shape)
            if there is None:
                self._enter(target, fit)
            else:
                for kind, queries in fit.queries.items():
                    there.let_wait(kind, queries)
        self._drop_if_empty(target)

    def _recheck(self, bid: Bid, fabrics: list[int]) -> None:
        """Compute fits anew whose floor may have risen by what the base just took."""
        due: dict[ShapeFit, None] = {}
        for fabric in fabrics:
            thresholds = self._thresholds[fabric]
            while thresholds and -thresholds[0][0] > self._room.free[fabric]:
                nodes_needed, _, fit = heappop(thresholds)
                if fit.counterfactual is not None and (fit.nodes_needed, fit.fabric) == (
                    -nodes_needed,
                    fabric,
                ):
                    due[fit] = None
        if bid.shape.tenant is not None:
            due.update(self._by_tenant.get(bid.shape.tenant, {}))
        for fit in due:
            counterfactual = fit.counterfactual
            assert counterfactual is not None, "an outdated fit is watched"
            before = fit.floor
            counterfactual.refit(self._room, self._floor_index, fit)
            if fit.floor != before:
                self._price(fit, before, bid)
            if fit.queries:
                self._watch(fit)
            else:
                self._leave(fit)
                del counterfactual.fits[fit.shape]
                self._drop_if_empty(counterfactual)

    def _price(self, fit: ShapeFit, before: int, bid: Bid) -> None:
        """Answer the queries that this rival's turn decides; the floor was `before` it.

        Grows with the kinds of queries, and with those that are answered."""
        assert fit.floor >= before, "a floor fell as room was taken"
        waiting: dict[Kind, list[PriceQuery]] = {}
        for kind, queries in fit.queries.items():
            asked = queries[0].limit_to_reach(bid.key)
            if before >= asked:
                self._answer(queries, (before, None))
            elif fit.floor > asked:
                self._answer(queries, (asked, bid.name))
            else:
                waiting[kind] = queries
        fit.queries = waiting

    def _answer(self, queries: Iterable[PriceQuery], answer: Answer) -> None:
        for query in queries:
            self.answers[query.name] = answer

    def _at(self, difference: Difference, array: str) -> Counterfactual:
        """The counterfactual of this difference, filed anew if there is none."""
        assert all(difference.values()), "equal differences must be equal values"
        key = frozenset(difference.items()), array
        counterfactual = self._counterfactuals.get(key)
        if counterfactual is None:
            counterfactual = Counterfactual(difference, array)
            self._counterfactuals[key] = counterfactual
            for fabric in counterfactual.fabrics:
                drawn = counterfactual.drawn.get(fabric, 0)
                self._by_drawn[fabric].setdefault(drawn, {})[counterfactual] = None
        return counterfactual

    def _detach(self, counterfactual: Counterfactual) -> None:
        """Take one that changed, with its fits, out of all files."""
        for fit in counterfactual.fits.values():
            self._leave(fit)
        self._remove(counterfactual)

    def _remove(self, counterfactual: Counterfactual) -> None:
        key = frozenset(counterfactual.difference().items()), counterfactual.array
        removed = self._counterfactuals.pop(key)
        assert removed is counterfactual, "two counterfactuals of one difference"
        for fabric in counterfactual.fabrics:
            drawn = counterfactual.drawn.get(fabric, 0)
            bucket = self._by_drawn[fabric][drawn]
            del bucket[counterfactual]
            if not bucket:
                del self._by_drawn[fabric][drawn]

    def _drop_if_empty(self, counterfactual: Counterfactual) -> None:
        if not counterfactual.fits:
            self._remove(counterfactual)

    def _enter(self, counterfactual: Counterfactual, fit: ShapeFit) -> None:
        """Let a shape wait in a counterfactual."""
        assert fit.shape not in counterfactual.fits, "a shape waits twice"
        counterfactual.fits[fit.shape] = fit
        if fit.shape.tenant is not None:
            self._by_tenant.setdefault(fit.shape.tenant, {})[fit] = None
        self._watch(fit)

    def _leave(self, fit: ShapeFit) -> None:
        """Mark a fit as outdated; its threshold is passed over when it comes up."""
        assert fit.counterfactual is not None, "a fit is left twice"
        fit.counterfactual = None
        if fit.shape.tenant is not None:
            del self._by_tenant[fit.shape.tenant][fit]

    def _watch(self, fit: ShapeFit) -> None:
        """Have a fit computed anew once its fabric has fewer free nodes than it needs."""
        assert fit.counterfactual is not None, "an outdated fit is watched"
        if fit.nodes_needed > 0:
            self._serial += 1
            heappush(self._thresholds[fit.fabric], (-fit.nodes_needed, self._serial, fit))
