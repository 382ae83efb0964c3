"""Files of a cluster become a report: read, replay the cluster's policy, count, play the market."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from parkade.api.translate.scalars import micros
from parkade.api.translate.terms import terms_of
from parkade.core.fleet.market import MarketTerms
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.sim.observe.accuracy import (
    REPLAYED_JOBS,
    Accuracy,
    accuracy,
    candidates,
    choose,
    depth_of,
    first_jobs,
    waits_of,
    window_of,
)
from parkade.sim.observe.asks import Bidding, asks_of, part_of
from parkade.sim.observe.entitlements import (
    Entitlement,
    Given,
    entitlements_of,
    read_entitlements,
)
from parkade.sim.observe.figures import (
    REPORT_VERSION,
    AccountFigures,
    AccountWaits,
    Assumed,
    FleetFigures,
    FloorFigures,
    Held,
    ObserveReport,
    PartFigures,
    Rows,
)
from parkade.sim.observe.fleet import Fleet, infer_fleet
from parkade.sim.observe.idle import Idle, idle_of
from parkade.sim.observe.jobs import NEVER, Jobs, Kind, Reading
from parkade.sim.observe.kinds import NodeKind, Sorted, sort_jobs
from parkade.sim.observe.lending import PAUSES_US, Lending, Outcome, org_name
from parkade.sim.observe.sacct import read_jobs
from parkade.sim.observe.sinfo import read_fleet
from parkade.sim.replay.tables import BadData
from parkade.sim.replay.tally import quantile
from parkade.wire.pools import Terms

Progress = Callable[[str, int], None]
"""Told what is done and how many percent of it."""

FEWEST_CPU_SHARE = 100
SAME_S = 60
MICROS = 1_000_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asks for."""

    sacct: Path
    sinfo: Path | None
    entitlements: Path | None
    floors: tuple[Decimal, ...]
    limit: Decimal
    fee: str
    notice_s: int
    saves_percent: int
    spread_percent: int
    seed: int
    most_jobs: int
    """Jobs that the market plays at each floor."""

    backfill_interval_s: int


def observe(asked: Asked, progress: Progress) -> ObserveReport:
    """The whole report. Raises `BadData`."""
    progress("read", 0)
    given = read_entitlements(asked.entitlements) if asked.entitlements else {}
    jobs, reading = read_jobs(asked.sacct)
    window = window_of(jobs)
    fleet = _fleet(asked, jobs, window)
    found = sort_jobs(jobs, fleet)
    if not found.which:
        raise BadData(f"{asked.sacct} has no jobs on the GPU nodes of the fleet")
    progress("replay the cluster's policy", 0)
    tried, policy = _replay(asked, jobs, fleet, found, window, given)
    progress("count what stood idle", 0)
    use = [_idle(jobs, found, place, window, {}) for place in range(len(found.kinds))]
    entitled = entitlements_of(jobs, fleet, found, use, given)
    use = [
        _idle(
            jobs, found, place, window, {it.account: it.gpus for it in entitled if it.kind == place}
        )
        for place in range(len(found.kinds))
    ]
    terms = _terms(asked)
    parts, floors = _lend(asked, jobs, found, window, entitled, terms, progress)
    return ObserveReport(
        version=REPORT_VERSION,
        begin_s=window[0],
        end_s=window[1],
        rows=_rows(jobs, reading, found),
        fleet=FleetFigures(
            nodes=len(fleet.nodes),
            gpus=fleet.gpus,
            kinds=tuple(f"{kind.nodes} × {words_of(kind)}" for kind in found.kinds),
            is_inferred=fleet.is_inferred,
            unseen_nodes=fleet.unseen,
        ),
        fleet_hours=sum(it.fleet for it in use),
        used_hours=sum(it.used for it in use),
        queued_hours=sum(it.queued for it in use),
        servable_hours=sum(it.servable for it in use),
        policy=policy,
        tried=tried,
        accounts=_accounts(jobs, found, use, entitled),
        held=_held(jobs, found, window),
        assumed=Assumed(
            median_limit=float(asked.limit),
            spread_percent=asked.spread_percent,
            saves_percent=asked.saves_percent,
            seed=asked.seed,
            fee=asked.fee,
            notice_s=terms.notice_us / SECOND_US,
            wait_bound_s=terms.leave_us / SECOND_US,
        ),
        parts=parts,
        floors=floors,
        bin_s=use[0].bin_s,
        used_gpus=_summed([it.used_gpus for it in use]),
        queued_gpus=_summed([it.queued_gpus for it in use]),
    )


def words_of(kind: NodeKind) -> str:
    """`8 h100`."""
    return f"{kind.gpus_per_node} {kind.model}"


def _fleet(asked: Asked, jobs: Jobs, window: tuple[int, int]) -> Fleet:
    if asked.sinfo is None:
        fleet = infer_fleet(jobs, window[1])
        if not fleet.gpus:
            raise BadData(
                f"no job of {asked.sacct} held a GPU; is gres/gpu in AccountingStorageTRES?"
            )
        return fleet
    seen = {name for names in jobs.host_lists for name in names}
    return read_fleet(asked.sinfo, frozenset(seen))


def _replay(
    asked: Asked,
    jobs: Jobs,
    fleet: Fleet,
    found: Sorted,
    window: tuple[int, int],
    given: dict[str, Given],
) -> tuple[tuple[Accuracy, ...], Accuracy]:
    limits = {
        account: entry.gpus
        for name, entry in given.items()
        if entry.is_limit and (account := jobs.accounts.find(name)) is not None
    }
    rules = candidates(
        jobs, asked.backfill_interval_s, depth_of(min(len(found.which), REPLAYED_JOBS))
    )
    best, tried = choose(jobs, fleet, rules, which=found.which, window=window, limits=limits)
    some, until_s = first_jobs(jobs, found.which, window, REPLAYED_JOBS)
    return tried, accuracy(
        jobs,
        fleet,
        best,
        which=some,
        window=(window[0], until_s),
        limits=limits,
        is_whole=until_s == window[1],
    )


def _idle(
    jobs: Jobs, found: Sorted, place: int, window: tuple[int, int], entitled: dict[int, int]
) -> Idle:
    own = (
        found.which
        if len(found.kinds) == 1
        else array("l", [job for job in found.which if found.kind_of[job] == place])
    )
    return idle_of(jobs, own, window, found.kinds[place].gpus, entitled)


def _rows(jobs: Jobs, reading: Reading, found: Sorted) -> Rows:
    return Rows(
        rows=reading.rows,
        jobs=len(jobs),
        left_out=dict(reading.left_out),
        noted=dict(reading.noted),
        examples=tuple(reading.examples),
        outside=found.left_out,
    )


def _accounts(
    jobs: Jobs, found: Sorted, use: list[Idle], entitled: tuple[Entitlement, ...]
) -> tuple[AccountFigures, ...]:
    owned = {(it.account, it.kind): it for it in entitled}
    made = []
    for place, idle in enumerate(use):
        for account, one in idle.accounts.items():
            own = owned.get((account, place))
            made.append(
                AccountFigures(
                    account=jobs.accounts.texts[account],
                    kind=words_of(found.kinds[place]),
                    entitled_gpus=own.gpus if own else 0,
                    basis=own.basis.value if own else None,
                    peak_gpus=one.peak_gpus,
                    used_hours=one.used,
                    idle_hours=one.idle,
                    borrowed_hours=one.borrowed,
                    queued_hours=one.queued,
                )
            )
    return tuple(sorted(made, key=lambda it: (-it.idle_hours, it.account, it.kind)))


def _held(jobs: Jobs, found: Sorted, window: tuple[int, int]) -> Held:
    begin_s, end_s = window
    beyond, without, has_times = 0, 0, False
    for job in found.which:
        if jobs.kind[job] != Kind.RAN or not jobs.gpus[job]:
            continue
        start_s, until_s = jobs.start_s[job], jobs.end_s[job]
        span_s = max(0, min(until_s, end_s) - max(start_s, begin_s))
        if jobs.asked_gpus[job]:
            beyond += span_s * max(0, jobs.gpus[job] - jobs.asked_gpus[job])
        cpu_s = jobs.cpu_s[job]
        has_times = has_times or cpu_s > 0
        if cpu_s != NEVER and cpu_s * FEWEST_CPU_SHARE < until_s - start_s:
            without += span_s * jobs.gpus[job]
    return Held(
        beyond_request_hours=beyond / 3600,
        without_cpu_hours=without / 3600 if has_times else None,
    )


def _terms(asked: Asked) -> MarketTerms:
    dearest = max(asked.limit, *asked.floors)
    return terms_of(
        Terms.model_validate(
            {
                "pay_as_you_go": str(dearest),
                "reservation_rate": str(dearest),
                "public_floor": str(min(asked.floors)),
                "fee": asked.fee,
                "notice": f"{asked.notice_s}s",
                "retention": "1h",
                "buffer_nodes": 0,
                "payout_cap": None,
            }
        )
    )


def _lend(
    asked: Asked,
    jobs: Jobs,
    found: Sorted,
    window: tuple[int, int],
    entitled: tuple[Entitlement, ...],
    terms: MarketTerms,
    progress: Progress,
) -> tuple[tuple[PartFigures, ...], tuple[FloorFigures, ...]]:
    bidding = Bidding(
        median_limit=float(asked.limit),
        spread_percent=asked.spread_percent,
        saves_percent=asked.saves_percent,
        seed=asked.seed,
    )
    parts, floors = [], []
    for place, kind in enumerate(found.kinds):
        part = part_of(jobs, found, place, window, asked.most_jobs)
        asks = asks_of(jobs, found, place, part, bidding)
        own = tuple(it for it in entitled if it.kind == place)
        if not asks or not own:
            continue
        parts.append(
            PartFigures(
                kind=words_of(kind),
                begin_s=part.begin_s,
                end_s=part.end_s,
                is_whole=part.is_whole,
                jobs=len(asks),
                judged=sum(ask.is_measured for ask in asks),
            )
        )
        for floor in asked.floors:
            title = f"market of {words_of(kind)}, floor {floor}"
            begun_s = time.process_time()
            run = Lending(kind, own, asks, part, terms=terms, floor_micros=micros(floor))
            run.run(lambda percent, title=title: progress(title, percent))  # type: ignore[misc]
            cpu_s = time.process_time() - begun_s
            floors.append(_floor(jobs, run, words_of(kind), float(floor), cpu_s))
    return tuple(parts), tuple(floors)


def _floor(jobs: Jobs, run: Lending, kind: str, floor: float, cpu_s: float) -> FloorFigures:
    judged = [it for it in run.outcomes if it.ask.is_measured]
    trace = waits_of([it.ask.trace_wait_s for it in judged])
    market = waits_of([round(it.delay_s(run.core.now_us)) for it in judged])
    paid, earned, fees = run.money()
    lent_us = sum(it.spot_us for it in run.outcomes)
    waits = run.owner_waits_us
    return FloorFigures(
        kind=kind,
        floor=floor,
        jobs=len(judged),
        unfinished=sum(it.done_us is None for it in judged),
        trace_p50_s=trace.p50_s,
        trace_mean_s=trace.mean_s,
        market_p50_s=market.p50_s,
        market_mean_s=market.mean_s,
        sooner=sum(_sooner_s(it, run) > SAME_S for it in judged),
        later=sum(_sooner_s(it, run) < -SAME_S for it in judged),
        lent_hours=lent_us / HOUR_US,
        lost_hours=sum(it.lost_us for it in run.outcomes) / HOUR_US,
        paid=paid,
        earned=earned,
        fees=fees,
        price=paid / (lent_us / HOUR_US) if lent_us else None,
        notices={cause.value: count for cause, count in run.notices.items()},
        owner_starts=len(waits),
        owner_waited=sum(wait > PAUSES_US for wait in waits),
        owner_p99_s=quantile(waits, 0.99),
        owner_max_s=quantile(waits, 1.0),
        accounts=_account_waits(jobs, run, judged),
        clearings=run.core.clearings,
        digest=run.core.digest,
        cpu_s=cpu_s,
    )


def _sooner_s(outcome: Outcome, run: Lending) -> float:
    return outcome.ask.trace_wait_s - outcome.delay_s(run.core.now_us)


def _account_waits(jobs: Jobs, run: Lending, judged: list[Outcome]) -> tuple[AccountWaits, ...]:
    by_account: dict[int, list[Outcome]] = {}
    for outcome in judged:
        by_account.setdefault(outcome.ask.account, []).append(outcome)
    return tuple(
        AccountWaits(
            account=jobs.accounts.texts[account],
            jobs=len(own),
            trace_mean_s=sum(it.ask.trace_wait_s for it in own) / len(own),
            market_mean_s=sum(it.delay_s(run.core.now_us) for it in own) / len(own),
            sooner=sum(_sooner_s(it, run) > SAME_S for it in own),
            later=sum(_sooner_s(it, run) < -SAME_S for it in own),
            paid=run.paid[org_name(account)] / MICROS,
            earned=run.earned[org_name(account)] / MICROS,
        )
        for account, own in sorted(by_account.items())
    )


def _summed(series: list[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(round(sum(values), 3) for values in zip(*series, strict=True))
