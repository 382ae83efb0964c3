"""A market's clearing against what runs: notices, promises, prices and reasons as one event.

Reclaim, preemption, moving, healing and backfilling are what the pass yields when the world
changed; there is no second way to lose or to get a seat.
"""

import msgspec

from parkade.core.billing.charges import Postings
from parkade.core.clearing.input import ClearingInput, build_input
from parkade.core.clearing.shortfall import credit_shortfall, short_demands
from parkade.core.fleet.market import Market
from parkade.core.fleet.seat import Seat
from parkade.core.ledger.accounts import OPERATOR
from parkade.core.market.clear import clear
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.outcome import Change, Clearing, ClearingLine, WaitReason
from parkade.core.reservations.reservation import Claim, ReservationState
from parkade.core.running.promises import has_room, withdrawal_charge
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.notices import FINAL_CAUSES, notice
from parkade.core.steps.refusals import Decision, not_found
from parkade.core.units.money import ceil_div
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import Window
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Promise, Rate, Stop, Workload

OWN_FAULT = frozenset({Why.INSUFFICIENT_FUNDS, Why.USER_CAP, Why.MAX_SPEND})


def run_clearing(world: World, command: commands.RunClearing, now_us: int) -> Decision:
    """Everything that the pass changes; no event where it changes nothing."""
    market = world.records.markets.get(command.market)
    if market is None:
        return not_found("market", command.market)
    if world.records.is_clock_doubted:
        return Refusal(
            reason=Reason.CLOCK_JUMPED,
            detail="the clock jumped; clearing stops until an operator confirms it",
        )
    given = build_input(world, market, now_us)
    outcome = clear(given.book)
    return _Changes(world, market, given, outcome, now_us).decided()


class _Changes:
    """The difference between a clearing's outcome and the world, in making."""

    def __init__(
        self, world: World, market: Market, given: ClearingInput, outcome: Clearing, now_us: int
    ) -> None:
        self._world = world
        self._market = market
        self._given = given
        self._outcome = outcome
        self._now_us = now_us
        self._demands = {demand.demand: demand for demand in given.book.demands}
        self._postings = Postings(world)
        self._charges: list[events.MoneyMoved | events.WithdrawalCharged] = []
        self._left: list[events.Leaving] = []
        self._won: list[events.Won] = []
        self._repriced: list[events.Repriced] = []
        self._waiting: list[events.Waiting] = []
        self._takers = self._who_takes_what()
        self._short = short_demands(world, market, given.book, outcome)

    def decided(self) -> tuple[events.AnyEvent, ...]:
        """Charges of given-up promises first, then the clearing; nothing if nothing changed."""
        for line in self._outcome.lines:
            self._weigh(line)
        for name, why in self._given.excluded.items():
            self._exclude(self._world.records.workloads[name], why)
        self._mark_displacing()
        has_changed = self._left or self._won or self._repriced or self._waiting
        if not has_changed and self._outcome.ladder == self._market.ladder:
            return ()
        cleared = events.Cleared(
            at_us=self._now_us,
            market=self._market.market,
            left=tuple(self._left),
            won=tuple(self._won),
            repriced=tuple(self._repriced),
            waiting=tuple(self._waiting),
            ladder=self._outcome.ladder,
        )
        return (*self._charges, cleared)

    def _who_takes_what(self) -> dict[str, list[tuple[Demand, ClearingLine]]]:
        """By node, the demands that get seats there which they do not have now."""
        takers: dict[str, list[tuple[Demand, ClearingLine]]] = {}
        for line in self._outcome.lines:
            demand = self._demands.get(line.demand)
            if demand is None or line.change in (Change.KEEP, Change.WAIT, Change.PREEMPT):
                continue
            had = {seat.node for seat in demand.seats}
            for seat in line.seats:
                if seat.node not in had:
                    takers.setdefault(seat.node, []).append((demand, line))
        return takers

    def _weigh(self, line: ClearingLine) -> None:
        if line.demand in self._world.records.claims:
            self._weigh_claim(line)
            return
        workload = self._world.records.workloads.get(line.demand)
        if workload is None:
            return
        match line.change:
            case Change.KEEP:
                self._keep(workload, line)
            case Change.START | Change.MOVE | Change.HEAL:
                self._seat(workload, line)
            case Change.PREEMPT:
                self._lose(workload, line)
            case Change.WAIT:
                self._refuse(workload, line)

    def _weigh_claim(self, line: ClearingLine) -> None:
        claim = self._world.records.claims[line.demand]
        match line.change:
            case Change.KEEP:
                return
            case Change.START | Change.MOVE | Change.HEAL:
                self._credit(claim.reservation, claim.short_us, claim.nodes)
                self._won.append(self._win(line, self._rate(line)))
            case Change.PREEMPT | Change.WAIT:
                why = _reason(line)
                if claim.seats:
                    self._left.append(
                        _leaving(
                            events.ClaimDemand(claim=line.demand), None, Phase.QUEUED, why, line
                        )
                    )
                else:
                    self._wait_claim(claim, why)

    def _wait_claim(self, claim: Claim, why: str) -> None:
        is_short = claim.claim in self._short
        was_short = claim.short_us is not None
        if was_short and not is_short:
            self._credit(claim.reservation, claim.short_us, claim.nodes)
        if claim.why != why or is_short != was_short:
            self._waiting.append(
                events.Waiting(
                    demand=events.ClaimDemand(claim=claim.claim),
                    why=why,
                    price_to_win_micros=None,
                    is_short=is_short,
                )
            )

    def _keep(self, workload: Workload, line: ClearingLine) -> None:
        rate = self._rate(line)
        present = _present_rate(workload)
        has_same_terms = (
            present is not None
            and present.price_micros == rate.price_micros
            and present.shares == rate.shares
        )
        if has_same_terms and workload.price_set_by == line.price_set_by:
            return
        self._repriced.append(
            events.Repriced(workload=workload.workload, rate=rate, price_set_by=line.price_set_by)
        )

    def _seat(self, workload: Workload, line: ClearingLine) -> None:
        """New seats: what runs gets its notice and a promise in the same event."""
        attempt = workload.attempt
        reservation = workload.spec.capacity.reservation
        if reservation is not None:
            self._credit(reservation, workload.short_us, workload.spec.nodes)
        if attempt is not None and attempt.stop is None:
            cause = Cause.HEALED if attempt.broken_us is not None else Cause.MOVED
            phase = Phase.HEALING if cause is Cause.HEALED else Phase.PREEMPTING
            stop = self._notice(attempt, cause)
            self._left.append(_leaving(_demand(workload), stop, phase, cause.value, line))
        self._won.append(self._win(line, self._rate(line)))

    def _credit(self, reservation: str, short_us: int | None, nodes: int) -> None:
        span = Window(start_us=short_us or self._now_us, end_us=self._now_us)
        event = credit_shortfall(self._world, self._postings, reservation, nodes, span)
        if event is not None:
            self._charges.append(event)

    def _lose(self, workload: Workload, line: ClearingLine) -> None:
        """Seats lost: notice for what runs, withdrawal of what was only promised."""
        attempt = workload.attempt
        if attempt is not None and attempt.stop is None:
            cause = self._why_it_lost(workload, attempt)
            phase = Phase.HEALING if attempt.broken_us is not None else Phase.PREEMPTING
            stop = self._notice(attempt, cause)
            line = self._without_credit(line)
            self._left.append(_leaving(_demand(workload), stop, phase, cause.value, line))
            return
        self._withdraw(workload, _reason(line), line)

    def _without_credit(self, line: ClearingLine) -> ClearingLine:
        """The price to win as a newcomer, which is what it will be when it has left."""
        if line.price_to_win_micros is None:
            return line
        credit = self._market.terms.switching_credit
        price = line.price_to_win_micros * (credit.denominator + credit.numerator)
        return msgspec.structs.replace(
            line, price_to_win_micros=ceil_div(price, credit.denominator)
        )

    def _withdraw(self, workload: Workload, why: str, line: ClearingLine | None) -> None:
        """A promise falls away; who cannot pay any more pays for having made others leave, who
        loses it to another's right does not."""
        if why in OWN_FAULT:
            self._charges.extend(
                withdrawal_charge(self._world, workload, self._postings, self._now_us)
            )
        phase = Phase.QUEUED if workload.attempt is None else workload.phase
        self._left.append(_leaving(_demand(workload), None, phase, why, line))

    def _refuse(self, workload: Workload, line: ClearingLine) -> None:
        """A demand without seats; one whose promise fell away loses it."""
        if workload.promise is not None:
            self._withdraw(workload, _reason(line), line)
            return
        self._wait(workload, _reason(line), line.price_to_win_micros)

    def _wait(self, workload: Workload, why: str, price_micros: int | None) -> None:
        if workload.attempt is not None:
            return
        is_short = workload.workload in self._short
        was_short, reservation = workload.short_us is not None, workload.spec.capacity.reservation
        if was_short and not is_short and reservation is not None:
            self._credit(reservation, workload.short_us, workload.spec.nodes)
        has_same_words = (workload.why, workload.price_to_win_micros) == (why, price_micros)
        if has_same_words and is_short == was_short:
            return
        self._waiting.append(
            events.Waiting(
                demand=_demand(workload),
                why=why,
                price_to_win_micros=price_micros,
                is_short=is_short,
            )
        )

    def _exclude(self, workload: Workload, why: str) -> None:
        """Who is not in the pass leaves its seats, with the notice."""
        attempt = workload.attempt
        if attempt is not None and attempt.stop is None:
            is_over = why == Why.RESERVATION_NOT_IN_FORCE and self._is_over(workload)
            cause = Cause.EXPIRED if is_over else Cause.BUDGET
            phase = Phase.STOPPING if cause in FINAL_CAUSES else Phase.PREEMPTING
            why = Why.RESERVATION_ENDED.value if is_over else why
            stop = self._notice(attempt, cause)
            self._left.append(_leaving(_demand(workload), stop, phase, why, None))
        elif workload.promise is not None:
            self._withdraw(workload, why, None)
        else:
            self._wait(workload, why, None)

    def _is_over(self, workload: Workload) -> bool:
        reservation = self._world.records.reservations.get(workload.spec.capacity.reservation or "")
        return reservation is None or reservation.state is not ReservationState.SOLD

    def _why_it_lost(self, workload: Workload, attempt: Attempt) -> Cause:
        if attempt.broken_us is not None:
            return Cause.HEALED
        takers = [taker for seat in attempt.seats for taker in self._takers.get(seat.node, [])]
        is_spot = workload.spec.capacity.kind is CapacityKind.SPOT
        if any(demand.tier is PriorityTier.SPOT for demand, _ in takers) and is_spot:
            return Cause.OUTBID
        return Cause.RECLAIMED

    def _notice(self, attempt: Attempt, cause: Cause) -> Stop:
        """The market's notice; a shorter one where a broken gang of higher right needs the seats;
        none for who is broken itself."""
        terms = self._market.terms
        notice_us = terms.notice_us
        if attempt.broken_us is not None:
            notice_us = 0
        elif any(
            line.change is Change.HEAL or self._is_broken(demand)
            for seat in attempt.seats
            for demand, line in self._takers.get(seat.node, [])
        ):
            notice_us = min(terms.heal_notice_us, terms.notice_us)
        return notice(
            attempt, cause, at_us=self._now_us, notice_us=notice_us, kill_us=terms.kill_us
        )

    def _is_broken(self, demand: Demand) -> bool:
        workload = self._world.records.workloads.get(demand.demand)
        return (
            workload is not None
            and workload.attempt is not None
            and workload.attempt.broken_us is not None
        )

    def _win(self, line: ClearingLine, rate: Rate) -> events.Won:
        promise = Promise(
            seats=line.seats,
            promised_us=self._now_us,
            displaces=False,
            busy=sum(self._is_busy(line.demand, seat) for seat in line.seats),
            rates=(rate,),
        )
        return events.Won(
            demand=self._tagged(line.demand), promise=promise, price_set_by=line.price_set_by
        )

    def _tagged(self, name: str) -> events.Demand:
        if name in self._world.records.claims:
            return events.ClaimDemand(claim=name)
        return events.WorkloadDemand(workload=name)

    def _rate(self, line: ClearingLine) -> Rate:
        """What it pays from now on: on-demand as agreed, others as cleared."""
        workload = self._world.records.workloads.get(line.demand)
        agreed = workload.agreed_price_micros if workload is not None else None
        if workload is not None and agreed is not None:
            shares = ((OPERATOR, agreed * workload.gpus),) if agreed else ()
            return Rate(from_us=self._now_us, price_micros=agreed, shares=shares)
        return Rate(from_us=self._now_us, price_micros=line.price_micros, shares=line.shares)

    def _mark_displacing(self) -> None:
        """A winner displaces where its seats do not fit beside what was told to leave just now."""
        told = {
            (seat.node, leaving.stop.cause)
            for leaving in self._left
            if leaving.stop is not None
            for seat in _seats(self._world.records.workloads[events.name_of(leaving.demand)])
        }
        self._won = [
            msgspec.structs.replace(
                won, promise=msgspec.structs.replace(won.promise, displaces=True)
            )
            if self._displaces(won, told)
            else won
            for won in self._won
        ]

    def _displaces(self, won: events.Won, told: set[tuple[str, Cause]]) -> bool:
        is_on_demand = self._demands[events.name_of(won.demand)].tier is PriorityTier.ON_DEMAND
        causes = (Cause.OUTBID, Cause.MOVED, *((Cause.RECLAIMED,) if is_on_demand else ()))
        return any(
            self._is_busy(events.name_of(won.demand), seat)
            and any((seat.node, cause) in told for cause in causes)
            for seat in won.promise.seats
        )

    def _is_busy(self, holder: str, seat: Seat) -> bool:
        """Whether others hold so much of the node that the seat is not free yet."""
        org = self._demands[holder].org
        return not has_room(self._world, org, seat, besides=holder)


def _demand(workload: Workload) -> events.WorkloadDemand:
    return events.WorkloadDemand(workload=workload.workload)


def _seats(workload: Workload) -> tuple[Seat, ...]:
    return workload.attempt.seats if workload.attempt is not None else ()


def _present_rate(workload: Workload) -> Rate | None:
    if workload.promise is not None:
        return workload.promise.rates[-1]
    if workload.attempt is not None and workload.attempt.rates:
        return workload.attempt.rates[-1]
    return None


def _reason(line: ClearingLine) -> str:
    """What was accepted fits when all nodes are well: too large means that some are not."""
    if line.reason in (None, WaitReason.TOO_LARGE):
        return WaitReason.NO_ROOM.value
    return line.reason.value


def _leaving(
    demand: events.Demand, stop: Stop | None, phase: Phase, why: str, line: ClearingLine | None
) -> events.Leaving:
    return events.Leaving(
        demand=demand,
        stop=stop,
        phase=phase,
        why=why,
        price_to_win_micros=line.price_to_win_micros if line is not None else None,
    )
