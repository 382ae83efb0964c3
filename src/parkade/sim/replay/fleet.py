"""The replayed fleet as it opens: nodes in fabrics, one market, and every tenant's reservation."""

from collections.abc import Iterator

from parkade.core.fleet.market import InstanceType
from parkade.core.state import commands
from parkade.core.units.money import MICROS
from parkade.sim.replay.background import ORG
from parkade.sim.replay.demand import PERCENT, Demand
from parkade.sim.replay.setup import Setup

MARKET = "market"
POOL = "pool"
# No tenant ever runs out of money: what it would do then is not in the trace.
DEPOSIT_MICROS = 10**8 * MICROS

Fabrics = tuple[tuple[str, tuple[str, ...]], ...]


def fabrics_of(nodes: int, most: int) -> Fabrics:
    """(fabric, its nodes): as few fabrics as hold all, about equally large."""
    count = -(-nodes // most)
    sizes = [nodes // count + (place < nodes % count) for place in range(count)]
    names = iter(f"n{number:05}" for number in range(1, nodes + 1))
    return tuple(
        (f"f{place + 1:03}", tuple(next(names) for _ in range(size)))
        for place, size in enumerate(sizes)
    )


def kept_nodes(nodes: int, keep_percent: int) -> int:
    """So many percent of an owner's nodes, to the nearest whole one; half a node is kept."""
    return (2 * nodes * keep_percent + PERCENT) // (2 * PERCENT)


def opening(setup: Setup, demand: Demand) -> Iterator[commands.AnyCommand]:
    """The commands that open the market and sell each tenant its quota, the largest first."""
    size = sum(nodes for _, nodes in demand.nodes)
    yield commands.OpenEpoch(by=None, installation="i" * 32, lineage="l" * 32)
    yield _open_pool(setup, demand, fabrics_of(size, setup.fabric_nodes))
    owners = [tenant for tenant, _ in demand.nodes]
    guests = sorted({guest.org for minute in demand.changes for guest in minute.new})
    background = [] if setup.headroom_percent is None else [ORG]
    for org in dict.fromkeys([*owners, *guests, *background]):
        yield from fund(org)
    for tenant, nodes in sorted(demand.nodes, key=lambda it: (-it[1], it[0])):
        yield commands.Reserve(
            by=None,
            org=tenant,
            market=None,
            name=tenant,
            nodes=nodes,
            start_us=None,
            end_us=None,
        )
        yield commands.Lend(
            by=None,
            reservation=tenant,
            floor_micros=setup.floor_micros,
            keep=kept_nodes(nodes, setup.keep_percent),
        )


def fund(org: str) -> Iterator[commands.AnyCommand]:
    """An org with money."""
    yield commands.CreateOrg(by=None, org=org)
    yield commands.Deposit(by=None, org=org, micros=DEPOSIT_MICROS)


def _open_pool(setup: Setup, demand: Demand, fabrics: Fabrics) -> commands.OpenPool:
    # Memory and processors bear on nothing in a replay.
    instance_type = InstanceType(
        name="replayed",
        gpu_model="GPU",
        gpus_per_node=demand.gpus_per_node,
        memory_gib=1024,
        cpus=96,
    )
    return commands.OpenPool(
        by=None,
        pool=POOL,
        site="site",
        supplier=None,
        engine="local",
        supply=commands.Supply(
            market=MARKET,
            opens=commands.NewMarket(instance_type=instance_type, terms=setup.terms),
            fabrics=fabrics,
        ),
    )
