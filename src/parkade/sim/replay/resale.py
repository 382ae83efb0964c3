"""Idle resale: four fleets over one trace side by side, and Parkade again with one thing changed.

`reserved`: each tenant has its quota and nothing else. `shared`: one pool, first come first served.
`killing`: one pool with backfill, whose owners kill guests without notice. `parkade`: this
marketplace, once for each `keep`.
"""

import time
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from parkade.api.translate.scalars import micros, span_us
from parkade.api.translate.terms import terms_of
from parkade.core.ledger.accounts import TransferKind
from parkade.core.units.money import MICROS
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from parkade.sim.replay.demand import Demand
from parkade.sim.replay.figures import (
    REPORT_VERSION,
    GuestFigures,
    HeadroomFigures,
    MoneyFigures,
    OwnerFigures,
    PolicyFigures,
    ResaleReport,
    RunCost,
    Series,
)
from parkade.sim.replay.fleet import fabrics_of
from parkade.sim.replay.market import MarketRun
from parkade.sim.replay.money import Money
from parkade.sim.replay.scenario import IdleResale
from parkade.sim.replay.setup import Setup
from parkade.sim.replay.shared_pool import SharedPool
from parkade.sim.replay.tally import (
    BIN_US,
    Level,
    Outcome,
    Tally,
    by_headroom,
    quantile,
)
from parkade.wire.scalars import format_amount

Progress = Callable[[str, int], None]
"""Told the name of a run and the minutes of it that are done."""

RESERVED, SHARED, KILLING, PARKADE = "reserved", "shared", "killing", "parkade"
WORDS = {
    RESERVED: "reserved only",
    SHARED: "shared, first come first served",
    KILLING: "shared, owners kill guests",
}


def replay(scenario: IdleResale, demand: Demand, progress: Progress) -> ResaleReport:
    """All fleets. Cost: that of the production core for each `keep`."""
    nodes = sum(count for _, count in demand.nodes)
    terms = scenario.terms
    bound = terms.notice + terms.kill + terms.turnaround
    return ResaleReport(
        version=REPORT_VERSION,
        kind=scenario.kind,
        name=scenario.name,
        orgs=len(demand.nodes),
        nodes=nodes,
        gpus=nodes * demand.gpus_per_node,
        fabrics=len(fabrics_of(nodes, scenario.fleet.fabric_nodes)),
        days=demand.minutes * MINUTE_US / DAY_US,
        busy_gpu_hours=demand.busy_gpu_minutes / 60,
        queued_gpu_hours=demand.queued_gpu_minutes / 60,
        servable_gpu_hours=demand.servable_gpu_minutes / 60,
        cut_guests=demand.cuts,
        wait_bound_s=bound.total_seconds(),
        policies=tuple(_policies(scenario, demand, progress)),
    )


def setup_of(scenario: IdleResale) -> Setup:
    """The market of a scenario."""
    guests = scenario.guests
    return Setup(
        terms=terms_of(scenario.terms),
        fabric_nodes=scenario.fleet.fabric_nodes,
        floor_micros=micros(scenario.owners.floor),
        keep_percent=scenario.owners.keep,
        headroom_percent=None,
        starting_us=span_us(guests.starting),
        checkpoint_every_us=span_us(guests.checkpoint_every),
    )


def runs_of(scenario: IdleResale) -> tuple[str, ...]:
    """What each run is called, in order."""
    return (*WORDS.values(), *_variants(scenario))


def _variants(scenario: IdleResale) -> dict[str, Setup]:
    """Each run of the production core by what it is called: the scenario's own first."""
    own = setup_of(scenario)
    found = {f"Parkade, keep {own.keep_percent} %": own}
    for keep in scenario.sweeps.keep:
        found.setdefault(f"Parkade, keep {keep} %", replace(own, keep_percent=keep))
    for floor in scenario.sweeps.floor:
        found[f"Parkade, floor {format_amount(floor)}"] = replace(own, floor_micros=micros(floor))
    for headroom in scenario.sweeps.headroom:
        name = f"Parkade, filled but for {headroom} %"
        found[name] = replace(own, headroom_percent=headroom)
    return found


def _policies(scenario: IdleResale, demand: Demand, progress: Progress) -> Iterator[PolicyFigures]:
    judge = _Judge(scenario, demand)
    for policy, words in WORDS.items():
        if policy == RESERVED:
            tally = _reserved(demand)
        else:
            pool = SharedPool(setup_of(scenario), demand, owners_first=policy == KILLING)
            tally = pool.run()
        progress(words, demand.minutes)
        yield judge.figures(policy, words, tally)
    for words, setup in _variants(scenario).items():
        begun_s = time.process_time()
        run = MarketRun(setup, demand)
        run.run(lambda minutes, words=words: progress(words, minutes))  # type: ignore[misc]
        cost = RunCost(
            cpu_s=time.process_time() - begun_s,
            clearing_cpu_s=run.core.clearing_cpu_s,
            clearings=run.core.clearings,
            events=run.core.events,
            digest=run.core.digest,
        )
        yield judge.figures(PARKADE, words, run.tally, setup=setup, money=run.money, cost=cost)


def _reserved(demand: Demand) -> Tally:
    """Each owner has its nodes at once; what queues waits."""
    tally = Tally(demand.start_us, demand.start_us + demand.minutes * MINUTE_US)
    for minute in demand.changes:
        at_us = tally.start_us + minute.minute * MINUTE_US
        tally.set(Level.OWNERS, minute.busy_gpus, at_us)
        tally.set(Level.QUEUED, minute.queued_gpus, at_us)
        more = sum(it.nodes for it in minute.claimed) - sum(it.nodes for it in minute.given_back)
        tally.add(Level.OWNERS_NODES, more * demand.gpus_per_node, at_us)
        for tenant in dict.fromkeys(it.tenant for it in minute.claimed):
            nodes = sum(it.nodes for it in minute.claimed if it.tenant == tenant)
            reclaim = tally.begin_reclaim(tenant, nodes, headroom=0.0, at_us=at_us)
            tally.settle(reclaim, nodes, at_us)
    tally.close()
    return tally


class _Judge:
    """Makes figures of tallies over one demand."""

    def __init__(self, scenario: IdleResale, demand: Demand) -> None:
        self._demand = demand
        self._pause_us = span_us(scenario.terms.clearing_pause)
        nodes = sum(count for _, count in demand.nodes)
        self._gpu_hours = nodes * demand.gpus_per_node * demand.minutes / 60
        rate = micros(scenario.terms.reservation_rate) / MICROS
        self._reservations = self._gpu_hours * rate

    def figures(
        self,
        policy: str,
        words: str,
        tally: Tally,
        *,
        setup: Setup | None = None,
        money: Money | None = None,
        cost: RunCost | None = None,
    ) -> PolicyFigures:
        """What came out."""
        waiting = tally.gpu_hours(Level.OWNERS_WAITING)
        owners = tally.gpu_hours(Level.OWNERS) - waiting
        ran, lost = tally.gpu_hours(Level.GUESTS), tally.lost_us / HOUR_US
        background = tally.gpu_hours(Level.BACKGROUND)
        waits = [reclaim.wait_us for reclaim in tally.reclaims]
        return PolicyFigures(
            policy=policy,
            words=words,
            keep_percent=setup.keep_percent if setup else 0,
            floor=setup.floor_micros / MICROS if setup else None,
            headroom_percent=setup.headroom_percent if setup else None,
            utilisation=(owners + ran + background - lost) / self._gpu_hours,
            owners=OwnerFigures(
                reclaims=len(waits),
                waited=sum(wait > self._pause_us for wait in waits),
                wait_p50_s=quantile(waits, 0.5),
                wait_p99_s=quantile(waits, 0.99),
                wait_max_s=quantile(waits, 1.0),
                waiting_gpu_hours=waiting,
                rechosen=tally.rechosen,
            ),
            guests=GuestFigures(
                ran_gpu_hours=ran,
                served_share=ran * 60 / max(1, self._demand.servable_gpu_minutes),
                stops=tally.stops,
                lost_gpu_hours=lost,
                background_gpu_hours=background,
                unused_gpu_hours=tally.unused_us / HOUR_US,
                waited_gpu_hours={
                    reason: span_us / HOUR_US for reason, span_us in sorted(tally.waited_us.items())
                },
            ),
            headroom=tuple(
                HeadroomFigures(
                    least_percent=edge,
                    untouched=found[Outcome.UNTOUCHED],
                    moved=found[Outcome.MOVED],
                    restarted=found[Outcome.RESTARTED],
                )
                for edge, found in by_headroom(tally.reclaims)
                if policy not in (RESERVED, SHARED)
            ),
            money=self._money(policy, owners, ran + background - lost, money),
            cost=cost,
            waits_s=_longer_than(waits),
            series=_series(tally, money),
        )

    def _money(
        self, policy: str, owners: float, guests: float, money: Money | None
    ) -> MoneyFigures:
        paid = payouts = fees = price = None
        if money is not None:
            paid = money.total(
                TransferKind.USAGE, TransferKind.MINIMUM_CHARGE, TransferKind.LATE_START
            )
            payouts, fees = money.total(TransferKind.PAYOUT), money.total(TransferKind.FEE)
            price = paid / (money.paid_gpu_us / HOUR_US) if money.paid_gpu_us else None
        is_owned = policy != SHARED
        return MoneyFigures(
            reservations=self._reservations,
            guests_paid=paid,
            payouts=payouts,
            fees=fees,
            guest_price=price,
            owner_cost=(self._reservations - (payouts or 0)) / owners if is_owned else None,
            guest_cost=paid / guests if paid is not None and guests else None,
            fleet_cost=self._reservations / (owners + guests),
        )


def _longer_than(waits: list[int]) -> tuple[tuple[float, float], ...]:
    """(wait in seconds, share that waited longer) for each length that occurs, from 0 on."""
    count = len(waits)
    lengths = sorted({0, *waits})
    return tuple(
        (length / SECOND_US, sum(wait > length for wait in waits) / max(1, count))
        for length in lengths
    )


def _series(tally: Tally, money: Money | None) -> Series:
    spans = [
        min(BIN_US, tally.end_us - tally.start_us - place * BIN_US)
        for place in range(len(tally.bins[Level.OWNERS]))
    ]

    def mean(level: Level) -> tuple[float, ...]:
        return tuple(
            round(total / span, 3) for total, span in zip(tally.bins[level], spans, strict=True)
        )

    def day(at_us: int) -> float:
        return round((at_us - tally.start_us) / DAY_US, 5)

    paid = 0
    payouts = []
    hours = money.by_hour[TransferKind.PAYOUT] if money is not None else []
    for hour, amount in enumerate(hours):
        paid += amount
        payouts.append((round(hour / 24, 5), paid / MICROS))
    return Series(
        step_minutes=BIN_US // MINUTE_US,
        owners=tuple(
            round(max(0.0, busy - waiting), 3)
            for busy, waiting in zip(mean(Level.OWNERS), mean(Level.OWNERS_WAITING), strict=True)
        ),
        owners_nodes=mean(Level.OWNERS_NODES),
        guests=tuple(
            own + other
            for own, other in zip(mean(Level.GUESTS), mean(Level.BACKGROUND), strict=True)
        ),
        queued=mean(Level.QUEUED),
        prices=tuple((day(at_us), price) for at_us, price in (money.prices if money else ())),
        payouts=tuple(payouts),
    )
