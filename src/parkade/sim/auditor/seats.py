"""A second opinion on seats: what each node's GPUs were held by and promised to, from events alone.

Apart from what it audits, like the auditor of money: it reads no record of the world and has books
of its own. Each rule names the invariant of docs/simulation.md that it holds.
"""

from parkade.core.fleet.maintenance import is_window
from parkade.core.fleet.market import MarketTerms
from parkade.core.fleet.node import MARS
from parkade.core.fleet.seat import Seat
from parkade.core.market.outcome import WaitReason
from parkade.core.state import events, lines
from parkade.core.workloads.choice import Answer
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Promise, Rank, Rate, Stop, Workload
from parkade.sim.auditor.holdings import DemandBook, Held, NodeBook
from parkade.sim.auditor.resizes import check_resize
from parkade.sim.findings import require

OWN_CAUSES = frozenset({Cause.CANCELLED, Cause.EXPIRED, Cause.BUDGET, Cause.NOT_STARTED})
"""Ends that a workload's own user or terms brought about."""


IMMEDIATE = frozenset({Cause.CANCELLED, Cause.NOT_STARTED, Cause.LAPSED})
"""Ends that may come at once, or that the engine brought about by itself."""


class SeatAuditor:
    """Reads events one by one; Breach at the first thing that must not be."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeBook] = {}
        self.demands: dict[str, DemandBook] = {}
        self.held: dict[str, Held] = {}
        self.promised: dict[str, tuple[Seat, ...]] = {}
        self.replacements: dict[str, tuple[Seat, ...]] = {}
        """By claim that holds nodes, what it is promised beside them."""

        self._runs_on: dict[str, frozenset[str]] = {}
        """By claim, where its job runs that the engine started by itself."""

        self.stops: dict[str, list[Stop]] = {}
        """By attempt, the notices that were given, in order."""

        self.moves: dict[str, int] = {}
        """How many moves had each cause."""

        self._with_rights: set[str] = set()
        """The markets in which a reservation or on-demand was sold."""

        self._terms: dict[str, MarketTerms] = {}
        self._attempts: dict[str, None] = {}
        self._silent: set[str] = set()

    def read(self, event: events.AnyEvent) -> None:
        """The next event."""
        match event:
            case events.PoolOpened() | events.NodesAdded():
                self._add_nodes(event)
            case events.NodeRemoved(node=node):
                require(not self._holders(node), 8, f"{node} was removed while it is held")
                del self.nodes[node]
            case events.NodeHealthSet(node=node, health=health):
                self.nodes[node].health = health
            case events.NodeSanitised(node=node):
                self.nodes[node].last_org = None
            case events.NodeDraining(node=node):
                self.nodes[node].is_draining = True
            case events.NodeUndrained(node=node):
                self.nodes[node].is_draining = False
            case events.NodeCordoned(node=node, cordon=cordon):
                self.nodes[node].cordons[cordon.holder] = event.by
            case events.NodeUncordoned(node=node, holder=holder):
                self._uncordon(node, holder, event.by)
            case events.ReachabilityChanged(pool=pool, is_reachable=is_reachable):
                self._silent.discard(pool) if is_reachable else self._silent.add(pool)
            case events.TermsChanged(market=market, terms=terms):
                self._terms[market] = terms
            case events.Submitted(workload=workload):
                self._submit(workload)
            case events.Resubmitted(workload=workload):
                self._submit(workload, is_again=True)
            case events.BidChanged(workload=name, limit_price_micros=limit):
                self.demands[name].rebid(limit, event.market)
            case events.FellBack(workload=name, withdraws=withdraws):
                self.demands[name].limit_micros = None
                self.demands[name].is_on_demand = True
                # It has no time for a back-off from when it bid.
                self.demands[name].not_before_us = 0
                if withdraws:
                    self.promised.pop(name, None)
                self._with_rights.add(self.demands[name].market)
            case events.Reserved(reservation=reservation):
                self._with_rights.add(reservation.market)
            case events.EntryTaken(workload=name, capacity=capacity):
                self._take_entry(name, capacity)
            case events.Claimed(claim=claim):
                require(claim.claim not in self.demands, 22, f"{claim.claim} was used before")
                self.demands[claim.claim] = DemandBook(org=claim.org, market="", nodes=claim.nodes)
                self._runs_on[claim.claim] = frozenset(claim.runs_on)
            case events.Unclaimed(claim=name):
                self._free(name, event.at_us)
                self.promised.pop(name, None)
                self.replacements.pop(name, None)
                self._runs_on.pop(name, None)
                self.demands[name].is_over = True
            case events.Cleared():
                self._clear(event)
            case events.Launched():
                self._launch(event)
            case events.ClaimSeated(claim=name, nodes=tuple(nodes), runs_there=True):
                self._take_over(name, nodes)
            case events.ClaimSeated(claim=name, nodes=tuple(nodes)):
                self._complete(name, nodes, event.at_us)
            case events.ClaimSeated(claim=name):
                seats = self.promised.pop(name, None)
                require(seats is not None, 3, f"{name} was seated and promised nothing")
                assert seats is not None
                self._seat(name, Held(seats=seats), event.at_us)
            case events.StopOrdered(workload=name, stop=stop):
                # One that leaves at once already does not get more time by another cause.
                has_notice = self.held[name].stop is None
                self._order(name, stop)
                self.promised.pop(name, None)
                if has_notice and stop.cause not in IMMEDIATE:
                    self._check_notice(name, stop)
            case events.Started(workload=name):
                self.demands[name].started_us = event.at_us
            case events.Broken(workload=name):
                self.held[name].is_broken = True
            case events.RanksChanged(workload=name, ranks=ranks, resizes=resizes):
                if event.rate is not None:
                    self._join(name, ranks, event.at_us)
                self._change_ranks(name, ranks, resizes, event.at_us)
            case events.Ended():
                self._end(event)
            case events.PhaseChanged(workload=name, phase=phase, why=why):
                self._change_phase(name, phase, why)
            case _:
                pass

    def _add_nodes(self, event: events.PoolOpened | events.NodesAdded) -> None:
        if event.market is not None:
            self._terms[event.market.market] = event.market.terms
        for node in event.nodes:
            require(node.node not in self.nodes, 22, f"{node.node} was added twice")
            self.nodes[node.node] = NodeBook(
                market=node.market, pool=node.pool, gpus=node.gpus, health=node.health
            )

    def _uncordon(self, node: str, holder: str, by: str | None) -> None:
        setter = self.nodes[node].cordons.pop(holder, None)
        # Mars' own may also be lifted where a person gives the node back: `auditor.mars` judges it.
        # A window's own are lifted at its end, or where an operator cancels it.
        is_of_others = holder == MARS or is_window(holder)
        is_its_own = by is None or by == holder or setter == by or is_of_others
        require(is_its_own, 17, f"the cordon of {holder} on {node} was lifted by {by}")

    def _take_entry(self, name: str, capacity: Capacity) -> None:
        held = self.held.get(name)
        runs = held is not None and held.stop is None and not held.is_broken
        rises = runs and capacity.kind is CapacityKind.RESERVATION
        is_free = (held is None or rises) and name not in self.promised
        require(is_free, 2, f"{name} asks for {capacity} and has seats")
        demand = self.demands[name]
        is_spot = capacity.kind is CapacityKind.SPOT
        demand.limit_micros = demand.spot_limit_micros if is_spot else None
        demand.is_on_demand = capacity.kind is CapacityKind.ON_DEMAND
        if demand.is_on_demand:
            self._with_rights.add(demand.market)

    def _submit(self, workload: Workload, *, is_again: bool = False) -> None:
        name, spec = workload.workload, workload.spec
        before = self.demands.get(name)
        may_return = is_again or workload.member_of is not None
        is_retried = before is not None and before.is_over and may_return
        require(is_retried or not is_again, 22, f"{name} had not ended and is submitted again")
        require(before is None or is_retried, 22, f"{name} was used before")
        attempts = 0 if before is None else before.generation
        # A journal of before a workload that is submitted again had the second has the first.
        numbered = max(workload.generation, workload.attempts_before)
        says = f"{name} had {attempts} attempts and is numbered from {numbered}"
        require(numbered >= attempts, 22, says)
        if spec.capacity.kind is CapacityKind.ON_DEMAND:
            self._with_rights.add(workload.market)
        self.demands[name] = DemandBook(
            org=workload.org,
            market=workload.market,
            nodes=spec.nodes,
            most_nodes=spec.most_nodes,
            is_live=spec.is_live,
            limit_micros=spec.limit_price_micros,
            limits={it.market: it.limit_price_micros for it in spec.choices},
            spot_limit_micros=spec.spot_limit_micros,
            is_on_demand=spec.capacity.kind is CapacityKind.ON_DEMAND,
            is_spread=spec.spread,
            generation=numbered,
        )

    def _clear(self, event: events.Cleared) -> None:
        won = {lines.name_of(it.demand): it for it in event.won}
        before = {name: (self._seats_of(name), self._runs_since(name)) for name in won}
        for leaving in event.left:
            self._leave(lines.name_of(leaving.demand), leaving, event.at_us)
            self._settle(lines.name_of(leaving.demand))
            self._note_why(lines.name_of(leaving.demand), leaving.why, ())
        for resized in event.resized:
            self.promised.pop(resized.workload, None)
            self._change_ranks(resized.workload, resized.ranks, resized.resizes, event.at_us)
        for kept in event.claims:
            self._keep(kept, event.at_us)
        for waiting in event.waiting:
            name = lines.name_of(waiting.demand)
            require(bool(waiting.why), 12, f"{name} waits without a reason")
            self._note_why(name, waiting.why, waiting.answers)
        for name, winner in won.items():
            if winner.answers:
                self._note_why(name, "", winner.answers)
        for name, winner in won.items():
            self._check_follows(name, winner)
            self._check_resized(name, winner.promise.seats, *before[name], event.at_us)
            self._win(name, winner, before[name][0], event.at_us)
        for name, winner in won.items():
            for seat in winner.promise.seats:
                self._check_promised(seat.node, name)
        for kept in event.claims:
            for each in kept.replacements:
                self._check_promised(each.seat.node, kept.claim)
        for repriced in event.repriced:
            seats = self._seats_of(repriced.workload)
            self._check_price(repriced.workload, repriced.rate, seats)
            self._check_agreed(repriced, event.at_us)

    def _note_why(self, name: str, why: str, answers: tuple[Answer, ...]) -> None:
        """A bid with several markets may wait for protected room in one and for nothing else in
        that whose reason is told first."""
        if name in self.demands:
            demand = self.demands[name]
            reasons = {it.market: it.why for it in answers} or dict.fromkeys(
                (demand.market, *demand.limits), why
            )
            protected = WaitReason.PROTECTED.value
            demand.awaits_protected = frozenset(
                it for it, one in reasons.items() if one == protected
            )

    def _check_follows(self, name: str, winner: lines.Won) -> None:
        """Nothing keeps the seats of what follows a bid that waits for protected room; one does."""
        demand = self.demands[name]
        demand.follows_protected = winner.promise.follows_protected
        if demand.follows_protected:
            market = self.nodes[winner.promise.seats[0].node].market
            awaited = any(self._may_await(it, market) for it in self.demands)
            says = f"{name} follows a bid that waits for protected room, and none does"
            require(awaited, 41, says)

    def _may_await(self, name: str, market: str) -> bool:
        """Whether it lost to protected seats there. What has to leave lost as well, and is told the
        cause alone."""
        demand, held = self.demands[name], self.held.get(name)
        if demand.is_over or name in self.promised:
            return False
        bids_there = demand.limit_in(market) is not None and market in (
            demand.market,
            *demand.limits,
        )
        leaves = held is not None and held.stop is not None
        return market in demand.awaits_protected or (leaves and bids_there)

    def _seats_of(self, name: str) -> tuple[Seat, ...]:
        """What it is promised, else what it holds and was not told to leave."""
        held = self.held.get(name)
        has_seats = held is not None and held.stop is None
        return self.promised.get(name) or (held.kept if held is not None and has_seats else ())

    def _runs_since(self, name: str) -> int | None:
        """When what it stands on began to run; None where it is only promised, or leaves."""
        held = self.held.get(name)
        is_running = held is not None and held.stop is None and name not in self.promised
        return self.demands[name].started_us if is_running else None

    def _check_resized(
        self,
        name: str,
        after: tuple[Seat, ...],
        before: tuple[Seat, ...],
        started_us: int | None,
        at_us: int,
    ) -> None:
        """An elastic winner that gets fewer or more of the nodes that it has, all of them open."""
        demand = self.demands[name]
        had, has = {seat.node for seat in before}, {seat.node for seat in after}
        is_subset = had <= has or has <= had
        if demand.most_nodes and before and is_subset and all(map(self._is_open, had)):
            terms = self._terms[demand.market]
            runs = name in self.held and self.held[name].stop is None
            if demand.is_live and runs and self.held[name].can_resize:
                # It grows at once, and a shrink is told rank by rank.
                require(had <= has, 26, f"{name} has {before} and is promised {after}")
                return
            check_resize(name, before, after, terms=terms, started_us=started_us, at_us=at_us)

    def _leave(self, name: str, leaving: lines.Leaving, at_us: int) -> None:
        demand, held = self.demands[name], self.held.get(name)
        require(bool(leaving.why), 12, f"{name} has to leave without a reason")
        seats = self._seats_of(name)
        self.promised.pop(name, None)
        if isinstance(leaving.demand, lines.ClaimDemand):
            self._free(name, at_us)
            self.replacements.pop(name, None)
            return
        stop = leaving.stop
        if stop is not None:
            require(held is not None, 8, f"{name} was told to leave and holds nothing")
            is_outbid = stop.cause in (Cause.OUTBID, Cause.RESIZED)
            if is_outbid and held is not None and held.is_protected(demand, at_us):
                says = f"{name} is {stop.cause} before it ran for {held.min_runtime_us} us"
                require(any(not self._is_open(it.node) for it in held.seats), 41, says)
            self._order(name, stop)
            self._check_notice(name, stop)
        is_own = stop is not None and stop.cause in OWN_CAUSES
        if demand.is_on_demand and not is_own:
            is_excused = any(not self._is_open(seat.node) for seat in seats)
            require(is_excused, 20, f"{name} is on demand and lost {seats}: {leaving.why}")

    def _win(self, name: str, winner: lines.Won, before: tuple[Seat, ...], at_us: int) -> None:
        demand, promise = self.demands[name], winner.promise
        require(not demand.is_over, 6, f"{name} is over and won {promise.seats}")
        nodes = {seat.node for seat in promise.seats}
        most = max(demand.nodes, demand.most_nodes)
        is_whole = demand.nodes <= len(promise.seats) <= most
        require(is_whole, 6, f"{name} won {len(promise.seats)} of {demand.nodes} to {most} seats")
        is_apart = len(nodes) == len(promise.seats) or not demand.is_spread
        require(is_apart, 6, f"{name} is spread and won {promise.seats}")
        had = {seat.node for seat in before}
        is_resized = demand.most_nodes > 0 and (had <= nodes or nodes <= had or demand.is_live)
        if before and had != nodes and not is_resized:
            moved = winner.moved
            is_lost = any(not self._is_open(seat.node) for seat in before)
            held = self.held.get(name)
            stands = held is not None and held.stop is None
            has_cause = moved is not None or (is_lost and not stands)
            require(has_cause, 21, f"{name} was moved from {before} without a cause")
            if moved is not None:
                kind = type(moved).__name__
                self.moves[kind] = self.moves.get(kind, 0) + 1
        if isinstance(winner.demand, lines.ClaimDemand):
            self._free(name, at_us)
            self.replacements.pop(name, None)
        for seat in promise.seats:
            is_open = seat in before or self._is_open(seat.node)
            require(is_open, 16, f"{name} was promised {seat.node}, which is not open")
        self._check_rates(name, promise)
        self.promised[name] = promise.seats
        self._settle(name)

    def _settle(self, name: str) -> None:
        """Without an attempt it is where it is promised seats."""
        if name not in self.held:
            seats = self.promised.get(name)
            self.demands[name].settle(self.nodes[seats[0].node].market if seats else None)

    def _keep(self, kept: lines.ClaimKept, at_us: int) -> None:
        """A claim that holds nodes has lost some, or is promised others in their place."""
        name, held = kept.claim, self.held.get(kept.claim)
        require(held is not None and bool(kept.seats), 6, f"{name} holds nothing and keeps that")
        assert held is not None
        lost = tuple(seat for seat in held.seats if seat not in kept.seats)
        is_known = len(lost) + len(kept.seats) == len(held.seats)
        require(is_known, 6, f"{name} keeps {kept.seats} of {held.seats}")
        has = len(kept.seats) + len(kept.replacements)
        nodes = self.demands[name].nodes
        require(has <= nodes, 6, f"{name} of {nodes} nodes has {has}")
        is_well = any(self._is_open(seat.node) for seat in lost)
        has_cause = kept.moved is not None or bool(kept.why)
        require(has_cause or not is_well, 21, f"{name} lost {lost} without a cause")
        before = self.replacements.get(name, ())
        given = tuple(it.seat for it in kept.replacements)
        for seat in given:
            is_open = seat in before or self._is_open(seat.node)
            require(is_open, 16, f"{name} was promised {seat.node}, which is not open")
        self._vacate(lost, at_us)
        held.seats = kept.seats
        self.replacements[name] = given

    def _complete(self, name: str, nodes: tuple[str, ...], at_us: int) -> None:
        """A claim is given what it was promised beside what it holds."""
        before = self.replacements.get(name, ())
        given = tuple(seat for seat in before if seat.node in nodes)
        require(len(given) == len(nodes), 3, f"{name} got {nodes}, promised were {before}")
        held = self.held.pop(name, None)
        require(held is not None, 6, f"{name} holds nothing and got {nodes}")
        assert held is not None
        self._seat(name, Held(seats=given), at_us)
        self.held[name] = Held(seats=(*held.seats, *given))
        self.replacements[name] = tuple(seat for seat in before if seat not in given)

    def _take_over(self, name: str, nodes: tuple[str, ...]) -> None:
        """An owner's job runs on these nodes, which its engine chose: they are not turned around
        for it, and nothing else is there or was promised there."""
        require(set(nodes) <= self._runs_on[name], 6, f"{name} got {nodes} and runs elsewhere")
        before = self.held.get(name)
        seats = tuple(Seat(node=node, gpus=self.nodes[node].gpus) for node in nodes)
        all_seats = (*(before.seats if before is not None else ()), *seats)
        require(len(all_seats) <= self.demands[name].nodes, 6, f"{name} has {all_seats}")
        for node in nodes:
            self.nodes[node].last_org = self.demands[name].org
        self.held[name] = Held(seats=all_seats)
        for node in nodes:
            total, gpus = sum(self._holders(node).values()), self.nodes[node].gpus
            require(total <= gpus, 2, f"{node} has {gpus} GPUs: {self._holders(node)}")
            self._check_promised(node, name)

    def _check_rates(self, name: str, promise: Promise) -> None:
        for rate in promise.rates:
            self._check_price(name, rate, promise.seats)

    def _check_price(self, name: str, rate: Rate, seats: tuple[Seat, ...]) -> None:
        demand = self.demands[name]
        limit = demand.limit_in(self.nodes[seats[0].node].market)
        price = max((rate.price_micros, *rate.node_prices))
        require(limit is None or price <= limit, 14, f"{name} pays {price} above its limit {limit}")
        floor = rate.floor_micros
        is_above = floor is None or limit is None or price >= min(floor, limit)
        require(is_above, 14, f"{name} pays {price} below the floor {floor} that it draws")

    def _check_agreed(self, repriced: lines.Repriced, at_us: int) -> None:
        """Seats that no bid takes cost what they cost at the start at most, or their floor. Of a
        bid that leaves, what it is promised is priced. Where a right takes the room on which a bid
        stands, the bid takes its turn as any other and pays for that; the books here do not know
        what rights take, so this judges markets alone in which none was ever sold."""
        name, rate = repriced.workload, repriced.rate
        held, demand = self.held.get(name), self.demands[name]
        if held is None or held.stop is not None or not held.is_protected(demand, at_us):
            return
        if demand.market in self._with_rights:
            return
        price = max((rate.price_micros, *rate.node_prices))
        is_agreed = price <= max(held.agreed_micros, rate.floor_micros or 0)
        is_closed = any(not self._is_open(seat.node) for seat in held.seats)
        says = f"{name} pays {price}, above {held.agreed_micros}, while no bid takes its seats"
        require(is_agreed or is_closed, 41, says)

    def _check_promised(self, node: str, by: str) -> None:
        """What is promised and what stays there fits."""
        stays = [
            seat.gpus
            for name, held in self.held.items()
            if held.stop is None and not held.is_broken and name not in self.promised
            for seat in held.kept
            if seat.node == node
        ]
        all_promised = (*self.promised.values(), *self.replacements.values())
        promised = [seat.gpus for seats in all_promised for seat in seats if seat.node == node]
        total, gpus = sum(stays) + sum(promised), self.nodes[node].gpus
        require(total <= gpus, 3, f"{node} has {gpus} GPUs, {total} are kept or promised, for {by}")

    def _launch(self, event: events.Launched) -> None:
        name, attempt = event.workload, event.attempt
        demand = self.demands[name]
        seats = self.promised.pop(name, None)
        require(seats == attempt.seats, 3, f"{name} was promised {seats}, got {attempt.seats}")
        is_next = attempt.generation == demand.generation + 1
        require(is_next, 6, f"{attempt.attempt} follows generation {demand.generation}")
        require(attempt.attempt not in self._attempts, 22, f"{attempt.attempt} was used before")
        is_due = event.at_us >= demand.not_before_us
        require(is_due, 10, f"{name} was launched before its back-off was over")
        self._attempts[attempt.attempt] = None
        demand.generation, demand.started_us = attempt.generation, None
        held = Held(seats=seats or (), attempt=attempt.attempt)
        if demand.limit_micros is not None:
            rate = attempt.rates[-1]
            terms = self._terms[demand.market]
            held.min_runtime_us = None if demand.follows_protected else terms.min_runtime_us
            held.agreed_micros = max((rate.price_micros, *rate.node_prices))
        held.can_resize = attempt.can_resize
        if demand.is_live and held.can_resize:
            held.ranks = {it.node: (number, 0) for number, it in enumerate(held.seats)}
        self._seat(name, held, event.at_us)

    def _join(self, name: str, ranks: tuple[Rank, ...], at_us: int) -> None:
        """Ranks join on all that was promised, with the lowest numbers that were free."""
        held, promised = self.held[name], self.promised.pop(name, ())
        new = tuple(it for it in ranks if (it.rank, it.since) not in held.ranks.values())
        given = {it.node for it in promised} - {it.node for it in held.kept}
        says = f"{name} was promised {sorted(given)} more and got {new}"
        require(bool(new) and {it.seat.node for it in new} == given, 3, says)
        require(held.stop is None and not held.is_broken, 26, f"{name} leaves and grows")
        taken = {number for number, _ in held.ranks.values()}
        free = [it for it in range(len(taken) + len(new)) if it not in taken][: len(new)]
        numbers = sorted(it.rank for it in new)
        require(numbers == free, 26, f"{name} got the ranks {numbers}, free were {free}")
        held.waits_us |= {it.seat.node: at_us for it in new if not it.has_begun}
        self.held.pop(name)
        self._seat(name, Held(seats=tuple(it.seat for it in new)), at_us)
        held.seats = (*held.seats, *(it.seat for it in new))
        held.ranks |= {it.seat.node: (it.rank, it.since) for it in new}
        self.held[name] = held

    def _change_ranks(self, name: str, ranks: tuple[Rank, ...], resizes: int, at_us: int) -> None:
        """Each rank that stays keeps its number and its seat; what goes was told to, and rank 0
        and the least stay."""
        held, demand = self.held[name], self.demands[name]
        require(demand.is_live and held.can_resize, 26, f"{name} restarts where its ranks change")
        require(
            resizes == held.resizes + 1, 26, f"{name} had {held.resizes} changes, now {resizes}"
        )
        held.resizes = resizes
        now = {it.seat.node: (it.rank, it.since) for it in ranks}
        require(now.items() <= held.ranks.items(), 26, f"{name} has {held.ranks}, now {now}")
        gone = tuple(it for it in held.seats if it.node not in now)
        untold = [it.node for it in gone if it.node not in held.leaving]
        require(not untold, 26, f"{name} loses {untold} without a notice")
        self._vacate(gone, at_us)
        held.seats = tuple(it.seat for it in ranks)
        held.ranks = now
        before = held.leaving
        held.leaving = {it.seat.node: it.leaving.stop for it in ranks if it.leaving is not None}
        for node, stop in held.leaving.items():
            known = before.get(node)
            is_well = self.nodes[node].is_in_play
            if known is None and stop.cause is Cause.NOT_STARTED:
                self._check_unbegun(name, held, node, at_us)
            elif known is None and is_well:
                self._check_notice(name, stop)
            if known is not None:
                is_kept = stop.deadline_us <= known.deadline_us and stop.kill_us <= known.kill_us
                require(is_kept, 8, f"the notice of {name} on {node} was put off")
        waits = {it.seat.node for it in ranks if not it.has_begun}
        held.waits_us = {node: us for node, us in held.waits_us.items() if node in waits}
        require(waits <= held.waits_us.keys(), 26, f"{name} has begun on {sorted(waits)} before")
        require(before.keys() <= {*held.leaving, *(it.node for it in gone)}, 8, f"{name} stays")
        numbers = {now[it.node][0] for it in held.kept}
        says = f"{name} goes on with the ranks {sorted(numbers)}, its least is {demand.nodes}"
        require(0 in numbers and len(numbers) >= demand.nodes, 26, says)

    def _check_unbegun(self, name: str, held: Held, node: str, at_us: int) -> None:
        """A rank that leaves at once had not begun within the market's limit."""
        limit_us = self._terms[self.demands[name].market].start_limit_us
        joined_us = held.waits_us.get(node)
        is_late = limit_us is not None and joined_us is not None and at_us >= joined_us + limit_us
        require(is_late, 26, f"the rank of {name} on {node} is said not to have begun in time")

    def _seat(self, name: str, held: Held, at_us: int) -> None:
        """No other org is there, and what another org left was turned around."""
        require(name not in self.held, 6, f"{name} holds seats and got others")
        org = self.demands[name].org
        self.held[name] = held
        for seat in held.seats:
            node = self.nodes[seat.node]
            holders = self._holders(seat.node)
            total = sum(holders.values())
            require(total <= node.gpus, 2, f"{seat.node} has {node.gpus} GPUs: {holders}")
            orgs = {self.demands[it].org for it in holders}
            are_shared = self._terms[node.market].shared_nodes
            require(len(orgs) == 1 or are_shared, 16, f"{seat.node} is shared by {sorted(orgs)}")
            if not are_shared and node.last_org not in (None, org):
                clean_us = node.vacated_us + self._terms[node.market].turnaround_us
                is_clean = at_us >= clean_us
                require(is_clean, 16, f"{name} got {seat.node} from {node.last_org} too early")
            node.last_org = org

    def _holders(self, node: str) -> dict[str, int]:
        """GPUs by holder. Cost grows with all that is held."""
        found: dict[str, int] = {}
        for name, held in self.held.items():
            for seat in held.seats:
                if seat.node == node:
                    found[name] = found.get(name, 0) + seat.gpus
        return found

    def _order(self, name: str, stop: Stop) -> None:
        held = self.held[name]
        before = held.stop
        if before is not None:
            is_kept = stop.deadline_us <= before.deadline_us and stop.kill_us <= before.kill_us
            require(is_kept, 8, f"the notice of {held.attempt} was put off")
        held.stop = stop
        self.stops.setdefault(held.attempt, []).append(stop)

    def _check_notice(self, name: str, stop: Stop) -> None:
        """A notice is one of the two that the market promises."""
        terms = self._terms[self.demands[name].market]
        least_us = min(terms.notice_us, terms.heal_notice_us)
        is_long = stop.deadline_us - stop.noticed_us >= least_us
        require(is_long and stop.kill_us >= stop.deadline_us + terms.kill_us, 11, f"{name}: {stop}")

    def _end(self, event: events.Ended) -> None:
        name, demand = event.workload, self.demands[event.workload]
        held = self.held[name]
        require(held.attempt == event.attempt, 6, f"{event.attempt} ended, {held.attempt} ran")
        failed = event.failures - demand.failures
        # What was stopped before its first process has failed, also where its end was not seen.
        never_ran = event.cause is Cause.NOT_STARTED and demand.started_us is None
        is_unseen = event.summary.startswith("lost") and not never_ran
        is_spared = event.cause not in (None, Cause.NOT_STARTED) or is_unseen or held.is_broken
        require(not (failed and is_spared), 5, f"{event.attempt} counts as failed: {event.summary}")
        require(failed in (0, 1), 5, f"{event.attempt} counts as {failed} failures")
        demand.failures, demand.preemptions = event.failures, event.preemptions
        demand.not_before_us = event.not_before_us
        self._free(name, event.at_us)
        if event.phase is not Phase.PLACED:
            self.promised.pop(name, None)
        demand.is_over = event.phase.is_ended
        if not demand.is_over:
            self._settle(name)

    def _change_phase(self, name: str, phase: Phase, why: str) -> None:
        require(bool(why), 12, f"{name} became {phase} without a reason")
        self.promised.pop(name, None)
        self.demands[name].is_over = phase.is_ended
        self._settle(name)

    def _free(self, name: str, at_us: int) -> None:
        held = self.held.pop(name, None)
        self._vacate(held.seats if held is not None else (), at_us)

    def _vacate(self, seats: tuple[Seat, ...], at_us: int) -> None:
        for seat in seats:
            node = self.nodes[seat.node]
            node.vacated_us = max(node.vacated_us, at_us)

    def _is_open(self, node: str) -> bool:
        book = self.nodes.get(node)
        is_left = not any(node in nodes for nodes in self._runs_on.values())
        return is_left and book is not None and book.is_well and book.pool not in self._silent
