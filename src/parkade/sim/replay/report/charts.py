"""Figures as charts: what stands over time, prices, waits, money.

A series is drawn with at most `MOST_STEPS` points, each the mean of the steps that it stands for.
"""

from collections.abc import Sequence

from parkade.compound.plots.chart import Axis, Chart, Line, Scale
from parkade.sim.replay.figures import ParkingReport, PolicyFigures, ResaleReport

MOST_STEPS = 400
MOST_WAITS = 2_000
Points = tuple[tuple[float, float], ...]

_DAYS = Axis("day", Scale.LINEAR)


def resale_charts(report: ResaleReport) -> list[Chart]:
    """In the order in which they are read."""
    parkade = first_of(report, "parkade")
    found = [
        _seats(report, parkade),
        _utilisation(report),
        _queue(report),
        _waits(report),
    ]
    if parkade.series.prices:
        found.append(_prices(parkade))
    if any(policy.series.payouts for policy in report.policies):
        found.append(_payouts(report))
    return found


def parking_charts(report: ParkingReport) -> list[Chart]:
    """What a useful hour costs against how well the parked hours are filled."""
    cost = tuple((row.fill, row.owner_net) for row in report.rows)
    expected = tuple((row.fill, row.expected_net) for row in report.rows)
    flat = tuple((row.fill, report.pay_as_you_go) for row in report.rows)
    alone = tuple((row.fill, report.alone) for row in report.rows)
    return [
        Chart(
            title="What a useful GPU-hour costs its owner",
            x=Axis("share of the parked hours that guests fill", Scale.PERCENT),
            y=Axis("per useful GPU-hour", Scale.LINEAR),
            lines=(
                Line("net of payouts", cost),
                Line("the formula", expected, is_dashed=True),
                Line("pay as you go", flat, is_dashed=True),
                Line("reserved, not lent", alone, is_dashed=True),
            ),
        )
    ]


def first_of(report: ResaleReport, policy: str) -> PolicyFigures:
    """The first run of a policy."""
    return next(it for it in report.policies if it.policy == policy)


def _seats(report: ResaleReport, parkade: PolicyFigures) -> Chart:
    series = parkade.series
    owners = _thinned(series.owners, series.step_minutes)
    guests = _thinned(series.guests, series.step_minutes)
    queued = _thinned(series.queued, series.step_minutes)
    both = tuple((day, low + high) for (day, low), (_, high) in zip(owners, guests, strict=True))
    wanted = tuple((day, low + high) for (day, low), (_, high) in zip(owners, queued, strict=True))
    size = tuple((day, float(report.gpus)) for day, _ in (owners[0], owners[-1]))
    return Chart(
        title=f"Seats over time ({parkade.words})",
        x=_DAYS,
        y=Axis("GPUs", Scale.LINEAR),
        lines=(
            Line("owners", owners, band=tuple((0.0, level) for _, level in owners)),
            Line("owners and guests", both, band=_between(owners, both)),
            Line("owners and all that queued", wanted, is_dashed=True),
            Line("the fleet", size, is_dashed=True),
        ),
    )


def _utilisation(report: ResaleReport) -> Chart:
    lines = []
    for policy in _compared(report):
        series = policy.series
        used = [own + guest for own, guest in zip(series.owners, series.guests, strict=True)]
        points = _thinned(used, series.step_minutes)
        lines.append(Line(policy.words, tuple((day, gpus / report.gpus) for day, gpus in points)))
    return Chart(
        title="GPUs in use",
        x=_DAYS,
        y=Axis("share of the fleet", Scale.PERCENT),
        lines=tuple(lines),
    )


def _queue(report: ResaleReport) -> Chart:
    lines = []
    for policy in _compared(report)[1:]:
        total = 0.0
        points = []
        for guests in policy.series.guests:
            total += guests * policy.series.step_minutes / 60
            points.append(total)
        lines.append(Line(policy.words, _thinned(points, policy.series.step_minutes)))
    queued = _thinned(
        _summed(first_of(report, "parkade").series.queued),
        first_of(report, "parkade").series.step_minutes,
    )
    lines.append(Line("all that queued", queued, is_dashed=True))
    return Chart(
        title="Queued work that ran",
        x=_DAYS,
        y=Axis("GPU-hours so far", Scale.LINEAR),
        lines=tuple(lines),
    )


def _waits(report: ResaleReport) -> Chart:
    lines = []
    runs = [it for it in report.policies if it.policy != "reserved"]
    # The hours that owners wait where the first to come is served first stay in the table.
    longest = 1.5 * report.wait_bound_s
    for policy in runs[:6]:
        points: list[tuple[float, float]] = []
        for wait, share in policy.waits_s[:MOST_WAITS]:
            if wait > longest:
                break
            if points:
                points.append((wait, points[-1][1]))
            points.append((wait, share))
        points.append((longest, points[-1][1]))
        lines.append(Line(policy.words, tuple(points)))
    return Chart(
        title="How long owners waited for their nodes",
        x=Axis("seconds", Scale.LINEAR),
        y=Axis("share of reclaims that waited longer", Scale.PERCENT),
        lines=tuple(lines),
    )


def _prices(parkade: PolicyFigures) -> Chart:
    days = [day for day, _ in parkade.series.prices]
    return Chart(
        title="What guests paid",
        x=_DAYS,
        y=Axis("per GPU-hour", Scale.LINEAR),
        lines=(
            Line("mean of running guests", parkade.series.prices),
            Line(
                "mean of all GPU-hours",
                tuple((day, parkade.money.guest_price or 0.0) for day in (days[0], days[-1])),
                is_dashed=True,
            ),
        ),
    )


def _payouts(report: ResaleReport) -> Chart:
    runs = [it for it in report.policies if it.series.payouts][:6]
    return Chart(
        title="Paid out to owners",
        x=_DAYS,
        y=Axis("so far, all owners", Scale.LINEAR),
        lines=tuple(Line(it.words, it.series.payouts) for it in runs),
    )


def _compared(report: ResaleReport) -> list[PolicyFigures]:
    """The four fleets, without the sweep."""
    return [first_of(report, name) for name in ("reserved", "shared", "killing", "parkade")]


def _between(low: Points, high: Points) -> tuple[tuple[float, float], ...]:
    return tuple((below, above) for (_, below), (_, above) in zip(low, high, strict=True))


def _summed(values: Sequence[float], step_hours: float = 0.25) -> list[float]:
    total, found = 0.0, []
    for value in values:
        total += value * step_hours
        found.append(total)
    return found


def _thinned(values: Sequence[float], step_minutes: int) -> Points:
    """(day, mean of so many steps)."""
    part = -(-len(values) // MOST_STEPS)
    found = []
    for start in range(0, len(values), part):
        piece = values[start : start + part]
        middle = (start + len(piece) / 2) * step_minutes / (24 * 60)
        found.append((middle, sum(piece) / len(piece)))
    return tuple(found)
