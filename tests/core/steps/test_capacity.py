"""What of a market is someone's over time, what may still be sold, and which market is meant."""

import pytest
from msgspec.structs import replace

from parkade.core.fleet.market import Market
from parkade.core.reservations.calendar import Sold
from parkade.core.reservations.reservation import ReservationState
from parkade.core.steps.capacity import has_one_pool, sellable, sold, the_market
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import HOUR_US, Window
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import Capacity, CapacityKind
from tests import builders
from tests.core.records import attempt, node, reservation, workload, world

H = HOUR_US
MARKET = builders.market("market")
ON_DEMAND = builders.spec(
    capacity=Capacity(kind=CapacityKind.ON_DEMAND), limit_price_micros=None, max_duration_us=H
)


@pytest.mark.parametrize(
    ("state", "is_sold"),
    [
        (ReservationState.SOLD, True),
        (ReservationState.IN_FORCE, True),
        (ReservationState.CLOSING, True),
        (ReservationState.ENDED, False),
        (ReservationState.LAPSED, False),
    ],
)
def test_a_reservation_is_sold_until_its_right_is_over(
    state: ReservationState, is_sold: bool
) -> None:
    record = reservation(shape=(("a", 2), ("b", 1)), state=state)
    entries = sold(world(record), MARKET)
    expected = (
        Sold(fabric="a", nodes=2, window=record.window),
        Sold(fabric="b", nodes=1, window=record.window),
    )
    assert entries == (expected if is_sold else ())


def test_on_demand_is_a_window_in_its_fabric_and_spot_is_none() -> None:
    on_demand = workload(spec=ON_DEMAND, fabric="a", submitted_us=5, must_end_us=9)
    ended = workload(
        "w2", spec=ON_DEMAND, fabric="a", must_end_us=9, phase=Phase.FAILED, why=Why.FAILED,
        ended_us=1,
    )  # fmt: skip
    spot = workload("w3", attempt=attempt(attempt="w3.1"))
    entries = sold(world(on_demand, ended, spot), MARKET)
    assert entries == (Sold(fabric="a", nodes=1, window=Window(start_us=5, end_us=9)),)


def test_what_another_market_sold_takes_nothing_of_this_one() -> None:
    other = builders.market("other")
    assert sold(world(reservation(), markets=[MARKET, other]), other) == ()


@pytest.mark.parametrize(
    ("window", "buffer", "free"),
    [
        (Window(start_us=0, end_us=H), 0, {"a": 1, "b": 1}),
        (Window(start_us=0, end_us=None), 0, {"a": 1, "b": 1}),
        (Window(start_us=2 * H, end_us=3 * H), 0, {"a": 3, "b": 1}),
        (Window(start_us=H, end_us=3 * H), 0, {"a": 1, "b": 1}),
        (Window(start_us=0, end_us=H), 1, {"a": 0, "b": 0}),
        (Window(start_us=2 * H, end_us=3 * H), 1, {"a": 2, "b": 0}),
    ],
)
def test_sellable_is_what_is_free_over_the_whole_window_beside_the_buffer(
    window: Window, buffer: int, free: dict[str, int]
) -> None:
    """Three nodes in `a`, of which acme has two for the first two hours; one node in `b`."""
    record = reservation(window=Window(start_us=0, end_us=2 * H))
    market = builders.market("market", terms=builders.terms(buffer_nodes=buffer))
    nodes = [node("a1"), node("a2"), node("a3"), node("b1")]
    assert sellable(world(record, nodes=nodes, markets=[market]), market, window) == free


def of_kind(name: str, kind: str, gpu: str) -> Market:
    made = replace(builders.instance_type(), name=kind, gpu_model=gpu)
    return builders.market(name, instance_type=made)


FAST, SLOW = of_kind("fast", "h100-ib", "H100"), of_kind("slow", "a100", "A100")


@pytest.mark.parametrize(
    ("markets", "name", "instance_type", "found"),
    [
        ([FAST, SLOW], "slow", None, "slow"),
        ([FAST, SLOW], "slow", "H100", "slow"),
        ([FAST, SLOW], None, "A100", "slow"),
        ([FAST, SLOW], None, "h100-ib", "fast"),
        ([FAST], None, None, "fast"),
        ([FAST], None, "A100", "fast"),
        ([FAST, SLOW], None, None, Reason.INVALID),
        ([FAST, SLOW], None, "B200", Reason.INVALID),
        ([FAST, SLOW], "gone", None, Reason.NOT_FOUND),
    ],
)
def test_the_market_is_the_one_named_or_the_only_one_that_fits(
    markets: list[Market], name: str | None, instance_type: str | None, found: str | Reason
) -> None:
    made = world(nodes=[node("a1", market="fast")], markets=markets)
    outcome = the_market(made, name, instance_type=instance_type)
    assert (outcome.reason if isinstance(outcome, Refusal) else outcome.market) == found


def test_without_a_market_there_is_no_capacity() -> None:
    made = world()
    made.records.markets.clear()
    outcome = the_market(made, None)
    assert isinstance(outcome, Refusal) and outcome.reason is Reason.NO_CAPACITY


@pytest.mark.parametrize(("pools", "is_one"), [(("p", "p"), True), (("p", "q"), False)])
def test_a_market_has_one_pool_if_all_its_nodes_are_of_one(
    pools: tuple[str, str], is_one: bool
) -> None:
    nodes = [node("a1", pool=pools[0]), node("b1", pool=pools[1])]
    made = world(nodes=nodes, pools=[builders.pool("p"), builders.pool("q")])
    assert has_one_pool(made, "market") == is_one
