"""Effective training time ratio: which part of the wall-clock makes progress that is kept.

One synchronous job on `n` nodes. Failures come at rate f = n x r. It writes a checkpoint of cost w
after each interval d of work; a failure loses what came after the last checkpoint and costs u until
work goes on. The closed form (Kokolis et al., arXiv 2410.21680):

    E = (1 - f (u + d / 2)) / (1 + w / d)

The closed form counts a failure that comes while the job restarts as if it cost a full restart and
half an interval; in truth it costs only what of the restart was done. `renewal_form` has the exact
mean where spares are always there: each cycle of length c = d + w succeeds with chance e^(-f c), so

    E = f d e^(-f u) / (e^(f c) - 1)

`simulate` plays the same job failure by failure, and a restart may also have to wait for a spare.
The draws are passed in, so a run is repeated by its seed.

Worked example. 16,384 GPUs are 2,048 nodes; at 6.5 failures per 1,000 node-days that is 13.3 a day.
With u = 5 min, w = 10 s and the best d of about 6 min: (1 - 13.3 x 8/1440) / (1 + 10/360) = 0.901;
the exact mean is 0.902. With u = 20 min they are 0.767 and 0.786, as far apart as in any case here.
"""

import heapq
import math
from collections.abc import Callable
from typing import NamedTuple

from parkade.core.units.time import DAY_US

SEARCH_STEPS = 200


class TrainingJob(NamedTuple):
    """`failures_per_node_day` is r; spans are microseconds."""

    nodes: int
    failures_per_node_day: float
    restart_us: int
    checkpoint_us: int

    @property
    def failures_per_us(self) -> float:
        """f of the whole job."""
        return self.nodes * self.failures_per_node_day / DAY_US


class Spares(NamedTuple):
    """`held` spares beside the job; a failed node is repaired in a mean of `repair_us`."""

    held: int
    repair_us: int


def closed_form(job: TrainingJob, interval_us: float) -> float:
    """E for a checkpoint interval; below 0 where the formula does not hold."""
    lost = job.failures_per_us * (job.restart_us + interval_us / 2)
    return (1 - lost) / (1 + job.checkpoint_us / interval_us)


def renewal_form(job: TrainingJob, interval_us: float) -> float:
    """The exact mean of E for a checkpoint interval, where a spare is always there."""
    rate = job.failures_per_us
    cycle_us = interval_us + job.checkpoint_us
    return rate * interval_us * math.exp(-rate * job.restart_us) / math.expm1(rate * cycle_us)


def best_interval(job: TrainingJob) -> float:
    """The interval with the greatest E, found between a tenth of w and a day (E has one hill)."""
    low, high = math.log(max(1.0, job.checkpoint_us / 10)), math.log(float(DAY_US))
    for _ in range(SEARCH_STEPS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if closed_form(job, math.exp(left)) < closed_form(job, math.exp(right)):
            low = left
        else:
            high = right
    return math.exp((low + high) / 2)


def simulate(
    job: TrainingJob,
    interval_us: float,
    *,
    spares: Spares | None,
    horizon_us: int,
    draw: Callable[[], float],
) -> float:
    """E over a horizon, played failure by failure.

    `draw` gives numbers of the exponential law with mean 1. With `spares`, a restart waits until
    one is free; a failed node becomes a spare when repaired. None: spares are always there. Grows
    with the failures in the horizon times log of the nodes in repair.
    """
    now_us, kept_us, cycle = 0.0, 0.0, interval_us + job.checkpoint_us
    pool = _Pool(spares)
    next_failure = draw() / job.failures_per_us
    while now_us < horizon_us:
        until = min(next_failure, float(horizon_us))
        kept_us += int((until - now_us) // cycle) * interval_us
        now_us = until
        if now_us >= horizon_us:
            break
        at_us, ready_us = next_failure, 0.0
        while True:
            # Each failure needs a node, and a restart that it meets begins anew.
            ready_us = max(ready_us, at_us + pool.take(at_us, draw))
            up_again = ready_us + job.restart_us
            next_failure = at_us + draw() / job.failures_per_us
            if next_failure > up_again:
                break
            at_us = next_failure
        now_us = up_again
    return kept_us / horizon_us


class _Pool:
    """Spares and the nodes in repair, each with the instant of its return."""

    def __init__(self, spares: Spares | None) -> None:
        self._spares = spares
        self._free = 0 if spares is None else spares.held
        self._repairs: list[float] = []

    def take(self, at_us: float, draw: Callable[[], float]) -> float:
        """A node failed and another is taken for it; how long that is waited for."""
        if self._spares is None:
            return 0.0
        heapq.heappush(self._repairs, at_us + draw() * self._spares.repair_us)
        while self._repairs and self._repairs[0] <= at_us:
            heapq.heappop(self._repairs)
            self._free += 1
        if self._free:
            self._free -= 1
            return 0.0
        return heapq.heappop(self._repairs) - at_us
