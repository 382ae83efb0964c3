"""What arrives in a clearing, and so owes for those that it makes leave.

A winner *arrives* where it gets seats without having run on others: it is a bid or on-demand, and
no workload that the clearing itself moves or heals. An elastic workload that grows arrives on its
further nodes. An owner on its reservation never does: it is its right.

A bid that runs and is moved arrives as well where its own org, or its own choice, moves it:

    the root of its move (`move_roots`) is a bid, on-demand or a right of its org
    it is not known for whom, and an arrival or owner of its org that comes before it gets seats, or
    a reservation of its org keeps idle nodes of its fabric from it
    it says `moves: cheaper`, and leaves for a lower floor

Else it had no choice. Decision records 47 and 113.
"""

from functools import cached_property, partial

from parkade.core.clearing.move_roots import MoveRoots, Root
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.outcome import Change, Clearing, ClearingLine, MovedForFloor
from parkade.core.state.world import World
from parkade.core.workloads.spec import Moves
from parkade.core.workloads.workload import Workload

TAKES_SEATS = frozenset({Change.START, Change.MOVE, Change.HEAL, Change.RESIZE})


class Arrivals:
    """The arrivals of one clearing's outcome. `_rank`: by demand, its place in the priority order;
    `_arriving`, `_reclaims`: in that order."""

    def __init__(self, world: World, demands: dict[str, Demand], outcome: Clearing) -> None:
        self._world = world
        self._demands = demands
        self._outcome = outcome
        self._rank = {line.demand: place for place, line in enumerate(outcome.lines)}
        seated = [line for line in outcome.lines if line.seats]
        self._growing = frozenset(
            line.demand
            for line in seated
            if line.change is Change.RESIZE and len(line.seats) > len(demands[line.demand].seats)
        )
        self._reclaims = [line for line in seated if self._reclaimed_by(line)]
        self._drawn = self._drawn_by_owners(seated)
        self._moved_by_own: frozenset[str] = frozenset()
        self._arriving = self._all_arriving(seated)
        self._moved_by_own = frozenset(
            line.demand for line in seated if self._is_moved_by_own(line)
        )
        self._arriving = self._all_arriving(seated)
        taking = (*self._arriving, *(it.demand for it in self._reclaims))
        self._orgs_that_take = {demands[it].org for it in taking}
        self._orgs_that_take.update(it.org for it in world.records.reservations.values())

    @cached_property
    def _roots(self) -> MoveRoots:
        """Found when one is asked for: few clearings move what runs."""
        of_reservation = partial(_org_of_reservation, self._world)
        return MoveRoots(self._outcome.lines, self._demands, of_reservation)

    def owes(self, workload: Workload) -> bool:
        """Whether a winner owes for those that it makes leave."""
        return not self.is_reserved(workload.workload) and not self._has_no_choice(workload)

    def is_reserved(self, name: str) -> bool:
        """Whether a demand is an owner's on its reservation."""
        return self._demands[name].tier is PriorityTier.RESERVED

    @property
    def names(self) -> tuple[str, ...]:
        """What arrives, in priority order."""
        return tuple(self._arriving)

    @property
    def growing(self) -> frozenset[str]:
        """The elastic winners that get more nodes than they have."""
        return self._growing

    def root_of(self, workload: Workload) -> Root:
        """What a winner that had no choice was moved for."""
        assert not self.owes(workload), f"{workload.workload} arrives"
        return self._roots.root(workload.workload)

    def precedes(self, one: str, other: str) -> bool:
        """Whether it comes before the other in the priority order; what takes no part is last."""
        last = len(self._rank)
        return self._rank.get(one, last) < self._rank.get(other, last)

    def loses_to_own(self, workload: Workload) -> bool:
        """Whether what holds a debt loses its seats to its own org. Where only what is moved
        takes them, an arrival or owner of its org elsewhere counts: it made others come here. Cost
        grows with the arrivals, the owners that come back and the reservations."""
        holder = workload.promise or workload.attempt
        assert holder is not None
        if workload.org not in self._orgs_that_take:
            return False
        stronger = self._before(workload)
        nodes = {seat.node for seat in holder.seats}
        takers = [it for it in stronger if any(seat.node in nodes for seat in it.seats)]
        if self._has_own(takers or stronger, workload):
            return True
        return not takers and self._is_withheld_by_own(workload, nodes)

    def _before(self, workload: Workload) -> list[ClearingLine]:
        """The arrivals and owners with new seats that come before it in the order."""
        return [
            it
            for it in (*self._arriving.values(), *self._reclaims)
            if self.precedes(it.demand, workload.workload)
        ]

    def _has_own(self, found: list[ClearingLine], workload: Workload) -> bool:
        return any(self._demands[it.demand].org == workload.org for it in found)

    def _is_withheld_by_own(self, workload: Workload, nodes: set[str]) -> bool:
        """Whether a reservation of its own org keeps idle nodes of its fabric from it."""
        records = self._world.records
        fabrics = {records.nodes[name].fabric for name in nodes if name in records.nodes}
        limit_micros = workload.spec.limit_price_micros or 0
        for each in records.reservations.values():
            if each.org != workload.org or each.market != workload.market:
                continue
            if not each.state.takes_part or fabrics.isdisjoint(it for it, _ in each.shape):
                continue
            idle = each.nodes - self._drawn.get(each.reservation, 0)
            lent = each.lending
            if lent is None or lent.floor_micros > limit_micros:
                withheld = idle
            else:
                withheld = min(idle, lent.keep)
            if withheld > 0:
                return True
        return False

    def _all_arriving(self, seated: list[ClearingLine]) -> dict[str, ClearingLine]:
        return {line.demand: line for line in seated if self._arrives(line)}

    def _arrives(self, line: ClearingLine) -> bool:
        demand = self._demands.get(line.demand)
        if demand is None or not line.seats or demand.tier is PriorityTier.RESERVED:
            return False
        if line.change not in TAKES_SEATS:
            return False
        return not self._has_no_choice(self._world.records.workloads.get(line.demand))

    def _has_no_choice(self, workload: Workload | None) -> bool:
        """Whether the clearing itself moves or heals it, for no reason of its org's: it has an
        attempt that would have stayed, or that broke."""
        attempt = workload.attempt if workload is not None else None
        if workload is None or attempt is None or workload.workload in self._growing:
            return False
        if attempt.broken_us is not None:
            return True
        return attempt.stop is None and workload.workload not in self._moved_by_own

    def _is_moved_by_own(self, line: ClearingLine) -> bool:
        workload = self._world.records.workloads.get(line.demand)
        if workload is None or line.change is not Change.MOVE or self.is_reserved(line.demand):
            return False
        if workload.attempt is None or not self._has_no_choice(workload):
            return False
        is_for_floor = isinstance(line.moved, MovedForFloor)
        if is_for_floor and workload.spec.moves is Moves.CHEAPER:
            return True
        root = self._roots.root(line.demand)
        if root.is_broken or root.org is not None:
            return root.org == workload.org
        nodes = {seat.node for seat in workload.attempt.seats}
        is_before = self._has_own(self._before(workload), workload)
        return is_before or self._is_withheld_by_own(workload, nodes)

    def _reclaimed_by(self, line: ClearingLine) -> bool:
        """Whether an owner takes seats by its right."""
        return line.change in TAKES_SEATS and self.is_reserved(line.demand) and bool(line.seats)

    def _drawn_by_owners(self, seated: list[ClearingLine]) -> dict[str, int]:
        """By reservation, the nodes on which its owner sits after this clearing."""
        nodes: dict[str, set[str]] = {}
        for line in seated:
            demand = self._demands.get(line.demand)
            if demand is not None and demand.reservation is not None:
                seats = line.seats
                nodes.setdefault(demand.reservation, set()).update(it.node for it in seats)
        return {name: len(found) for name, found in nodes.items()}


def _org_of_reservation(world: World, name: str) -> str:
    return world.records.reservations[name].org
