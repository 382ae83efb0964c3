"""Which demands are short because nodes failed, and what their owner is credited: by hand."""

import pytest

from parkade.core.billing.charges import Postings
from parkade.core.clearing.input import build_input
from parkade.core.clearing.shortfall import credit_shortfall, short_demands
from parkade.core.fleet.node import Cordon, Health, Node
from parkade.core.market.clear import clear
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, Window
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.core.workloads.workload import Workload
from tests import builders
from tests.core.records import claim, node, reservation, workload, world

H = HOUR_US
BROKEN = node("a2", health=Health.FAILED)
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
        (node("a2"), [1, 1, 1], 0, set()),
        (BROKEN, [1], 0, set()),
        (BROKEN, [1, 1], 0, {"w2"}),
        (CORDONED, [1, 1], 0, {"w2"}),
        (BROKEN, [2], 0, {"w1"}),
        # Two nodes were reserved: a third workload would not have had one either.
        (BROKEN, [1, 1, 1], 0, {"w2"}),
        (BROKEN, [2, 2], 0, {"w1"}),
        (BROKEN, [1, 2], 0, set()),
        (BROKEN, [1], 1, {"w1"}),
        (BROKEN, [], 2, {"c1"}),
    ],
)
def test_no_more_is_short_than_the_reservation_has_nodes_left(
    second: Node, jobs: list[int], claimed: int, short: set[str]
) -> None:
    workloads = [job(f"w{at}", nodes) for at, nodes in enumerate(jobs, 1)]
    claims = [claim(nodes=claimed)] if claimed else []
    made = world(reservation(), *claims, *workloads, nodes=[node("a1"), second])
    market = made.records.markets["market"]
    state = build_input(made, market, H).state
    assert short_demands(made, market, state, clear(state)) == short


@pytest.mark.parametrize(
    ("from_h", "to_h", "window_h", "nodes", "credited"),
    [
        # A node of four GPUs at 4 per GPU-hour costs 16 an hour.
        (1, 2, 0, 1, 16),
        (1, 3, 0, 2, 64),
        (1, 1, 0, 1, 0),
        (0, 5, 4, 1, 16),
        (0, 3, 4, 1, 0),
    ],
    ids=["an hour", "two nodes", "no time", "since the window began", "before the window"],
)
def test_a_shortfall_is_credited_at_what_the_owner_paid(
    from_h: int, to_h: int, window_h: int, nodes: int, credited: int
) -> None:
    record = reservation(window=Window(start_us=window_h * H, end_us=None))
    made = world(record, balances={"operator": 1000 * MICROS})
    span = Window(start_us=from_h * H, end_us=to_h * H)
    event = credit_shortfall(made, Postings(made), "acme", nodes, span)
    paid = 0 if event is None else event.transfers[0].micros
    assert paid == credited * MICROS
    if event is not None:
        assert event.at_us == to_h * H
