"""A journal under other terms: three runs, and what differs.

*Recorded* is the journal. *Same terms* is its demand decided anew with programs as they are known:
what it differs in from the journal is the error of that knowledge. *Changed* is the same with other
terms. So a difference between the last two is what the change does.
"""

from collections.abc import Callable, Sequence

from parkade.api.translate.scalars import instant
from parkade.core.state import events
from parkade.core.units.money import MICROS
from parkade.core.units.time import DAY_US, HOUR_US
from parkade.core.workloads.life import Phase
from parkade.sim.replay.tally import quantile
from parkade.sim.whatif.again import decide_again, digest_of
from parkade.sim.whatif.change import Change
from parkade.sim.whatif.counterfactual import Counterfactual
from parkade.sim.whatif.counting import Counting, seconds
from parkade.sim.whatif.explain import Asked, explain, facts_of
from parkade.sim.whatif.figures import (
    OrgDifference,
    RunFigures,
    RunSeries,
    WhatIfReport,
    WorkloadDifference,
)
from parkade.sim.whatif.lives import OfWorkload
from parkade.sim.whatif.programs import programs_of

RECORDED, SAME, CHANGED = "recorded", "same terms", "changed terms"
MOST_WORKLOADS = 200
Pairs = list[tuple[str, OfWorkload, OfWorkload]]


def compare(
    journal: Sequence[events.AnyEvent],
    change: Change,
    *,
    own_digest: str | None,
    progress: Callable[[str], None],
) -> WhatIfReport:
    """`own_digest`: what the journal says of itself. `progress` is told what is done next. Cost:
    each decision of the journal about four times."""
    progress("find the commands of the journal")
    steps = explain(journal)
    start_us, end_us = journal[0].at_us, max(event.at_us for event in journal)
    recorded = Counting(start_us, end_us)
    progress("decide them again")
    again, world = decide_again(steps, recorded.follow)
    recorded.close(world)
    programs = programs_of(journal)
    runs = []
    for words, terms in ((SAME, _none(change)), (CHANGED, change)):
        progress(f"play the demand under the {words}")
        run = Counterfactual(steps, programs, terms, end_us=end_us)
        run.run()
        runs.append(run)
    same, changed = runs
    digest = digest_of(journal)
    pairs = _pairs(same, changed)
    return WhatIfReport(
        kind="what-if",
        changes=change.words,
        days=(end_us - start_us) / DAY_US,
        until=instant(end_us).isoformat().replace("+00:00", "Z"),
        events=len(journal),
        commands=sum(isinstance(step, Asked) for step in steps),
        facts=facts_of(steps),
        digest=digest,
        digest_again=again,
        is_own_digest=digest == own_digest,
        runs=(
            _figures(RECORDED, recorded),
            _figures(SAME, same.counting),
            _figures(CHANGED, changed.counting),
        ),
        series=(
            _series(RECORDED, recorded),
            _series(SAME, same.counting),
            _series(CHANGED, changed.counting),
        ),
        orgs=_orgs(same.counting, changed.counting, pairs),
        workloads=_workloads(pairs),
        won=sum(b.first_us is not None and a.first_us is None for _, a, b in pairs),
        lost=sum(a.first_us is not None and b.first_us is None for _, a, b in pairs),
        skipped=changed.skipped,
        assumed=len(changed.assumed),
    )


def _none(change: Change) -> Change:
    terms = type(change.terms)()
    return Change(terms=terms, prices={}, floors={}, keeps={}, nodes={}, words=())


def _pairs(same: Counterfactual, changed: Counterfactual) -> Pairs:
    """Workloads of both runs by their id in the journal. Of an array, each member that either
    opened."""
    names = dict.fromkeys((*same.journal_names(), *changed.journal_names()))
    found = ((there, same.find(there), changed.find(there)) for there in names)
    return [(there, a, b) for there, a, b in found if a is not None and b is not None]


def _figures(words: str, run: Counting) -> RunFigures:
    ran: dict[str, float] = {}
    notices: dict[str, int] = {}
    for one in run.lives.workloads.values():
        for kind, gpu_us in one.ran_us.items():
            ran[kind] = ran.get(kind, 0.0) + gpu_us / HOUR_US
        for cause, times in one.stops.items():
            notices[cause] = notices.get(cause, 0) + times
    waits = [it for one in run.lives.workloads.values() if (it := _wait_us(one)) is not None]
    hours = sum(run.sold) / HOUR_US
    return RunFigures(
        words=words,
        workloads=len(run.lives.workloads),
        started=len(waits),
        succeeded=sum(it.phase == Phase.SUCCEEDED for it in run.lives.workloads.values()),
        gpu_hours=dict(sorted(ran.items())),
        paid=sum(it.paid_micros for it in run.orgs.values()) / MICROS,
        received=sum(it.received_micros for it in run.orgs.values()) / MICROS,
        fees=run.fees_micros / MICROS,
        price=sum(run.paid) / MICROS / hours if hours else None,
        wait_p50_s=quantile(waits, 0.5),
        wait_p99_s=quantile(waits, 0.99),
        wait_max_s=quantile(waits, 1.0),
        notices=dict(sorted(notices.items())),
        moved_gpus=run.lives.moved_gpus,
        claims=len(run.owners.claim_waits_us),
        claim_p50_s=quantile(run.owners.claim_waits_us, 0.5),
        claim_p99_s=quantile(run.owners.claim_waits_us, 0.99),
        claim_max_s=quantile(run.owners.claim_waits_us, 1.0),
        clearings=run.clearings,
        owner_waits=len(run.owners.waits_us),
        owner_wait_p99_s=quantile(run.owners.waits_us, 0.99),
        owner_wait_max_s=quantile(run.owners.waits_us, 1.0),
        owner_wait_total_s=seconds(sum(run.owners.waits_us)),
    )


def _wait_us(one: OfWorkload) -> int | None:
    return None if one.first_us is None else one.first_us - one.submitted_us


def _series(words: str, run: Counting) -> RunSeries:
    time = run.timeline

    def mean(sums: list[int]) -> tuple[tuple[float, float], ...]:
        return tuple((time.day(place), it / time.span_us(place)) for place, it in enumerate(sums))

    total = 0.0
    paid = []
    for place, micros in enumerate(run.paid):
        total += micros
        paid.append((time.day(place), total / MICROS))
    return RunSeries(
        words=words,
        running=mean(run.lives.running),
        waiting=mean(run.lives.waiting),
        claimed=mean(run.owners.claimed),
        prices=tuple(
            (time.day(place), price) for place, price in enumerate(run.prices) if price is not None
        ),
        paid=tuple(paid),
    )


def _orgs(same: Counting, changed: Counting, pairs: Pairs) -> tuple[OrgDifference, ...]:
    names = {
        *same.orgs,
        *changed.orgs,
        *(it.org for run in (same, changed) for it in run.lives.workloads.values()),
    }
    return tuple(_org(name, same, changed, pairs) for name in sorted(names))


def _org(name: str, same: Counting, changed: Counting, pairs: Pairs) -> OrgDifference:
    def works(run: Counting) -> list[OfWorkload]:
        return [it for it in run.lives.workloads.values() if it.org == name]

    def paid(run: Counting) -> float:
        return run.orgs[name].paid_micros / MICROS if name in run.orgs else 0.0

    def received(run: Counting) -> float:
        return run.orgs[name].received_micros / MICROS if name in run.orgs else 0.0

    def ran(run: Counting) -> float:
        return sum(it.gpu_us for it in works(run)) / HOUR_US

    def started(run: Counting) -> int:
        return sum(it.first_us is not None for it in works(run))

    def notices(run: Counting) -> int:
        return sum(sum(it.stops.values()) for it in works(run))

    waits = [
        (seconds(was), seconds(now))
        for _, a, b in pairs
        if a.org == name and (was := _wait_us(a)) is not None and (now := _wait_us(b)) is not None
    ]
    count = max(1, len(waits))
    return OrgDifference(
        org=name,
        gpu_hours=(ran(same), ran(changed)),
        paid=(paid(same), paid(changed)),
        received=(received(same), received(changed)),
        started=(started(same), started(changed)),
        wait_s=(sum(was for was, _ in waits) / count, sum(now for _, now in waits) / count),
        notices=(notices(same), notices(changed)),
    )


def _workloads(pairs: Pairs) -> tuple[WorkloadDifference, ...]:
    """Those that differ, the largest differences of what ran first."""
    found = [_workload(there, a, b) for there, a, b in pairs]
    differing = [it for it in found if _differs(it)]
    differing.sort(
        key=lambda it: (
            -abs(it.gpu_hours[0] - it.gpu_hours[1]),
            -abs(it.paid[0] - it.paid[1]),
            it.workload,
        )
    )
    return tuple(differing[:MOST_WORKLOADS])


def _differs(it: WorkloadDifference) -> bool:
    pairs = (it.gpu_hours, it.paid, it.wait_s, it.notices, it.phase)
    return any(was != now for was, now in pairs)


def _workload(there: str, was: OfWorkload, now: OfWorkload) -> WorkloadDifference:
    waits = [None if (wait := _wait_us(it)) is None else seconds(wait) for it in (was, now)]
    return WorkloadDifference(
        workload=there,
        name=was.name,
        org=was.org,
        gpu_hours=(was.gpu_us / HOUR_US, now.gpu_us / HOUR_US),
        paid=(was.paid_micros / MICROS, now.paid_micros / MICROS),
        wait_s=(waits[0], waits[1]),
        notices=(sum(was.stops.values()), sum(now.stops.values())),
        phase=(str(was.phase), str(now.phase)),
    )
