"""Which demands are short because nodes are out of use, and of how many GPUs: by hand."""

import pytest

from parkade.core.clearing.input import build_input
from parkade.core.clearing.shortfall import short_demands
from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.market.clear import clear
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core.records import claim, node, reservation, workload, world

H = HOUR_US
BROKEN = node("a2", health=Health.FAILED)
DRAINING = node("a2", draining_us=0)
CORDONED = node("a2", cordons=(Cordon(holder="ann", reason="r", at_us=0),))


def job(name: str, nodes: int) -> Workload:
    """A workload of acme's reservation that takes whole nodes."""
    capacity = Capacity(kind=CapacityKind.RESERVATION, reservation="acme")
    spec = builders.spec(capacity=capacity, nodes=nodes, gpus=4, limit_price_micros=None)
    return workload(name, org="acme", spec=spec)


@pytest.mark.parametrize(
    ("second", "jobs", "claimed", "short"),
    [
        # Both nodes are well: what waits waits for another reason.
        (node("a2"), [1, 1, 1], 0, {}),
        (BROKEN, [1], 0, {}),
        (BROKEN, [1, 1], 0, {"w2": 4}),
        (CORDONED, [1, 1], 0, {"w2": 4}),
        (DRAINING, [1, 1], 0, {"w2": 4}),
        (BROKEN, [2], 0, {"w1": 8}),
        # Two nodes were reserved: a third workload would not have had one either.
        (BROKEN, [1, 1, 1], 0, {"w2": 4}),
        (BROKEN, [2, 2], 0, {"w1": 8}),
        # A gang that would not fit with all nodes well is short of nothing.
        (BROKEN, [3], 0, {}),
        (BROKEN, [1], 1, {"w1": 4}),
        (BROKEN, [], 2, {"c1": 8}),
    ],
)
def test_no_more_is_short_than_the_reservation_has_nodes_left(
    second: Node, jobs: list[int], claimed: int, short: dict[str, int]
) -> None:
    workloads = [job(f"w{at}", nodes) for at, nodes in enumerate(jobs, 1)]
    claims = [claim(nodes=claimed)] if claimed else []
    made = world(reservation(), *claims, *workloads, nodes=[node("a1"), second])
    market = made.records.markets["market"]
    state = build_input(made, market, H).state
    assert short_demands(made, market, state, clear(state)) == short
