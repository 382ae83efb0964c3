"""How a clearing's outcome becomes an event: its difference from the world, and nothing else.

Theory of operation
-------------------
The market answers which demand has which seats at which price, whatever it was before. This
module compares that answer with the world, demand by demand, and writes one `Cleared` event of
what differs:

    line            the demand has           what follows                       part of the event
    keep            seats                    nothing, or another price          repriced
    start           none                     a promise of seats                 won
    move, heal      seats of an attempt      notice, and the next promise       left and won
    move            a promise                the promise is replaced            won
    resize          as move: an elastic workload restarts on more of its fabric, or on fewer
    preempt         seats of an attempt      notice                             left
    preempt, wait   a promise                the promise falls away             left
    wait            none                     the reason, where it changed       waiting

Reclaim, preemption, moving, healing and backfilling are lines of this table; there is no second
way to lose or to get a seat. A workload that takes no part (`ClearingInput.excluded`) is treated
as one that lost, with that reason.

Invariants. A clearing of an unchanged world makes no event. What frees seats and what is promised
there is one event, so that no third demand comes between. A notice is given once: an attempt that
leaves already gets at most its next promise. Withdrawals and credits are charged before the
clearing, at the instant of the clearing.

Example (computed by `tests/core/clearing/test_changes.py`). The node a1 has four GPUs. w1 runs on
all of them with a limit of 2 and pays the floor of 1. w2, of another org, bids 5. With its credit
of 5 % w1 counts 2.10, so w2 wins and pays 2.10. The event has `left`: w1, outbid, with 30 s of
notice; as a newcomer it would win with 5.000001. It has `won`: w2, promised a1, with one seat
busy, marked as displacing. `waiting` and `repriced` are empty. 35 s later a1 is free at the
latest, and w2 is launched (`running.promises`).

Decision records 2 (notices, displacement and its debt) and 9 (the event's form).
"""

from typing import assert_never

import msgspec

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_short, short_of
from parkade.core.clearing.debts import OWN_FAULT, Debts
from parkade.core.clearing.displacement import Displacement
from parkade.core.clearing.evacuation import with_evacuees
from parkade.core.clearing.input import ClearingInput, build_input
from parkade.core.clearing.move_causes import move_cause
from parkade.core.clearing.shortfall import short_demands
from parkade.core.fleet.market import Market
from parkade.core.ledger.accounts import OPERATOR
from parkade.core.market.clear import clear
from parkade.core.market.outcome import Change, Clearing, ClearingLine, WaitReason
from parkade.core.reservations.reservation import Claim, ReservationState
from parkade.core.running.promises import withdrawal_charge
from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.steps.notices import FINAL_CAUSES
from parkade.core.steps.refusals import Decision, not_found
from parkade.core.units.money import ceil_div
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.moves import Healed, MoveCause
from parkade.core.workloads.workload import Promise, Rate, Stop, Workload


def run_clearing(world: World, command: commands.RunClearing, now_us: int) -> Decision:
    """Everything that a clearing changes; no event where it changes nothing."""
    market = world.records.markets.get(command.market)
    if market is None:
        return not_found("market", command.market)
    if world.records.is_clock_doubted:
        return Refusal(
            reason=Reason.CLOCK_JUMPED,
            detail="the clock jumped; clearing stops until an operator confirms it",
        )
    given = with_evacuees(world, build_input(world, market, now_us))
    return difference(world, market, given, clear(given.state), now_us)


def difference(
    world: World, market: Market, given: ClearingInput, outcome: Clearing, now_us: int
) -> tuple[events.AnyEvent, ...]:
    """What an outcome changes in the world that it was given from; see the module."""
    assert len(outcome.lines) == len(given.state.demands), "each demand has one line"
    return _Changes(world, market, given, outcome, now_us).decided()


class _Changes:
    """The difference between a clearing's outcome and the world, in making."""

    def __init__(
        self,
        world: World,
        market: Market,
        given: ClearingInput,
        outcome: Clearing,
        now_us: int,
    ) -> None:
        self._world = world
        self._market = market
        self._given = given
        self._outcome = outcome
        self._now_us = now_us
        self._postings = Postings(world)
        self._charges: list[events.ReservationSettled | events.WithdrawalCharged] = []
        self._left: list[lines.Leaving] = []
        self._won: list[lines.Won] = []
        self._repriced: list[lines.Repriced] = []
        self._waiting: list[lines.Waiting] = []
        self._demands = {demand.demand: demand for demand in given.state.demands}
        self._displacement = Displacement(
            world, market, self._demands, outcome, now_us, unhurried=given.evacuees
        )
        self._debts = Debts(world, market, self._demands, outcome, now_us)
        self._short = short_demands(world, market, given.state, outcome)

    def decided(self) -> tuple[events.AnyEvent, ...]:
        """Credits and charges of given-up promises first, then the clearing; nothing if nothing
        changed."""
        self._settle_shortages()
        for line in self._outcome.lines:
            self._compare(line)
        for name, why in self._given.excluded.items():
            self._exclude(self._world.records.workloads[name], why)
        assert len({lines.name_of(it.demand) for it in self._left}) == len(self._left)
        has_changed = self._left or self._won or self._repriced or self._waiting
        if not has_changed and self._outcome.ladder == self._market.ladder:
            return tuple(self._charges)
        cleared = events.Cleared(
            at_us=self._now_us,
            market=self._market.market,
            left=tuple(self._left),
            won=self._debts.marked(self._won, self._left),
            repriced=tuple(self._repriced),
            waiting=tuple(self._waiting),
            ladder=self._outcome.ladder,
        )
        return (*self._charges, cleared)

    def _compare(self, line: ClearingLine) -> None:
        if line.demand in self._world.records.claims:
            self._compare_claim(line)
            return
        workload = self._world.records.workloads[line.demand]
        match line.change:
            case Change.KEEP:
                self._keep(workload, line)
            case Change.START | Change.MOVE | Change.HEAL | Change.RESIZE:
                self._seat(workload, line)
            case Change.PREEMPT:
                self._lose(workload, line)
            case Change.WAIT:
                self._refuse(workload, line)
            case _:
                assert_never(line.change)

    def _compare_claim(self, line: ClearingLine) -> None:
        claim = self._world.records.claims[line.demand]
        match line.change:
            case Change.KEEP:
                return
            case Change.START | Change.MOVE | Change.HEAL | Change.RESIZE:
                self._won.append(self._win(line, self._rate(line)))
            case Change.PREEMPT | Change.WAIT:
                why = _reason(line)
                if claim.seats:
                    self._left.append(
                        _leaving(
                            lines.ClaimDemand(claim=line.demand), None, Phase.QUEUED, why, line
                        )
                    )
                else:
                    self._wait_claim(claim, why)
            case _:
                assert_never(line.change)

    def _wait_claim(self, claim: Claim, why: str) -> None:
        assert not claim.seats
        if claim.why != why:
            self._waiting.append(
                lines.Waiting(
                    demand=lines.ClaimDemand(claim=claim.claim),
                    why=why,
                    price_to_win_micros=None,
                )
            )

    def _keep(self, workload: Workload, line: ClearingLine) -> None:
        assert workload.attempt is not None or workload.promise is not None
        rate = self._rate(line)
        present = _present_rate(workload)
        has_same_terms = (
            present is not None
            and present.price_micros == rate.price_micros
            and present.shares == rate.shares
            and present.floor_micros == rate.floor_micros
            and present.node_prices == rate.node_prices
        )
        if has_same_terms and workload.price_set_by == line.price_set_by:
            return
        self._repriced.append(
            lines.Repriced(workload=workload.workload, rate=rate, price_set_by=line.price_set_by)
        )

    def _seat(self, workload: Workload, line: ClearingLine) -> None:
        """New seats: what runs gets its notice and a promise in the same event."""
        attempt = workload.attempt
        if attempt is not None and attempt.stop is None:
            is_broken = attempt.broken_us is not None
            is_healed = is_broken or line.demand in self._given.evacuees
            cause = Cause.HEALED if is_healed else Cause.MOVED
            if line.change is Change.RESIZE and not is_healed:
                cause = self._cause_of_size(workload, line)
            phase = Phase.HEALING if is_broken else Phase.PREEMPTING
            stop = self._displacement.notice(attempt, cause)
            leaving = _leaving(_demand(workload), stop, phase, cause.value, line)
            self._left.append(msgspec.structs.replace(leaving, moved=self._moved(line)))
        self._won.append(self._win(line, self._rate(line)))

    def _cause_of_size(self, workload: Workload, line: ClearingLine) -> Cause:
        """Why an elastic workload restarts on fewer nodes, or on more."""
        assert workload.attempt is not None
        if len(line.seats) > len(workload.attempt.seats):
            return Cause.RESIZED
        if line.demand in self._given.unpaid:
            return Cause.BUDGET
        return self._displacement.cause_of(workload, workload.attempt)

    def _settle_shortages(self) -> None:
        """Demands that are short of another number of GPUs from now on are credited up to now."""
        for reservation in self._world.records.reservations.values():
            if reservation.market != self._market.market or not reservation.state.takes_part:
                continue
            before = dict(short_of(self._world, reservation))
            now = {
                name: gpus
                for name, gpus in self._short.items()
                if self._reservation_of(name) == reservation.reservation
            }
            changed = {
                name: now.get(name, 0)
                for name in {**before, **now}
                if before.get(name, 0) != now.get(name, 0)
            }
            self._charges.extend(
                settle_short(self._world, self._postings, reservation, changed, self._now_us)
            )

    def _reservation_of(self, name: str) -> str | None:
        claim = self._world.records.claims.get(name)
        if claim is not None:
            return claim.reservation
        return self._world.records.workloads[name].spec.capacity.reservation

    def _lose(self, workload: Workload, line: ClearingLine) -> None:
        """Seats lost: notice for what runs, withdrawal of what was only promised."""
        assert not line.seats, "a loser has no seats"
        attempt = workload.attempt
        if attempt is not None and attempt.stop is None:
            cause = self._displacement.cause_of(workload, attempt)
            phase = Phase.HEALING if attempt.broken_us is not None else Phase.PREEMPTING
            stop = self._displacement.notice(attempt, cause)
            line = self._without_credit(line)
            leaving = _leaving(_demand(workload), stop, phase, cause.value, line)
            may_owe = attempt.displaced or attempt.started_us is None
            is_due = may_owe and self._debts.is_due(workload)
            self._left.append(msgspec.structs.replace(leaving, is_due=is_due))
            return
        self._withdraw(workload, _reason(line), line)

    def _without_credit(self, line: ClearingLine) -> ClearingLine:
        """The price to win as a newcomer, which is what it will be when it has left."""
        if line.price_to_win_micros is None:
            return line
        assert line.price_to_win_micros > 0
        credit = self._market.terms.switching_credit
        price = line.price_to_win_micros * (credit.denominator + credit.numerator)
        return msgspec.structs.replace(
            line, price_to_win_micros=ceil_div(price, credit.denominator)
        )

    def _withdraw(self, workload: Workload, why: str, line: ClearingLine | None) -> None:
        """A promise falls away. A workload that cannot pay any more, or loses it to another bid of
        its own org, owes for having displaced others; one that loses it to another's right does
        not."""
        promise = workload.promise
        assert promise is not None
        is_due = line is not None and promise.displaces and self._debts.is_due(workload)
        if why in OWN_FAULT or is_due:
            self._charges.extend(
                withdrawal_charge(self._world, workload, self._postings, self._now_us)
            )
        phase = Phase.QUEUED if workload.attempt is None else workload.phase
        self._left.append(_leaving(_demand(workload), None, phase, why, line))

    def _refuse(self, workload: Workload, line: ClearingLine) -> None:
        """A demand without seats; a promise that it still has falls away."""
        assert not line.seats
        if workload.promise is not None:
            self._withdraw(workload, _reason(line), line)
            return
        self._wait(workload, _reason(line), line.price_to_win_micros)

    def _wait(self, workload: Workload, why: str, price_micros: int | None) -> None:
        if workload.attempt is not None:
            return
        if (workload.why, workload.price_to_win_micros) == (why, price_micros):
            return
        self._waiting.append(
            lines.Waiting(
                demand=_demand(workload),
                why=why,
                price_to_win_micros=price_micros,
            )
        )

    def _exclude(self, workload: Workload, why: str) -> None:
        """A workload that takes no part leaves its seats, with the notice."""
        assert not workload.phase.is_ended
        attempt = workload.attempt
        if attempt is not None and attempt.stop is None:
            is_over = why == Why.RESERVATION_NOT_IN_FORCE and self._is_over(workload)
            cause = Cause.EXPIRED if is_over else Cause.BUDGET
            phase = Phase.STOPPING if cause in FINAL_CAUSES else Phase.PREEMPTING
            why = Why.RESERVATION_ENDED.value if is_over else why
            stop = self._displacement.notice(attempt, cause)
            self._left.append(_leaving(_demand(workload), stop, phase, why, None))
        elif workload.promise is not None:
            self._withdraw(workload, why, None)
        else:
            self._wait(workload, why, None)

    def _is_over(self, workload: Workload) -> bool:
        reservation = self._world.records.reservations.get(workload.spec.capacity.reservation or "")
        return reservation is None or reservation.state is not ReservationState.SOLD

    def _win(self, line: ClearingLine, rate: Rate) -> lines.Won:
        assert line.seats, "a winner without seats"
        promise = Promise(
            seats=line.seats,
            promised_us=self._now_us,
            displaces=False,
            busy=self._displacement.busy(line),
            rates=(rate,),
        )
        return lines.Won(
            demand=self._tagged(line.demand),
            promise=promise,
            price_set_by=line.price_set_by,
            moved=self._moved(line),
        )

    def _moved(self, line: ClearingLine) -> MoveCause | None:
        if line.demand in self._given.evacuees:
            return Healed()
        if line.moved is None:
            return None
        return move_cause(self._world, line.demand, line.moved)

    def _tagged(self, name: str) -> lines.Demand:
        if name in self._world.records.claims:
            return lines.ClaimDemand(claim=name)
        return lines.WorkloadDemand(workload=name)

    def _rate(self, line: ClearingLine) -> Rate:
        """What it pays from now on: on-demand as agreed, others as cleared."""
        workload = self._world.records.workloads.get(line.demand)
        agreed = workload.agreed_price_micros if workload is not None else None
        if workload is not None and agreed is not None:
            assert workload.spec.limit_price_micros is None, "a bid has no agreed price"
            shares = ((OPERATOR, agreed * workload.spec.total_gpus),) if agreed else ()
            return Rate(from_us=self._now_us, price_micros=agreed, shares=shares)
        return Rate(
            from_us=self._now_us,
            price_micros=line.price_micros,
            shares=line.shares,
            floor_micros=self._floor(line),
            node_prices=line.node_prices,
        )

    def _floor(self, line: ClearingLine) -> int | None:
        """The floor of its seats while all its nodes are open; while one is closed, as before."""
        demand = self._demands[line.demand]
        if demand.limit_micros is None:
            return None
        if line.change is Change.KEEP and self._given.has_closed(demand):
            return demand.floor_micros
        return line.floor_micros


def _demand(workload: Workload) -> lines.WorkloadDemand:
    return lines.WorkloadDemand(workload=workload.workload)


def _present_rate(workload: Workload) -> Rate | None:
    if workload.promise is not None:
        return workload.promise.rates[-1]
    if workload.attempt is not None and workload.attempt.rates:
        return workload.attempt.rates[-1]
    return None


def _reason(line: ClearingLine) -> str:
    """What was accepted fits when all nodes are well: too large means that some are not."""
    assert not line.seats, "a winner has no reason to wait"
    if line.reason in (None, WaitReason.TOO_LARGE):
        return WaitReason.NO_ROOM.value
    return line.reason.value


def _leaving(
    demand: lines.Demand, stop: Stop | None, phase: Phase, why: str, line: ClearingLine | None
) -> lines.Leaving:
    return lines.Leaving(
        demand=demand,
        stop=stop,
        phase=phase,
        why=why,
        price_to_win_micros=line.price_to_win_micros if line is not None else None,
    )
