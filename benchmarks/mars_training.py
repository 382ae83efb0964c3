"""Effective training time ratio with published failure rates, beside the closed form.

    python benchmarks/mars_training.py

Rates: Llama 3 had 3.79 and Meta's RSC-1 6.5 failures per 1,000 node-days. Jobs of 1,024 to 16,384
GPUs restart in 20, 5 or 1 minutes and checkpoint in 10 s at the best interval. *Without buffer* a
failed node must be repaired (2.2 h in the mean, NCSA Delta) before the job goes on; *with* it the
99.9 % quantile of nodes in repair stands ready.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parkade.core.healing.buffer_size import poisson_size
from parkade.core.healing.training_time import (
    Spares,
    TrainingJob,
    best_interval,
    closed_form,
    renewal_form,
    simulate,
)
from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US

RATES = {"Llama 3": 3.79, "RSC-1": 6.5}
GPUS = (1_024, 2_048, 4_096, 8_192, 16_384)
RESTARTS_MIN = (20, 5, 1)
CHECKPOINT_US = 10 * SECOND_US
REPAIR_US = 22 * HOUR_US // 10
SEEDS = range(5)
DAYS = 1_000


class Row(NamedTuple):
    """One case; ratios are means over seeds, `gap` is from the closed form, `exact` the mean of
    the same law with spares always there."""

    rate: str
    gpus: int
    restart_min: int
    closed: float
    exact: float
    buffered: float
    gap: float
    spares: int
    bare: float


def row(rate: str, gpus: int, restart_min: int, *, days: int) -> Row:
    """Plays one case over all seeds."""
    job = TrainingJob(gpus // 8, RATES[rate] / 1_000, restart_min * MINUTE_US, CHECKPOINT_US)
    interval = best_interval(job)
    closed = closed_form(job, interval)
    held = poisson_size(job.failures_per_us * REPAIR_US, quantile=0.999)

    def mean(spares: Spares) -> float:
        found = [
            simulate(job, interval, spares=spares, horizon_us=days * DAY_US, draw=_draws(seed))
            for seed in SEEDS
        ]
        return sum(found) / len(found)

    buffered = mean(Spares(held, REPAIR_US))
    bare = mean(Spares(0, REPAIR_US))
    exact = renewal_form(job, interval)
    gap = abs(buffered - closed)
    return Row(rate, gpus, restart_min, closed, exact, buffered, gap, held, bare)


def _draws(seed: int) -> Callable[[], float]:
    generator = random.Random(seed)
    return lambda: generator.expovariate(1.0)


def rows(*, days: int) -> list[Row]:
    """Every case."""
    return [
        row(rate, gpus, restart, days=days)
        for rate in RATES
        for gpus in GPUS
        for restart in RESTARTS_MIN
    ]


def main() -> None:
    """Prints the table."""
    found = rows(days=DAYS)
    head = "closed form | exact mean | with buffer | gap | spares | without buffer"
    print(f"| rate | GPUs | restart | {head} |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for each in found:
        print(
            f"| {each.rate} | {each.gpus:,} | {each.restart_min} min | {each.closed:.3f}"
            f" | {each.exact:.3f} | {each.buffered:.3f} | {each.gap:.4f} | {each.spares}"
            f" | {each.bare:.3f} |"
        )
    print(f"\nworst gap {max(each.gap for each in found):.4f}")


if __name__ == "__main__":
    main()
