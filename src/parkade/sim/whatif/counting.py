"""Figures of a run of a marketplace, counted in one way for all runs: from its events, and from the
world after each where an event does not say it.

Money and hours are of the same time: what runs at the end has hours until then (`lives`), and its
charge, which would be posted later, is counted as far as it has accrued.
"""

import msgspec

from parkade.core.billing.charges import transfers_of
from parkade.core.billing.metering import Span, accrued_spans
from parkade.core.ledger.accounts import OPERATOR, Transfer, TransferKind, lending_of, org_of
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.money import MICROS, MICROSECONDS_PER_HOUR
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.sim.whatif.lives import Lives
from parkade.sim.whatif.owners import Owners
from parkade.sim.whatif.timeline import Timeline

NOT_OF_THE_MARKET = (
    TransferKind.DEPOSIT,
    TransferKind.GRANT,
    TransferKind.REFUND,
    TransferKind.DISBURSEMENT,
)


class OfOrg(msgspec.Struct, kw_only=True):
    """Money of an org."""

    paid_micros: int = 0
    received_micros: int = 0


class Counting:
    """Follows a run; `close` ends it at the instant until which it is counted."""

    def __init__(self, start_us: int, end_us: int) -> None:
        self.timeline = Timeline(start_us, end_us)
        self.lives, self.owners = Lives(self.timeline), Owners(self.timeline)
        self.orgs: dict[str, OfOrg] = {}
        self.fees_micros = 0
        self.clearings = 0
        self.sold = self.timeline.zeros()
        """What is charged by the GPU-hour."""

        self.paid = [0.0 for _ in self.sold]

    def follow(self, event: events.AnyEvent, world: World) -> None:
        """The next event; `world` is that after it."""
        self.lives.follow(event, world)
        self.owners.follow(event, world)
        self.clearings += isinstance(event, events.Cleared)
        for transfer in transfers_of(event):
            self._count(transfer, event.at_us)

    def close(self, world: World) -> None:
        """What stands at the end is counted until then."""
        for name in world.live:
            self._accrue(world, name)
        self.lives.close()
        self.owners.close()

    @property
    def prices(self) -> list[float | None]:
        """What a GPU-hour that was charged cost, for each step; None where none was."""
        return [
            paid / MICROS / (gpus / HOUR_US) if gpus else None
            for paid, gpus in zip(self.paid, self.sold, strict=True)
        ]

    def _accrue(self, world: World, name: str) -> None:
        """What a workload owes at the end and was not charged, and who earned it. It is sold from
        its first process on, as what is posted."""
        workload = world.records.workloads[name]
        attempt = workload.attempt
        if attempt is None:
            return
        numerator = attempt.charged_numerator
        for span in accrued_spans(world, workload, self.timeline.end_us):
            owed = span.rate.per_hour_micros(attempt.gpus) * (span.end_us - span.start_us)
            micros, numerator = divmod(numerator + owed, MICROSECONDS_PER_HOUR)
            self._org(workload.org).paid_micros += micros
            self.lives.workloads[name].paid_micros += micros
            self._earn(span)
            begins_us = max(span.start_us, attempt.started_us or span.end_us)
            if owed and begins_us < span.end_us:
                used = micros * (span.end_us - begins_us) // (span.end_us - span.start_us)
                gpus = attempt.gpus if span.rate.gpus is None else span.rate.gpus
                self._sell(used, gpus, begins_us, span.end_us)

    def _earn(self, span: Span) -> None:
        for account, share in span.rate.shares:
            micros = share * (span.end_us - span.start_us) // MICROSECONDS_PER_HOUR
            lending, org = lending_of(account), org_of(account)
            if account == OPERATOR:
                self.fees_micros += micros
            elif lending is not None or org is not None:
                self._org(org or (lending or ("", ""))[0]).received_micros += micros

    def _count(self, transfer: Transfer, at_us: int) -> None:
        kind, micros = transfer.kind, transfer.micros
        if kind in NOT_OF_THE_MARKET:
            return
        if kind is TransferKind.FEE:
            self.fees_micros += micros
        payer, payee = org_of(transfer.debit), org_of(transfer.credit)
        if payer is not None:
            self._org(payer).paid_micros += micros
        if payee is not None:
            self._org(payee).received_micros += micros
        if transfer.workload is not None and kind.is_paid_by_user:
            self.lives.workloads[transfer.workload].paid_micros += micros
        if kind is not TransferKind.USAGE:
            return
        use = transfer.use
        if use is None or use.end_us <= use.start_us:
            self.paid[self.timeline.place(at_us)] += micros
        else:
            self._sell(micros, use.gpus, use.start_us, use.end_us)

    def _sell(self, micros: int, gpus: int, from_us: int, to_us: int) -> None:
        """What use over a span cost, over the steps that it covers."""
        self.timeline.fill(self.sold, gpus, from_us, to_us)
        for place, span_us in self.timeline.parts(from_us, to_us):
            self.paid[place] += micros * span_us / (to_us - from_us)

    def _org(self, org: str) -> OfOrg:
        return self.orgs.setdefault(org, OfOrg())


def seconds(span_us: int) -> float:
    """A span in seconds."""
    return span_us / SECOND_US
