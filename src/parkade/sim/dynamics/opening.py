"""The simulated market as it opens, and the spec of a simulated job.

A day shows what users have who ask for nothing else. A term that a later version adds is set to
what a new market gets there (`LATER_TERMS`), because its default in the core means "as before"; a
version that does not know it goes without.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from msgspec.structs import replace

from parkade.core.fleet.market import InstanceType, MarketTerms
from parkade.core.state import commands
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.core.workloads.spec import Capacity, CapacityKind, Interconnect, Spec
from parkade.sim.dynamics.demand import GPUS, ORGS, OWNERS, Job, Owner, node_names

Record = TypeVar("Record", Spec, MarketTerms)


def with_known(record: Record, **options: Any) -> Record:
    """The record with those options that this version of the code knows."""
    known = {name: value for name, value in options.items() if name in record.__struct_fields__}
    return replace(record, **known)


MARKET = "market"
POOL = "pool"
DEPOSIT_MICROS = 10**8 * MICROS
FIRST_TERMS = MarketTerms(
    pay_as_you_go_micros=12 * MICROS,
    reservation_rate_micros=4 * MICROS,
    public_floor_micros=2 * MICROS,
    fee=Fraction(numerator=1, denominator=10),
    switching_credit=Fraction(numerator=1, denominator=20),
    notice_us=120 * SECOND_US,
    heal_notice_us=30 * SECOND_US,
    kill_us=30 * SECOND_US,
    turnaround_us=30 * SECOND_US,
    start_grace_us=120 * SECOND_US,
    minimum_charge_us=120 * SECOND_US,
    release_grace_us=60 * SECOND_US,
    clearing_interval_us=30 * SECOND_US,
    clearing_pause_us=SECOND_US // 2,
    billing_period_us=HOUR_US,
    backoff_us=5 * MINUTE_US,
    retention_us=HOUR_US,
    buffer_nodes=1,
)
LATER_TERMS = {"assemble_us": 10 * MINUTE_US}
TERMS = with_known(FIRST_TERMS, **LATER_TERMS)

Fabrics = dict[str, tuple[str, ...]]
"""The nodes of each fabric."""


def opening(owners: tuple[Owner, ...] = OWNERS) -> Iterator[commands.AnyCommand]:
    """The commands that open the market, fund the orgs and sell the owners their nodes."""
    yield commands.OpenEpoch(by=None, installation="i" * 32, lineage="l" * 32)
    yield open_pool(node_names(), TERMS)
    for org in ORGS:
        yield from fund(org)
    for owner in owners:
        yield from fund(owner.org)
        yield from sell(owner)


def open_pool(fabrics: Fabrics, terms: MarketTerms) -> commands.OpenPool:
    """One pool of these nodes in one market."""
    instance_type = InstanceType(
        name="h100", gpu_model="H100", gpus_per_node=GPUS, memory_gib=1024, cpus=96
    )
    return commands.OpenPool(
        by=None,
        pool=POOL,
        site="site",
        supplier=None,
        engine="local",
        supply=commands.Supply(
            market=MARKET,
            opens=commands.NewMarket(instance_type=instance_type, terms=terms),
            fabrics=tuple(fabrics.items()),
        ),
    )


def fund(org: str) -> Iterator[commands.AnyCommand]:
    """An org that never runs out of money."""
    yield commands.CreateOrg(by=None, org=org)
    yield commands.Deposit(by=None, org=org, micros=DEPOSIT_MICROS)


def sell(owner: Owner) -> Iterator[commands.AnyCommand]:
    """The owner's reservation, open-ended from now on, and what it lends."""
    yield commands.Reserve(
        by=None,
        org=owner.org,
        market=None,
        name=owner.org,
        nodes=owner.nodes,
        start_us=None,
        end_us=None,
    )
    if owner.floor_micros is not None:
        yield commands.Lend(
            by=None, reservation=owner.org, floor_micros=owner.floor_micros, keep=owner.keep
        )


def spec_of(job: Job) -> Spec:
    """What a job's user submits."""
    kinds = {"spot": CapacityKind.SPOT, "on-demand": CapacityKind.ON_DEMAND}
    kind = kinds.get(job.capacity, CapacityKind.RESERVATION)
    is_owned = kind is CapacityKind.RESERVATION
    spec = Spec(
        name=f"job-{job.number}",
        command="train",
        workdir="/",
        env=(),
        env_file=None,
        storage=(),
        nodes=job.nodes,
        gpus=job.gpus,
        instance_type=None,
        interconnect=Interconnect.FABRIC,
        capacity=Capacity(kind=kind, reservation=job.capacity if is_owned else None),
        limit_price_micros=job.limit_micros,
        max_spend_micros=None,
        checkpoint=None,
        priority=0,
        retry_failures=3,
        max_duration_us=job.work_us * 2 if kind is CapacityKind.ON_DEMAND else None,
    )
    return with_known(spec, **dict(job.options))
