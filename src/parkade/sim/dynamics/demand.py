"""What people and machines want of a simulated market: drawn from a seed, before anything runs.

Each kind of chance has a random stream of its own (arrivals, sizes, limits, durations, behaviour,
owners, on-demand, failures). So a change of one of them, of the rules or of the code leaves all
others as they were: two runs of one seed see the same jobs, at the same instants, with the same
work to do. What a job does when it is told to leave is drawn with it, too.

Sizes are those of a research cluster of 64 nodes of 8 GPUs in four fabrics; four owners hold 26 of
the nodes. `SUB_NODE_SHARE` of the jobs use less than a node. Offered spot work is about 1.3 times
what the whole market could run.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US

FABRICS = {f"fabric-{letter}": 16 for letter in "abcd"}
GPUS = 8
ORGS = tuple(f"org-{number:02}" for number in range(12))
SUB_NODE_SHARE = 0.3
LOAD = 1.3
"""Offered GPU-hours of spot per GPU-hour of the whole market."""

WHOLE_SIZES = ((1, 0.45), (2, 0.25), (4, 0.18), (8, 0.09), (16, 0.03))
"""(nodes, share) of the jobs that use whole nodes."""

SUB_SIZES = ((1, 0.5), (2, 0.3), (4, 0.2))
"""(GPUs, share) of the jobs that use less than a node."""

MEDIAN_WORK_US = 50 * MINUTE_US
WORK_SPREAD = 0.9
"""Standard deviation of the work's logarithm; its mean is then 1.5 times its median."""

LEAST_WORK_US, MOST_WORK_US = 5 * MINUTE_US, 10 * HOUR_US
MEDIAN_LIMIT, LIMIT_SPREAD = 4.6, 0.4
LINGERING_SHARE = 0.005
NODE_FAILURES_PER_DAY = 4
CORDONS_PER_DAY = 4


@dataclass(frozen=True, kw_only=True)
class Job:
    """A workload as its user wants it, and how it behaves."""

    number: int
    at_us: int
    """From the start of the day."""

    org: str
    capacity: str
    """`spot`, `on-demand` or the reservation's name."""

    nodes: int
    gpus: int
    limit_micros: int | None
    work_us: int
    """How long it has to run, over all attempts."""

    starting_us: int
    """From the order to the first process."""

    saving_us: int | None
    """How long it saves when told to leave; None: it does not, and is killed."""

    patience_us: int
    """It is cancelled when it has not started for so long."""

    rebid: tuple[int, int] | None = None
    """(how long after its submission, the other limit)."""

    fails_after_us: int | None = None
    """It fails once, after so much work; None: it does not."""

    lingers_us: int = 0
    """How long after a kill its node is still held: an engine that cannot clean up."""

    options: tuple[tuple[str, str | bool], ...] = ()
    """Fields of its spec that not every version of the code knows."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An owner wants nodes for itself, for a time that counts from when it asks."""

    at_us: int
    reservation: str
    nodes: int
    span_us: int


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A node breaks, or is cordoned by a person, and is well again later."""

    at_us: int
    node: str
    is_failure: bool
    span_us: int


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A reservation, sold at the start of the day, and what its owner lends."""

    org: str
    nodes: int
    floor_micros: int | None
    keep: int
    claims_per_day: float
    jobs_per_day: float


OWNERS = (
    Owner(
        org="own-a",
        nodes=8,
        floor_micros=3 * MICROS,
        keep=0,
        claims_per_day=16,
        jobs_per_day=12,
    ),
    Owner(
        org="own-b",
        nodes=8,
        floor_micros=5 * MICROS,
        keep=2,
        claims_per_day=20,
        jobs_per_day=0,
    ),
    Owner(
        org="own-c",
        nodes=6,
        floor_micros=4 * MICROS,
        keep=0,
        claims_per_day=0,
        jobs_per_day=24,
    ),
    Owner(
        org="own-d",
        nodes=4,
        floor_micros=None,
        keep=0,
        claims_per_day=4,
        jobs_per_day=0,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What may differ from day to day beside the seed."""

    sub_node_share: float = SUB_NODE_SHARE
    load: float = LOAD
    owners: tuple[Owner, ...] = OWNERS
    node_failures_per_day: float = NODE_FAILURES_PER_DAY
    cordons_per_day: float = CORDONS_PER_DAY


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Everything that comes from outside in a day, each in order of time."""

    jobs: tuple[Job, ...]
    claims: tuple[Claim, ...]
    outages: tuple[Outage, ...]


def node_names() -> dict[str, tuple[str, ...]]:
    """The nodes of each fabric."""
    return {
        fabric: tuple(f"{fabric[-1]}{number:02}" for number in range(1, nodes + 1))
        for fabric, nodes in FABRICS.items()
    }


def draw_demand(seed: int, span_us: int, mix: Mix) -> Demand:
    """All that a day of this length sees; a shorter one sees the beginning of a longer one."""
    jobs = [
        *_spot_jobs(seed, span_us, mix),
        *_on_demand(seed, span_us),
        *_own_jobs(seed, span_us, mix),
    ]
    jobs.sort(key=lambda job: (job.at_us, job.number))
    return Demand(
        jobs=tuple(jobs),
        claims=tuple(sorted(_claims(seed, span_us, mix), key=lambda it: it.at_us)),
        outages=tuple(sorted(_outages(seed, span_us, mix), key=lambda it: it.at_us)),
    )


class _Streams:
    """Random streams of one seed and one kind of demand, by name."""

    def __init__(self, seed: int, kind: str) -> None:
        self.arrivals, self.sizes, self.limits, self.durations, self.behaviour, self.people = (
            random.Random(f"{seed} {kind} {name}")
            for name in ("arrivals", "sizes", "limits", "durations", "behaviour", "people")
        )


def _spot_jobs(seed: int, span_us: int, mix: Mix) -> Iterator[Job]:
    streams = _Streams(seed, "spot")
    per_hour = _spot_jobs_per_hour(mix)
    for number, at_us in enumerate(_arrivals(streams.arrivals, per_hour, span_us)):
        nodes, gpus = _draw_size(streams.sizes, mix)
        limit = MEDIAN_LIMIT * math.exp(streams.limits.gauss(0, LIMIT_SPREAD))
        limit_micros = round(limit * 1000) * (MICROS // 1000)
        yield _job(
            streams,
            number,
            at_us,
            org=streams.people.choice(ORGS),
            capacity="spot",
            shape=(nodes, gpus),
            limit_micros=limit_micros,
        )


def _spot_jobs_per_hour(mix: Mix) -> float:
    """So many that the load comes out, whatever the share of jobs below a node."""
    whole = sum(nodes * share for nodes, share in WHOLE_SIZES) * GPUS
    sub = sum(gpus * share for gpus, share in SUB_SIZES)
    gpus = mix.sub_node_share * sub + (1 - mix.sub_node_share) * whole
    hours = MEDIAN_WORK_US * math.exp(WORK_SPREAD**2 / 2) / HOUR_US
    capacity = sum(FABRICS.values()) * GPUS
    return mix.load * capacity / (gpus * hours)


def _draw_size(chance: random.Random, mix: Mix) -> tuple[int, int]:
    """(nodes, GPUs of each). Two draws each time, so that the mix moves no later draw."""
    is_sub, which = chance.random() < mix.sub_node_share, chance.random()
    if is_sub:
        return 1, _pick(SUB_SIZES, which)
    return _pick(WHOLE_SIZES, which), GPUS


def _pick(table: tuple[tuple[int, float], ...], which: float) -> int:
    for size, share in table:
        which -= share
        if which < 0:
            return size
    return table[-1][0]


def _on_demand(seed: int, span_us: int) -> Iterator[Job]:
    streams = _Streams(seed, "on-demand")
    for number, at_us in enumerate(_arrivals(streams.arrivals, 0.8, span_us)):
        yield _job(
            streams,
            200_000 + number,
            at_us,
            org=streams.people.choice(ORGS),
            capacity="on-demand",
            shape=(streams.sizes.choice((1, 1, 2)), GPUS),
            limit_micros=None,
        )


def _own_jobs(seed: int, span_us: int, mix: Mix) -> Iterator[Job]:
    for place, owner in enumerate(mix.owners):
        streams = _Streams(seed, owner.org)
        for number, at_us in enumerate(
            _arrivals(streams.arrivals, owner.jobs_per_day / 24, span_us)
        ):
            yield _job(
                streams,
                300_000 + 10_000 * place + number,
                at_us,
                org=owner.org,
                capacity=owner.org,
                shape=(streams.sizes.choice((1, 1, 2, 4)), GPUS),
                limit_micros=None,
            )


def _job(
    streams: _Streams,
    number: int,
    at_us: int,
    *,
    org: str,
    capacity: str,
    shape: tuple[int, int],
    limit_micros: int | None,
) -> Job:
    """A job with its work and its behaviour; each draw is made whether it is used or not."""
    work = MEDIAN_WORK_US * math.exp(streams.durations.gauss(0, WORK_SPREAD))
    work_us = round(min(max(work, LEAST_WORK_US), MOST_WORK_US))
    chance = streams.behaviour
    starting_us = round(chance.uniform(5, 60)) * SECOND_US
    saving_us = round(chance.uniform(5, 110)) * SECOND_US
    saves, rebids, fails, lingers = (chance.random() for _ in range(4))
    patience_us = round(chance.uniform(1, 6) * HOUR_US)
    rebid_us = round(chance.uniform(10, 90) * MINUTE_US)
    rebid = None
    if limit_micros is not None and rebids < 0.08:
        rebid = (rebid_us, limit_micros * 13 // 10 if rebids < 0.05 else limit_micros * 8 // 10)
    return Job(
        number=number,
        at_us=at_us,
        org=org,
        capacity=capacity,
        nodes=shape[0],
        gpus=shape[1],
        limit_micros=limit_micros,
        work_us=work_us,
        starting_us=starting_us,
        saving_us=saving_us if saves < 0.85 and lingers >= LINGERING_SHARE else None,
        patience_us=patience_us,
        rebid=rebid,
        fails_after_us=work_us // 2 if fails < 0.03 else None,
        lingers_us=4 * MINUTE_US if lingers < LINGERING_SHARE else 0,
    )


def _claims(seed: int, span_us: int, mix: Mix) -> Iterator[Claim]:
    """Small claims all day, and once in the day everything that the owner still has."""
    for owner in mix.owners:
        chance = random.Random(f"{seed} {owner.org} claims")
        for at_us in _arrivals(chance, owner.claims_per_day / 24, span_us):
            nodes = owner.nodes if chance.random() < 0.1 else chance.randint(1, owner.nodes // 2)
            yield Claim(
                at_us=at_us,
                reservation=owner.org,
                nodes=nodes,
                span_us=round(chance.expovariate(1 / 1.2) * HOUR_US) + MINUTE_US,
            )


def _outages(seed: int, span_us: int, mix: Mix) -> Iterator[Outage]:
    nodes = [name for names in node_names().values() for name in names]
    for kind, per_day, hours in (
        ("failures", mix.node_failures_per_day, (1.0, 6.0)),
        ("cordons", mix.cordons_per_day, (0.3, 2.0)),
    ):
        chance = random.Random(f"{seed} {kind}")
        for at_us in _arrivals(chance, per_day / 24, span_us):
            yield Outage(
                at_us=at_us,
                node=chance.choice(nodes),
                is_failure=kind == "failures",
                span_us=round(chance.uniform(*hours) * HOUR_US),
            )


def _arrivals(chance: random.Random, per_hour: float, span_us: int) -> Iterator[int]:
    """Instants of a Poisson process whose rate rises by 40 % by day and falls as much by night."""
    if per_hour <= 0:
        return
    at_us = 0.0
    while True:
        at_us += chance.expovariate(1.4 * per_hour) * HOUR_US
        if at_us >= span_us:
            return
        rate = 1 + 0.4 * math.sin(2 * math.pi * at_us / (24 * HOUR_US))
        if chance.random() * 1.4 < rate:
            yield round(at_us)
