"""What use costs and what it earns: charges and payouts, exact to a fraction of a micro-unit.

Theory of operation
-------------------
An attempt has *rates*: from which instant it pays which price per GPU-hour, and how much of it
each account earns. A clearing appends a rate where the price changed; nothing is charged then.
Use is *posted* later, each full hour and when the attempt ends: the stretch since the last
posting is cut into *spans* of one rate each, and each span is one transfer from the org to the
market's clearing account (the *pot*), with its GPUs, price and window.

Amounts are numerators over 3.6e9, the microseconds of an hour: price x GPUs x microseconds. Of
what was accrued, whole micro-units are charged, and the rest is carried by the attempt
(`charged_numerator`). So a charge is floor(sum over all spans / 3.6e9) less what was charged
before, however often use is posted. In the same way the market carries what it owes each account
below one micro-unit (`Records.owed`), pays whole micro-units in order of account id, and keeps
the rest in the pot. Shares add up to the rate, so every micro-unit in the pot is owed to an
account.

    billed from   the first process; where others had to leave for the attempt, the end of their
                  notice and the start grace if that comes first: up to its start as a late start
    billed to     the end of the last process, at most the kill or the failure of a node
    posted to     what is beyond dispute: the last checkpoint or an hour ago, the later of both

Invariants
  - No charge twice: `charged_until_us` is in the same event as the transfers.
  - No balance falls below zero and no workload pays above `max_spend`: what a late clearing let
    grow beyond that is cut off and never charged.
  - Every charge says which GPUs, at which price, over which window.
  - pot x 3.6e9 <= sum of what the market owes below one micro-unit (`kernel.check`).

Example (computed by `tests/core/billing/test_charges.py`). An attempt has two GPUs at 1800 a
GPU-hour: 3600 an hour, one micro-unit a second, of which acme earns 2400 and the operator 1200.

    at      accrued      charged  carried   pot owes acme      pot owes operator   pot holds
    2.5 s   2.5 x 3.6e9  2        1.8e9     6.0e9: pays 1      3.0e9: pays 0       1
    3.0 s   0.5 x 3.6e9  1        0         3.6e9: pays 1      3.6e9: pays 1       0

At 2.5 s the pot receives 2 and pays acme 1; 2.4e9 stay owed to acme and 3.0e9 to the operator.

Decision record 2 says why posting lags, and why charges are cut at the balance.
"""

import msgspec

from parkade.core.fleet.market import MarketTerms
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
from parkade.core.workloads.workload import Attempt, Rate, Workload


def transfers_of(event: events.AnyEvent) -> tuple[Transfer, ...]:
    """The transfers an event carries, for the read model and the ledger alike."""
    return event.transfers if isinstance(event, events.MoneyEvent) else ()


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of use at one rate: [start_us, end_us)."""

    rate: Rate
    start_us: int
    end_us: int


def billed_from_us(attempt: Attempt, start_grace_us: int) -> int | None:
    """From when an attempt is billed: its first process, or, where others had to leave for it,
    when its start is late if that comes first; None while neither is known."""
    if not attempt.displaced:
        return attempt.started_us
    late_us = _late_from_us(attempt, start_grace_us)
    return late_us if attempt.started_us is None else min(attempt.started_us, late_us)


def _late_from_us(attempt: Attempt, start_grace_us: int) -> int:
    """When the start of an attempt that made others leave is late: the start grace after the end of
    their notice. Until the launch, and while its agent is not heard, the platform is late."""
    assert start_grace_us >= 0
    notice_ends_us = attempt.debt.notice_ends_us if attempt.debt is not None else 0
    return max(attempt.ordered_us, notice_ends_us) + start_grace_us + attempt.silent_us


def has_unmet_debt(attempt: Attempt, terms: MarketTerms, now_us: int) -> bool:
    """Whether an attempt made others leave and has not used the minimum yet."""
    is_paid = attempt.debt is not None and attempt.debt.is_paid
    return attempt.displaced and not is_paid and unmet_us(attempt, terms, now_us) > 0


def unmet_us(attempt: Attempt, terms: MarketTerms, now_us: int) -> int:
    """How much of the minimum an attempt has not used yet, as far as it is known now."""
    starts_us = billed_from_us(attempt, terms.start_grace_us)
    used_us = 0 if starts_us is None else max(0, billed_to_us(attempt, now_us) - starts_us)
    return max(0, terms.minimum_charge_us - used_us)


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
    assert attempt.rates, "an attempt always has the rate in force"
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
    assert 0 <= attempt.charged_numerator < MICROSECONDS_PER_HOUR
    start_us = max(attempt.charged_until_us, starts_us)
    owed = sum(
        span.rate.price_micros * (span.end_us - span.start_us)
        for span in spans(attempt, start_us, billed_to_us(attempt, now_us))
    )
    return ceil_div(attempt.charged_numerator + owed * attempt.gpus, MICROSECONDS_PER_HOUR)


def debt_micros(world: World, workload: Workload, now_us: int) -> int:
    """What it would cost now to give up seats for which others were told to leave; 0: nothing."""
    terms = world.records.markets[workload.market].terms
    attempt, promise = workload.attempt, workload.promise
    if promise is not None and promise.displaces:
        rate, missing_us = promise.rates[-1].price_micros * promise.gpus, terms.minimum_charge_us
    elif attempt is not None and has_unmet_debt(attempt, terms, now_us):
        rate = attempt.rates[-1].price_micros * attempt.gpus
        missing_us = unmet_us(attempt, terms, now_us)
    else:
        return 0
    return rate * missing_us // MICROSECONDS_PER_HOUR


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
        and pays the accounts that earned it; None if nothing is billed."""
        attempt = workload.attempt
        assert attempt is not None and minimum_us >= 0
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
        began_us = until_us if attempt.started_us is None else min(attempt.started_us, until_us)
        for span in spans(attempt, start_us, began_us):
            self._charge(posting, span, TransferKind.LATE_START)
        for span in spans(attempt, max(start_us, began_us), until_us):
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
        posting = _Posting(workload, gpus=promise.gpus, attempt=None, numerator=0)
        return self._post_minimum(posting, promise.rates[-1], minimum_us, at_us)

    def post_lowering(
        self, workload: Workload, *, minimum_us: int, at_us: int
    ) -> events.WithdrawalCharged | None:
        """Charges what is missing to the minimum to an attempt for which others had to leave and
        whose bid is lowered, at the rate in force; its use is another matter."""
        attempt = workload.attempt
        assert attempt is not None and attempt.displaced
        posting = _Posting(workload, gpus=attempt.gpus, attempt=attempt.attempt, numerator=0)
        return self._post_minimum(posting, attempt.rates[-1], minimum_us, at_us)

    def _post_minimum(
        self, posting: "_Posting", rate: Rate, minimum_us: int, at_us: int
    ) -> events.WithdrawalCharged | None:
        if minimum_us <= 0 or rate.price_micros == 0:
            return None
        self._charge_minimum(posting, rate, minimum_us, at_us)
        self._pay(posting)
        return events.WithdrawalCharged(
            at_us=at_us,
            market=posting.workload.market,
            workload=posting.workload.workload,
            transfers=tuple(posting.transfers),
            owed=tuple(posting.owed),
            attempt=posting.attempt,
        )

    def credit(
        self, reservation: Reservation, micros: int, *, at_us: int
    ) -> events.MoneyMoved | None:
        """Pays an owner back, as far as the operator's account reaches."""
        assert micros >= 0, "a credit is never taken back"
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
        assert span.start_us < span.end_us, "an empty span is no charge"
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
        assert 0 <= posting.numerator < MICROSECONDS_PER_HOUR and 0 <= micros <= left
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
            assert micros >= 0
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
        assert micros > 0 and debit != credit
        self._balances[debit] = self._balance(debit) - micros
        assert self._balances[debit] >= 0, f"{debit} would hold {self._balances[debit]}"
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


def settled_until_us(attempt: Attempt, at_us: int) -> int:
    """Up to when use is beyond dispute. An attempt that is stopped with less time than promised is
    not billed since its last reported checkpoint, at most an hour; so that much is posted late."""
    return max(attempt.checkpoint_us or 0, at_us - HOUR_US)
