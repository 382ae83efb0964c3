"""What is told of the market in numbers: counted as events are committed, gauged now and then.

`follow`, `refresh`, `commits` and `clearings` are for the writer's thread; `figures` is an
immutable value that any thread may read, at most `EVERY_US` old while anything changes. Counts
begin anew with the process, as counters of Prometheus may. Nothing here names a customer.
"""

from bisect import bisect_left
from collections import Counter

import msgspec

from parkade.control.cycle import Committed
from parkade.core.leasing.lent_now import lent_now
from parkade.core.reservations.reservation import Waits
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.notices import FINAL_CAUSES
from parkade.core.units import indexes
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.life import Cause, Phase
from parkade.core.workloads.spec import CapacityKind

EVERY_US = 5 * SECOND_US
PREEMPTIONS = tuple(it for it in Cause if it not in FINAL_CAUSES | {Cause.NOT_STARTED})
"""Causes that send a workload away while it has not ended by its own or its user's doing."""

BUCKETS_US = (1_000, 5_000, 10_000, 50_000, 100_000, 500_000, SECOND_US, 5 * SECOND_US)
USES = ("owner", "lent", "spot", "on_demand", "idle", "out")
_USE_OF = {
    CapacityKind.RESERVATION: "owner",
    CapacityKind.ON_DEMAND: "on_demand",
    CapacityKind.SPOT: "spot",
}


class MarketGauges(msgspec.Struct, frozen=True, kw_only=True):
    """One market at an instant. `phases`: workloads and members of arrays that have not ended.
    `gpus`: by use, of all its nodes. Prices in micro-units per GPU-hour; `to_win_micros`: what a
    newcomer of one node would pay, None where no price wins one."""

    phases: dict[Phase, int]
    gpus: dict[str, int]
    floor_micros: int
    on_demand_micros: int
    reservation_micros: int
    to_win_micros: int | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`imbalance_micros`: the sum of all accounts, which is 0."""

    markets: dict[str, MarketGauges] = {}
    imbalance_micros: int = 0


class Durations:
    """How often something took how long: by bucket, cumulated when told."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_US) + 1)
        self.total_us = 0

    def note(self, us: int) -> None:
        """It took so long once more."""
        self.total_us += us
        self.counts[bisect_left(BUCKETS_US, us)] += 1


class MarketFigures:
    """Counters by market: `started` attempts, `ended` workloads by (market, phase), `preempted`
    attempts by (market, cause), owners' `waits` with `waited_us`, what was promised to them and not
    kept: `late`, seats that came later than the market's terms allow, and `short`, rights that
    lacked nodes. `commits` and `clearings`: how long they took."""

    def __init__(self, world: World) -> None:
        self.figures = Figures()
        self.started: Counter[str] = Counter()
        self.ended: Counter[tuple[str, Phase]] = Counter()
        self.preempted: Counter[tuple[str, Cause]] = Counter()
        self.waits: Counter[str] = Counter()
        self.waited_us: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.short: Counter[str] = Counter()
        self.commits = Durations()
        self.clearings = Durations()
        self._waits = {name: it.waits for name, it in world.records.reservations.items()}
        self._refreshed_us = 0
        self._is_changed = True
        self.refresh(world, steady_us=EVERY_US)

    def follow(self, world: World, committed: Committed) -> None:
        """Counts what was committed."""
        self._is_changed = True
        for _, event in committed:
            match event:
                case events.Started():
                    self.started[_market(world, event.workload)] += 1
                case events.Ended():
                    self._note_end(_market(world, event.workload), event)
                case events.PhaseChanged(phase=phase) if phase.is_ended:
                    self.ended[_market(world, event.workload), phase] += 1
                case events.MembersEnded():
                    key = (_market(world, event.workload), event.phase)
                    self.ended[key] += indexes.count(event.members)
                case events.ClaimSeated():
                    claim = world.records.claims.get(event.claim)
                    self._note_waits(world, None if claim is None else claim.reservation)
                case events.Launched():
                    workload = world.records.workloads.get(event.workload)
                    capacity = None if workload is None else workload.spec.capacity
                    self._note_waits(world, None if capacity is None else capacity.reservation)
                case events.ReservationSettled():
                    self.short[event.market] += sum(1 for _, gpus in event.short if gpus)
                case _:
                    pass

    def _note_end(self, market: str, event: events.Ended) -> None:
        if event.phase.is_ended:
            self.ended[market, event.phase] += 1
        elif event.cause in PREEMPTIONS:
            self.preempted[market, event.cause] += 1

    def _note_waits(self, world: World, name: str | None) -> None:
        """Counts the waits of a reservation since it was last looked at; more than one at once is
        late where the longest is, and once."""
        reservation = None if name is None else world.records.reservations.get(name)
        if reservation is None:
            return
        before = self._waits.get(reservation.reservation, Waits())
        waits = self._waits[reservation.reservation] = reservation.waits
        if waits.times == before.times:
            return
        market, times = reservation.market, waits.times - before.times
        waited_us = waits.total_us - before.total_us
        self.waits[market] += times
        self.waited_us[market] += waited_us
        allowed_us = world.records.markets[market].terms.leave_us
        is_longest = waits.longest_us > before.longest_us
        longest_us = waits.longest_us if is_longest else waited_us // times
        self.late[market] += longest_us > allowed_us

    def refresh(self, world: World, *, steady_us: int) -> None:
        """New gauges, where something changed and the last are old. Cost grows with the nodes, what
        is on them, and the workloads that live."""
        if not self._is_changed or steady_us - self._refreshed_us < EVERY_US:
            return
        self._is_changed, self._refreshed_us = False, steady_us
        records = world.records
        known = records.reservations
        self._waits = {name: it for name, it in self._waits.items() if name in known}
        phases = _phases(world)
        gpus = _gpus(world)
        self.figures = Figures(
            markets={
                name: MarketGauges(
                    phases=phases[name],
                    gpus=gpus[name],
                    floor_micros=market.terms.public_floor_micros,
                    on_demand_micros=market.terms.pay_as_you_go_micros,
                    reservation_micros=market.terms.reservation_rate_micros,
                    to_win_micros=dict(market.ladder).get(1),
                )
                for name, market in records.markets.items()
            },
            imbalance_micros=sum(records.balances.values()),
        )


def _phases(world: World) -> dict[str, dict[Phase, int]]:
    """By market, what has not ended by phase. Of an array that lives, its members: those that are
    open by themselves, those that wait as queued, or as held where the array is."""
    found = {name: {p: 0 for p in Phase if not p.is_ended} for name in world.records.markets}
    for name in world.live:
        workload = world.records.workloads[name]
        array = workload.array
        number = 1 if array is None else indexes.count(array.waiting)
        phase = workload.phase if array is None or workload.phase is Phase.HELD else Phase.QUEUED
        found[workload.market][phase] += number
    return found


def _gpus(world: World) -> dict[str, dict[str, int]]:
    """By market, its GPUs by what they do."""
    records = world.records
    found = {name: dict.fromkeys(USES, 0) for name in records.markets}
    for node in records.nodes.values():
        uses = found[node.market]
        if not node.is_in_play:
            uses["out"] += node.gpus
            continue
        uses["idle"] += node.gpus
        for holder, gpus in world.held_on[node.node].items():
            workload = records.workloads.get(holder)
            use = "owner" if workload is None else _USE_OF[workload.spec.capacity.kind]
            uses[use] += gpus
            uses["idle"] -= gpus
    for name, lent in lent_now(world, records.reservations.values(), records.now_us).items():
        uses = found[records.reservations[name].market]
        gpus = min(lent.gpus, uses["spot"])
        uses["lent"] += gpus
        uses["spot"] -= gpus
    return found


def _market(world: World, workload: str) -> str:
    """Of a workload that an event of the same commit is about."""
    record = world.records.workloads.get(workload)
    return "" if record is None else record.market
