"""Exact critical values of all winners in one sweep down the order of right.

Everyone whose price is sought waits in the world without it (`worlds`). Each rival in turn is put
to the worlds in which it could choose other than in the base pass; then those whose shape fits
only at a higher floor, or nowhere any more, are priced by the rival's key. Who is never priced
pays the floor its shape draws at the end.

Cost: N log N, plus newcomers x worlds, plus the changes of worlds. A runner that keeps its fabric
looks at worlds with less room there only, a rejected demand at those with more room than the base
has. A gang that may use any fabrics is put to every world by running its choice there.
"""

from heapq import heappop, heappush

from parkade.core.market.counterfactuals import (
    Asker,
    Difference,
    Entry,
    GapKey,
    Name,
    World,
    shifted,
)
from parkade.core.market.floor_index import Cheapest
from parkade.core.market.layout import Parts
from parkade.core.market.spot import NEVER, NOWHERE, Bid, Rank, choose, rank_of
from parkade.core.placement.room import Room, Shape, Tenant

Answer = tuple[int | None, str | None]

_BASE = World({})


class Sweep:
    """The state of one sweep; `answers` by asker: price (None: nowhere) and who set it."""

    __slots__ = (
        "_at",
        "_by_tenant",
        "_cheapest",
        "_lowest",
        "_room",
        "_tick",
        "_timers",
        "_worlds",
        "answers",
    )

    def __init__(self, start: Room) -> None:
        self._room = start.copy()
        self._cheapest = Cheapest(self._room)
        self._lowest = min((ladder[0] for ladder in start.levels if ladder), default=NEVER)
        self._worlds: dict[frozenset[tuple[int | GapKey, int]], World] = {}
        self._at: list[dict[int, dict[World, None]]] = [{} for _ in start.free]
        self._timers: list[list[tuple[int, int, Entry]]] = [[] for _ in start.free]
        self._by_tenant: dict[Tenant, dict[Entry, None]] = {}
        self._tick = 0
        self.answers: dict[Name, Answer] = {}

    def ask(self, difference: Difference, shape: Shape, asker: Asker) -> None:
        """Somebody waits in the world that differs so from the base as it is now."""
        world = self._world(difference)
        entry = world.entries.get(shape)
        if entry is None:
            entry = Entry(world, shape)
            world.locate(self._room, self._cheapest, entry)
            if entry.floor >= NEVER:
                self.answers[asker.name] = (None, None)
                self._drop_if_empty(world)
                return
            self._enter(world, entry)
        entry.askers.append(asker)

    def put(self, bid: Bid, parts: Parts | None) -> Difference:
        """The next rival takes its turn in the base pass and in all worlds: what it changed."""
        room = self._room
        base: Difference = {}
        for part in parts or ():
            base |= _BASE.taking(room, part.fabric, bid.shape, len(part.levels))
        ranks = _Ranks(room, bid, parts)
        changed = []
        for world in self._candidates(bid, parts, ranks):
            there = self._choice(world, bid, ranks)
            if there != base:
                changed.append((world, shifted(world.difference(), there, base)))
        for part in parts or ():
            room.take(part.fabric, bid.shape, len(part.levels))
        for world, _ in changed:
            self._detach(world)
        for world, difference in changed:
            self._merge(world, self._world(difference), bid)
        if parts is not None:
            self._recheck(bid, [part.fabric for part in parts])
        return base

    def close(self) -> dict[Name, Answer]:
        """Who is left pays the floor its shape draws."""
        for world in self._worlds.values():
            for entry in world.entries.values():
                for asker in entry.askers:
                    self.answers[asker.name] = (entry.floor, None)
        return self.answers

    def _candidates(self, bid: Bid, parts: Parts | None, ranks: "_Ranks") -> list[World]:
        """Worlds in which this rival could choose other than in the base pass."""
        if bid.shape.any_fabric:
            return list(self._worlds.values())
        found: dict[World, None] = {}
        if parts is None:
            self._add_better(found, bid, NOWHERE, -1)
            return list(found)
        chosen = parts[0].fabric
        stays = chosen in bid.own and len(bid.own) == 1
        for drawn, worlds in self._at[chosen].items():
            if drawn > 0 or not stays or bid.shape.tenant is not None:
                found.update(worlds)
        if not stays or self._lowest < ranks.best[0]:
            self._add_better(found, bid, ranks.best, chosen)
        return list(found)

    def _add_better(self, found: dict[World, None], bid: Bid, best: Rank, chosen: int) -> None:
        """Worlds in which a fabric that differs offers the shape better than the base's best."""
        nodes, is_shared = bid.shape.nodes, bid.shape.tenant is not None
        room = self._room
        # Grows with fabrics x the different counts of nodes by which worlds differ there.
        for fabric, buckets in enumerate(self._at):
            if not buckets or fabric == chosen:
                continue
            ladder = room.levels[fabric]
            for drawn, worlds in buckets.items():
                if is_shared:
                    found.update(worlds)
                    continue
                free = room.free[fabric] - drawn
                if free < nodes or not drawn:
                    continue
                level = ladder[len(ladder) - free + nodes - 1]
                rank = (level, fabric not in bid.own, nodes, free - nodes, fabric)
                if level <= bid.limit and rank < best:
                    found.update(worlds)

    def _choice(self, world: World, bid: Bid, ranks: "_Ranks") -> Difference:
        """What this rival's turn changes in a world."""
        shape = bid.shape
        if shape.any_fabric:
            shares = choose(world.room(self._room), bid, 0)
            change: Difference = {}
            for fabric, nodes in shares or ():
                change |= world.taking(self._room, fabric, shape, nodes)
            return change
        best = ranks.best_outside(world)
        for fabric in world.fabrics:
            if world.touches(fabric, shape):
                offer = world.offer(self._room, fabric, shape)
                if offer is not None and offer.level <= bid.limit:
                    free = self._room.free[fabric] - world.drawn.get(fabric, 0)
                    best = min(best, rank_of(bid, fabric, offer, free))
        if best is NOWHERE:
            return {}
        return world.taking(self._room, best[4], shape, shape.nodes)

    def _merge(self, source: World, target: World, bid: Bid) -> None:
        """Those who waited in a world whose difference changed go on in another, or are priced."""
        for shape, old in source.entries.items():
            entry = Entry(target, shape)
            entry.askers = old.askers
            target.locate(self._room, self._cheapest, entry)
            self._price(entry, old.floor, bid)
            if not entry.askers:
                continue
            there = target.entries.get(shape)
            if there is None:
                self._enter(target, entry)
            else:
                there.askers.extend(entry.askers)
        self._drop_if_empty(target)

    def _recheck(self, bid: Bid, fabrics: list[int]) -> None:
        """Look again at those whose floor may have risen by what the base pass just took."""
        due: dict[Entry, None] = {}
        for fabric in fabrics:
            timers = self._timers[fabric]
            while timers and -timers[0][0] > self._room.free[fabric]:
                need, _, entry = heappop(timers)
                if entry.world is not None and (entry.need, entry.witness) == (-need, fabric):
                    due[entry] = None
        if bid.shape.tenant is not None:
            due.update(self._by_tenant.get(bid.shape.tenant, {}))
        for entry in due:
            world = entry.world
            assert world is not None
            before = entry.floor
            world.locate(self._room, self._cheapest, entry)
            if entry.floor != before:
                self._price(entry, before, bid)
            if entry.askers:
                self._set_timer(entry)
            else:
                self._leave(entry)
                del world.entries[entry.shape]
                self._drop_if_empty(world)

    def _price(self, entry: Entry, before: int, bid: Bid) -> None:
        """Who cannot go below this rival's key, as the floor was `before` it and is after."""
        waiting = []
        for asker in entry.askers:
            asked = asker.asking(bid.key)
            if before >= asked:
                self.answers[asker.name] = (before, None)
            elif entry.floor > asked:
                self.answers[asker.name] = (asked, bid.name)
            else:
                waiting.append(asker)
        entry.askers = waiting

    def _world(self, difference: Difference) -> World:
        key = frozenset(difference.items())
        world = self._worlds.get(key)
        if world is None:
            world = World(difference)
            self._worlds[key] = world
            for fabric in world.fabrics:
                drawn = world.drawn.get(fabric, 0)
                self._at[fabric].setdefault(drawn, {})[world] = None
        return world

    def _detach(self, world: World) -> None:
        for entry in world.entries.values():
            self._leave(entry)
        self._remove(world)

    def _remove(self, world: World) -> None:
        del self._worlds[frozenset(world.difference().items())]
        for fabric in world.fabrics:
            drawn = world.drawn.get(fabric, 0)
            bucket = self._at[fabric][drawn]
            del bucket[world]
            if not bucket:
                del self._at[fabric][drawn]

    def _drop_if_empty(self, world: World) -> None:
        if not world.entries:
            self._remove(world)

    def _enter(self, world: World, entry: Entry) -> None:
        world.entries[entry.shape] = entry
        if entry.shape.tenant is not None:
            self._by_tenant.setdefault(entry.shape.tenant, {})[entry] = None
        self._set_timer(entry)

    def _leave(self, entry: Entry) -> None:
        entry.world = None
        if entry.shape.tenant is not None:
            del self._by_tenant[entry.shape.tenant][entry]

    def _set_timer(self, entry: Entry) -> None:
        if entry.need > 0:
            self._tick += 1
            heappush(self._timers[entry.witness], (-entry.need, self._tick, entry))


class _Ranks:
    """How a bid ranks the base pass's fabrics; all of them only if a world asks."""

    __slots__ = ("_bid", "_ranked", "_room", "best")

    def __init__(self, room: Room, bid: Bid, parts: Parts | None) -> None:
        self._room = room
        self._bid = bid
        self._ranked: list[Rank] | None = None
        self.best = NOWHERE
        if parts is None:
            self._ranked = []
        elif not bid.shape.any_fabric:
            self.best = self._rank(parts[0].fabric)

    def best_outside(self, world: World) -> Rank:
        """The best fabric whose offer is the same in this world as in the base."""
        if self.best is NOWHERE or not world.touches(self.best[4], self._bid.shape):
            return self.best
        if self._ranked is None:
            everywhere = range(len(self._room.free))
            ranks = [self._rank(fabric) for fabric in everywhere]
            self._ranked = sorted(rank for rank in ranks if rank is not NOWHERE)
        for rank in self._ranked:
            if not world.touches(rank[4], self._bid.shape):
                return rank
        return NOWHERE

    def _rank(self, fabric: int) -> Rank:
        offer = self._room.offer(fabric, self._bid.shape)
        if offer is None or offer.level > self._bid.limit:
            return NOWHERE
        return rank_of(self._bid, fabric, offer, self._room.free[fabric])
