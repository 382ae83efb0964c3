"""What fits where: counted rooms, shared nodes, and gangs over several fabrics."""

import random

from hypothesis import given
from hypothesis import strategies as st

from parkade.core.placement.room import Held, Offer, Room, Shape, divide

ANT = ("ant", 2, "")
BEE = ("bee", 2, "")


def whole(nodes: int) -> Shape:
    return Shape(nodes, 8, None, any_fabric=False)


def shared(nodes: int, gpus: int, tenant: tuple[str, int, str] = ANT) -> Shape:
    return Shape(nodes, gpus, tenant, any_fabric=False)


def test_whole_nodes_draw_the_lowest_levels_first() -> None:
    room = Room([[1, 1, 5]], 8)
    assert room.offer(0, whole(2)) == Offer(1, 2)
    assert room.offer(0, whole(3)) == Offer(5, 3)
    assert room.take(0, whole(2), 2).levels == (1, 1)
    assert room.offer(0, whole(1)) == Offer(5, 1)
    assert room.offer(0, whole(2)) is None


def test_work_below_a_node_fills_the_smallest_gap_that_suffices() -> None:
    room = Room([[0, 0]], 8)
    first = room.take(0, shared(1, 5), 1)
    second = room.take(0, shared(1, 4), 1)
    assert first.tokens != second.tokens
    assert room.take(0, shared(1, 3), 1).tokens == first.tokens
    assert room.take(0, shared(1, 4), 1).tokens == second.tokens
    assert room.offer(0, shared(1, 1)) is None


def test_tenants_never_share_a_node() -> None:
    room = Room([[0, 0]], 8)
    ant = room.take(0, shared(1, 2, ANT), 1)
    bee = room.take(0, shared(1, 2, BEE), 1)
    assert ant.tokens != bee.tokens
    assert room.offer(0, whole(1)) is None


def test_ranks_of_a_gang_stand_on_different_nodes() -> None:
    room = Room([[0, 0]], 8)
    assert len(set(room.take(0, shared(2, 2), 2).tokens)) == 2
    assert room.offer(0, shared(3, 2)) is None


def test_a_gang_with_closed_nodes_asks_only_where_it_stands_for_the_rest() -> None:
    room = Room([[1], [5, 5, 5]], 8)
    gang = Shape(3, 8, None, any_fabric=False, held=Held(rest=((0, 1),), level=2))
    assert room.offer(0, gang) == Offer(2, 1)
    assert room.offer(1, gang) == Offer(5, 3)
    assert room.offer(0, gang._replace(held=Held(rest=((0, 2),), level=2))) is None
    assert room.offer(0, gang._replace(held=Held(rest=((0, 0),), level=2))) == Offer(2, 0)


def test_a_gang_spreads_over_its_own_then_the_largest_fabrics() -> None:
    assert divide([(False, 5, 0), (True, 1, 1), (False, 2, 2)], 4) == [(1, 1), (0, 3)]
    assert divide([(False, 1, 0)], 2) is None


@given(st.integers(min_value=0, max_value=1 << 32))
def test_an_offer_is_what_taking_it_draws_and_rooms_only_get_dearer(seed: int) -> None:
    chance = random.Random(seed)
    room = Room([sorted(chance.choices((1, 5), k=chance.randint(1, 6)))], 8)
    asked = shared(chance.randint(1, 2), chance.randint(1, 7))
    floor = 0
    for _ in range(8):
        offer = room.offer(0, asked)
        assert offer is None or offer.level >= floor
        floor = 99 if offer is None else offer.level
        gpus = chance.randint(1, 8)
        nodes = chance.randint(1, 3)
        shape = whole(nodes) if gpus == 8 else shared(nodes, gpus, chance.choice((ANT, BEE)))
        offer = room.offer(0, shape)
        if offer is not None:
            before = room.free[0]
            assert max(room.take(0, shape, nodes).levels) == offer.level
            assert before - room.free[0] == offer.opened
