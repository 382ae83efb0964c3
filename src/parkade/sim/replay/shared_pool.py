"""Two fleets that Parkade is compared with: one shared pool, with and without owners' priority.

*First come, first served*: no node is owned. Owners' claims and guests wait in one queue, and
the first that does not fit holds up the rest. Nothing is stopped for another.

*Killing*: owners come first and take nodes at once. Where none is free, the guests that ran for the
shortest time on one node are killed without notice and queue again; a guest that fits starts at
the next of regular backfill passes, whatever waits before it. This is what Slurm's preemption with
requeue and no grace time gives.

Both have what Parkade has: the same nodes, the same turnaround between two orgs, no two orgs on one
node, guests that start and checkpoint alike. Both are spared what Parkade has to keep: fabrics,
prices and limits. A killed guest that fits elsewhere is seated there at once, without waiting for
the next pass.
"""

import heapq
from collections.abc import Callable, Iterable
from functools import partial

from parkade.core.units.time import MINUTE_US
from parkade.sim.replay.demand import Demand, Guest, Minute
from parkade.sim.replay.guests import lost_us
from parkade.sim.replay.owners import OwnerClaim
from parkade.sim.replay.setup import Setup
from parkade.sim.replay.tally import Level, Reclaim, Tally


class _Node:
    """A node and what holds it: one claim, or guests of one org."""

    def __init__(self) -> None:
        self.claim: int | None = None
        self.guests: dict[int, _Seated] = {}
        self.last_org: str | None = None
        self.vacated_us = 0

    @property
    def is_free(self) -> bool:
        """Whether it is neither claimed nor used."""
        return self.claim is None and not self.guests

    def vacate(self, org: str, now_us: int) -> None:
        """An org that had it has left."""
        self.last_org, self.vacated_us = org, now_us


class _Seated:
    """A guest that has seats from an instant on, once the node is turned around."""

    def __init__(self, guest: Guest, node: _Node, from_us: int) -> None:
        self.guest = guest
        self.node = node
        self.from_us = from_us
        self.started_us: int | None = None


class _Held:
    """A claim that has its nodes, from an instant on."""

    def __init__(self, claim: OwnerClaim, nodes: list[_Node], from_us: int) -> None:
        self.claim = claim
        self.nodes = nodes
        self.from_us = from_us
        self.is_ready = False


class SharedPool:
    """One replay; `owners_first`: owners kill guests; else all wait in one queue."""

    def __init__(self, setup: Setup, demand: Demand, *, owners_first: bool) -> None:
        self.tally = Tally(demand.start_us, demand.start_us + demand.minutes * MINUTE_US)
        self._owners_first = owners_first
        self._setup = setup
        self._pass_us = setup.terms.clearing_interval_us
        self._gpus_per_node = demand.gpus_per_node
        self._minutes = demand.changes
        self._nodes = [_Node() for _ in range(sum(nodes for _, nodes in demand.nodes))]
        self._guests: dict[int, _Seated] = {}
        self._claims: dict[int, _Held] = {}
        self._queue: dict[tuple[str, int], Guest | OwnerClaim] = {}
        self._reclaims: dict[int, Reclaim] = {}
        self._has_pass = False
        self._actions: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self._now_us = demand.start_us

    def run(self) -> Tally:
        """The whole trace. Cost: events x nodes."""
        for minute in self._minutes:
            at_us = self.tally.start_us + minute.minute * MINUTE_US
            self._run_until(at_us)
            self._change(minute)
        self._run_until(self.tally.end_us)
        waiting = [it for it in self._queue.values() if isinstance(it, OwnerClaim)]
        waiting += [held.claim for held in self._claims.values() if not held.is_ready]
        for claim in waiting:
            self._settle(claim)
        self.tally.close()
        return self.tally

    # Time.

    def _run_until(self, until_us: int) -> None:
        while self._actions and self._actions[0][0] <= until_us:
            self._now_us, _, action = heapq.heappop(self._actions)
            action()
        self._now_us = until_us

    def _at(self, at_us: int, action: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._actions, (at_us, self._count, action))

    def _change(self, minute: Minute) -> None:
        self.tally.set(Level.OWNERS, minute.busy_gpus, self._now_us)
        self.tally.set(Level.QUEUED, minute.queued_gpus, self._now_us)
        for number in minute.gone:
            if self._queue.pop(("guest", number), None) is None:
                self._unseat(self._guests[number])
        for claim in minute.given_back:
            self._give_back(claim)
        headroom = sum(node.is_free for node in self._nodes) / len(self._nodes)
        nodes_of: dict[str, int] = {}
        for claim in minute.claimed:
            nodes_of[claim.tenant] = nodes_of.get(claim.tenant, 0) + claim.nodes
        reclaims = {
            tenant: self.tally.begin_reclaim(tenant, nodes, headroom, self._now_us)
            for tenant, nodes in nodes_of.items()
        }
        for claim in minute.claimed:
            self._reclaims[claim.number] = reclaims[claim.tenant]
            self.tally.add(Level.OWNERS_WAITING, self._gpus(claim), self._now_us)
            self._queue["claim", claim.number] = claim
        self._queue |= {("guest", guest.number): guest for guest in minute.new}
        self._serve()

    # The queue.

    def _serve(self) -> None:
        if not self._owners_first:
            self._serve_in_order()
            return
        for asked in tuple(self._queue.values()):
            if isinstance(asked, OwnerClaim):
                self._seat_claim(asked)
        if self._queue and not self._has_pass:
            self._has_pass = True
            self._at(-(-self._now_us // self._pass_us) * self._pass_us, self._pass)

    def _serve_in_order(self) -> None:
        while self._queue:
            first = next(iter(self._queue.values()))
            if isinstance(first, OwnerClaim):
                if sum(node.is_free for node in self._nodes) < first.nodes:
                    return
                self._seat_claim(first)
            elif not self._seat_guest(first):
                return

    def _pass(self) -> None:
        """Every guest that fits is seated, whatever waits before it."""
        self._has_pass = False
        for asked in tuple(self._queue.values()):
            assert isinstance(asked, Guest), "claims do not wait for a pass"
            self._seat_guest(asked)

    def _seat_claim(self, claim: OwnerClaim) -> None:
        self._queue.pop(("claim", claim.number))
        free = (node for node in self._nodes if node.is_free)
        taken = sorted(free, key=lambda node: self._clean_us(node, claim.tenant))[: claim.nodes]
        killed: list[Guest] = []
        while len(taken) < claim.nodes:
            node = self._shortest_run()
            killed += [self._kill(seated) for seated in tuple(node.guests.values())]
            taken.append(node)
        for node in taken:
            node.claim = claim.number
        for guest in killed:
            self._queue["guest", guest.number] = guest
            self._reclaims[claim.number].touch(is_moved=self._seat_guest(guest))
        from_us = max(self._clean_us(node, claim.tenant) for node in taken)
        held = self._claims[claim.number] = _Held(claim, taken, from_us)
        if from_us <= self._now_us:
            self._ready(held)
        else:
            self._at(from_us, partial(self._ready, held))

    def _ready(self, held: _Held) -> None:
        if self._claims.get(held.claim.number) is held:
            held.is_ready = True
            self._settle(held.claim)
            self.tally.add(Level.OWNERS_NODES, self._gpus(held.claim), self._now_us)

    def _give_back(self, claim: OwnerClaim) -> None:
        if self._queue.pop(("claim", claim.number), None) is not None:
            self._settle(claim)
            return
        held = self._claims.pop(claim.number)
        for node in held.nodes:
            node.claim = None
            if held.is_ready:
                node.vacate(claim.tenant, self._now_us)
        if held.is_ready:
            self.tally.add(Level.OWNERS_NODES, -self._gpus(claim), self._now_us)
        else:
            self._settle(claim)

    def _settle(self, claim: OwnerClaim) -> None:
        """A claim waits no longer."""
        self.tally.settle(self._reclaims.pop(claim.number), claim.nodes, self._now_us)
        self.tally.add(Level.OWNERS_WAITING, -self._gpus(claim), self._now_us)

    # Guests.

    def _seat_guest(self, guest: Guest) -> bool:
        """Whether it has seats now: the fullest node of its org, else a free one."""
        node = self._room_for(guest)
        if node is None:
            return False
        self._queue.pop(("guest", guest.number))
        from_us = max(self._now_us, self._clean_us(node, guest.org))
        seated = _Seated(guest, node, from_us)
        node.guests[guest.number] = self._guests[guest.number] = seated
        self._at(from_us + self._setup.starting_us, partial(self._start, seated))
        return True

    def _room_for(self, guest: Guest) -> _Node | None:
        shared = [
            (left, place)
            for place, node in enumerate(self._nodes)
            if node.guests and (left := self._left(node, guest.org)) >= guest.gpus
        ]
        if shared:
            return self._nodes[min(shared)[1]]
        free = (node for node in self._nodes if node.is_free)
        return min(free, key=lambda node: self._clean_us(node, guest.org), default=None)

    def _left(self, node: _Node, org: str) -> int:
        guests = [seated.guest for seated in node.guests.values()]
        if guests[0].org != org:
            return 0
        return self._gpus_per_node - sum(guest.gpus for guest in guests)

    def _start(self, seated: _Seated) -> None:
        if self._guests.get(seated.guest.number) is seated:
            seated.started_us = self._now_us
            self.tally.add(Level.GUESTS, seated.guest.gpus, self._now_us)

    def _kill(self, seated: _Seated) -> Guest:
        self.tally.stops += 1
        if seated.started_us is not None:
            again_us = lost_us(self._now_us - seated.started_us, self._setup.checkpoint_every_us)
            self.tally.lost_us += seated.guest.gpus * again_us
        self._unseat(seated)
        return seated.guest

    def _unseat(self, seated: _Seated) -> None:
        guest, node = seated.guest, seated.node
        del node.guests[guest.number], self._guests[guest.number]
        began_us = self._now_us if seated.started_us is None else seated.started_us
        self.tally.unused_us += guest.gpus * max(0, began_us - seated.from_us)
        if seated.started_us is not None:
            self.tally.add(Level.GUESTS, -guest.gpus, self._now_us)
        if seated.from_us <= self._now_us:
            node.vacate(guest.org, self._now_us)

    def _shortest_run(self) -> _Node:
        """The node whose guests have least to lose."""
        used = [node for node in self._nodes if node.guests]
        assert used, "owners never need more nodes than there are"
        return min(used, key=lambda node: _ran_us(node.guests.values(), self._now_us))

    def _clean_us(self, node: _Node, org: str) -> int:
        """From when an org may use a free node."""
        if node.last_org in (None, org):
            return 0
        return node.vacated_us + self._setup.terms.turnaround_us

    def _gpus(self, claim: OwnerClaim) -> int:
        return claim.nodes * self._gpus_per_node


def _ran_us(guests: Iterable[_Seated], now_us: int) -> int:
    return sum(seated.guest.gpus * max(0, now_us - seated.from_us) for seated in guests)
