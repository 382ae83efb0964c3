"""What leaves for what: the cause and the notice of each attempt that a clearing ends.

A winner *takes* a node where it gets seats that it does not have now. An attempt with seats on
such a node leaves for it. Which winners owe for that is decided in `clearing.debts`.
"""

from parkade.core.clearing.sweeps import Sweeps
from parkade.core.fleet.market import Market
from parkade.core.fleet.seat import Seat, by_node
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.outcome import Change, Clearing, ClearingLine
from parkade.core.running.promises import bids, clean_us, has_room
from parkade.core.state.world import World
from parkade.core.steps.notices import notice
from parkade.core.steps.turnaround import is_sanitising, must_sanitise
from parkade.core.workloads.life import Cause
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Stop, Workload

Taker = tuple[Demand, ClearingLine]


class Displacement:
    """The takers of one clearing's outcome, by node; it answers for each attempt and winner."""

    def __init__(
        self,
        world: World,
        market: Market,
        demands: dict[str, Demand],
        outcome: Clearing,
        now_us: int,
        *,
        unhurried: frozenset[str],
        sweeps: Sweeps,
    ) -> None:
        """`unhurried`: demands that leave nodes which still work, so that no heal notice is for
        them."""
        self._world = world
        self._market = market
        self._demands = demands
        self._now_us = now_us
        self._unhurried = unhurried
        self._sweeps = sweeps
        self._takers = self._takers_by_node(outcome)
        self._keep_some = {line.demand for line in outcome.lines if line.seats}
        self._rank = {line.demand: place for place, line in enumerate(outcome.lines)}

    def cause_of(self, workload: Workload, attempt: Attempt, *, is_below_floor: bool) -> Cause:
        """Why an attempt that lost its seats leaves: outbid where a bid that comes before it in the
        priority order takes some of them, or the room or floors without which it loses (`sweeps`).
        A weaker bid only fills what a right left over, and so does any where none may push it out,
        or where it would have left without what arrives. `is_below_floor`: its own limit would not
        have won the empty room; that is its cause where no right takes its seats, and no on-demand
        the floors that it had."""
        assert attempt.stop is None, "an attempt that leaves already has its cause"
        if attempt.broken_us is not None:
            return Cause.HEALED
        takers = [taker for seat in attempt.seats for taker in self._takers.get(seat.node, [])]
        is_spot = workload.spec.capacity.kind is CapacityKind.SPOT
        demand = self._demands.get(workload.workload)
        if demand is not None and demand.protection is not None:
            return Cause.RECLAIMED
        if is_spot and self._is_outbid_there(workload, takers):
            return Cause.OUTBID
        has_right = any(demand.tier is not PriorityTier.SPOT for demand, _ in takers)
        is_part = has_right and workload.workload in self._keep_some
        if is_part or self._is_taken_by_on_demand(takers) or not is_spot:
            return Cause.RECLAIMED if has_right or not is_below_floor else Cause.BELOW_FLOOR
        pushers = self._sweeps.pushers_of(workload.workload)
        if any(self._demands[it].tier is PriorityTier.SPOT for it in pushers):
            return Cause.OUTBID
        is_below_floor = is_below_floor and not has_right and not pushers
        return Cause.BELOW_FLOOR if is_below_floor else Cause.RECLAIMED

    def _is_taken_by_on_demand(self, takers: list[Taker]) -> bool:
        return any(demand.tier is PriorityTier.ON_DEMAND for demand, _ in takers)

    def _is_outbid_there(self, workload: Workload, takers: list[Taker]) -> bool:
        """Whether a bid that comes before it takes its seats, and it would not leave anyway."""
        own_rank = self._rank.get(workload.workload, len(self._rank))
        bids_before = [
            demand.demand
            for demand, _ in takers
            if demand.tier is PriorityTier.SPOT and self._rank[demand.demand] < own_rank
        ]
        if not bids_before:
            return False
        are_arriving = self._sweeps.are_arriving(bids_before)
        return not are_arriving or self._sweeps.stays_alone(workload.workload)

    def is_taken(self, seat: Seat) -> bool:
        """Whether a demand gets its node that did not have it."""
        return seat.node in self._takers

    def notice(self, attempt: Attempt, cause: Cause) -> Stop:
        """The market's notice; the heal notice, if that is shorter, where a broken gang of higher
        priority needs the seats, and for an attempt that is broken itself, so that its surviving
        ranks save what they can."""
        assert attempt.stop is None, "an attempt that leaves already has its notice"
        terms = self._market.terms
        notice_us = terms.notice_us
        if attempt.broken_us is not None or any(
            self._is_hurried(demand, line)
            for seat in attempt.seats
            for demand, line in self._takers.get(seat.node, [])
        ):
            notice_us = min(terms.heal_notice_us, terms.notice_us)
        return notice(
            attempt, cause, at_us=self._now_us, notice_us=notice_us, kill_us=terms.kill_us
        )

    def busy(self, line: ClearingLine) -> int:
        """How many nodes of a winner others still hold, or have left so lately that their
        turnaround is not over, or must be sanitised."""
        assert line.demand in self._demands
        return sum(self._is_busy(line.demand, seat) for seat in by_node(line.seats))

    def _takers_by_node(self, outcome: Clearing) -> dict[str, list[Taker]]:
        """By node, the demands that get seats there which they do not have now."""
        takers: dict[str, list[Taker]] = {}
        for line in outcome.lines:
            if line.change in (Change.WAIT, Change.KEEP, Change.PREEMPT):
                continue
            demand = self._demands.get(line.demand)
            if demand is None:
                continue
            had = {seat.node: seat.gpus for seat in by_node(demand.seats)}
            for seat in by_node(line.seats):
                if seat.gpus > had.get(seat.node, 0):
                    takers.setdefault(seat.node, []).append((demand, line))
        return takers

    def _is_hurried(self, demand: Demand, line: ClearingLine) -> bool:
        if demand.demand in self._unhurried:
            return False
        return line.change is Change.HEAL or demand.completes or self._is_broken(demand)

    def _is_broken(self, demand: Demand) -> bool:
        workload = self._world.records.workloads.get(demand.demand)
        return (
            workload is not None
            and workload.attempt is not None
            and workload.attempt.broken_us is not None
        )

    def _is_busy(self, holder: str, seat: Seat) -> bool:
        org = self._demands[holder].org
        is_spot = bids(self._world, holder)
        if not has_room(self._world, org, seat, is_spot=is_spot, besides=holder):
            return True
        node = self._world.records.nodes[seat.node]
        if is_sanitising(self._world, seat.node) or must_sanitise(self._world, org, node):
            return True
        return clean_us(self._world, org, node) > self._now_us
