"""The report as one HTML file with its plots and its style inside; all text is escaped."""

from collections.abc import Iterable
from html import escape

from parkade.compound.plots.chart import Chart
from parkade.compound.plots.svg import svg
from parkade.sim.replay.figures import ParkingReport, ResaleReport
from parkade.sim.replay.report.charts import parking_charts, resale_charts
from parkade.sim.replay.report.tables import TableOfFigures, parking_tables, resale_tables

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f4f5f7; color: #1a1a1a;
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 48px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 36px 0 8px; }
.lead { color: #4d4d4d; margin: 0 0 20px; }
.cards { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); }
.card { background: #fff; border: 1px solid #e1e3e8; border-radius: 8px; padding: 12px 16px; }
.card b { display: block; font-size: 24px; }
.card span { color: #4d4d4d; font-size: 13px; }
.plots { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); }
.plot { background: #fff; border: 1px solid #e1e3e8; border-radius: 8px; padding: 8px; }
.plot svg { width: 100%; height: auto; display: block; }
.scroll { overflow-x: auto; background: #fff; border: 1px solid #e1e3e8; border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid #c9ccd3; }
th:first-child, td:first-child { text-align: left; }
tr + tr td { border-top: 1px solid #eef0f3; }
.says { color: #4d4d4d; font-size: 13px; margin: 6px 2px 0; }
ul { padding-left: 20px; }
"""


def resale_page(report: ResaleReport) -> str:
    """The whole file."""
    parkade = next(it for it in report.policies if it.policy == "parkade")
    reserved = next(it for it in report.policies if it.policy == "reserved")
    cards = (
        (
            f"{parkade.utilisation:.1%}",
            f"of the fleet does useful work, {reserved.utilisation:.1%} before",
        ),
        (f"{parkade.guests.served_share:.1%}", "of the queue that idle GPUs could hold ran"),
        (f"{parkade.owners.wait_p99_s:,.4g} s", "owners' wait, 99th percentile"),
        (
            f"{parkade.owners.wait_max_s:,.4g} s",
            f"longest wait of an owner; the bound is {report.wait_bound_s:g} s",
        ),
    )
    lead = (
        f"{report.orgs} orgs, {report.gpus:,} GPUs in {report.nodes:,} nodes and"
        f" {report.fabrics} fabrics, {report.days:g} days. {report.busy_gpu_hours:,.0f} GPU-hours"
        f" busy, {report.queued_gpu_hours:,.0f} queued, of which idle GPUs could hold"
        f" {report.servable_gpu_hours:,.0f}."
    )
    given = (
        "Owners' needs and the queue are given minute by minute: a guest that ran does not leave"
        " the queue sooner for it."
    )
    shapes = (
        "Shapes of jobs are not in the trace: queued work is cut into guests of at most one node,"
        " and owners claim whole nodes."
    )
    notes = (
        given,
        shapes,
        f"{report.cut_guests:,} guests left the queue in part; the rest of each queued anew.",
        "The two shared pools are spared fabrics, prices and limits, which Parkade keeps.",
        "Parkade is the shipped core: decide, evolve, deadlines and the schedule of clearings.",
    )
    return whole_page(report.name, lead, cards, resale_charts(report), resale_tables(report), notes)


def parking_page(report: ParkingReport) -> str:
    """The whole file."""
    lead = (
        f"Reserved at {report.reserved_at:g} and used {report.used_hours} of {report.week_hours}"
        f" hours: {report.alone:.2f} per useful GPU-hour. Lent at a floor of {report.floor:g},"
        f" beside pay-as-you-go at {report.pay_as_you_go:g}. Prices and payouts are those of the"
        " clearings."
    )
    best = min(report.rows, key=lambda row: row.owner_net)
    cards = (
        (f"{report.alone:.2f}", "per useful GPU-hour, reserved and not lent"),
        (f"{best.owner_net:.2f}", f"net of payouts at a fill of {best.fill:.2%}"),
    )
    notes = ("Guests and owner are simulated; the market is the shipped core.",)
    return whole_page(
        report.name, lead, cards, parking_charts(report), parking_tables(report), notes
    )


def whole_page(
    title: str,
    lead: str,
    cards: Iterable[tuple[str, str]],
    charts: Iterable[Chart],
    tables: Iterable[TableOfFigures],
    notes: Iterable[str],
) -> str:
    """One file of cards, charts, tables and notes, in this order."""
    name = escape(title)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}</title><style>{_STYLE}</style></head><body><main>",
        f'<h1>{name}</h1><p class="lead">{escape(lead)}</p><div class="cards">',
        *(
            f'<div class="card"><b>{escape(value)}</b><span>{escape(words)}</span></div>'
            for value, words in cards
        ),
        '</div><h2>Over time</h2><div class="plots">',
        *(f'<div class="plot">{svg(chart)}</div>' for chart in charts),
        "</div>",
        *(_table(table) for table in tables),
        "<h2>How to read it</h2><ul>",
        *(f"<li>{escape(note)}</li>" for note in notes),
        "</ul></main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(table: TableOfFigures) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(value)}</td>" for value in row) + "</tr>"
        for row in table.rows
    )
    says = f'<p class="says">{escape(table.says)}</p>' if table.says else ""
    return (
        f"<h2>{escape(table.title)}</h2>"
        f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>{says}'
    )
