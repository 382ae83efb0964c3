"""The market that `parkade sim dynamics` measures, at several loads.

64 nodes of 8 GPUs in four fabrics. Six reservations hold 30 of them and lend what stands idle.
20 % of the jobs are below a node, gangs have up to 16. 6.5 nodes fail in 1,000 node-days, as
traces of large clusters tell. Offered spot work is 0.9 to 1.5 times what all nodes could run.
"""

from collections.abc import Callable, Sequence

from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US
from parkade.sim.dynamics.day import START_US, Day
from parkade.sim.dynamics.demand import FABRICS, GPUS, Mix, Owner, draw_demand
from parkade.sim.dynamics.figures import DynamicsReport, LoadFigures, figures_of
from parkade.sim.dynamics.measure import DayMeasurer, Measures
from parkade.sim.dynamics.opening import opening
from parkade.sim.dynamics.ranges import KeptRanges, outside, ranges_of

LOADS = (0.9, 1.2, 1.5)
SUB_NODE_SHARE = 0.2
FAILURES_PER_NODE_DAY = 0.0065
NODES = sum(FABRICS.values())


def _owner(org: str, nodes: int, floor: float, *, keep: int, claims: float, jobs: float) -> Owner:
    return Owner(
        org=org,
        nodes=nodes,
        floor_micros=round(floor * MICROS),
        keep=keep,
        claims_per_day=claims,
        jobs_per_day=jobs,
    )


OWNERS = (
    _owner("own-a", 8, 3, keep=0, claims=16, jobs=12),
    _owner("own-b", 8, 5, keep=2, claims=20, jobs=0),
    _owner("own-c", 6, 4, keep=0, claims=0, jobs=24),
    _owner("own-d", 4, 3.5, keep=1, claims=8, jobs=4),
    _owner("own-e", 2, 2.5, keep=0, claims=6, jobs=0),
    _owner("own-f", 2, 6, keep=0, claims=0, jobs=8),
)


def mix_of(load: float) -> Mix:
    """The demand at a load."""
    return Mix(
        sub_node_share=SUB_NODE_SHARE,
        load=load,
        owners=OWNERS,
        node_failures_per_day=NODES * FAILURES_PER_NODE_DAY,
    )


def play(seed: int, load: float, hours: float) -> tuple[Measures, str]:
    """The sums of one day, or its first hours, and the digest of its events."""
    span_us = round(hours * HOUR_US)
    demand = draw_demand(seed, span_us, mix_of(load))
    sums = Measures(seed=seed, hours=hours, sub_node_share=SUB_NODE_SHARE)
    measurer = DayMeasurer(demand, None, sums)
    day = Day(demand, (measurer,), opens=opening(OWNERS))
    day.run(span_us)
    measurer.close(START_US, day.now_us)
    return sums, day.digest


def measure(
    seeds: tuple[int, ...],
    loads: Sequence[float],
    hours: float,
    *,
    kept: KeptRanges | None,
    progress: Callable[[float, int], None],
) -> tuple[DynamicsReport, KeptRanges]:
    """The figures of each load over all seeds, and the ranges that these seeds give. `kept`: what
    they are held against. `progress` is found_outside load and seed before each day."""
    by_seed: list[list[LoadFigures]] = [[] for _ in seeds]
    found = []
    for load in loads:
        days, digests = [], []
        for place, seed in enumerate(seeds):
            progress(load, seed)
            day, digest = play(seed, load, hours)
            days.append(day)
            digests.append(digest)
            by_seed[place].append(figures_of(load, [day], [digest], gpus=NODES * GPUS))
        found.append(figures_of(load, days, digests, gpus=NODES * GPUS))
    found_outside = () if kept is None else outside(kept, found)
    report = DynamicsReport(seeds=seeds, hours=hours, loads=tuple(found), outside=found_outside)
    return report, ranges_of(hours, seeds, by_seed)
