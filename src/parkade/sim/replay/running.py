"""A scenario and a folder of data become a report, and its page."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from parkade.sim.replay import parking, resale
from parkade.sim.replay.demand import Demand, demand_of
from parkade.sim.replay.figures import ParkingReport, ReplayReport, ResaleReport
from parkade.sim.replay.quotes import read_quotes
from parkade.sim.replay.report.page import parking_page, resale_page
from parkade.sim.replay.scenario import IdleResale, Parking, Scenario
from parkade.sim.replay.traces import read_trace

Progress = Callable[[str, int], None]
"""Told the name of a run and the minutes of it that are done."""


Begins = Callable[[tuple[str, ...], int], None]
"""Told the names of the runs and the minutes of each, once the data is read."""


def run_replay(
    scenario: Scenario, data: Path, *, begins: Begins, progress: Progress
) -> ReplayReport:
    """Everything of a scenario. Raises `BadData`."""
    match scenario:
        case IdleResale():
            demand = demand_from(scenario, data)
            begins(resale.runs_of(scenario), demand.minutes)
            return resale.replay(scenario, demand, progress)
        case Parking():
            runs = tuple(parking.words_of(fill) for fill in scenario.fills)
            begins(runs, scenario.week_hours * 60)
            return parking.sweep(scenario, progress)
    assert_never(scenario)


def demand_from(scenario: IdleResale, data: Path) -> Demand:
    """The demand of the scenario's files. Raises `BadData`."""
    gpus = scenario.fleet.gpus_per_node
    trace = read_trace(data / scenario.trace.file, scenario.trace, gpus_per_node=gpus)
    quotes = read_quotes(data / scenario.quotes.file, scenario.quotes)
    return demand_of(
        trace,
        quotes,
        spread=scenario.quotes.spread,
        guests=scenario.guests,
        gpus_per_node=gpus,
        seed=scenario.seed,
    )


def page_of(report: ReplayReport) -> str:
    """The report as an HTML file."""
    match report:
        case ResaleReport():
            return resale_page(report)
        case ParkingReport():
            return parking_page(report)
    assert_never(report)
