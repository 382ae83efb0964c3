"""That the benchmarks run and say something; what they measure is nobody's test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.figures import Figure, Kind, percentile
from benchmarks.run import BENCHMARKS, Range, load, main, read_ranges, remarks
from tests.waits import PATIENCE_S

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]


def figure(name: str, *values: float) -> Figure:
    return Figure(name=name, kind=Kind.DECISION, unit="ms", values=values, what="a test")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_quick_run_gives_figures_of_its_name(name: str) -> None:
    figures = load(name).figures(quick=True)
    assert figures
    for one in figures:
        assert one.name.startswith(f"{name}.")
        assert one.values and all(value >= 0 for value in one.values)
        assert one.what and one.unit
    names = [one.name for one in figures]
    assert len(set(names)) == len(names)
    if name not in ("reclaim", "book"):  # Quick ones leave waves out, or are of other sizes.
        assert {each for each in read_ranges() if each.startswith(f"{name}.")} <= set(names)


def test_the_program_runs_as_the_makefile_runs_it() -> None:
    command = [sys.executable, "benchmarks/run.py", "--quick", "--only", "clearing", "--strict"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "decision only" in done.stdout and "clearing.whole_all_new" in done.stdout


def test_only_known_benchmarks_are_run() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--only", "weather"])
    assert stopped.value.code == 2


def test_the_page_on_speed_names_only_benchmarks_that_there_are() -> None:
    page = (ROOT / "docs" / "speed.md").read_text("utf-8")
    assert set(re.findall(r"run\.py --only (\w+)", page)) == set(BENCHMARKS)


def test_every_range_belongs_to_a_benchmark_and_has_an_end() -> None:
    for name, range_ in read_ranges().items():
        assert name.partition(".")[0] in BENCHMARKS
        assert range_.at_least is not None or range_.at_most is not None


def test_what_lies_outside_its_range_is_remarked_upon() -> None:
    ranges = {
        "a": Range(at_most=2.0),
        "b": Range(at_least=2.0),
        "c": Range(at_least=1.0, at_most=2.0),
    }
    figures = [figure("a", 1.0, 3.0, 9.0), figure("b", 1.0), figure("c", 1.5), figure("d", 99.0)]
    assert remarks(figures, ranges) == {"a": "above 2", "b": "below 2"}


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 50) == 50.0
    assert percentile(values, 99) == 99.0
    assert percentile([7.0], 99) == 7.0
