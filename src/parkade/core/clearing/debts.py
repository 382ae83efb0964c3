"""What is owed for making others leave: who caused it in a clearing, and how a debt passes on.

What *arrives* (`arrivals`) owes for it. A workload that the clearing moves, and that had no choice,
owes nothing: those that it pushes out count for the arrival at the root of its move, at most at
that one's own bid.

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

Decision records 47, 109 and 113.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from msgspec.structs import replace

from parkade.core.billing.metering import billed_us
from parkade.core.billing.minimum import unmet_us
from parkade.core.clearing.arrivals import Arrivals
from parkade.core.clearing.live_changes import live_change
from parkade.core.clearing.sweeps import Sweeps
from parkade.core.fleet.market import Market
from parkade.core.fleet.seat import by_node
from parkade.core.market.market_state import Demand, MarketState
from parkade.core.market.outcome import Clearing
from parkade.core.running.promises import bids, has_room
from parkade.core.state import lines
from parkade.core.state.world import World
from parkade.core.units.money import ceil_div
from parkade.core.workloads.life import CAPPED, Cause, Phase, Why
from parkade.core.workloads.workload import Attempt, Debt, Promise, Workload

OWN_FAULT = frozenset({Why.INSUFFICIENT_FUNDS, Why.MAX_SPEND}) | CAPPED
"""Reasons of its own for which a workload leaves the market: it pays for what it displaced."""

GivenUp = dict[str, list[tuple[Workload, Debt]]]
"""By node, losers of a promise and the debt that passes on with that node."""

Noticed = dict[str, list[lines.Leaving]]
"""By node, the attempts that get their notice in this clearing and hold seats there."""


class Pushed(NamedTuple):
    """What an arrival pushes out elsewhere: what those push out that it made move, and what loses
    without the floors or the room that it takes."""

    bid_micros: int
    """What these had bid per hour for their GPUs, less the credit."""

    notice_ends_us: int

    inherited: tuple[Debt, ...]
    """Debts of promises that lost to what was moved."""

    names: frozenset[str] = frozenset()
    """What those that it made move push out."""

    is_swept: bool = False
    """Whether any leaves that none of these took the seats of."""


class Debts:
    """The debts of one clearing's outcome."""

    def __init__(
        self,
        world: World,
        market: Market,
        demands: dict[str, Demand],
        outcome: Clearing,
        now_us: int,
        *,
        asked: MarketState,
    ) -> None:
        """`asked`: what the market was asked."""
        self.sweeps = Sweeps(asked, outcome, lambda: self._arrivals)
        self._world = world
        self._market = market
        self._now_us = now_us
        self._demands = demands
        self._outcome = outcome
        self._nodes_left: dict[str, frozenset[str]] = {}

    @cached_property
    def _arrivals(self) -> Arrivals:
        """Found when they are asked for: most clearings give no seats and take none."""
        return Arrivals(self._world, self._demands, self._outcome)

    def is_own_choice(self, workload: Workload) -> bool:
        """Whether a winner that leaves its seats for others does so for its own org."""
        return self._arrivals.owes(workload)

    def is_due(self, workload: Workload) -> bool:
        """Whether what holds the debt loses its seats to its own org."""
        return self._arrivals.loses_to_own(workload)

    def marked(
        self,
        won: Iterable[lines.Won],
        left: Iterable[lines.Leaving],
        resized: Iterable[lines.Resized] = (),
    ) -> tuple[lines.Won, ...]:
        """The winners, each with what it owes. Cost grows with the seats of arrivals times the
        attempts that leave their nodes."""
        winners, leaving = tuple(won), tuple(left)
        for each in resized:
            leaving = (*leaving, *self._as_leaving(each))
        noticed, given_up = self._noticed(leaving), self._given_up(leaving)
        pushed = self._pushed_out(winners, noticed, given_up)
        self._add_swept(pushed, winners, noticed)
        return tuple(self._with_debt(each, noticed, given_up, pushed) for each in winners)

    def _as_leaving(self, resized: lines.Resized) -> Iterable[lines.Leaving]:
        """What single ranks leave of a live attempt, and a promise that it loses, as if the whole
        did."""
        attempt = self._world.records.workloads[resized.workload].attempt
        assert attempt is not None, "what has ranks has an attempt"
        known = {(it.rank, it.since) for it in attempt.ranks if it.leaving is not None}
        new = [
            it
            for it in resized.ranks
            if it.leaving is not None and (it.rank, it.since) not in known
        ]
        self._nodes_left[resized.workload] = frozenset(it.seat.node for it in new)
        stops = [it.leaving.stop for it in new if it.leaving is not None]
        for stop, why in [*((it, it.cause.value) for it in stops[:1]), (None, resized.why)]:
            if stop is not None or why:
                yield lines.Leaving(
                    demand=lines.WorkloadDemand(workload=resized.workload),
                    stop=stop,
                    phase=Phase.RUNNING,
                    why=why,
                    price_to_win_micros=None,
                )

    def _noticed(self, left: tuple[lines.Leaving, ...]) -> Noticed:
        found: Noticed = {}
        for each in left:
            attempt = self._workload(each).attempt if each.stop is not None else None
            for seat in by_node(attempt.seats) if attempt is not None else ():
                if seat.node in self._nodes_left.get(lines.name_of(each.demand), (seat.node,)):
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

    def _pushed_out(
        self, won: tuple[lines.Won, ...], noticed: Noticed, given_up: GivenUp
    ) -> dict[str, Pushed]:
        """By arrival, what those push out that had no choice but to move for it."""
        found: dict[str, Pushed] = {}
        for each in won:
            workload = self._world.records.workloads.get(lines.name_of(each.demand))
            if workload is None or self._arrivals.is_reserved(workload.workload):
                continue
            if self._arrivals.owes(workload):
                continue
            arrival = self._arrivals.root_of(workload).arrival
            if arrival is None:
                continue
            inherited = tuple(self._taken_over(workload, each.promise, given_up))
            victims = tuple(self._victims(workload, each.promise, noticed, arrival))
            if not victims and not inherited:
                continue
            before = found.get(arrival, Pushed(0, 0, ()))
            ends = [it.stop.deadline_us for it, _ in victims if it.stop is not None]
            found[arrival] = Pushed(
                before.bid_micros + sum(self._bid_for(it, node) for it, node in victims),
                max([before.notice_ends_us, *ends, *(it.notice_ends_us for it in inherited)]),
                (*before.inherited, *inherited),
                before.names | {lines.name_of(it.demand) for it, _ in victims},
            )
        return found

    def _victims(
        self, workload: Workload, promise: Promise, noticed: Noticed, arrival: str
    ) -> Iterable[tuple[lines.Leaving, str]]:
        """What a moved workload outbids, and on which node; not the arrival's own org."""
        name, org = workload.workload, self._demands[arrival].org
        is_spot = bids(self._world, name)
        for seat in by_node(promise.seats):
            if has_room(self._world, workload.org, seat, is_spot=is_spot, besides=name):
                continue
            for it in noticed.get(seat.node, ()):
                is_moved = it.stop is not None and it.stop.cause is Cause.MOVED
                if not is_moved and self._causes(name, it) and self._workload(it).org != org:
                    yield it, seat.node

    def _workload(self, leaving: lines.Leaving) -> Workload:
        return self._world.records.workloads[lines.name_of(leaving.demand)]

    def _with_debt(
        self,
        won: lines.Won,
        noticed: Noticed,
        given_up: GivenUp,
        pushed: dict[str, Pushed],
    ) -> lines.Won:
        if isinstance(won.demand, lines.ClaimDemand):
            return won
        workload = self._world.records.workloads[won.demand.workload]
        carried = tuple(self._carried(workload, won.promise))
        found = [
            *self._caused(workload, won.promise, noticed),
            *self._inherited(workload, won.promise, given_up),
        ]
        by_movers = pushed.get(workload.workload)
        if by_movers is not None:
            nodes = self._new_nodes(workload, won.promise)
            found.extend(_moved_to(nodes, debt) for debt in by_movers.inherited)
            found = _with_pushed(found, won.promise, nodes, by_movers)
        owed = (*carried, *found)
        if not owed:
            return won
        nodes = tuple(sorted({node for each in owed for node in each.nodes}))
        outbid = tuple(_outbid_in_all(node, carried, found) for node in nodes)
        debt = Debt(
            nodes=nodes,
            notice_ends_us=max(each.notice_ends_us for each in owed),
            is_paid=all(each.is_paid for each in owed),
            outbid_micros=outbid if any(outbid) else (),
        )
        return replace(won, promise=replace(won.promise, displaces=True, debt=debt))

    def _carried(self, workload: Workload, promise: Promise) -> Iterable[Debt]:
        """What it owes already; what breaks is excused."""
        seats = by_node(promise.seats)
        before, attempt = workload.promise, workload.attempt
        goes_on = self._goes_on(workload, promise)
        if goes_on and attempt is not None:
            seats = attempt.new_of(seats)
        nodes = tuple(it.node for it in seats)
        if before is not None and before.displaces:
            yield _moved_to(nodes, debt_of(before))
        if goes_on or attempt is None or attempt.stop is not None or attempt.broken_us is not None:
            return
        terms = self._market.terms
        is_unpaid = billed_us(attempt, terms, self._now_us) < terms.minimum_charge_us
        if self._arrivals.owes(workload):
            # Its own org moves it: that excuses nothing of what it owes in all.
            is_unpaid = unmet_us(workload, terms, self._now_us) > 0
        if attempt.owes_minimum and is_unpaid:
            yield _moved_to(nodes, debt_of(attempt))

    def _goes_on(self, workload: Workload, promise: Promise) -> bool:
        """Whether what it is promised joins its attempt; then that keeps its own debt."""
        return live_change(self._world, workload, promise.seats, self._now_us) is not None

    def _caused(
        self,
        workload: Workload,
        promise: Promise,
        noticed: Noticed,
    ) -> Iterable[Debt]:
        if not self._arrivals.owes(workload):
            return
        for node, causes in self._caused_by_node(workload, promise, noticed):
            outbid_micros = sum(self._bid_for(it, node) for it in causes)
            for each in causes:
                assert each.stop is not None
                yield Debt(
                    nodes=(node,),
                    notice_ends_us=each.stop.deadline_us,
                    outbid_micros=(outbid_micros,),
                )

    def _caused_by_node(
        self, workload: Workload, promise: Promise, noticed: Noticed
    ) -> Iterable[tuple[str, list[lines.Leaving]]]:
        """Those that it makes leave its own seats, by node."""
        name = workload.workload
        is_spot = bids(self._world, name)
        for seat in by_node(promise.seats):
            if not has_room(self._world, workload.org, seat, is_spot=is_spot, besides=name):
                yield seat.node, [it for it in noticed.get(seat.node, ()) if self._causes(name, it)]

    def _add_swept(
        self, pushed: dict[str, Pushed], won: tuple[lines.Won, ...], noticed: Noticed
    ) -> None:
        """Adds what leaves for winners that sit elsewhere, and for which none answers by its seats:
        its pushers, the strongest first, each for as many GPUs as it gets."""
        swept = self._swept(pushed, won, noticed)
        promised = {lines.name_of(it.demand): it.promise for it in won} if swept else {}
        for each in swept:
            assert each.stop is not None
            workload = self._workload(each)
            is_moved = each.stop.cause is Cause.MOVED
            found = self._pushers_of(workload, is_moved=is_moved)
            pushers = [it for it in found if it in promised]
            gpus_left = self._gpus_lost(workload, noticed) if pushers and not is_moved else 0
            for pusher in pushers:
                new = self._new_nodes(self._world.records.workloads[pusher], promised[pusher])
                seats = by_node(promised[pusher].seats)
                gpus = min(gpus_left, sum(it.gpus for it in seats if it.node in new))
                gpus_left -= gpus
                before = pushed.get(pusher, Pushed(0, 0, ()))
                pushed[pusher] = before._replace(
                    bid_micros=before.bid_micros + gpus * self._bid_per_gpu(workload),
                    is_swept=True,
                    notice_ends_us=max(before.notice_ends_us, each.stop.deadline_us),
                )

    def _pushers_of(self, workload: Workload, *, is_moved: bool) -> tuple[str, ...]:
        """What made it leave; of what is moved the root of its move, where that is known."""
        if is_moved:
            if self._arrivals.owes(workload):
                return ()
            root = self._arrivals.root_of(workload)
            if root.is_broken or root.org is not None:
                return () if root.arrival is None else (root.arrival,)
        return self.sweeps.pushers_of(workload.workload)

    def _swept(
        self, pushed: dict[str, Pushed], won: tuple[lines.Won, ...], noticed: Noticed
    ) -> list[lines.Leaving]:
        """The spot attempts that have to leave, and for which no winner's seats answer."""
        leaving = {
            name: it
            for found in noticed.values()
            for it in found
            if it.stop is not None
            and it.stop.cause in (Cause.OUTBID, Cause.RECLAIMED, Cause.MOVED)
            and bids(self._world, name := lines.name_of(it.demand))
        }
        for each in won if leaving else ():
            workload = self._world.records.workloads.get(lines.name_of(each.demand))
            if workload is None or not self._arrivals.owes(workload):
                continue
            for _, causes in self._caused_by_node(workload, each.promise, noticed):
                for it in causes:
                    leaving.pop(lines.name_of(it.demand), None)
        answered = {name for it in pushed.values() for name in it.names}
        return [it for name, it in leaving.items() if name not in answered]

    def _gpus_lost(self, workload: Workload, noticed: Noticed) -> int:
        """Of the seats that it has to leave, those that it would have if nothing had arrived."""
        attempt, name = workload.attempt, workload.workload
        assert attempt is not None
        nodes = {
            node
            for node, found in noticed.items()
            if any(lines.name_of(it.demand) == name for it in found)
        }
        gpus = sum(it.gpus for it in attempt.seats if it.node in nodes)
        return min(gpus, self.sweeps.nodes_lost(name) * workload.spec.gpus)

    def _bid_for(self, leaving: lines.Leaving, node: str) -> int:
        """What an attempt that is outbid bid per hour for its GPUs on a node, less the credit that
        the one which displaces it has from now on; 0: it is moved."""
        workload = self._workload(leaving)
        assert leaving.stop is not None and workload.attempt is not None
        if leaving.stop.cause is Cause.MOVED:
            return 0
        gpus = sum(seat.gpus for seat in workload.attempt.seats if seat.node == node)
        return gpus * self._bid_per_gpu(workload)

    def _bid_per_gpu(self, workload: Workload) -> int:
        credit = self._market.terms.switching_credit
        limit_micros = workload.spec.limit_price_micros or 0
        return limit_micros * credit.denominator // (credit.denominator + credit.numerator)

    def _causes(self, winner: str, leaving: lines.Leaving) -> bool:
        assert leaving.stop is not None
        match leaving.stop.cause:
            case Cause.MOVED:
                return True
            case Cause.OUTBID | Cause.RECLAIMED:
                name = lines.name_of(leaving.demand)
                return self._arrivals.precedes(winner, name) and self.sweeps.stays_alone(name)
            case _:
                return False

    def _inherited(self, workload: Workload, promise: Promise, given_up: GivenUp) -> Iterable[Debt]:
        if self._arrivals.owes(workload):
            yield from self._taken_over(workload, promise, given_up)

    def _taken_over(
        self, workload: Workload, promise: Promise, given_up: GivenUp
    ) -> Iterable[Debt]:
        """Debts of promises that lose to it, on nodes that it gets."""
        name = workload.workload
        for seat in by_node(promise.seats):
            for loser, debt in given_up.get(seat.node, ()):
                if self._arrivals.precedes(name, loser.workload):
                    yield debt

    def _new_nodes(self, workload: Workload, promise: Promise) -> tuple[str, ...]:
        """Those that it does not hold yet; of what moves within its own, all."""
        held = {seat.node for seat in self._demands[workload.workload].seats}
        nodes = [seat.node for seat in by_node(promise.seats)]
        return tuple(it for it in nodes if it not in held) or tuple(nodes)


def _outbid_in_all(node: str, carried: Iterable[Debt], found: Iterable[Debt]) -> int:
    """What those had bid that were outbid for a node: what is carried there and not paid was for
    others than what comes with this clearing."""
    before = max((it.outbid_on(node) for it in carried if not it.is_paid), default=0)
    return before + max((it.outbid_on(node) for it in found), default=0)


def _with_pushed(
    found: list[Debt], promise: Promise, nodes: tuple[str, ...], pushed: Pushed
) -> list[Debt]:
    """The same debts, with what those that it made move push out, shared by its nodes' GPUs."""
    gpus = {seat.node: seat.gpus for seat in by_node(promise.seats) if seat.node in nodes}
    total = sum(gpus.values())
    known = {node: max((it.outbid_on(node) for it in found), default=0) for node in gpus}
    more = tuple(known[it] + ceil_div(pushed.bid_micros * gpus[it], total) for it in gpus)
    outbid = more if any(more) else ()
    own = Debt(nodes=tuple(gpus), notice_ends_us=pushed.notice_ends_us, outbid_micros=outbid)
    return [*found, own] if pushed.bid_micros or pushed.is_swept else found


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
