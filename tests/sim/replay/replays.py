"""Small replays for the tests: a trace in a few numbers, and the scenario that goes with it."""

from typing import Any

from parkade.core.units.time import DAY_US
from parkade.sim.replay.demand import Demand, demand_of
from parkade.sim.replay.scenario import Guests, IdleResale, parse_scenario
from parkade.sim.replay.traces import TenantTrace, Trace

START_US = 20_000 * DAY_US
GPUS = 8
SCENARIO = """
version: 1
kind: idle-resale
name: small
trace: {file: trace.csv}
quotes: {file: prices.csv, gpu_model: H100_SXM}
terms: {pay_as_you_go: 3, reservation_rate: 2, public_floor: 0.5, fee: 1/10, buffer_nodes: 0}
owners: {floor: 0.50}
"""


def scenario(**changes: Any) -> IdleResale:
    """The small scenario; `changes` are whole sections as values."""
    found = parse_scenario(SCENARIO)
    assert isinstance(found, IdleResale)
    return found.model_copy(update=changes)


def trace(**tenants: tuple[int, list[int], list[int]]) -> Trace:
    """By name: quota, busy and queued GPUs, minute by minute."""
    return Trace(
        start_us=START_US,
        tenants=tuple(
            TenantTrace(tenant=name, quota_gpus=quota, busy=tuple(busy), queued=tuple(queued))
            for name, (quota, busy, queued) in sorted(tenants.items())
        ),
    )


def demand(given: Trace, *, saves: int = 100, limit: float = 2.0, seed: int = 1) -> Demand:
    """The demand of a trace in which every guest has the same limit."""
    guests = Guests.model_validate({"saves": saves, "saving_from": "20s", "saving_to": "20s"})
    return demand_of(given, (limit,), spread=0, guests=guests, gpus_per_node=GPUS, seed=seed)
