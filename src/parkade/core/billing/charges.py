"""What use costs, who earns it, and what is set aside: charges, payouts, earmarks.

A charge over rates is floor(sum of price x GPUs x microseconds / 3.6e9) less what was charged
before: what stays below one micro-unit is carried as a numerator. The market's clearing account
receives each charge and pays what is owed in whole micro-units, in order of account id; the rest
waits there (DESIGN.md 4.5).
"""

from collections.abc import Callable

import msgspec

from parkade.core.fleet.market import Market
from parkade.core.ledger.accounts import (
    OPERATOR,
    Transfer,
    TransferKind,
    Use,
    clearing_account,
    org_account,
)
from parkade.core.reservations.reservation import Reservation
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.money import MICROSECONDS_PER_HOUR, ceil_div
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Attempt, Rate, Workload

UNCAPPED_MICROS = 2**62


def transfers_of(event: events.AnyEvent) -> tuple[Transfer, ...]:
    """The transfers an event carries, for the read model and the ledger alike."""
    return event.transfers if isinstance(event, events.MoneyEvent) else ()


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of use at one rate."""

    rate: Rate
    start_us: int
    end_us: int


def billed_from_us(attempt: Attempt, start_grace_us: int) -> int | None:
    """From when an attempt is billed: its first process, or, where others had to leave for it,
    the end of the start grace if that comes first; None while neither is known."""
    if not attempt.displaced:
        return attempt.started_us
    grace_ends_us = attempt.ordered_us + start_grace_us
    return grace_ends_us if attempt.started_us is None else min(attempt.started_us, grace_ends_us)


def billed_to_us(attempt: Attempt, now_us: int) -> int:
    """Until when an attempt is billed at most: a kill's time or a node's failure ends it."""
    ends = [now_us]
    if attempt.stop is not None:
        ends.append(attempt.stop.kill_us)
    if attempt.broken_us is not None:
        ends.append(attempt.broken_us)
    return min(ends)


def spans(attempt: Attempt, start_us: int, end_us: int) -> tuple[Span, ...]:
    """The attempt's rates cut to [start, end), in order; the first also holds before it began.

    Cost grows with the rates since the last posting: at most one a clearing for an hour.
    """
    found = []
    ends = [rate.from_us for rate in attempt.rates[1:]]
    begins_us = start_us
    for rate, rate_ends_us in zip(attempt.rates, [*ends, end_us], strict=True):
        ends_us = min(rate_ends_us, end_us)
        if begins_us < ends_us:
            found.append(Span(rate=rate, start_us=begins_us, end_us=ends_us))
            begins_us = ends_us
    return tuple(found)


def accrued_micros(world: World, workload: Workload, now_us: int) -> int:
    """What the workload's attempt owes and has not been charged, rounded up."""
    attempt = workload.attempt
    if attempt is None:
        return 0
    terms = world.records.markets[workload.market].terms
    starts_us = billed_from_us(attempt, terms.start_grace_us)
    if starts_us is None:
        return 0
    start_us = max(attempt.charged_until_us, starts_us)
    owed = sum(
        span.rate.price_micros * (span.end_us - span.start_us)
        for span in spans(attempt, start_us, billed_to_us(attempt, now_us))
    )
    return ceil_div(attempt.charged_numerator + owed * attempt.gpus, MICROSECONDS_PER_HOUR)


class Postings:
    """The postings of one decision: each sees what those before it moved.

    A charge never exceeds the org's balance nor `max_spend`: what a late clearing let grow beyond
    the earmark is not billed.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._balances: dict[str, int] = {}
        self._owed: dict[tuple[str, str], int] = {}

    def post_use(
        self, workload: Workload, *, until_us: int, at_us: int, minimum_us: int = 0
    ) -> events.UsePosted | None:
        """Charges the attempt's use up to an instant, and what is missing to `minimum_us` of it,
        and pays who earned it; None if nothing is billed."""
        attempt = workload.attempt
        assert attempt is not None
        if all(rate.price_micros == 0 for rate in attempt.rates):
            return None
        terms = self._world.records.markets[workload.market].terms
        starts_us = billed_from_us(attempt, terms.start_grace_us)
        start_us = max(attempt.charged_until_us, starts_us if starts_us is not None else until_us)
        until_us = max(start_us, until_us)
        missing_us = minimum_us - attempt.billed_us - (until_us - start_us)
        if until_us == start_us and missing_us <= 0:
            return None
        posting = _Posting(
            workload,
            gpus=attempt.gpus,
            attempt=attempt.attempt,
            numerator=attempt.charged_numerator,
        )
        for span in spans(attempt, start_us, until_us):
            self._charge(posting, span, TransferKind.USAGE)
        if missing_us > 0:
            self._charge_minimum(posting, attempt.rates[-1], missing_us, until_us)
        self._pay(posting)
        return events.UsePosted(
            at_us=at_us,
            market=workload.market,
            workload=workload.workload,
            attempt=attempt.attempt,
            transfers=tuple(posting.transfers),
            charged_until_us=until_us,
            charged_numerator=posting.numerator,
            billed_us=until_us - start_us,
            owed=tuple(posting.owed),
        )

    def post_withdrawal(
        self, workload: Workload, *, minimum_us: int, at_us: int
    ) -> events.WithdrawalCharged | None:
        """Charges the minimum for a promise for which others had to leave and that is given up;
        the use of an attempt that still runs elsewhere is another matter."""
        promise = workload.promise
        assert promise is not None
        rate = promise.rates[-1]
        if minimum_us <= 0 or rate.price_micros == 0:
            return None
        posting = _Posting(workload, gpus=promise.gpus, attempt=None, numerator=0)
        self._charge_minimum(posting, rate, minimum_us, at_us)
        self._pay(posting)
        return events.WithdrawalCharged(
            at_us=at_us,
            market=workload.market,
            workload=workload.workload,
            transfers=tuple(posting.transfers),
            owed=tuple(posting.owed),
        )

    def credit(
        self, reservation: Reservation, micros: int, *, at_us: int
    ) -> events.MoneyMoved | None:
        """Pays an owner back, as far as the operator's account reaches."""
        paid = min(micros, self._balance(OPERATOR))
        if paid <= 0:
            return None
        account = org_account(reservation.org)
        self._move(OPERATOR, account, paid)
        transfer = Transfer(
            kind=TransferKind.CREDIT,
            debit=OPERATOR,
            credit=account,
            micros=paid,
            reservation=reservation.reservation,
        )
        return events.MoneyMoved(at_us=at_us, transfers=(transfer,))

    def _charge_minimum(
        self, posting: "_Posting", rate: Rate, missing_us: int, from_us: int
    ) -> None:
        span = Span(rate=rate, start_us=from_us, end_us=from_us + missing_us)
        self._charge(posting, span, TransferKind.MINIMUM_CHARGE)

    def _charge(self, posting: "_Posting", span: Span, kind: TransferKind) -> None:
        workload = posting.workload
        account, pot = org_account(workload.org), clearing_account(workload.market)
        rate = span.rate.price_micros * posting.gpus
        length_us = span.end_us - span.start_us
        left = self._balance(account)
        if workload.spec.max_spend_micros is not None:
            left = min(left, workload.spec.max_spend_micros - posting.spent)
        most = left * MICROSECONDS_PER_HOUR + MICROSECONDS_PER_HOUR - 1
        if posting.numerator + rate * length_us > most:
            length_us = max(0, (most - posting.numerator) // rate)
        micros, posting.numerator = divmod(
            posting.numerator + rate * length_us, MICROSECONDS_PER_HOUR
        )
        for earner, share in span.rate.shares:
            self._owed[(workload.market, earner)] = (
                self._owed_to(workload.market, earner) + share * length_us
            )
            posting.earners[earner] = None
        if micros > 0:
            self._move(account, pot, micros)
            posting.spent += micros
            posting.transfers.append(
                Transfer(
                    kind=kind,
                    debit=account,
                    credit=pot,
                    micros=micros,
                    workload=workload.workload,
                    attempt=posting.attempt,
                    use=Use(
                        gpus=posting.gpus,
                        price_micros=span.rate.price_micros,
                        start_us=span.start_us,
                        end_us=span.start_us + length_us,
                    ),
                )
            )

    def _pay(self, posting: "_Posting") -> None:
        """Whole micro-units in order of account id; what the pot does not hold waits."""
        market = posting.workload.market
        pot = clearing_account(market)
        for earner in sorted(posting.earners):
            owed = self._owed_to(market, earner)
            micros = min(owed // MICROSECONDS_PER_HOUR, self._balance(pot))
            self._owed[(market, earner)] = owed - micros * MICROSECONDS_PER_HOUR
            posting.owed.append((earner, self._owed[(market, earner)]))
            if micros > 0:
                self._move(pot, earner, micros)
                posting.transfers.append(
                    Transfer(
                        kind=TransferKind.FEE if earner == OPERATOR else TransferKind.PAYOUT,
                        debit=pot,
                        credit=earner,
                        micros=micros,
                        workload=posting.workload.workload,
                    )
                )

    def _balance(self, account: str) -> int:
        return self._balances.get(account, self._world.ledger.balance(account))

    def _owed_to(self, market: str, account: str) -> int:
        recorded = self._world.records.owed.get(market, {}).get(account, 0)
        return self._owed.get((market, account), recorded)

    def _move(self, debit: str, credit: str, micros: int) -> None:
        self._balances[debit] = self._balance(debit) - micros
        self._balances[credit] = self._balance(credit) + micros


class _Posting:
    """One workload's charges in the making; `attempt` None: for a promise that is given up."""

    def __init__(
        self, workload: Workload, *, gpus: int, attempt: str | None, numerator: int
    ) -> None:
        self.workload = workload
        self.gpus = gpus
        self.attempt = attempt
        self.numerator = numerator
        self.spent = workload.spent_micros
        self.transfers: list[Transfer] = []
        self.earners: dict[str, None] = {}
        self.owed: list[tuple[str, int]] = []


def earmark_micros(market: Market, workload: Workload) -> int:
    """What must be set aside for a spot workload to be in the pass: its limit, until it could be
    gone at the latest after the next clearing (DESIGN.md 4.5); without the start grace once it has
    started and keeps its seats."""
    limit = workload.spec.limit_price_micros
    assert limit is not None
    span_us = earmark_span_us(market)
    attempt = workload.attempt
    if attempt is not None and attempt.started_us is not None and attempt.stop is None:
        span_us -= market.terms.start_grace_us
    return ceil_div(limit * workload.gpus * span_us, MICROSECONDS_PER_HOUR)


def earmark_span_us(market: Market) -> int:
    """Clearing interval + notice + kill + start grace."""
    terms = market.terms
    return terms.clearing_interval_us + terms.notice_us + terms.kill_us + terms.start_grace_us


def committed_micros(world: World, workload: Workload, now_us: int) -> int:
    """What of its org's balance a live workload has a claim on: what it owes, and what it may
    still cost before it could be stopped."""
    market = world.records.markets[workload.market]
    accrued = accrued_micros(world, workload, now_us)
    attempt, promise = workload.attempt, workload.promise
    if workload.spec.capacity.kind is CapacityKind.RESERVATION:
        return accrued
    if workload.spec.capacity.kind is CapacityKind.ON_DEMAND:
        return accrued + _rest_of_window(market, workload, now_us)
    if promise is not None or (attempt is not None and attempt.stop is None):
        return accrued + earmark_micros(market, workload)
    return accrued + leaving_micros(workload, now_us)


def leaving_micros(workload: Workload, now_us: int) -> int:
    """What an attempt that has its notice may still cost until it is killed."""
    attempt = workload.attempt
    if attempt is None or attempt.stop is None or not attempt.rates:
        return 0
    rate = attempt.rates[-1].price_micros * attempt.gpus
    return ceil_div(rate * max(0, attempt.stop.kill_us - now_us), MICROSECONDS_PER_HOUR)


def _rest_of_window(market: Market, workload: Workload, now_us: int) -> int:
    assert workload.must_end_us is not None
    rest_us = max(0, workload.must_end_us + market.terms.leave_us - now_us)
    assert workload.agreed_price_micros is not None
    rate = workload.agreed_price_micros * workload.gpus
    return ceil_div(rate * rest_us, MICROSECONDS_PER_HOUR)


def available_micros(world: World, org: str, now_us: int) -> int:
    """What an org may still commit. Cost grows with its live workloads."""
    committed = sum(
        committed_micros(world, world.records.workloads[name], now_us)
        for name in world.live_of_org.get(org, {})
    )
    return world.ledger.balance(org_account(org)) - committed


def allowance_micros(
    world: World, user: str, now_us: int, *, cost: Callable[[World, Workload, int], int]
) -> int:
    """What a user's cap leaves: less what was spent, and the `cost` of its live workloads."""
    record = world.records.users.get(user)
    if record is None or record.cap_micros is None:
        return UNCAPPED_MICROS
    live = [
        world.records.workloads[name]
        for name in world.live_of_org.get(record.org, {})
        if world.records.workloads[name].user == user
    ]
    spent = world.records.spent_by_user.get(user, 0)
    return record.cap_micros - spent - sum(cost(world, workload, now_us) for workload in live)


def settled_until_us(attempt: Attempt, at_us: int) -> int:
    """Up to when use is beyond dispute: who is stopped with less time than promised is not billed
    since its last reported checkpoint, at most an hour; so that much is posted late."""
    return max(attempt.checkpoint_us or 0, at_us - HOUR_US)
