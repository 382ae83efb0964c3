"""A second opinion on the money of on-demand windows that lists of capacity may buy, from events
alone.

What such a window costs at most until its end is set aside from the submission on. So whenever its
org begins something else, its balance holds that, and what the new thing costs:

    a submission, a longer max_duration    the windows of all its lists, bought or not
    a reservation, or a period of it       the same, once that is paid
    bids that get seats                    the same, and their price until they could be gone
    a list that gets seats as spot         besides, `max_spend` holds its window and that price

Less than the program sets aside: no start grace, nothing that is owed and not charged yet. Nothing
is asked between these, where clearings that come late let running work cost more.

Example (`tests/sim/auditor/test_set_aside.py`). A list of acme may buy two GPUs for an hour at
12.00, which is 24.00, and acme has 24.90. A bid of two GPUs that pays 52.50 costs 1.89 in the 65 s
until it could be gone: it gets no seats.
"""

from parkade.core.fleet.market import MarketTerms
from parkade.core.ledger.accounts import Transfer, TransferKind
from parkade.core.state import events, lines
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.life import Phase
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Promise, Workload
from parkade.sim.auditor.windows import INVARIANT, WindowAuditor
from parkade.sim.findings import require


class SetAsideAuditor:
    """Reads events one by one, each after `windows`; Breach at the first thing that must not be."""

    def __init__(self, windows: WindowAuditor) -> None:
        self._windows = windows
        self._now_us = 0
        self._balances: dict[str, int] = {}
        self._spent: dict[str, int] = {}
        self._lists: dict[str, Workload] = {}
        """Live lists that may buy, as they were submitted."""

        self._most: dict[str, int | None] = {}
        """By list, its `max_spend`."""

        self._org: dict[str, str] = {}
        """By workload."""

        self._bids: set[str] = set()
        """Workloads that are spot now."""

        self._live: set[str] = set()
        self._promised: set[str] = set()
        self._market: dict[str, str] = {}
        """By node."""

        self._terms: dict[str, MarketTerms] = {}

    def read(self, event: events.AnyEvent) -> None:
        """The next event."""
        self._now_us = max(self._now_us, event.at_us)
        for transfer in getattr(event, "transfers", ()):
            self._move(transfer)
        match event:
            case events.PoolOpened(market=market) | events.NodesAdded(market=market):
                self._market |= {it.node: it.market for it in event.nodes}
                if market is not None:
                    self._terms[market.market] = market.terms
            case events.TermsChanged(market=name, terms=terms):
                self._terms[name] = terms
            case events.Submitted(workload=workload) | events.Resubmitted(workload=workload):
                self._submit(workload)
            case events.BoundsChanged(workload=name) if name in self._lists:
                self._most[name] = event.max_spend_micros
                self._check(self._org[name], 0, f"{name} has other bounds")
            case events.EntryTaken(workload=name, capacity=capacity):
                self._take(name, capacity.kind)
            case events.FellBack(workload=name):
                self._bids.discard(name)
            case events.Launched(workload=name):
                self._live.add(name)
                self._promised.discard(name)
            case events.Cleared():
                self._clear(event)
            case events.Ended(workload=name, phase=phase):
                self._live.discard(name)
                self._leave(name, phase)
            case events.PhaseChanged(workload=name, phase=phase):
                self._leave(name, phase)
            case _:
                pass

    def _move(self, transfer: Transfer) -> None:
        self._balances[transfer.debit] = self._balances.get(transfer.debit, 0) - transfer.micros
        self._balances[transfer.credit] = self._balances.get(transfer.credit, 0) + transfer.micros
        name = transfer.workload
        if name is not None and transfer.kind.is_paid_by_user:
            self._spent[name] = self._spent.get(name, 0) + transfer.micros
        if transfer.kind is TransferKind.RESERVATION:
            self._check(transfer.debit.removeprefix("org/"), 0, "a reservation is paid")

    def _submit(self, workload: Workload) -> None:
        name = workload.workload
        self._org[name] = workload.org
        self._take(name, workload.spec.capacity.kind)
        if self._windows.may_buy(name):
            self._lists[name] = workload
            self._most[name] = workload.spec.max_spend_micros
            self._check(workload.org, 0, f"{name} is accepted")

    def _take(self, name: str, kind: CapacityKind) -> None:
        self._bids.discard(name)
        if kind is CapacityKind.SPOT:
            self._bids.add(name)

    def _leave(self, name: str, phase: Phase) -> None:
        if phase is not Phase.PLACED:
            self._promised.discard(name)
        if phase.is_ended:
            self._lists.pop(name, None)

    def _clear(self, event: events.Cleared) -> None:
        before = self._live | self._promised
        for leaving in event.left:
            self._promised.discard(lines.name_of(leaving.demand))
        costs: dict[str, int] = {}
        for won in event.won:
            name = lines.name_of(won.demand)
            self._promised.add(name)
            if name in before or name not in self._bids:
                continue
            cost = self._cost_micros(won.promise)
            costs[self._org[name]] = costs.get(self._org[name], 0) + cost
            self._check_most(name, cost)
        for org, cost in costs.items():
            self._check(org, cost, "bids of it get seats")

    def _cost_micros(self, promise: Promise) -> int:
        """What a bid costs at its price until it could be gone after the next clearing."""
        terms = self._terms[self._market[promise.seats[0].node]]
        leave_us = terms.clearing_interval_us + terms.notice_us + terms.kill_us
        rate, gpus = promise.rates[-1], sum(seat.gpus for seat in promise.seats)
        if not rate.node_prices:
            return rate.price_micros * gpus * leave_us // HOUR_US
        return sum(rate.node_prices) * gpus * leave_us // len(rate.node_prices) // HOUR_US

    def _check(self, org: str, cost_micros: int, what: str) -> None:
        """Whether its balance holds the windows of its lists, and so much beside them."""
        names = [name for name in self._lists if self._org[name] == org]
        if not names:
            return
        kept = sum(self._kept_micros(name) for name in names)
        balance = self._balances.get(f"org/{org}", 0)
        says = f"{what} for {cost_micros}: {org} has {balance}, and {kept} are for {names}"
        require(balance >= kept + cost_micros, INVARIANT, says)

    def _check_most(self, name: str, cost_micros: int) -> None:
        most = self._most.get(name)
        if name not in self._lists or most is None:
            return
        spent, kept = self._spent.get(name, 0), self._kept_micros(name)
        says = f"{name} starts at {cost_micros} beside a window of {kept}, spent {spent} of {most}"
        require(spent + kept + cost_micros <= most, INVARIANT, says)

    def _kept_micros(self, name: str) -> int:
        rest_us = self._windows.rest_us(name, self._now_us)
        price = self._windows.price_micros(name)
        return price * self._lists[name].spec.total_gpus * rest_us // HOUR_US
