"""Windows on a line as a circulation: the cheapest flow, kept cheapest while arcs come and go.

Theory of operation
-------------------
Boundaries of slots are points of a line. A buy of [c, d) is an arc c -> d, a sell of [c, d) is an
arc d -> c; nodes are flow. In each slot as much is bought as sold exactly if what flows into a
boundary flows out of it. So the fills of greatest benefit are a circulation of least cost, where a
buy costs minus its limit.

Arcs of one slot alone are not kept singly: a `Ladder` holds them, and shows the network two arcs,
one node more and one node fewer.

A flow is cheapest exactly if there are prices of windows, P[d] - P[c] for [c, d), such that every
arc with room has a reduced cost of at least 0: cost + P[head] - P[tail]. This holds always:

* `fill` opens an arc. While its reduced cost is below 0, the cheapest way from its head back to its
  tail is sought (Dijkstra, on reduced costs, as far as the gain reaches) and flow is sent round.
  Prices of the boundaries that were reached rise by what is left of the gain.
* `take_out` closes an arc: what it carried is sent another way, each time the cheapest.

Both are the successive shortest paths of Ahuja, Magnanti and Orlin, *Network Flows* (1993),
section 9.7; the cost of a step is that of one Dijkstra on the boundaries that lie nearer than the
gain.
"""

from heapq import heappop, heappush

from parkade.core.book.ladder import Ladder


class Kept:
    """What `Network.restore` puts back."""

    __slots__ = ("cost", "costs", "on", "prices", "room")

    def __init__(self, network: "Network") -> None:
        self.costs = list(network.costs)
        self.room = list(network.room)
        self.prices = list(network.prices)
        self.on = [ladder.on for ladder in network.ladders]
        self.cost = network.cost


class Network:
    """The flow; arcs 2k and 2k + 1 are the two directions of one, the first 2 x slots of slots."""

    def __init__(self, ladders: list[Ladder]) -> None:
        self.ladders = ladders
        self.heads: list[int] = []
        self.costs: list[int] = []
        self.room: list[int] = []
        """Nodes that can still be sent along each arc."""
        self.leaving: list[list[int]] = [[] for _ in range(len(ladders) + 1)]
        """The arcs of each boundary."""
        self.prices: list[int] = [0]
        self.cost = 0
        """Of the whole flow, from the ladders' start on."""
        for slot in range(len(ladders)):
            self._arc(slot + 1, slot)
            self._show(slot)
            assert self.room[2 * slot + 1], "the lowest rung takes any node"
            self.prices.append(self.prices[-1] - self.costs[2 * slot + 1])

    def add(self, tail: int, head: int, cost: int) -> int:
        """A new arc without room; gives its number."""
        number = self._arc(tail, head)
        self.costs[number], self.costs[number + 1] = cost, -cost
        return number

    def flow(self, arc: int) -> int:
        """Nodes that an arc carries."""
        return self.room[arc + 1]

    def fill(self, arc: int, nodes: int) -> None:
        """Opens an arc without room for so many nodes, and sends what pays."""
        assert self.room[arc] == self.room[arc + 1] == 0 and nodes > 0
        tail, head = self.heads[arc + 1], self.heads[arc]
        self.room[arc] = nodes
        while self.room[arc]:
            gain = self.prices[tail] - self.prices[head] - self.costs[arc]
            if gain <= 0:
                return
            way = self._cheapest(head, tail, gain)
            if way is None:
                return
            self._send([arc, *way])

    def take_out(self, arc: int) -> None:
        """Closes an arc for good; what it carried takes the cheapest other way."""
        carried = self.room[arc + 1]
        self.room[arc] = self.room[arc + 1] = 0
        self.cost -= carried * self.costs[arc]
        tail, head = self.heads[arc + 1], self.heads[arc]
        while carried:
            way = self._cheapest(tail, head, None)
            assert way is not None
            carried -= self._send(way, carried)

    def way_without(self, arc: int) -> int:
        """What one node of an arc's flow saves, less its own cost: how much the cheapest other way
        for it costs less than nothing. The flow is left as it is."""
        kept = self.keep()
        self.room[arc] = self.room[arc + 1] = 0
        way = self._cheapest(self.heads[arc + 1], self.heads[arc], None)
        assert way is not None
        saved = -sum(self.costs[each] for each in way)
        self.restore(kept)
        return saved

    def set_flow(self, arc: int, nodes: int, room: int) -> None:
        """Says what an arc carries, for a check: prices and costs are left as they are."""
        self.room[arc], self.room[arc + 1] = room, nodes

    def set_on(self, slot: int, on: int) -> None:
        """Says how many nodes of a slot's ladder are on, for a check."""
        self.ladders[slot].on = on
        self._show(slot)

    def keep(self) -> Kept:
        """What it is now, for `restore`."""
        return Kept(self)

    def restore(self, kept: Kept) -> None:
        """As it was; the arcs are the same ones."""
        assert len(kept.room) == len(self.room)
        self.costs, self.room, self.prices = list(kept.costs), list(kept.room), list(kept.prices)
        for ladder, on in zip(self.ladders, kept.on, strict=True):
            ladder.on = on
        self.cost = kept.cost

    def _arc(self, tail: int, head: int) -> int:
        number = len(self.heads)
        self.heads += (head, tail)
        self.costs += (0, 0)
        self.room += (0, 0)
        self.leaving[tail].append(number)
        self.leaving[head].append(number + 1)
        return number

    def _show(self, slot: int) -> None:
        ladder, arc = self.ladders[slot], 2 * slot
        self.costs[arc], self.room[arc] = ladder.dearer()
        cost, self.room[arc + 1] = ladder.cheaper()
        self.costs[arc + 1] = -cost

    def _cheapest(self, source: int, target: int, below: int | None) -> list[int] | None:
        """The arcs of the cheapest way, if its reduced cost is below a bound, and the prices that
        follow; None: there is none, and the prices rise by all of the bound."""
        heads, costs, room, prices = self.heads, self.costs, self.room, self.prices
        best = {source: 0}
        came: dict[int, int] = {}
        settled: dict[int, int] = {}
        waiting = [(0, source)]
        way: list[int] | None = None
        while waiting:
            distance, here = heappop(waiting)
            if here in settled:
                continue
            if below is not None and distance >= below:
                break
            if here == target:
                below = distance
                way = self._way(came, source, target)
                break
            settled[here] = distance
            base = distance - prices[here]
            for arc in self.leaving[here]:
                if room[arc]:
                    head = heads[arc]
                    if head in settled:
                        continue
                    through = base + costs[arc] + prices[head]
                    known = best.get(head)
                    if known is None or through < known:
                        best[head] = through
                        came[head] = arc
                        heappush(waiting, (through, head))
        assert below is not None, "the rest of a circulation can be undone"
        for boundary, distance in settled.items():
            prices[boundary] += below - distance
        return way

    def _way(self, came: dict[int, int], source: int, target: int) -> list[int]:
        way: list[int] = []
        while target != source:
            arc = came[target]
            way.append(arc)
            target = self.heads[arc ^ 1]
        return way

    def _send(self, way: list[int], most: int | None = None) -> int:
        """Sends as much as a way holds; gives the nodes."""
        room = self.room
        nodes = min(room[arc] for arc in way)
        if most is not None:
            nodes = min(nodes, most)
        assert nodes > 0
        slots = 2 * len(self.ladders)
        costs = self.costs
        for arc in way:
            self.cost += nodes * costs[arc]
            back = arc ^ 1
            if arc < slots:
                ladder = self.ladders[arc >> 1]
                ladder.on += -nodes if arc & 1 else nodes
                if nodes == room[arc] or costs[back] != -costs[arc]:
                    # Another rung is the next one to go on, or off.
                    self._show(arc >> 1)
                    continue
            room[arc] -= nodes
            room[back] += nodes
        return nodes
