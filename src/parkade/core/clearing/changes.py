"""How a clearing's outcome becomes an event: its difference from the world, and nothing else.

Theory of operation
-------------------
The market answers which demand has which seats at which price, whatever it was before. This
module compares that answer with the world, demand by demand, and writes one `Cleared` event of
what differs:

    line            the demand has           what follows                       part of the event
    keep            seats                    nothing, or another price          repriced
    keep            a promise of more nodes  a promise of the open ones         won
    start           none                     a promise of seats                 won
    move, heal      seats of an attempt      notice, and the next promise       left and won
    move            a promise                the promise is replaced            won
    resize          as move: an elastic workload restarts on more of its fabric, or on fewer;
                    a live one changes as it runs                              resized and won
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

from parkade.core.accounts.caps import caps_near
from parkade.core.billing.charges import Postings
from parkade.core.billing.live_ranks import costs_now
from parkade.core.clearing.claims import (
    claim_named,
    parts_of,
    standing_after,
)
from parkade.core.clearing.debts import OWN_FAULT, Debts
from parkade.core.clearing.displacement import Displacement
from parkade.core.clearing.entries import Chosen, Extra, cleared_by_entries, entries_taken
from parkade.core.clearing.linking import Part, Together, clear_together, linked_with
from parkade.core.clearing.live_changes import (
    LiveChange,
    live_change,
    resized_by,
    stops_of,
)
from parkade.core.clearing.move_causes import moved
from parkade.core.clearing.own_waits import with_own_waits
from parkade.core.clearing.rates import Rates, present_rate
from parkade.core.clearing.shortfall import settle_shortages, short_demands
from parkade.core.fleet.market import Market
from parkade.core.market.outcome import Change, ClearingLine, WaitReason
from parkade.core.reservations.reservation import Claim, ReservationState
from parkade.core.running.pacing import beyond_starts
from parkade.core.running.promises import withdrawal_charge
from parkade.core.running.unadmitted import counted_limit_micros
from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.steps.notices import FINAL_CAUSES
from parkade.core.steps.refusals import Decision, not_found
from parkade.core.units.money import ceil_div
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.workloads.choice import Answer
from parkade.core.workloads.choices import stands_in
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.moves import OtherMarket
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
    linked = linked_with(world, market.market)
    markets = (market.market,) if command.is_apart else linked
    too_many: frozenset[str] = frozenset()
    chosen = _with_entries(world, markets, now_us, too_many)
    # Each round bounds one more org at least: it starts no more than it may from then on.
    while more := beyond_starts(chosen.world, chosen.together.lines(), now_us):
        assert not more <= too_many, "an org that was bounded starts too many"
        too_many |= more
        chosen = _with_entries(world, markets, now_us, too_many)
    then, _, together = chosen
    postings = Postings(then)
    taken = entries_taken(world, markets, then, postings, now_us)
    changed = difference(then, together, now_us, postings, is_apart=markets != linked)
    return (*caps_near(world, now_us), *taken, *changed)


def _with_entries(
    world: World, markets: tuple[str, ...], now_us: int, too_many: frozenset[str]
) -> Chosen:
    """The clearing, each list of capacity at its entry."""

    def clears(then: World, _: Extra) -> Together:
        return clear_together(then, markets, now_us, too_many=too_many)

    return cleared_by_entries(world, markets, clears, now_us)


def difference(
    world: World,
    together: Together,
    now_us: int,
    postings: Postings,
    *,
    is_apart: bool = False,
) -> tuple[events.AnyEvent, ...]:
    """What the markets of a clearing change, as one event, after the charges of all; see the
    module. `postings`: those of the decision so far; `is_apart`: linked markets are left out."""
    charges: list[events.AnyEvent] = []
    cleared: list[events.Cleared] = []
    for name, part in together.parts.items():
        market = world.records.markets[name]
        for event in _Changes(part, market, now_us, postings, together.answers).decided():
            if isinstance(event, events.Cleared):
                cleared.append(event)
            else:
                charges.append(event)
    if not cleared:
        return tuple(charges)
    linked = (lines.LinkedMarket(market=it.market, ladder=it.ladder) for it in cleared[1:])
    whole = msgspec.structs.replace(
        cleared[0],
        left=tuple(line for it in cleared for line in it.left),
        won=tuple(line for it in cleared for line in it.won),
        repriced=tuple(line for it in cleared for line in it.repriced),
        waiting=tuple(line for it in cleared for line in it.waiting),
        claims=tuple(line for it in cleared for line in it.claims),
        resized=tuple(line for it in cleared for line in it.resized),
        linked=tuple(linked),
        is_apart=is_apart,
    )
    return (*charges, _with_waits(world, whole, now_us))


def _with_waits(world: World, cleared: events.Cleared, now_us: int) -> events.Cleared:
    """The event in which each winner says what it waits for, and that it comes from another market,
    wherever that is."""
    won = with_own_waits(world, cleared.won, cleared.left, now_us)
    return msgspec.structs.replace(cleared, won=tuple(_from_elsewhere(world, it) for it in won))


def _from_elsewhere(world: World, won: lines.Won) -> lines.Won:
    workload = world.records.workloads.get(lines.name_of(won.demand))
    before = None if workload is None else stands_in(workload)
    if before is None or won.promise.market in (None, before):
        return won
    return msgspec.structs.replace(won, moved=OtherMarket(market=before))


class _Changes:
    """The difference between a clearing's outcome and the world, in making."""

    def __init__(
        self,
        part: Part,
        market: Market,
        now_us: int,
        postings: Postings,
        answers: dict[str, tuple[Answer, ...]],
    ) -> None:
        world, given, outcome, passed_over, asked = part
        assert len(outcome.lines) == len(given.state.demands), "each demand has one line"
        self._world = world
        self._market = market
        self._given = given
        self._outcome = outcome
        self._passed_over = passed_over
        self._answers = answers
        self._now_us = now_us
        self._postings = postings
        self._charges: list[events.ReservationSettled | events.WithdrawalCharged] = []
        self._left: list[lines.Leaving] = []
        self._won: list[lines.Won] = []
        self._repriced: list[lines.Repriced] = []
        self._resized: list[lines.Resized] = []
        self._waiting: list[lines.Waiting] = []
        self._claims: list[lines.ClaimKept] = []
        self._demands = {demand.demand: demand for demand in given.state.demands}
        self._debts = Debts(world, market, self._demands, outcome, now_us, asked=asked)
        self._displacement = Displacement(
            world,
            market,
            self._demands,
            outcome,
            now_us,
            unhurried=given.evacuees,
            sweeps=self._debts.sweeps,
        )
        self._rates = Rates(world, given, now_us)

    def decided(self) -> tuple[events.AnyEvent, ...]:
        """Credits and charges of given-up promises first, then the clearing; nothing if nothing
        changed."""
        short = short_demands(self._world, self._market, self._given.state, self._outcome)
        self._charges.extend(
            settle_shortages(self._world, self._postings, self._market, short, self._now_us)
        )
        parts = parts_of(self._world, self._given.state.demands)
        by_demand = {line.demand: line for line in self._outcome.lines} if parts else {}
        for name, demands in parts.items():
            self._compare_standing(name, [by_demand[it.demand] for it in demands])
        for line in self._outcome.lines:
            if line.demand in self._passed_over:
                continue
            if parts and claim_named(line.demand) in parts:
                continue
            self._compare(line)
        for name, why in self._given.excluded.items():
            self._exclude(self._world.records.workloads[name], why)
        assert len({lines.name_of(it.demand) for it in self._left}) == len(self._left)
        changed = (self._left, self._won, self._repriced, self._waiting, self._claims)
        has_changed = any(changed) or bool(self._resized)
        if not has_changed and self._outcome.ladder == self._market.ladder:
            return tuple(self._charges)
        cleared = events.Cleared(
            at_us=self._now_us,
            market=self._market.market,
            left=tuple(self._left),
            won=self._debts.marked(self._won, self._left, self._resized),
            repriced=tuple(self._repriced),
            waiting=tuple(self._waiting),
            ladder=self._outcome.ladder,
            claims=tuple(self._claims),
            resized=tuple(self._resized),
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
                self._won.append(self._win(line, self._rates.of(line)))
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

    def _compare_standing(self, name: str, found: list[ClearingLine]) -> None:
        """A claim that its owner works on: what it keeps, and what it is promised beside that."""
        claim = self._world.records.claims[name]
        stood = standing_after(
            claim,
            self._demands,
            found,
            reason=_reason,
            is_busy=lambda line: self._displacement.busy(line) > 0,
            now_us=self._now_us,
        )
        if (stood.seats, stood.replacements) == (claim.seats, claim.replacements):
            self._wait_claim(claim, stood.why)
            return
        causes = [moved(self._world, it, self._given.evacuees) for it in found]
        known = [it for it in causes if it is not None]
        self._claims.append(
            lines.ClaimKept(
                claim=name,
                seats=stood.seats,
                replacements=stood.replacements,
                why=stood.why,
                moved=known[0] if known else None,
            )
        )

    def _wait_claim(self, claim: Claim, why: str) -> None:
        if claim.why != why:
            self._waiting.append(
                lines.Waiting(
                    demand=lines.ClaimDemand(claim=claim.claim),
                    why=why,
                    price_to_win_micros=None,
                )
            )

    def _keep(self, workload: Workload, line: ClearingLine) -> None:
        """The same seats. An elastic workload that was promised more, of which some left play, is
        promised the rest."""
        assert workload.attempt is not None or workload.promise is not None
        if workload.promise is not None and workload.promise.seats != line.seats:
            if workload.attempt is not None and workload.attempt.stop is None:
                self._seat(workload, line)
                return
            assert workload.spec.is_elastic, "a gang whose promised node left play is healed"
            self._won.append(self._win(line, self._rates.of(line)))
            return
        rate = own = self._rates.of(line)
        present = present_rate(workload)
        if workload.promise is None and workload.attempt is not None and workload.is_live:
            own, present = costs_now(workload.attempt, rate)
        has_same_terms = (
            present is not None
            and present.price_micros == own.price_micros
            and present.shares == own.shares
            and present.floor_micros == own.floor_micros
            and present.node_prices == own.node_prices
        )
        if has_same_terms and workload.price_set_by == line.price_set_by:
            return
        self._repriced.append(
            lines.Repriced(workload=workload.workload, rate=rate, price_set_by=line.price_set_by)
        )

    def _seat(self, workload: Workload, line: ClearingLine) -> None:
        """New seats: what runs gets its notice and a promise in the same event, or changes live."""
        attempt = workload.attempt
        if (change := self._live_change(workload, line)) is not None:
            self._change_live(workload, line, change)
            return
        if attempt is not None and attempt.stop is None:
            is_broken = attempt.broken_us is not None
            is_healed = is_broken or line.demand in self._given.evacuees
            cause = Cause.HEALED if is_healed else Cause.MOVED
            if line.change is Change.RESIZE and not is_healed:
                cause = self._cause_of_size(workload, line)
            phase = Phase.HEALING if is_broken else Phase.PREEMPTING
            stop = self._displacement.notice(attempt, cause)
            leaving = _leaving(_demand(workload), stop, phase, cause.value, line)
            why_moved = moved(self._world, line, self._given.evacuees)
            is_choice = cause in (Cause.MOVED, Cause.RESIZED) and self._debts.is_own_choice(
                workload
            )
            self._left.append(
                msgspec.structs.replace(leaving, moved=why_moved, is_own_choice=is_choice)
            )
        self._won.append(self._win(line, self._rates.of(line)))

    def _live_change(self, workload: Workload, line: ClearingLine) -> LiveChange | None:
        return live_change(self._world, workload, line.seats, self._now_us)

    def _change_live(self, workload: Workload, line: ClearingLine, change: LiveChange) -> None:
        """Single ranks leave with their notice, or others join once their seats are free."""
        rate, is_own = self._rates.of(line), line.demand in self._given.unpaid
        falls = workload.promise is not None and not change.joining
        is_due = self._debts.is_due(workload)
        if falls and (is_own or is_due):
            self._charge_withdrawal(workload)
        if change.leaving or falls:
            stops = stops_of(workload, line, change, self._displacement, self._given)
            why = Why.INSUFFICIENT_FUNDS.value if is_own else WaitReason.OUTBID.value
            resized = resized_by(workload, line, change, rate, stops, is_due=is_due)
            self._resized.append(msgspec.structs.replace(resized, why=why if falls else ""))
        if change.joining:
            line = msgspec.structs.replace(line, seats=change.target)
            self._won.append(self._win(line, rate))

    def _cause_of_size(self, workload: Workload, line: ClearingLine) -> Cause:
        """Why an elastic workload restarts on fewer nodes, or on more."""
        assert workload.attempt is not None
        if len(line.seats) > len(workload.attempt.kept_seats):
            return Cause.RESIZED
        if line.demand in self._given.unpaid:
            return Cause.BUDGET
        is_below_floor = line.reason is WaitReason.BELOW_FLOOR
        return self._displacement.cause_of(
            workload, workload.attempt, is_below_floor=is_below_floor
        )

    def _lose(self, workload: Workload, line: ClearingLine) -> None:
        """Seats lost: notice for what runs, withdrawal of what was only promised."""
        assert not line.seats, "a loser has no seats"
        attempt = workload.attempt
        if attempt is not None and attempt.stop is None:
            is_below_floor = line.reason is WaitReason.BELOW_FLOOR
            cause = self._displacement.cause_of(workload, attempt, is_below_floor=is_below_floor)
            phase = Phase.HEALING if attempt.broken_us is not None else Phase.PREEMPTING
            stop = self._displacement.notice(attempt, cause)
            line = self._without_credit(line)
            leaving = _leaving(_demand(workload), stop, phase, cause.value, line)
            if workload.promise is not None and self._debts.is_due(workload):
                self._charge_withdrawal(workload)
            may_owe = attempt.displaced or attempt.started_us is None
            may_owe = may_owe or any(it.owed is not None for it in attempt.ranks)
            is_own = self._debts.is_due(workload)
            self._left.append(
                msgspec.structs.replace(
                    leaving, is_due=is_own and may_owe, is_own_choice=is_own and not may_owe
                )
            )
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
        may_owe = promise.displaces or promise.own_wait is not None
        is_due = line is not None and may_owe and self._debts.is_due(workload)
        if why in OWN_FAULT or is_due:
            self._charge_withdrawal(workload)
        phase = Phase.QUEUED if workload.attempt is None else workload.phase
        self._left.append(_leaving(_demand(workload), None, phase, why, line))

    def _charge_withdrawal(self, workload: Workload) -> None:
        self._charges.extend(withdrawal_charge(self._world, workload, self._postings, self._now_us))

    def _refuse(self, workload: Workload, line: ClearingLine) -> None:
        """A demand without seats; a promise that it still has falls away."""
        assert not line.seats
        if workload.promise is not None:
            self._withdraw(workload, _reason(line), line)
            return
        counted = counted_limit_micros(self._world, workload, self._now_us)
        if counted != workload.spec.limit_price_micros:
            self._wait(workload, Why.NOT_ADMITTED.value, None)
            return
        self._wait(workload, _reason(line), line.price_to_win_micros)

    def _wait(self, workload: Workload, why: str, price_micros: int | None) -> None:
        if workload.attempt is not None:
            return
        answers = self._answers.get(workload.workload, ())
        if answers and answers[0].market != self._market.market:
            # Its first market is cleared apart: what that said comes first.
            too_large = answers[0].why == WaitReason.TOO_LARGE
            why = WaitReason.NO_ROOM.value if too_large else answers[0].why
            price_micros = answers[0].price_to_win_micros
        known = (workload.why, workload.price_to_win_micros, workload.answers)
        if known == (why, price_micros, answers):
            return
        self._waiting.append(
            lines.Waiting(
                demand=_demand(workload),
                why=why,
                price_to_win_micros=price_micros,
                answers=answers,
            )
        )

    def _exclude(self, workload: Workload, why: str) -> None:
        """A workload that takes no part leaves its seats, with the notice."""
        assert not workload.phase.is_ended
        attempt = workload.attempt
        if attempt is not None and attempt.stop is None:
            is_right = why == Why.RESERVATION_NOT_IN_FORCE
            # What has a list asks for another entry once it has left.
            is_over = is_right and not workload.spec.entries and self._is_over(workload)
            other = Cause.MOVED if is_right and workload.spec.entries else Cause.BUDGET
            cause = Cause.EXPIRED if is_over else other
            phase = Phase.STOPPING if cause in FINAL_CAUSES else Phase.PREEMPTING
            why = Why.RESERVATION_ENDED.value if is_over else why
            stop = self._displacement.notice(attempt, cause)
            if workload.promise is not None and why in OWN_FAULT:
                self._charge_withdrawal(workload)
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
            follows_protected=line.follows_protected,
            market=self._market.market if line.demand in self._answers else None,
        )
        return lines.Won(
            demand=self._tagged(line.demand),
            promise=promise,
            price_set_by=line.price_set_by,
            moved=moved(self._world, line, self._given.evacuees),
            answers=self._answers.get(line.demand, ()),
        )

    def _tagged(self, name: str) -> lines.Demand:
        if name in self._world.records.claims:
            return lines.ClaimDemand(claim=name)
        return lines.WorkloadDemand(workload=name)


def _demand(workload: Workload) -> lines.WorkloadDemand:
    return lines.WorkloadDemand(workload=workload.workload)


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
