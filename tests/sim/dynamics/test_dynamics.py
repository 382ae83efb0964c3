"""Figures of a simulated market, the ranges they are held against, and the command."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from parkade.cli.app import app
from parkade.core.units.time import HOUR_US
from parkade.sim.dynamics.demand import draw_demand
from parkade.sim.dynamics.figures import DynamicsReport, LoadFigures, figures_of
from parkade.sim.dynamics.market import LOADS, NODES, OWNERS, measure, mix_of
from parkade.sim.dynamics.measure import DayMeasurer, Measures
from parkade.sim.dynamics.ranges import BadRanges, KeptRanges, outside, ranges_of, read_ranges

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "tests" / "sim" / "kept" / "dynamics-1.json"


@pytest.fixture(scope="module")
def hour() -> tuple[DynamicsReport, KeptRanges]:
    return measure((1, 2), (1.2,), 0.5, kept=None, progress=lambda *_: None)


def loads(**figures: float) -> tuple[LoadFigures, ...]:
    sizes = {"1 nodes": (0.5, 2.0)}
    return (
        LoadFigures(
            load=1.0, days=1.0, figures=figures, sizes=sizes, clearing_ms=(1.0, 2.0), digests=()
        ),
    )


def test_the_market_is_the_one_that_is_described() -> None:
    jobs = draw_demand(1, 48 * HOUR_US, mix_of(1.5)).jobs
    spot = [job for job in jobs if job.capacity == "spot"]
    nodes: int = NODES
    assert nodes == 64
    assert {job.nodes for job in spot} == {1, 2, 4, 8, 16}
    assert 0.16 < sum(job.gpus < 8 for job in spot) / len(spot) < 0.24
    assert [bool(owner.floor_micros) for owner in OWNERS] == 6 * [True]
    rare = replace(mix_of(1.5), load=0.001, owners=())
    outages = draw_demand(1, 9_600 * HOUR_US, rare).outages
    failures = sum(it.is_failure for it in outages)
    assert 5.5 < failures / (400 * NODES) * 1000 < 7.5
    assert min(LOADS) == 0.9 and max(LOADS) == 1.5


def test_a_higher_load_offers_more_of_the_same_work() -> None:
    few, many = (draw_demand(3, 24 * HOUR_US, mix_of(load)) for load in (0.9, 1.5))
    assert (
        1.4
        < sum(j.limit_micros is not None for j in many.jobs)
        / sum(j.limit_micros is not None for j in few.jobs)
        < 1.95
    )
    assert few.claims == many.claims and few.outages == many.outages


def test_a_measured_hour_is_the_same_each_time(
    hour: tuple[DynamicsReport, KeptRanges],
) -> None:
    again, _ = measure((1, 2), (1.2,), 0.5, kept=None, progress=lambda *_: None)
    assert again.loads[0].figures == hour[0].loads[0].figures
    assert again.loads[0].digests == hour[0].loads[0].digests
    assert 0 < again.loads[0].figures["utilisation"] < 1


def test_figures_of_the_kept_seeds_are_inside_their_ranges(
    hour: tuple[DynamicsReport, KeptRanges],
) -> None:
    report, ranges = hour
    assert outside(ranges, report.loads) == ()
    assert ranges.seeds == (1, 2)


def test_a_figure_beyond_its_range_is_told_and_a_new_one_is_not() -> None:
    kept = ranges_of(1.0, (1, 2), (loads(moves=10.0), loads(moves=12.0)))
    assert kept.by_load["1"]["moves"] == (8.9, 13.1)
    assert outside(kept, loads(moves=13.0, other=99.0)) == ()
    (told,) = outside(kept, loads(moves=14.0))
    assert told == "load 1: moves is 14, not 8.9 to 13.1"


def test_a_stop_that_served_nothing_is_counted() -> None:
    """Launched again on the nodes it left, with no other there meanwhile."""
    sums = Measures(seed=1, hours=1.0, sub_node_share=0.0)
    measurer = DayMeasurer(draw_demand(1, HOUR_US, mix_of(1.0)), None, sums)
    measurer._left_nodes = {"w1": {"a1"}, "w2": {"a2"}}
    measurer._launched("w3", {"a2"})
    measurer._launched("w2", {"a2"})
    measurer._launched("w1", {"a1"})
    assert sums.needless_restarts == 1


def test_two_days_alike_have_the_figures_of_one() -> None:
    """Kept ranges are of each seed alone, and are held against all seeds together."""
    day = Measures(seed=1, hours=12.0, sub_node_share=0.0, needless_restarts=3)
    one, two = (figures_of(1.0, days, (), gpus=8).figures for days in ((day,), (day, day)))
    assert one == two
    assert one["restarts without cause a day"] == 6


def test_what_is_no_file_of_ranges_is_refused() -> None:
    with pytest.raises(BadRanges, match="no kept ranges"):
        read_ranges(b"[]")


def test_the_report_of_the_first_version_is_still_read() -> None:
    kept = msgspec.json.decode(KEPT.read_bytes(), type=DynamicsReport)
    assert kept.version == 1 and kept.loads[0].figures["utilisation"] > 0


def test_the_command_ends_with_1_where_a_figure_is_outside(tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.json"
    words = ["sim", "dynamics", "--hours", "0.5", "--seeds", "1", "--load", "1"]
    first = CliRunner().invoke(app, [*words, "--keep", str(ranges)])
    assert first.exit_code == 0, first.output
    assert "owners' wait, p99 s" in first.output
    kept = json.loads(ranges.read_text())
    kept["by_load"]["1"]["utilisation"] = [0.98, 0.99]
    ranges.write_text(json.dumps(kept))
    second = CliRunner().invoke(app, [*words, "--ranges", str(ranges), "--json"])
    assert second.exit_code == 1
    told = json.loads(second.stdout)
    assert told["version"] == 1 and "utilisation" in told["outside"][0]
    ranges.write_text("{}")
    bad = CliRunner().invoke(app, [*words, "--ranges", str(ranges)])
    assert bad.exit_code == 3 and "no kept ranges" in bad.stderr
