"""The figures of `parkade sim what-if` as tables, charts and one HTML file."""

from collections.abc import Callable

from parkade.compound.plots.chart import Axis, Chart, Line, Scale
from parkade.sim.replay.report.page import whole_page
from parkade.sim.replay.report.tables import NONE, TableOfFigures
from parkade.sim.whatif.figures import RunFigures, RunSeries, WhatIfReport, WorkloadDifference

MOST_ROWS = 40
_DAYS = Axis("day", Scale.LINEAR)
GIVEN = (
    "Bids, limits, claims and failures are taken as given: people who would bid otherwise under"
    " these terms are not in it."
)
SAME_TERMS = (
    "Same terms: the journal's demand decided anew, with each program as it behaved. What that"
    " differs in from the journal is the error of this method: look at it before a difference."
)
UNTIL = (
    "Money and hours are of the same time: what runs at the end is charged as far as it has"
    " accrued. GPU-hours sold are those that were charged; owners' waits for seats are those of"
    " claims and of work on reservations, from the promise on, as `parkade waits` counts them."
)
NEVER_RAN = (
    "workloads that never ran in the journal run under the changed terms; how long they would have"
    " run is not known, and the median is taken."
)
DID_NOT_APPLY = "commands of the journal did not apply there: refused, or on what does not exist."
Row = tuple[str, Callable[[RunFigures], float | None], str]

_ROWS: tuple[Row, ...] = (
    ("workloads accepted", lambda it: it.workloads, ",.0f"),
    ("started", lambda it: it.started, ",.0f"),
    ("succeeded", lambda it: it.succeeded, ",.0f"),
    ("GPU-hours that ran, spot", lambda it: it.gpu_hours.get("spot", 0.0), ",.1f"),
    ("GPU-hours that ran, on demand", lambda it: it.gpu_hours.get("on-demand", 0.0), ",.1f"),
    ("GPU-hours that ran, on reservations", lambda it: it.gpu_hours.get("reservation", 0), ",.1f"),
    ("charge for a GPU-hour sold", lambda it: it.price, ",.3f"),
    ("orgs paid", lambda it: it.paid, ",.2f"),
    ("orgs received", lambda it: it.received, ",.2f"),
    ("the operator's fees", lambda it: it.fees, ",.2f"),
    ("wait to the first process, median, s", lambda it: it.wait_p50_s, ",.1f"),
    ("wait to the first process, p99, s", lambda it: it.wait_p99_s, ",.1f"),
    ("notices, outbid", lambda it: it.notices.get("outbid", 0), ",.0f"),
    ("notices, reclaimed", lambda it: it.notices.get("reclaimed", 0), ",.0f"),
    ("notices, moved", lambda it: it.notices.get("moved", 0), ",.0f"),
    ("notices, healed", lambda it: it.notices.get("healed", 0), ",.0f"),
    ("GPUs moved", lambda it: it.moved_gpus, ",.0f"),
    ("claims", lambda it: it.claims, ",.0f"),
    ("from a claim to its seats, median, s", lambda it: it.claim_p50_s, ",.1f"),
    ("from a claim to its seats, p99, s", lambda it: it.claim_p99_s, ",.1f"),
    ("from a claim to its seats, longest, s", lambda it: it.claim_max_s, ",.1f"),
    ("owners waited for seats", lambda it: it.owner_waits, ",.0f"),
    ("owners' waits for seats, p99, s", lambda it: it.owner_wait_p99_s, ",.1f"),
    ("owners' waits for seats, longest, s", lambda it: it.owner_wait_max_s, ",.1f"),
    ("owners' waits for seats, in all, s", lambda it: it.owner_wait_total_s, ",.1f"),
)


def tables_of(report: WhatIfReport) -> list[TableOfFigures]:
    """What the marketplace did, what each org and workload would have had."""
    return [_totals(report), _orgs(report), _workloads(report)]


def proof_of(report: WhatIfReport) -> str:
    """One sentence about the digest."""
    facts = sum(report.facts.values())
    begins = f"{report.commands:,} commands explain {report.events - facts:,} of"
    whole = f"{begins} {report.events:,} events"
    if report.digest != report.digest_again:
        return f"{whole}; decided again they give ANOTHER digest: this is a fault of the program."
    own = " the journal's own" if report.is_own_digest else ""
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.facts.items())
    taken = f" {facts:,} were taken as they stand ({kinds})." if facts else ""
    return f"{whole}; decided again they give the same digest,{own or ' over them'}.{taken}"


def page_of(report: WhatIfReport) -> str:
    """The whole file."""
    _, same, changed = report.runs
    changes = ", ".join(report.changes) or "the same terms"
    cards = (
        (f"{report.won} / {report.lost}", "workloads that start only so / no longer start"),
        (_signed(changed.paid - same.paid, ",.2f"), "what orgs pay"),
        (_signed(changed.received - same.received, ",.2f"), "what orgs receive"),
        (
            _signed(_notices(changed) - _notices(same), ",.0f"),
            "notices to leave",
        ),
        (
            _signed(changed.owner_wait_max_s - same.owner_wait_max_s, ",.1f") + " s",
            "owners' longest wait for seats",
        ),
    )
    notes = (
        proof_of(report),
        GIVEN,
        SAME_TERMS,
        UNTIL,
        f"{report.assumed:,} {NEVER_RAN}",
        f"{sum(report.skipped.values()):,} {DID_NOT_APPLY}",
    )
    lead = f"{report.days:.2f} days of a journal under {changes}, up to {report.until}."
    return whole_page("What if", lead, cards, charts_of(report), tables_of(report), notes)


def charts_of(report: WhatIfReport) -> list[Chart]:
    """The three runs over time."""
    asked: tuple[tuple[str, str, Callable[[RunSeries], tuple[tuple[float, float], ...]]], ...] = (
        ("GPUs that ran", "GPUs", lambda it: it.running),
        ("GPUs that waited for seats", "GPUs", lambda it: it.waiting),
        ("GPUs that owners had claimed", "GPUs", lambda it: it.claimed),
        ("Charge for a GPU-hour sold", "per GPU-hour", lambda it: it.prices),
        ("Charged for use", "so far", lambda it: it.paid),
    )
    return [
        Chart(
            title=title,
            x=_DAYS,
            y=Axis(label, Scale.LINEAR),
            lines=tuple(
                Line(it.words, points, is_dashed=it is report.series[0])
                for it in report.series
                if (points := of(it))
            ),
        )
        for title, label, of in asked
        if any(of(it) for it in report.series)
    ]


def _notices(it: RunFigures) -> int:
    return sum(it.notices.values())


def _totals(report: WhatIfReport) -> TableOfFigures:
    recorded, same, changed = report.runs
    rows = []
    for words, of, form in _ROWS:
        was, now = of(same), of(changed)
        difference = NONE if was is None or now is None else _signed(now - was, form)
        values = (NONE if it is None else f"{it:{form}}" for it in (of(recorded), was, now))
        rows.append((words, *values, difference))
    return TableOfFigures(
        title="The marketplace",
        columns=("figure", *(it.words for it in report.runs), "difference"),
        rows=tuple(rows),
        says=f"Difference: changed less same terms. {GIVEN}",
    )


def _orgs(report: WhatIfReport) -> TableOfFigures:
    return TableOfFigures(
        title="Orgs, same terms → changed terms",
        columns=("org", "GPU-hours", "paid", "received", "started", "mean wait, s", "notices"),
        rows=tuple(
            (
                it.org,
                _both(it.gpu_hours, ",.1f"),
                _both(it.paid, ",.2f"),
                _both(it.received, ",.2f"),
                _both(it.started, ",.0f"),
                _both(it.wait_s, ",.1f"),
                _both(it.notices, ",.0f"),
            )
            for it in report.orgs
        ),
    )


def _workloads(report: WhatIfReport) -> TableOfFigures:
    more = len(report.workloads) - MOST_ROWS
    return TableOfFigures(
        title="Workloads that fare otherwise, same terms → changed terms",
        columns=("workload", "org", "GPU-hours", "paid", "wait, s", "notices", "is"),
        rows=tuple(_workload_row(it) for it in report.workloads[:MOST_ROWS]),
        says=f"{more} more are in the JSON." if more > 0 else "",
    )


def _workload_row(it: WorkloadDifference) -> tuple[str, ...]:
    waits = tuple("never" if wait is None else f"{wait:,.1f}" for wait in it.wait_s)
    return (
        f"{it.workload} {it.name}",
        it.org,
        _both(it.gpu_hours, ",.2f"),
        _both(it.paid, ",.2f"),
        waits[0] if waits[0] == waits[1] else " → ".join(waits),
        _both(it.notices, ",.0f"),
        it.phase[0] if it.phase[0] == it.phase[1] else " → ".join(it.phase),
    )


def _both(pair: tuple[float, float], form: str) -> str:
    was, now = (f"{value:{form}}" for value in pair)
    return was if was == now else f"{was} → {now}"


def _signed(value: float, form: str) -> str:
    text = f"{abs(value):{form}}"
    is_zero = not text.strip("0.,")
    return text if is_zero else f"{'+' if value > 0 else '−'}{text}"
