"""What a clearing moves a workload for, followed to the begin of the chain."""

import pytest
from msgspec.structs import replace

from parkade.core.clearing.move_roots import MoveRoots, Root
from parkade.core.fleet.seat import Seat
from parkade.core.market.market_state import Demand, PriorityTier
from parkade.core.market.outcome import (
    Change,
    ClearingLine,
    MovedAsCounted,
    MovedBroken,
    MovedFor,
    MovedForFloor,
    MovedForKept,
    MoveReason,
)


def seat(node: str) -> tuple[Seat, ...]:
    return (Seat(node=node, gpus=4),) if node else ()


def demand(name: str, org: str, on: str = "", tier: PriorityTier = PriorityTier.SPOT) -> Demand:
    return Demand(
        demand=name,
        org=org,
        tier=tier,
        nodes=1,
        gpus=4,
        any_fabric=False,
        reservation=None,
        priority=0,
        limit_micros=1,
        use_7_days=0,
        submitted_us=0,
        seats=seat(on),
    )


def line(name: str, change: Change, on: str, moved: MoveReason | None = None) -> ClearingLine:
    return ClearingLine(
        demand=name,
        change=change,
        seats=seat(on),
        price_micros=1,
        floor_micros=0,
        price_set_by=None,
        shares=(),
        reason=None,
        price_to_win_micros=None,
        moved=moved,
    )


def roots(*made: tuple[Demand, ClearingLine]) -> MoveRoots:
    demands = {it.demand: it for it, _ in made}
    return MoveRoots(tuple(it for _, it in made), demands, lambda name: f"owner of {name}")


CLAIM = (
    demand("c1", "acme", tier=PriorityTier.RESERVED),
    line("c1", Change.START, "b1"),
)
FIRST = (demand("w1", "acme", "b1"), line("w1", Change.MOVE, "a1", MovedFor(demand="c1")))
SECOND = (demand("w2", "lab", "a1"), line("w2", Change.MOVE, "a2", MovedFor(demand="w1")))
THIRD = (demand("w3", "uni", "a2"), line("w3", Change.PREEMPT, ""))


def test_a_chain_of_moves_begins_with_the_claim_of_an_owner() -> None:
    found = roots(CLAIM, FIRST, SECOND, THIRD)
    assert found.root("w1") == found.root("w2") == Root("acme")


def test_a_chain_of_moves_begins_with_the_bid_that_arrived() -> None:
    bid = (demand("c1", "rich"), line("c1", Change.START, "b1"))
    assert roots(bid, FIRST, SECOND, THIRD).root("w2") == Root("rich", "c1")


@pytest.mark.parametrize("reason", [MovedForFloor(), MovedAsCounted(), None])
def test_where_no_name_is_recorded_the_first_that_takes_its_node_is_the_one(
    reason: MoveReason | None,
) -> None:
    second = (SECOND[0], replace(SECOND[1], moved=reason))
    assert roots(CLAIM, FIRST, second, THIRD).root("w2") == Root("acme")
    assert roots(second, THIRD).root("w2") == Root()


def test_nodes_that_a_reservation_keeps_are_a_right_of_its_owner() -> None:
    kept = (FIRST[0], replace(FIRST[1], moved=MovedForKept(reservation="r1")))
    assert roots(kept, SECOND).root("w2") == Root("owner of r1")


def test_a_node_that_broke_is_caused_by_none() -> None:
    broken = (FIRST[0], replace(FIRST[1], moved=MovedBroken()))
    assert roots(broken, SECOND).root("w2") == Root(is_broken=True)


def test_a_weaker_one_is_not_what_a_move_was_made_for() -> None:
    """It has the seats because they were left; the bid that took the others is the one."""
    wide = (demand("w1", "lab", "b1"), line("w1", Change.MOVE, "a1", MovedFor(demand="w9")))
    bid = (demand("w5", "rich"), line("w5", Change.START, "b1"))
    weak = (demand("w9", "lab"), line("w9", Change.START, "b2"))
    assert roots(bid, wide, weak).root("w1") == Root("rich", "w5")
    assert roots(wide, weak).root("w1") == Root()


def test_two_that_made_way_for_each_other_have_no_root() -> None:
    first = (FIRST[0], replace(FIRST[1], moved=MovedFor(demand="w2")))
    assert roots(first, SECOND).root("w1") == Root()
