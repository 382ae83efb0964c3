"""Figures as rows of words; the report and the terminal show the same ones."""

from typing import NamedTuple, assert_never

from parkade.sim.replay.figures import ParkingReport, PolicyFigures, ReplayReport, ResaleReport

NONE = "–"


class TableOfFigures(NamedTuple):
    """A table with the words above it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    says: str = ""


def tables_of(report: ReplayReport) -> list[TableOfFigures]:
    """The tables of any report."""
    match report:
        case ResaleReport():
            return resale_tables(report)
        case ParkingReport():
            return parking_tables(report)
    assert_never(report)


def resale_tables(report: ResaleReport) -> list[TableOfFigures]:
    """What each fleet did, whom reclaims touched, and what it cost."""
    return [_fleets(report), _owners(report), _reclaims(report), _money(report)]


def parking_tables(report: ParkingReport) -> list[TableOfFigures]:
    """One row a fill."""
    return [
        TableOfFigures(
            title="What a useful GPU-hour costs",
            columns=("fill", "filled", "price", "payouts", "owner's net", "formula", "alone ÷ net"),
            rows=tuple(
                (
                    f"{row.fill:.2%}",
                    f"{row.filled:.2%}",
                    _money_text(row.price),
                    _money_text(row.payouts),
                    _money_text(row.owner_net),
                    _money_text(row.expected_net),
                    NONE if row.times_cheaper is None else f"{row.times_cheaper:.2f}",
                )
                for row in report.rows
            ),
        )
    ]


def _fleets(report: ResaleReport) -> TableOfFigures:
    return TableOfFigures(
        title="Fleets",
        columns=("fleet", "utilisation", "queue served", "guests ran", "stopped", "work lost"),
        rows=tuple(
            (
                it.words,
                f"{it.utilisation:.1%}",
                f"{it.guests.served_share:.1%}",
                _hours(it.guests.ran_gpu_hours),
                f"{it.guests.stops:,}",
                _hours(it.guests.lost_gpu_hours),
            )
            for it in report.policies
        ),
        says="Queue served: GPU-minutes that ran as guests ÷ the lesser of queued and idle GPUs,"
        " minute by minute.",
    )


def _owners(report: ResaleReport) -> TableOfFigures:
    return TableOfFigures(
        title="Owners' waits",
        columns=(
            "fleet",
            "reclaims",
            "waited",
            "p50",
            "p99",
            "longest",
            "GPU-hours waited",
            "rechosen",
        ),
        rows=tuple(
            (
                it.words,
                f"{it.owners.reclaims:,}",
                f"{it.owners.waited:,}",
                _seconds(it.owners.wait_p50_s),
                _seconds(it.owners.wait_p99_s),
                _seconds(it.owners.wait_max_s),
                _hours(it.owners.waiting_gpu_hours),
                f"{it.owners.rechosen:,}",
            )
            for it in report.policies
        ),
        says=f"Under Parkade no wait is longer than notice + kill + turnaround,"
        f" {report.wait_bound_s:g} s, after the clearing that follows the claim.",
    )


def _reclaims(report: ResaleReport) -> TableOfFigures:
    rows = []
    for it in report.policies:
        for found in it.headroom:
            total = found.untouched + found.moved + found.restarted
            if not total:
                continue
            rows.append(
                (
                    it.words,
                    f"{found.least_percent} % or more",
                    f"{total:,}",
                    _share(found.untouched, total),
                    _share(found.moved, total),
                    _share(found.restarted, total),
                )
            )
    return TableOfFigures(
        title="Guests touched by reclaims",
        columns=("fleet", "free before", "reclaims", "no guest", "moved", "restarted later"),
        rows=tuple(rows),
        says="By the share of the fleet's nodes that were free just before; each reclaim stands in"
        " the row of the greatest such share.",
    )


def _money(report: ResaleReport) -> TableOfFigures:
    return TableOfFigures(
        title="Money",
        columns=(
            "fleet",
            "reservations",
            "guests paid",
            "payouts",
            "operator",
            "price",
            "owner's hour",
            "guest's hour",
            "fleet's hour",
        ),
        rows=tuple(_money_row(it) for it in report.policies),
        says="Cost per useful GPU-hour: an owner's is its reservations less its payouts, a guest's"
        " what it paid; the fleet's is all reservations over all useful GPU-hours.",
    )


def _money_row(it: PolicyFigures) -> tuple[str, ...]:
    money = it.money
    return (
        it.words,
        f"{money.reservations:,.0f}",
        *(
            NONE if amount is None else f"{amount:,.0f}"
            for amount in (money.guests_paid, money.payouts, money.fees)
        ),
        *(
            _money_text(amount)
            for amount in (
                money.guest_price,
                money.owner_cost,
                money.guest_cost,
                money.fleet_cost,
            )
        ),
    )


def _money_text(amount: float | None) -> str:
    return NONE if amount is None else f"{amount:,.2f}"


def _hours(hours: float) -> str:
    return f"{hours:,.1f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.4g} s"


def _share(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else NONE
