"""The report as one HTML file with its plots inside; it loads nothing, and all text is escaped."""

from datetime import UTC, datetime

from parkade.compound.plots.chart import Axis, Chart, Line, Scale
from parkade.sim.observe.figures import ObserveReport
from parkade.sim.observe.tables import observe_tables, parts_in_words, verdict
from parkade.sim.replay.report.page import whole_page

MOST_ACCOUNTS = 400


def observe_page(report: ObserveReport) -> str:
    """The whole file."""
    found = report.policy
    idle = report.fleet_hours - report.used_hours
    cards = [
        (f"{idle:,.0f}", f"GPU-hours stood idle, {idle / max(1e-9, report.fleet_hours):.0%}"),
        (f"{report.queued_hours:,.0f}", "GPU-hours waited in the queue"),
        (f"{report.servable_hours:,.0f}", "GPU-hours waited while as many GPUs were idle"),
        (
            f"{abs(found.utilisation - found.utilisation_replayed) * 100:.1f} points",
            f"error of the replayed utilisation; {found.policy}",
        ),
    ]
    lead = (
        f"{report.fleet.gpus:,} GPUs in {report.fleet.nodes:,} nodes"
        f" ({', '.join(report.fleet.kinds)}), {_day(report.begin_s)} to {_day(report.end_s)} UTC."
        f" {report.rows.jobs:,} jobs. {verdict(found)}"
    )
    return whole_page(
        "What this cluster could have lent",
        lead,
        cards,
        _charts(report),
        observe_tables(report),
        _notes(report),
    )


def _notes(report: ObserveReport) -> list[str]:
    assumed = report.assumed
    bids = (
        f"Assumed, not in the trace: bids around a median of {assumed.median_limit:g} per GPU-hour"
        f" (spread {assumed.spread_percent} %, seed {assumed.seed}); {assumed.saves_percent} % of"
        " the jobs save at a notice, all others begin anew; a fee of"
        f" {assumed.fee}; a notice of {assumed.notice_s:g} s."
    )
    given = (
        "Each job has the shape and the length that it had, and is submitted when it became"
        " eligible: people would submit other jobs where waits are shorter."
    )
    unknown = (
        "Memory, features, licences, limits that no file told and nodes that were down are not in"
        " the trace; the error above is what that costs."
    )
    core = (
        "The market is the shipped core: decide, evolve, deadlines and the schedule of clearings."
    )
    notes = [parts_in_words(report), bids, given, unknown, core]
    if report.fleet.is_inferred:
        notes.append("The fleet is inferred from the jobs; --sinfo gives the true one.")
    if report.fleet.unseen_nodes:
        notes.append(
            f"{report.fleet.unseen_nodes:,} nodes are left out: down or drained, and in no job."
        )
    return notes


def _charts(report: ObserveReport) -> list[Chart]:
    made = [_use(report), _idle(report)]
    if len(report.floors) > 1:
        made += [_money(report), _delays(report)]
    return made


def _use(report: ObserveReport) -> Chart:
    days = report.bin_s * len(report.used_gpus) / 86_400
    unit, size = ("hour", 3_600) if days < 3 else ("day", 86_400)
    times = [(place + 0.5) * report.bin_s / size for place in range(len(report.used_gpus))]
    used = tuple(zip(times, report.used_gpus, strict=True))
    queued = tuple(zip(times, report.queued_gpus, strict=True))
    fleet = tuple((at, float(report.fleet.gpus)) for at in (times[0], times[-1]))
    return Chart(
        title="GPUs held and GPUs asked for by jobs that wait",
        x=Axis(unit, Scale.LINEAR),
        y=Axis("GPUs", Scale.LINEAR),
        lines=(
            Line("held by jobs", used, band=tuple((0.0, level) for _, level in used)),
            Line("asked for by waiting jobs", queued),
            Line("the fleet", fleet, is_dashed=True),
        ),
    )


def _idle(report: ObserveReport) -> Chart:
    """Accounts in order of what idled: how much of it the first so many have."""
    idle = [it.idle_hours for it in report.accounts[:MOST_ACCOUNTS]]
    total, points = 0.0, [(0.0, 0.0)]
    for place, hours in enumerate(idle, 1):
        total += hours
        points.append((float(place), total))
    used, taken = 0.0, [(0.0, 0.0)]
    for place, it in enumerate(report.accounts[:MOST_ACCOUNTS], 1):
        used += it.borrowed_hours
        taken.append((float(place), used))
    return Chart(
        title="Idle entitlements, by account",
        x=Axis("accounts, the one with most idle time first", Scale.LINEAR),
        y=Axis("GPU-hours so far", Scale.LINEAR),
        lines=(Line("idle", tuple(points)), Line("borrowed", tuple(taken), is_dashed=True)),
    )


def _money(report: ObserveReport) -> Chart:
    lines = []
    for kind in dict.fromkeys(it.kind for it in report.floors):
        own = sorted((it for it in report.floors if it.kind == kind), key=lambda it: it.floor)
        lines.append(Line(f"paid by guests, {kind}", tuple((it.floor, it.paid) for it in own)))
        lines.append(
            Line(f"to owners, {kind}", tuple((it.floor, it.earned) for it in own), is_dashed=True)
        )
    return Chart(
        title="What guests would have paid",
        x=Axis("floor, per GPU-hour", Scale.LINEAR),
        y=Axis("in the part that was played", Scale.LINEAR),
        lines=tuple(lines[:8]),
    )


def _delays(report: ObserveReport) -> Chart:
    lines = []
    for kind in dict.fromkeys(it.kind for it in report.floors):
        own = sorted((it for it in report.floors if it.kind == kind), key=lambda it: it.floor)
        lines.append(Line(f"lent, {kind}", tuple((it.floor, it.market_mean_s) for it in own)))
        lines.append(
            Line(
                f"the trace, {kind}",
                tuple((it.floor, it.trace_mean_s) for it in own),
                is_dashed=True,
            )
        )
    return Chart(
        title="Mean delay of a job",
        x=Axis("floor, per GPU-hour", Scale.LINEAR),
        y=Axis("seconds", Scale.LINEAR),
        lines=tuple(lines[:8]),
    )


def _day(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}"
