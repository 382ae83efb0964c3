"""What is owed for making others leave: who caused it in a clearing, and how a debt passes on.

A winner *arrives* where it gets seats without having run on others: it is a bid or on-demand, and
no workload that the clearing itself moves or heals. An elastic workload that grows arrives on its
further nodes. An owner on its reservation never owes: it is its right. No debt is counted
for what a moved workload pushes out, though the arrival that moved it caused it: a known limit.

    caused      by an arrival, for each of its seats that is not free yet because an attempt that
                got its notice in this clearing is still there; it must come before that attempt in
                the priority order, unless the attempt is moved. So what fills up the room beside a
                displacing gang owes nothing.
    carried     by a winner that is promised other seats before it has paid
    inherited   by an arrival that takes over such seats of a promise that lost to it
    due         where a promise or an attempt loses its seats to its own org: to another bid, to a
                claim or workload on its own reservation, or because its own reservation keeps idle
                nodes of the fabric from it (not lent, or at a floor above its limit). Within one
                org a debt is owed once, so what takes over inherits it as paid, which leaves it a
                late start only. An owner of another org excuses the debt.

What a debt costs is `minimum_charge` at the price of its holder, or at what those that it outbid
had bid for the nodes, less its credit, if that is more (`billing.minimum`): two bids for one node
each that push out a gang of three cost nothing by themselves, because without one of them the other
would do as well.

Example (computed by `tests/core/clearing/test_debts.py`). w1 runs on a1 and a2 when w2 outbids it
for a1, and w3, with a lower limit, fills up a2: w2 owes for a1, w3 owes nothing. A clearing later
w4 of another org takes a1 over: w2 owes nothing any more, and w4 owes. Had w4 been of w2's own org,
w2 would have paid at once, and w4 would owe nothing but a late start.

Decision record 47.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from parkade.core.billing.metering import billed_us
from parkade.core.fleet.market import Market
from parkade.core.fleet.seat import by_node
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.outcome import Change, Clearing, ClearingLine
from parkade.core.running.promises import bids, has_room
from parkade.core.state import lines
from parkade.core.state.world import World
from parkade.core.workloads.life import CAPPED, Cause, Why
from parkade.core.workloads.workload import Attempt, Debt, Promise, Workload

OWN_FAULT = frozenset({Why.INSUFFICIENT_FUNDS, Why.MAX_SPEND}) | CAPPED
"""Reasons of its own for which a workload leaves the market: it pays for what it displaced."""

TAKES_SEATS = frozenset({Change.START, Change.MOVE, Change.HEAL, Change.RESIZE})


GivenUp = dict[str, list[tuple[Workload, Debt]]]
"""By node, losers of a promise and the debt that passes on with that node."""


class Debts:
    """The debts of one clearing's outcome. `_rank`: by demand, its place in the priority order;
    `_arrivals`: in that order."""

    def __init__(
        self,
        world: World,
        market: Market,
        demands: dict[str, Demand],
        outcome: Clearing,
        now_us: int,
    ) -> None:
        self._world = world
        self._market = market
        self._now_us = now_us
        self._demands = demands
        self._rank = {line.demand: place for place, line in enumerate(outcome.lines)}
        self._growing = {
            line.demand
            for line in outcome.lines
            if line.change is Change.RESIZE and len(line.seats) > len(demands[line.demand].seats)
        }
        self._arrivals = [line for line in outcome.lines if self._arrives(line)]
        self._reclaims = [line for line in outcome.lines if self._reclaimed_by(line)]
        self._drawn = self._drawn_by_owners(outcome)

    def is_due(self, workload: Workload) -> bool:
        """Whether what holds the debt loses its seats to its own org. Where only what is moved
        takes them, an arrival or owner of its org elsewhere counts: it made others come here. Cost
        grows with the arrivals, the owners that come back and the reservations."""
        holder = workload.promise or workload.attempt
        assert holder is not None
        stronger = [
            it
            for it in (*self._arrivals, *self._reclaims)
            if self._precedes(it.demand, workload.workload)
        ]
        nodes = {seat.node for seat in holder.seats}
        takers = [it for it in stronger if any(seat.node in nodes for seat in it.seats)]
        if any(self._demands[it.demand].org == workload.org for it in takers or stronger):
            return True
        return not takers and self._is_withheld_by_own(workload, nodes)

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

    def _reclaimed_by(self, line: ClearingLine) -> bool:
        """Whether an owner takes seats by its right."""
        return line.change in TAKES_SEATS and self._is_reserved(line.demand) and bool(line.seats)

    def _drawn_by_owners(self, outcome: Clearing) -> dict[str, int]:
        """By reservation, the nodes on which its owner sits after this clearing."""
        nodes: dict[str, set[str]] = {}
        for line in outcome.lines:
            demand = self._demands.get(line.demand)
            if demand is not None and demand.reservation is not None:
                seats = line.seats
                nodes.setdefault(demand.reservation, set()).update(it.node for it in seats)
        return {name: len(found) for name, found in nodes.items()}

    def marked(
        self, won: Iterable[lines.Won], left: Iterable[lines.Leaving]
    ) -> tuple[lines.Won, ...]:
        """The winners, each with what it owes. Cost grows with the seats of arrivals times the
        attempts that leave their nodes."""
        leaving = tuple(left)
        noticed, given_up = self._noticed(leaving), self._given_up(leaving)
        return tuple(self._with_debt(each, noticed, given_up) for each in won)

    def _arrives(self, line: ClearingLine) -> bool:
        demand = self._demands.get(line.demand)
        if demand is None or not line.seats or demand.tier is PriorityTier.RESERVED:
            return False
        if line.change not in TAKES_SEATS:
            return False
        return not self._is_forced(self._world.records.workloads.get(line.demand))

    def _is_forced(self, workload: Workload | None) -> bool:
        """Whether the clearing itself moves or heals it: it has an attempt that would have stayed,
        or that broke."""
        attempt = workload.attempt if workload is not None else None
        if workload is not None and workload.workload in self._growing:
            return False
        return attempt is not None and (attempt.stop is None or attempt.broken_us is not None)

    def _precedes(self, one: str, other: str) -> bool:
        """Whether it comes before the other in the priority order; what takes no part is last."""
        last = len(self._rank)
        return self._rank.get(one, last) < self._rank.get(other, last)

    def _noticed(self, left: tuple[lines.Leaving, ...]) -> dict[str, list[lines.Leaving]]:
        """By node, the attempts that get their notice now and hold seats there."""
        found: dict[str, list[lines.Leaving]] = {}
        for each in left:
            attempt = self._workload(each).attempt if each.stop is not None else None
            for seat in by_node(attempt.seats) if attempt is not None else ():
                found.setdefault(seat.node, []).append(each)
        return found

    def _given_up(self, left: tuple[lines.Leaving, ...]) -> "GivenUp":
        """By node, the workloads that lose a promise there with a debt that passes on, and it."""
        found: GivenUp = {}
        for each in left:
            if each.stop is not None or isinstance(each.demand, lines.ClaimDemand):
                continue
            workload = self._workload(each)
            if workload.promise is None or not workload.promise.displaces:
                continue
            debt = debt_of(workload.promise)
            is_paid = debt.is_paid or each.why in OWN_FAULT or self.is_due(workload)
            for node in debt.nodes:
                passed_on = replace(
                    debt, nodes=(node,), is_paid=is_paid, outbid_micros=(debt.outbid_on(node),)
                )
                found.setdefault(node, []).append((workload, passed_on))
        return found

    def _workload(self, leaving: lines.Leaving) -> Workload:
        return self._world.records.workloads[lines.name_of(leaving.demand)]

    def _with_debt(
        self,
        won: lines.Won,
        noticed: dict[str, list[lines.Leaving]],
        given_up: "GivenUp",
    ) -> lines.Won:
        if isinstance(won.demand, lines.ClaimDemand):
            return won
        workload = self._world.records.workloads[won.demand.workload]
        found = [
            *self._carried(workload, won.promise),
            *self._caused(workload, won.promise, noticed),
            *self._inherited(workload, won.promise, given_up),
        ]
        if not found:
            return won
        nodes = tuple(sorted({node for each in found for node in each.nodes}))
        outbid = tuple(max(each.outbid_on(node) for each in found) for node in nodes)
        debt = Debt(
            nodes=nodes,
            notice_ends_us=max(each.notice_ends_us for each in found),
            is_paid=all(each.is_paid for each in found),
            outbid_micros=outbid if any(outbid) else (),
        )
        return replace(won, promise=replace(won.promise, displaces=True, debt=debt))

    def _carried(self, workload: Workload, promise: Promise) -> Iterable[Debt]:
        """What it owes already; what breaks is excused."""
        nodes = tuple(seat.node for seat in by_node(promise.seats))
        before, attempt = workload.promise, workload.attempt
        if before is not None and before.displaces:
            yield _moved_to(nodes, debt_of(before))
        if attempt is None or attempt.stop is not None or attempt.broken_us is not None:
            return
        terms = self._market.terms
        used_us = billed_us(attempt, terms, self._now_us)
        if attempt.owes_minimum and used_us < terms.minimum_charge_us:
            yield _moved_to(nodes, debt_of(attempt))

    def _caused(
        self,
        workload: Workload,
        promise: Promise,
        noticed: dict[str, list[lines.Leaving]],
    ) -> Iterable[Debt]:
        name = workload.workload
        if self._is_reserved(name) or self._is_forced(workload):
            return
        is_spot = bids(self._world, name)
        for seat in by_node(promise.seats):
            if has_room(self._world, workload.org, seat, is_spot=is_spot, besides=name):
                continue
            causes = [it for it in noticed.get(seat.node, ()) if self._causes(name, it)]
            outbid_micros = sum(self._bid_for(it, seat.node) for it in causes)
            for each in causes:
                assert each.stop is not None
                yield Debt(
                    nodes=(seat.node,),
                    notice_ends_us=each.stop.deadline_us,
                    outbid_micros=(outbid_micros,),
                )

    def _bid_for(self, leaving: lines.Leaving, node: str) -> int:
        """What an attempt that is outbid bid per hour for its GPUs on a node, less the credit that
        the one which displaces it has from now on; 0: it is moved."""
        workload = self._workload(leaving)
        assert leaving.stop is not None and workload.attempt is not None
        if leaving.stop.cause is Cause.MOVED:
            return 0
        gpus = sum(seat.gpus for seat in workload.attempt.seats if seat.node == node)
        credit = self._market.terms.switching_credit
        limit_micros = workload.spec.limit_price_micros or 0
        return gpus * (limit_micros * credit.denominator // (credit.denominator + credit.numerator))

    def _causes(self, winner: str, leaving: lines.Leaving) -> bool:
        assert leaving.stop is not None
        match leaving.stop.cause:
            case Cause.MOVED:
                return True
            case Cause.OUTBID | Cause.RECLAIMED:
                return self._precedes(winner, lines.name_of(leaving.demand))
            case _:
                return False

    def _inherited(
        self, workload: Workload, promise: Promise, given_up: "GivenUp"
    ) -> Iterable[Debt]:
        name = workload.workload
        if self._is_reserved(name) or self._is_forced(workload):
            return
        for seat in by_node(promise.seats):
            for loser, debt in given_up.get(seat.node, ()):
                if self._precedes(name, loser.workload):
                    yield debt

    def _is_reserved(self, name: str) -> bool:
        return self._demands[name].tier is PriorityTier.RESERVED


def _moved_to(nodes: tuple[str, ...], debt: Debt) -> Debt:
    """A debt that is carried to other nodes, the greatest bids first."""
    outbid = sorted(debt.outbid_micros, reverse=True)[: len(nodes)]
    rest = (0,) * (len(nodes) - len(outbid))
    return replace(debt, nodes=nodes, outbid_micros=(*outbid, *rest) if any(outbid) else ())


def debt_of(holder: Promise | Attempt) -> Debt:
    """The debt of what displaces; one of a journal that did not say more is of all its seats."""
    if holder.debt is not None:
        return holder.debt
    at_us = holder.promised_us if isinstance(holder, Promise) else holder.ordered_us
    return Debt(nodes=tuple(seat.node for seat in by_node(holder.seats)), notice_ends_us=at_us)
