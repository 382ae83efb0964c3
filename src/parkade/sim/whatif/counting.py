"""Figures of a run of a marketplace, counted in one way for all runs: from its events, and from the
world after each where an event does not say it.

Money and hours are of the same time: what runs at the end has hours until then, and its charge,
which would be posted later, is counted as far as it has accrued.
"""

from collections.abc import Iterator

import msgspec

from parkade.core.billing.charges import transfers_of
from parkade.core.billing.metering import Span, accrued_spans
from parkade.core.ledger.accounts import OPERATOR, Transfer, TransferKind, lending_of, org_of
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.units.money import MICROS, MICROSECONDS_PER_HOUR
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.workload import Attempt, Workload

MOST_BINS = 400
NOT_OF_THE_MARKET = (
    TransferKind.DEPOSIT,
    TransferKind.GRANT,
    TransferKind.REFUND,
    TransferKind.DISBURSEMENT,
)
PREEMPTED = (Cause.OUTBID, Cause.RECLAIMED, Cause.MOVED, Cause.HEALED, Cause.RESIZED)


class OfWorkload(msgspec.Struct, kw_only=True):
    """What became of a workload."""

    org: str
    name: str
    kind: str
    gpus: int
    submitted_us: int
    first_us: int | None = None
    """When its first process ran."""

    ran_us: int = 0
    """GPUs × microseconds between first processes and released seats."""

    paid_micros: int = 0
    stops: dict[str, int] = msgspec.field(default_factory=dict)
    """Notices by cause."""

    phase: str = "queued"
    ended_us: int | None = None


class OfOrg(msgspec.Struct, kw_only=True):
    """Money of an org."""

    paid_micros: int = 0
    received_micros: int = 0


class Counting:
    """Follows a run; `close` ends it at the instant until which it is counted."""

    def __init__(self, start_us: int, end_us: int) -> None:
        self.start_us, self.end_us = start_us, end_us
        self.workloads: dict[str, OfWorkload] = {}
        self.orgs: dict[str, OfOrg] = {}
        self.claim_waits_us: list[int] = []
        self.owner_waits_us: list[int] = []
        """For promised seats to be free, of claims and of work on reservations."""

        self.fees_micros = 0
        self.clearings = self.moved_gpus = 0
        self.step_us = max(MINUTE_US, -(-(end_us - start_us) // MOST_BINS))
        bins = -(-(end_us - start_us) // self.step_us) or 1
        self.running = [0] * bins
        self.sold = [0] * bins
        """What is charged by the GPU-hour."""

        self.waiting = [0] * bins
        self.claimed = [0] * bins
        self.paid = [0.0] * bins
        self._attempts: dict[str, tuple[Attempt, int]] = {}
        self._waits: dict[str, int] = {}
        self._claims: dict[str, tuple[int, int | None]] = {}
        self._claim_gpus: dict[str, int] = {}
        self._gpus_per_node: dict[str, int] = {}
        self._waited: dict[str, tuple[int, int]] = {}

    def follow(self, event: events.AnyEvent, world: World) -> None:
        """The next event; `world` is that after it."""
        for transfer in transfers_of(event):
            self._count(transfer, event.at_us)
            if transfer.workload in self.workloads and transfer.kind.is_paid_by_user:
                self.workloads[transfer.workload].paid_micros += transfer.micros
        match event:
            case events.Submitted(workload=it):
                self._submitted(it, event.at_us)
            case events.Launched(workload=name, attempt=attempt):
                self._owner_waited(world, world.records.workloads[name].spec.capacity.reservation)
                self._wait(name, None, event.at_us)
                self._attempts[name] = (attempt, 0)
            case events.Started(workload=name):
                attempt, _ = self._attempts[name]
                self._attempts[name] = (attempt, event.at_us)
                one = self.workloads[name]
                one.phase = Phase.RUNNING
                one.first_us = event.at_us if one.first_us is None else one.first_us
            case events.StopOrdered(workload=name, stop=stop):
                self._stopped(name, stop.cause)
            case events.Cleared():
                self.clearings += 1
                for left in event.left:
                    if left.stop is not None:
                        self._stopped(lines.name_of(left.demand), left.stop.cause)
            case events.Ended(workload=name, phase=phase):
                self._ran(name, event.at_us)
                self._phase(name, phase, event.at_us)
            case (
                events.PhaseChanged(workload=name, phase=phase)
                | events.DependenciesMet(workload=name, phase=phase)
            ):
                self._phase(name, phase, event.at_us)
            case _:
                self._of_owners(event, world)

    def close(self, world: World) -> None:
        """What stands at the end is counted until then."""
        for name in world.live:
            self._accrue(world, name)
        for name in tuple(self._attempts):
            self._ran(name, self.end_us)
        for name in tuple(self._waits):
            self._wait(name, None, self.end_us)
        for name, (_, seated_us) in self._claims.items():
            if seated_us is not None:
                self._fill(self.claimed, self._claim_gpus[name], seated_us, self.end_us)

    @property
    def prices(self) -> list[float | None]:
        """What a GPU-hour that was charged cost, for each step; None where none was."""
        return [
            paid / MICROS / (gpus / HOUR_US) if gpus else None
            for paid, gpus in zip(self.paid, self.sold, strict=True)
        ]

    def _owner_waited(self, world: World, reservation: str | None) -> None:
        """Counts the wait that an event has added to a reservation's, if it has."""
        record = world.records.reservations.get(reservation or "")
        if record is None:
            return
        times, total_us = self._waited.get(record.reservation, (0, 0))
        waits = record.waits
        if waits.times > times:
            self.owner_waits_us.append(waits.total_us - total_us)
        self._waited[record.reservation] = (waits.times, waits.total_us)

    def _accrue(self, world: World, name: str) -> None:
        """What a workload owes at the end and was not charged, and who earned it."""
        workload = world.records.workloads[name]
        attempt = workload.attempt
        if attempt is None or name not in self.workloads:
            return
        for span in accrued_spans(world, workload, self.end_us):
            numerator = span.rate.per_hour_micros(attempt.gpus) * (span.end_us - span.start_us)
            micros = numerator // MICROSECONDS_PER_HOUR
            if not micros:
                continue
            self._org(workload.org).paid_micros += micros
            self.workloads[name].paid_micros += micros
            self._spread(micros, span.start_us, span.end_us)
            self._fill(self.sold, attempt.gpus, span.start_us, span.end_us)
            self._earn(span)

    def _earn(self, span: Span) -> None:
        for account, share in span.rate.shares:
            micros = share * (span.end_us - span.start_us) // MICROSECONDS_PER_HOUR
            lending, org = lending_of(account), org_of(account)
            if account == OPERATOR:
                self.fees_micros += micros
            elif lending is not None or org is not None:
                self._org(org or (lending or ("", ""))[0]).received_micros += micros

    def _of_owners(self, event: events.AnyEvent, world: World) -> None:
        match event:
            case events.Reserved(reservation=it):
                self._gpus_per_node[it.reservation] = it.gpus_per_node
            case events.Claimed(claim=it):
                self._claims[it.claim] = (event.at_us, None)
                self._claim_gpus[it.claim] = it.nodes * self._gpus_per_node[it.reservation]
            case events.ClaimSeated(claim=name, nodes=None):
                self._owner_waited(world, world.records.claims[name].reservation)
                claimed_us, _ = self._claims[name]
                self._claims[name] = (claimed_us, event.at_us)
                self.claim_waits_us.append(event.at_us - claimed_us)
            case events.Unclaimed(claim=name):
                claimed_us, seated_us = self._claims.pop(name)
                if seated_us is None:
                    self.claim_waits_us.append(event.at_us - claimed_us)
                else:
                    self._fill(self.claimed, self._claim_gpus[name], seated_us, event.at_us)
            case _:
                pass

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
        if kind is not TransferKind.USAGE:
            return
        use = transfer.use
        if use is None or use.end_us <= use.start_us:
            self.paid[self._bin(at_us)] += micros
            return
        self._spread(micros, use.start_us, use.end_us)
        self._fill(self.sold, use.gpus, use.start_us, use.end_us)

    def _spread(self, micros: int, from_us: int, to_us: int) -> None:
        """What use over a span cost, over the steps that it covers."""
        for place, span_us in self._parts(from_us, to_us):
            self.paid[place] += micros * span_us / (to_us - from_us)

    def _org(self, org: str) -> OfOrg:
        return self.orgs.setdefault(org, OfOrg())

    def _submitted(self, it: Workload, at_us: int) -> None:
        self.workloads[it.workload] = OfWorkload(
            org=it.org,
            name=it.spec.name or it.workload,
            kind=it.spec.capacity.kind.value,
            gpus=it.spec.total_gpus,
            submitted_us=at_us,
            phase=it.phase,
        )
        self._wait(it.workload, at_us if it.phase is Phase.QUEUED else None, at_us)

    def _phase(self, name: str, phase: Phase, at_us: int) -> None:
        one = self.workloads.get(name)
        if one is None:
            return
        one.phase = phase
        one.ended_us = at_us if phase.is_ended else None
        self._wait(name, at_us if phase in (Phase.QUEUED, Phase.PLACED) else None, at_us)

    def _wait(self, name: str, since_us: int | None, at_us: int) -> None:
        """It waits from an instant on, or no longer."""
        begun_us = self._waits.pop(name, None)
        if begun_us is not None and name in self.workloads:
            self._fill(self.waiting, self.workloads[name].gpus, begun_us, at_us)
        if since_us is not None:
            self._waits[name] = since_us

    def _stopped(self, name: str, cause: Cause) -> None:
        one = self.workloads.get(name)
        if one is None or cause not in PREEMPTED:
            return
        one.stops[cause.value] = one.stops.get(cause.value, 0) + 1
        if cause is Cause.MOVED:
            self.moved_gpus += one.gpus

    def _ran(self, name: str, at_us: int) -> None:
        attempt, started_us = self._attempts.pop(name)
        if started_us and name in self.workloads:
            self.workloads[name].ran_us += attempt.gpus * max(0, at_us - started_us)
            self._fill(self.running, attempt.gpus, started_us, at_us)

    def _bin(self, at_us: int) -> int:
        return min(len(self.paid) - 1, max(0, at_us - self.start_us) // self.step_us)

    def _fill(self, bins: list[int], gpus: int, from_us: int, to_us: int) -> None:
        for place, span_us in self._parts(from_us, to_us):
            bins[place] += gpus * span_us

    def _parts(self, from_us: int, to_us: int) -> Iterator[tuple[int, int]]:
        """The steps that a span covers, and how much of it lies in each."""
        at_us, to_us = max(from_us, self.start_us), min(to_us, self.end_us)
        while at_us < to_us:
            place = self._bin(at_us)
            is_last = place == len(self.paid) - 1
            ends_us = self.start_us + (place + 1) * self.step_us
            until_us = to_us if is_last else min(to_us, ends_us)
            yield place, until_us - at_us
            at_us = until_us

    def span_of(self, place: int) -> int:
        """How long a step is: the last one ends with the run."""
        begins_us = self.start_us + place * self.step_us
        return max(1, min(self.step_us, self.end_us - begins_us))

    def day_of(self, place: int) -> float:
        """The middle of a step, in days from the start."""
        return (place + 0.5) * self.step_us / DAY_US


def seconds(span_us: int) -> float:
    """A span in seconds."""
    return span_us / SECOND_US
