"""What use costs and what it earns: charges and payouts, exact to a fraction of a micro-unit.

Theory of operation
-------------------
An attempt has *rates*: from which instant it pays which price per GPU-hour, and how much of it
each account earns. A clearing appends a rate where the price changed; nothing is charged then.
Use is *posted* later, each full hour and when the attempt ends: the stretch since the last
posting is cut into *spans* of one rate each, and each span is one transfer from the org to the
market's clearing account (the *pot*), with its GPUs, price and window. Where nodes of an elastic
workload have different prices, it is one for each price, over the same window.

Amounts are numerators over 3.6e9, the microseconds of an hour: price x GPUs x microseconds. Of
what was accrued, whole micro-units are charged, and the rest is carried by the attempt
(`charged_numerator`). So a charge is floor(sum over all spans / 3.6e9) less what was charged
before, however often use is posted. In the same way the market carries what it owes each account
below one micro-unit (`Records.owed`), pays whole micro-units in order of account id, and keeps
the rest in the pot. Shares add up to the rate, so every micro-unit in the pot is owed to an
account.

    billed from   the first process; where others had to leave for the attempt, the end of their
                  notice and the start grace if that comes first: up to its start as a late start;
                  before that what its run does not make free (`running.unstarted`)
    billed to     the end of the last process, at most the kill or the failure of a node
    posted to     what is beyond dispute: the last checkpoint or an hour ago, the later of both

Invariants
  - No charge twice: `charged_until_us` is in the same event as the transfers.
  - No balance falls below zero and no workload pays above `max_spend`, nor all members of an array
    together above that of their array: what a late clearing let grow beyond that is cut off and
    never charged.
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

from msgspec.structs import replace

from parkade.core.billing.metering import Span, billed_from_us, spans
from parkade.core.billing.minimum import minimum_rate, missing_us
from parkade.core.billing.slow_starts import slow_start_of
from parkade.core.ledger.accounts import (
    OPERATOR,
    Transfer,
    TransferKind,
    Use,
    clearing_account,
    lending_account,
    lending_of,
    org_account,
)
from parkade.core.reservations.reservation import Reservation
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.buffers import part_of_buffers
from parkade.core.units.money import MICROSECONDS_PER_HOUR
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Rate, Workload


def transfers_of(event: events.AnyEvent) -> tuple[Transfer, ...]:
    """The transfers an event carries, for the read model and the ledger alike."""
    return event.transfers if isinstance(event, events.MoneyEvent) else ()


def with_spent(
    workload: Workload, event: events.UsePosted | events.WithdrawalCharged | None
) -> Workload:
    """The workload with what an event charges it counted as spent."""
    assert event is None or event.workload == workload.workload
    transfers = () if event is None else event.transfers
    paid = sum(it.micros for it in transfers if it.kind.is_paid_by_user)
    return replace(workload, spent_micros=workload.spent_micros + paid)


class Postings:
    """The postings of one decision: each sees what those before it moved.

    A charge never exceeds the org's balance nor `max_spend`: what a late clearing let grow beyond
    the earmark is not billed.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._balances: dict[str, int] = {}
        self._owed: dict[tuple[str, str], int] = {}
        self._charged: dict[str, int] = {}
        self._earned: dict[str, int] = {}
        self._over: set[str] = set()
        self._spent_by_members: dict[str, int] = {}

    def post_use(
        self,
        workload: Workload,
        *,
        until_us: int,
        at_us: int,
        minimum_us: int = 0,
        held_us: int = 0,
    ) -> events.UsePosted | None:
        """Charges the attempt's use up to an instant, and what is missing to `minimum_us` of it,
        and pays the accounts that earned it; None if nothing is billed. `held_us`: how much of the
        time before its first process is billed all the same, the last of it."""
        attempt = workload.attempt
        assert attempt is not None and minimum_us >= 0
        least_gpus, least_rate = minimum_rate(workload, attempt)
        prices = (least_rate if minimum_us else attempt.rates[-1], *attempt.rates)
        if not any(rate.price_micros for rate in prices):
            return None
        terms = self._world.records.markets[workload.market].terms
        slow_start = slow_start_of(attempt, terms.start_grace_us, until_us)
        assert held_us <= slow_start.us, "more is billed than was held"
        starts_us = billed_from_us(attempt, terms.start_grace_us)
        start_us = max(attempt.charged_until_us, starts_us if starts_us is not None else until_us)
        until_us = max(start_us, until_us)
        posting = _Posting(
            workload,
            gpus=attempt.gpus,
            attempt=attempt.attempt,
            numerator=attempt.charged_numerator,
        )
        began_us = until_us if attempt.started_us is None else min(attempt.started_us, until_us)
        for span in spans(attempt, slow_start.ends_us - held_us, slow_start.ends_us):
            self._charge(posting, span, TransferKind.LATE_START)
        for span in spans(attempt, start_us, began_us):
            self._charge(posting, span, TransferKind.LATE_START)
        for span in spans(attempt, max(start_us, began_us), until_us):
            self._charge(posting, span, TransferKind.USAGE)
        left_us = missing_us(
            workload,
            attempt,
            minimum_us,
            used_us=attempt.billed_us + held_us + until_us - start_us,
            used_micros=attempt.charged_micros + posting.spent - workload.spent_micros,
        )
        if until_us == start_us and not held_us and not left_us:
            return None
        if left_us:
            self._charge_minimum(posting, least_gpus, least_rate, left_us, until_us)
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
            buffer_micros=self._of_buffers(posting),
        )

    def post_withdrawal(
        self, workload: Workload, *, minimum_us: int, at_us: int
    ) -> events.WithdrawalCharged | None:
        """Charges a promise that is given up: the minimum where others had to leave for it, and at
        least the time in which its seats were idle for its own org. The use of an attempt that
        still runs elsewhere is another matter."""
        promise = workload.promise
        assert promise is not None
        posting = _Posting(workload, gpus=promise.gpus, attempt=None, numerator=0)
        waited_us = promise.waited_us(at_us)
        if promise.owes_minimum:
            least_us = max(minimum_us, waited_us)
            return self._post_minimum(posting, *minimum_rate(workload, promise), least_us, at_us)
        rate = promise.rates[-1]
        if not waited_us or not rate.price_micros:
            return None
        span = Span(rate=rate, start_us=at_us - waited_us, end_us=at_us)
        self._charge(posting, span, TransferKind.LATE_START)
        return self._given_up(posting, at_us)

    def post_lowering(
        self, workload: Workload, *, missing_us: int, at_us: int
    ) -> events.WithdrawalCharged | None:
        """Charges what is missing to the minimum to an attempt for which others had to leave and
        whose bid is lowered; its use is another matter."""
        attempt = workload.attempt
        assert attempt is not None and attempt.displaced
        posting = _Posting(workload, gpus=attempt.gpus, attempt=attempt.attempt, numerator=0)
        return self._post_minimum(posting, *minimum_rate(workload, attempt), missing_us, at_us)

    def post_rank(
        self, workload: Workload, rate: Rate, *, missing_us: int, at_us: int
    ) -> events.WithdrawalCharged | None:
        """Charges what is missing to the minimum of one rank that joined a live attempt and for
        which others had to leave."""
        assert rate.gpus is not None, "what a rank owes is of its GPUs"
        posting = _Posting(workload, gpus=rate.gpus, attempt=None, numerator=0)
        return self._post_minimum(posting, rate.gpus, rate, missing_us, at_us)

    def _post_minimum(
        self, posting: "_Posting", gpus: int, rate: Rate, missing_us: int, at_us: int
    ) -> events.WithdrawalCharged | None:
        if missing_us <= 0 or rate.price_micros == 0:
            return None
        self._charge_minimum(posting, gpus, rate, missing_us, at_us)
        return self._given_up(posting, at_us)

    def _given_up(self, posting: "_Posting", at_us: int) -> events.WithdrawalCharged:
        self._pay(posting)
        return events.WithdrawalCharged(
            at_us=at_us,
            market=posting.workload.market,
            workload=posting.workload.workload,
            transfers=tuple(posting.transfers),
            owed=tuple(posting.owed),
            attempt=posting.attempt,
        )

    def move_most(
        self,
        debit: str,
        credit: str,
        micros: int,
        *,
        kind: TransferKind,
        reservation: str,
        use: Use | None = None,
    ) -> tuple[Transfer, ...]:
        """Moves an amount for a reservation as far as the account reaches; no transfer of 0."""
        assert micros >= 0, "money of a reservation is never taken back"
        moved = min(micros, self._balance(debit))
        if moved == 0:
            return ()
        self._move(debit, credit, moved)
        transfer = Transfer(
            kind=kind,
            debit=debit,
            credit=credit,
            micros=moved,
            reservation=reservation,
            use=use,
        )
        return (transfer,)

    def held_micros(self, account: str) -> int:
        """What an account holds after the postings of this decision."""
        return self._balance(account)

    def _charge_minimum(
        self, posting: "_Posting", gpus: int, rate: Rate, missing_us: int, from_us: int
    ) -> None:
        span = Span(rate=rate, start_us=from_us, end_us=from_us + missing_us)
        self._charge(posting, span, TransferKind.MINIMUM_CHARGE, gpus=gpus)

    def _charge(
        self, posting: "_Posting", span: Span, kind: TransferKind, *, gpus: int | None = None
    ) -> None:
        """One span: a transfer for each price that nodes have in it, over the same window. `gpus`:
        where these are not all."""
        assert span.start_us < span.end_us, "an empty span is no charge"
        workload = posting.workload
        charged_gpus = posting.gpus if gpus is None else gpus
        rate = span.rate.per_hour_micros(charged_gpus)
        length_us = span.end_us - span.start_us
        left = self._balance(org_account(workload.org))
        left = min(left, self._left_to_spend(posting, left))
        most = left * MICROSECONDS_PER_HOUR + MICROSECONDS_PER_HOUR - 1
        if posting.numerator + rate * length_us > most:
            length_us = max(0, (most - posting.numerator) // rate)
        earned = posting.earned
        for earner, share in span.rate.shares:
            earned[earner] = earned.get(earner, 0) + share * length_us
        before = posting.spent
        for part, price_micros in span.rate.parts(charged_gpus):
            use = Use(
                gpus=part,
                price_micros=price_micros,
                start_us=span.start_us,
                end_us=span.start_us + length_us,
            )
            self._charge_use(posting, use, kind)
        assert posting.spent - before <= left, "more is charged than there is"

    def _left_to_spend(self, posting: "_Posting", otherwise: int) -> int:
        """What `max_spend` leaves, of a member its array's; `otherwise` where there is none."""
        array = posting.workload.member_of
        if array is None:
            most = posting.workload.spec.max_spend_micros
            return otherwise if most is None else most - posting.spent
        whole = self._world.records.workloads[array]
        most = whole.spec.max_spend_micros
        if most is None:
            return otherwise
        # In journals of before it bounded them, members may have spent more.
        return max(0, most - whole.spent_micros - self._spent_by_members.get(array, 0))

    def _charge_use(self, posting: "_Posting", use: Use, kind: TransferKind) -> None:
        """The whole micro-units of what nodes of one price cost; the rest is carried on."""
        workload = posting.workload
        account, pot = org_account(workload.org), clearing_account(workload.market)
        owed = use.gpus * use.price_micros * (use.end_us - use.start_us)
        micros, posting.numerator = divmod(posting.numerator + owed, MICROSECONDS_PER_HOUR)
        assert 0 <= posting.numerator < MICROSECONDS_PER_HOUR
        if micros > 0:
            self._move(account, pot, micros)
            posting.spent += micros
            array = workload.member_of
            if array is not None:
                before = self._spent_by_members.get(array, 0)
                self._spent_by_members[array] = before + micros
            posting.transfers.append(
                Transfer(
                    kind=kind,
                    debit=account,
                    credit=pot,
                    micros=micros,
                    workload=workload.workload,
                    attempt=posting.attempt,
                    use=use,
                )
            )

    def _of_buffers(self, posting: "_Posting") -> int:
        """How much of what a spot workload pays stands on lent nodes of buffers."""
        workload = posting.workload
        if workload.attempt is None or workload.spec.capacity.kind is not CapacityKind.SPOT:
            return 0
        market = self._world.records.markets[workload.market]
        return part_of_buffers(self._world, market, workload.attempt.seats, posting.spent)

    def _pay(self, posting: "_Posting") -> None:
        """Whole micro-units in order of account id; what the pot does not hold waits."""
        market = posting.workload.market
        for earner, numerator in sorted(posting.earned.items()):
            self._owed[(market, earner)] = self._owed_to(market, earner) + numerator
            posting.transfers.extend(
                self._pay_earner(market, earner, workload=posting.workload.workload)
            )
            posting.owed.append((earner, self._owed_to(market, earner)))

    def pay_waiting(
        self, reservation: Reservation, *, charged_micros: int, is_over: bool
    ) -> tuple[tuple[Transfer, ...], tuple[tuple[str, int], ...]]:
        """(transfers, what is owed after them) of what a reservation earned beyond its cap: as much
        as one more charge allows, or, once it is over, all of it."""
        name, market = reservation.reservation, reservation.market
        earner = lending_account(reservation.org, name)
        self._charged[name] = self._charged.get(name, 0) + charged_micros
        if is_over:
            self._over.add(name)
        paid = tuple(self._pay_earner(market, earner, workload=None))
        return paid, ((earner, self._owed_to(market, earner)),)

    def _pay_earner(self, market: str, earner: str, *, workload: str | None) -> list[Transfer]:
        """The whole micro-units that an account earned. Of what a reservation earned, its org gets
        no more than its cap leaves: the rest waits, or is the operator's once the right is over."""
        pot = clearing_account(market)
        owed = self._owed_to(market, earner)
        due = min(owed // MICROSECONDS_PER_HOUR, self._balance(pot))
        assert due >= 0
        lending = lending_of(earner)
        if lending is None:
            parts = [(earner, due, TransferKind.FEE if earner == OPERATOR else TransferKind.PAYOUT)]
        else:
            own, rest = self._capped(lending[1], due)
            account = org_account(lending[0])
            parts = [(account, own, TransferKind.PAYOUT), (OPERATOR, rest, TransferKind.FEE)]
        found = []
        for account, micros, kind in parts:
            if micros == 0:
                continue
            owed -= micros * MICROSECONDS_PER_HOUR
            self._move(pot, account, micros)
            found.append(
                Transfer(
                    kind=kind,
                    debit=pot,
                    credit=account,
                    micros=micros,
                    workload=workload,
                    reservation=None if lending is None else lending[1],
                )
            )
        self._owed[(market, earner)] = owed
        return found

    def _capped(self, name: str, due: int) -> tuple[int, int]:
        """(what a reservation is paid now, what the operator gets) of what is due for its lending;
        a record that is forgotten has no cap any more."""
        record = self._world.records.reservations.get(name)
        if record is None:
            # Only a capped reservation earns through an account of its own, and no room is known.
            return 0, due
        if record.payout_cap is None or record.paid_micros is None:
            return due, 0
        cost = record.paid_micros + self._charged.get(name, 0)
        most = replace(record, paid_micros=cost).earns_at_most_micros
        assert most is not None
        room = most - record.earned_micros - self._earned.get(name, 0)
        own = max(0, min(due, room))
        self._earned[name] = self._earned.get(name, 0) + own
        is_over = record.state.is_over or name in self._over
        return own, due - own if is_over else 0

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
        self.earned: dict[str, int] = {}
        """By account, not among what the market owes it until it is paid."""

        self.owed: list[tuple[str, int]] = []
