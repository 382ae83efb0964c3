"""A simulated market over days: what moves, who waits, what idles, what it earns.

Four days of 64 nodes of 8 GPUs in four fabrics, each from a seed of its own, through the
production core (`parkade.sim.dynamics.day`). The demand depends on the seed alone, so two versions
of the code meet the same jobs, claims and failures, and stand in one table.

    python benchmarks/market_days.py                       four days, in some minutes
    python benchmarks/market_days.py --short               one seed, six hours
    python benchmarks/market_days.py --stories             the stories alone
    python benchmarks/market_days.py --against FILE        beside kept figures
    python benchmarks/market_days.py --code PATH           beside the code of another checkout
    python benchmarks/market_days.py --json FILE           and keep the figures
    python benchmarks/market_days.py --seed 3 --no-stories one of the days, to be joined later:
    python benchmarks/market_days.py --show FILE FILE      join kept figures of one version

`--code` runs this file in a process of its own with the `src` folder of the other checkout, as a
`git worktree` of an older commit is one, back to the first that has `parkade.sim.dynamics`; the
figures of the first version are kept. `docs/market-days.md` tells what each figure means.
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec

from benchmarks.market_days_fall_backs import FallBacks
from benchmarks.market_days_figures import Result, joined, read_result, table
from benchmarks.market_days_stories import tell_all
from parkade.core.units.time import HOUR_US
from parkade.sim.dynamics.day import START_US, Day
from parkade.sim.dynamics.demand import SUB_NODE_SHARE, Mix, draw_demand
from parkade.sim.dynamics.measure import DayMeasurer, Measures
from parkade.sim.dynamics.opening import opening

SEEDS = (1, 2, 3, 4)
MIXES = (0.0, SUB_NODE_SHARE, 0.8)
"""Shares of jobs below a node, measured with one seed."""

MIX_HOURS = 12.0


def simulate(seed: int, hours: float, mix: Mix, *, check_every: int | None = None) -> Measures:
    """One day, or its first hours."""
    span_us = round(hours * HOUR_US)
    demand = draw_demand(seed, span_us, mix)
    sums = Measures(seed=seed, hours=hours, sub_node_share=mix.sub_node_share)
    begun_s = time.process_time()
    with FallBacks() as fall_backs:
        measurer = DayMeasurer(demand, fall_backs, sums)
        day = Day(demand, (measurer,), opens=opening(), check_every=check_every)
        day.run(span_us)
        measurer.close(START_US, day.now_us)
    sums.cpu_s = time.process_time() - begun_s
    return sums


def run(
    seeds: tuple[int, ...], hours: float, mixes: tuple[float, ...], *, has_stories: bool
) -> Result:
    """All days of the code that is imported here."""
    days = []
    for seed in seeds:
        days.append(simulate(seed, hours, Mix()))
        print(f"seed {seed}: {days[-1].cpu_s:.0f} s", file=sys.stderr)
    others = [simulate(SEEDS[0], min(hours, MIX_HOURS), Mix(sub_node_share=it)) for it in mixes]
    commit, is_changed = _commit()
    return Result(
        commit=commit,
        is_changed=is_changed,
        days=tuple(days),
        mixes=tuple(others),
        stories=tell_all() if has_stories else {},
    )


def _commit() -> tuple[str, bool]:
    """The commit of the imported code, and whether its files differ from it."""
    package = importlib.import_module("parkade")
    assert package.__file__ is not None
    folder = Path(package.__file__).parent
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--", "."))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def run_other(code: Path, words: list[str]) -> Result:
    """The same days with the code of another checkout."""
    source = code.resolve() / "src"
    if not (source / "parkade").is_dir():
        raise SystemExit(f"{source} has no package 'parkade': name the folder of a checkout")
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "result.json"
        command = [sys.executable, __file__, *words, "--quiet", "--json", str(kept)]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(source)}, check=True)
        return read_result(kept)


def main(argv: list[str] | None = None) -> int:
    """Runs the days and prints the table."""
    parser = argparse.ArgumentParser(description="a simulated market over days")
    parser.add_argument("--short", action="store_true", help="one seed, six hours")
    parser.add_argument("--stories", action="store_true", help="no days, the stories alone")
    parser.add_argument("--no-stories", action="store_true", help="the days alone")
    parser.add_argument("--seed", type=int, action="append", help="of a day, instead of 1 to 4")
    parser.add_argument("--mix", type=float, action="append", help="share of jobs below a node")
    parser.add_argument("--hours", type=float, help="of each day")
    parser.add_argument("--code", type=Path, help="another checkout to stand beside this one")
    parser.add_argument("--against", type=Path, help="kept figures to stand beside these")
    parser.add_argument("--show", type=Path, nargs="+", help="run nothing, join kept figures")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    parser.add_argument("--quiet", action="store_true", help="print no table")
    asked = parser.parse_args(argv)
    seeds = tuple(asked.seed or (SEEDS[:1] if asked.short else SEEDS))
    mixes = tuple(() if asked.short or asked.seed else MIXES) + tuple(asked.mix or ())
    hours = asked.hours or (6.0 if asked.short else 24.0)
    if asked.stories:
        seeds = mixes = ()
    if asked.show:
        result = joined([read_result(path) for path in asked.show])
    else:
        result = run(seeds, hours, mixes, has_stories=not asked.no_stories)
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.encode(result) + b"\n")
    before = None
    if asked.against is not None:
        before = read_result(asked.against)
    elif asked.code is not None:
        words = ["--hours", str(hours)]
        words += [f"--seed={seed}" for seed in asked.seed or ()]
        words += [f"--mix={share}" for share in asked.mix or ()]
        words += [f"--{it}" for it in ("short", "stories") if getattr(asked, it)]
        words += ["--no-stories"] if asked.no_stories else []
        before = run_other(asked.code, words)
    if not asked.quiet:
        print(table(before, result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
