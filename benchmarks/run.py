"""Runs the benchmarks and prints their figures beside the ranges that they should stay in.

    python benchmarks/run.py [--only NAME] [--quick] [--strict]

A figure out of its range is remarked upon and fails nothing, unless asked: machines differ and
are noisy. The ranges are ratios where they can be, and generous where they are absolute.
"""

import argparse
import importlib
import os
import platform
import sys
import time
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec

from benchmarks.figures import Figure

BENCHMARKS = {
    "world": "benchmarks.world",
    "clearing": "benchmarks.clearing_figures",
    "linked": "benchmarks.linked",
    "book": "benchmarks.book",
    "submit": "benchmarks.submit",
    "archive": "benchmarks.archive",
    "reclaim": "benchmarks.reclaim",
    "compound_calls": "benchmarks.compound_calls",
    "compound_verify": "benchmarks.compound_verify",
    "console": "benchmarks.console",
    "simulation": "benchmarks.simulation",
    "kueue_mix": "benchmarks.kueue_mix",
    "mars": "benchmarks.mars_judge",
    "mars_quarantine": "benchmarks.mars_quarantine",
}
RANGES = Path(__file__).with_name("ranges.json")


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a figure's median should lie; either end may be open."""

    at_least: float | None = None
    at_most: float | None = None

    def remark(self, value: float) -> str:
        """Empty where the value lies inside."""
        if self.at_least is not None and value < self.at_least:
            return f"below {self.at_least:g}"
        if self.at_most is not None and value > self.at_most:
            return f"above {self.at_most:g}"
        return ""


class Benchmark(Protocol):
    """What each module of the table above offers."""

    def figures(self, *, quick: bool) -> list[Figure]:
        """Its figures; `quick` runs everything once at sizes that mean nothing."""
        ...


def read_ranges() -> dict[str, Range]:
    """By figure."""
    return msgspec.json.decode(RANGES.read_bytes(), type=dict[str, Range])


def load(name: str) -> Benchmark:
    """A benchmark by its name; what it needs is imported only then."""
    module: Benchmark = importlib.import_module(BENCHMARKS[name])
    return module


def remarks(figures: list[Figure], ranges: dict[str, Range]) -> dict[str, str]:
    """Figures out of their range, and how."""
    found = {
        figure.name: ranges[figure.name].remark(figure.median)
        for figure in figures
        if figure.name in ranges
    }
    return {name: remark for name, remark in found.items() if remark}


def table(figures: list[Figure], out_of_range: dict[str, str]) -> str:
    """One line a figure, under its class."""
    lines: list[str] = []
    for kind in dict.fromkeys(figure.kind for figure in figures):
        lines.append(f"\n{kind}")
        lines += [_line(figure, out_of_range) for figure in figures if figure.kind is kind]
    return "\n".join(lines)


def _line(figure: Figure, out_of_range: dict[str, str]) -> str:
    spread = f"{_number(figure.low)} – {_number(figure.high)}" if len(figure.values) > 1 else ""
    remark = f"({out_of_range[figure.name]}) " if figure.name in out_of_range else ""
    return (
        f"  {figure.name:<34} {_number(figure.median):>9} {figure.unit:<8} {spread:>19}"
        f"  {remark}{figure.what}"
    )


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def machine() -> str:
    """What the figures were taken on, as far as it matters."""
    load_1, _, _ = os.getloadavg()
    return (
        f"{os.cpu_count()} processors, load {load_1:.1f} at the start,"
        f" Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; 1 where a figure is out of its range and `--strict` was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--strict", action="store_true", help="exit 1 for a figure out of range")
    asked = parser.parse_args(arguments)
    print(machine(), flush=True)
    ranges = {} if asked.quick else read_ranges()
    found: list[Figure] = []
    for name in asked.only or BENCHMARKS:
        began = time.monotonic()
        figures = load(name).figures(quick=asked.quick)
        found += figures
        print(f"\n# {name}, {time.monotonic() - began:.0f} s: median, least – greatest", end="")
        print(table(figures, remarks(figures, ranges)), flush=True)
    out_of_range = remarks(found, ranges)
    print(f"\n{len(found)} figures, {len(out_of_range)} out of range")
    return 1 if out_of_range and asked.strict else 0


if __name__ == "__main__":
    sys.exit(main())
