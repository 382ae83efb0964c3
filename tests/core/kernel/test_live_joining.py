"""Live work grows by free nodes that it may have, and restarts for no others."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.state import commands, events
from parkade.core.units.money import MICROS
from parkade.core.units.time import SECOND_US
from parkade.core.workloads.spec import Resize
from parkade.core.workloads.workload import Rate
from tests.core.kernel.story import Parkade
from tests.core.kernel.test_live import audited, given_parkade, live, ranks
from tests.core.kernel.test_live_days import LIMITS, asks

FEW = settings() if settings.get_current_profile_name() == "long" else settings(max_examples=25)
SOME = settings() if settings.get_current_profile_name() == "long" else settings(max_examples=8)
HOUR_US = 3600 * SECOND_US


def restarts(parkade: Parkade, since: int = 0) -> list[str]:
    """What clearings told to leave as a whole."""
    return [
        f"{it.demand} {it.why}"
        for event in parkade.journal[since:]
        if isinstance(event, events.Cleared)
        for it in event.left
        if it.stop is not None
    ]


def rebid(parkade: Parkade, name: str, limit: float) -> None:
    micros = round(limit * MICROS)
    asks(parkade, commands.ChangeBid(by=None, workload=name, limit_price_micros=micros))


def given_one_on_one_node(kept: int, lent_at: int | None = None) -> tuple[Parkade, str]:
    """Live work with a limit of 9 on one of six nodes, weaker bids beside it, and an owner's nodes
    that are free, kept or lent."""
    parkade = given_parkade(6, regrow_us=HOUR_US)
    owned = parkade.reserve("owner", kept)
    for _ in range(5 - kept):
        parkade.bid("acme", 2, nodes=1)
    parkade.run(30)
    name = live(parkade, 1.5)
    parkade.run(60)
    assert len(ranks(parkade, name)) == 1
    if lent_at is not None:
        parkade.lend(owned, lent_at)
    return parkade, name


def test_a_free_node_that_it_may_not_have_makes_nothing_restart() -> None:
    """The node of a reservation that lends nothing is free, but it is not for this work."""
    parkade = given_parkade(6, regrow_us=3600 * SECOND_US)
    parkade.reserve("owner", 1)
    for _ in range(4):
        parkade.bid("acme", 2, nodes=1)
    parkade.run(30)
    name = live(parkade, 1.5)
    parkade.run(60)
    rebid(parkade, name, 9)
    parkade.run(300)
    assert restarts(parkade) == []


def test_a_free_node_that_is_kept_makes_nothing_leave() -> None:
    parkade, name = given_one_on_one_node(2)
    rebid(parkade, name, 9)
    parkade.run(300)
    assert restarts(parkade) == [] and len(ranks(parkade, name)) == 1
    audited(parkade)


def test_a_free_node_above_its_limit_makes_nothing_leave() -> None:
    parkade, name = given_one_on_one_node(1, lent_at=5)
    rebid(parkade, name, 4)
    parkade.run(300)
    assert restarts(parkade) == [] and len(ranks(parkade, name)) == 1
    audited(parkade)


def test_it_joins_those_that_it_may_have_though_others_are_free() -> None:
    """Of three free nodes the owner keeps two."""
    parkade = given_parkade(6, regrow_us=HOUR_US)
    parkade.reserve("owner", 2)
    last, *_ = [parkade.bid("acme", 2, nodes=1) for _ in range(3)]
    parkade.run(30)
    name = live(parkade, 1.5)
    parkade.run(60)
    rebid(parkade, name, 9)
    parkade.run(60)
    assert len(ranks(parkade, name)) == 1
    parkade.ended(last)
    parkade.run(60)
    assert len(ranks(parkade, name)) == 2 and restarts(parkade) == []
    audited(parkade)


def test_one_free_node_is_joined_by_one_of_two_and_neither_takes_a_weaker_bids_node() -> None:
    parkade = given_parkade(6, regrow_us=HOUR_US)
    both = [
        parkade.bid(org, 4, nodes=1, most_nodes=most, resize=Resize.LIVE)
        for org, most in (("lab", 2), ("elm", 3))
    ]
    parkade.run(60)
    for node in ("a6", "a2"):
        parkade.fail(node)
    weak = [parkade.bid("zed", 9, nodes=1) for _ in range(2)]
    parkade.run(60)
    assert [len(ranks(parkade, it)) for it in both] == [1, 1]
    for it in weak:
        rebid(parkade, it, 2)
    parkade.run(30)
    before = len(parkade.journal)
    parkade.do(commands.RestoreNode(by=None, node="a2"))
    parkade.run(120)
    assert restarts(parkade, before) == []
    assert sorted(len(ranks(parkade, it)) for it in both) == [1, 2]
    assert all(parkade.nodes_of(it) for it in weak)
    audited(parkade)


def test_it_still_restarts_for_what_others_have_once_in_a_while() -> None:
    parkade, name = given_one_on_one_node(1)
    rebid(parkade, name, 9)
    parkade.run(3600)
    assert len(ranks(parkade, name)) == 5 and parkade.attempt(name).generation == 2
    parkade.run(3700)
    assert parkade.attempt(name).generation == 2
    audited(parkade)


def given_free_nodes(
    limit_micros: int,
    *,
    gangs: tuple[tuple[int, float], ...] = ((3, 3),),
    free: int = 1,
    lent: int,
    lent_at: int = 5,
    singles: int = 0,
    most: int = 12,
) -> tuple[Parkade, str]:
    """Live work of this limit on one node beside gangs (nodes, limit) and single bids of 2. Some
    public nodes become free in one instant, while others are free and lent."""
    nodes = 1 + sum(count for count, _ in gangs) + singles + free + lent
    parkade = given_parkade(nodes, regrow_us=24 * HOUR_US)
    owned = parkade.reserve("owner", lent) if lent else None
    for count, gang_limit in gangs:
        parkade.bid("weak", gang_limit, nodes=count)
    for _ in range(singles):
        parkade.bid("lone", 2, nodes=1)
    parkade.run(30)
    brief = parkade.bid("zed", 20, nodes=free)
    parkade.run(30)
    name = parkade.bid("lab", 1.5, nodes=1, most_nodes=most, resize=Resize.LIVE)
    parkade.run(30)
    if owned is not None:
        parkade.lend(owned, lent_at)
    asks(parkade, commands.ChangeBid(by=None, workload=name, limit_price_micros=limit_micros))
    parkade.run(30)
    assert restarts(parkade) == []
    parkade.ended(brief)
    return parkade, name


@pytest.mark.parametrize("lent", [0, 1, 2, 3, 4, 5, 8])
def test_a_free_node_is_joined_however_many_others_are_above_a_gangs_limit(lent: int) -> None:
    """All that are free would have the gang of three leave; one does not."""
    parkade, name = given_free_nodes(9 * MICROS, lent=lent)
    assert len(ranks(parkade, name)) == 2 and restarts(parkade) == []
    before = len(parkade.journal)
    parkade.run(300)
    assert len(ranks(parkade, name)) == 2 and restarts(parkade, before) == []
    audited(parkade)


GANGS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from((2, 3, 6))), max_size=3).map(tuple)


@SOME
@given(GANGS, st.integers(1, 3), st.integers(0, 6), st.integers(2, 12), st.integers(0, 2))
def test_a_higher_limit_has_no_fewer_ranks_and_pays_the_least_for_them(
    gangs: tuple[tuple[int, float], ...], free: int, lent: int, most: int, singles: int
) -> None:
    def outcome(limit_micros: int) -> tuple[int, Rate | None]:
        """(ranks, what all cost, where all that joined did so in one clearing)."""
        parkade, name = given_free_nodes(
            limit_micros, gangs=gangs, free=free, lent=lent, most=most, singles=singles
        )
        before = len(parkade.journal)
        parkade.clear()
        assert restarts(parkade) == []
        assert not any(isinstance(it, events.RanksChanged) for it in parkade.journal[before:])
        joins = [it for it in parkade.journal if isinstance(it, events.RanksChanged) and it.rate]
        is_one = len(joins) == 1 and joins[0].at_us == parkade.now_us
        return len(ranks(parkade, name)), joins[0].rate if is_one else None

    (fewer, _), (count, rate) = outcome(2_500_000), outcome(9_000_000)
    assert fewer <= count
    if rate is not None:
        price = rate.node_prices[-1]
        assert outcome(price)[0] == count
        assert price == MICROS or outcome(price - 1)[0] < count


def bids(parkade: Parkade, number: int) -> None:
    org = ("birch", "elm", "fir")[number % 3]
    limit = LIMITS[number % len(LIMITS)]
    match number // 6:
        case 0:
            live(parkade, limit, org=org)
        case 1:
            parkade.bid(org, limit, nodes=1, most_nodes=3, resize=Resize.RESTART)
        case _:
            parkade.bid(org, limit, nodes=1 + number // 24)


def rebids(parkade: Parkade, number: int) -> None:
    known = [it for it in parkade.world.live if parkade.workload(it).attempt is not None]
    if known:
        rebid(parkade, known[number % len(known)], LIMITS[number % len(LIMITS)])


def lends(parkade: Parkade, number: int) -> None:
    owned = list(parkade.world.records.reservations)
    parkade.lend(owned[number % len(owned)], 1 + number % 6, keep=number % 2)


def ends(parkade: Parkade, number: int) -> None:
    known = [it for it in parkade.world.live if parkade.workload(it).attempt is not None]
    if known:
        parkade.ended(known[number % len(known)])


def claims(parkade: Parkade, number: int) -> None:
    known = list(parkade.world.records.claims)
    if known and number % 2:
        parkade.do(commands.Unclaim(by=None, claim=known[0]))
    else:
        owned = list(parkade.world.records.reservations)
        asks(parkade, commands.MakeClaim(by=None, reservation=owned[number % len(owned)], nodes=1))


def passes(parkade: Parkade, number: int) -> None:
    parkade.run(number * 5)


KINDS: tuple[Callable[[Parkade, int], None], ...] = (
    bids, bids, rebids, lends, claims, ends, passes,
)  # fmt: skip
ACTS = st.lists(st.tuples(st.integers(0, len(KINDS) - 1), st.integers(0, 29)), max_size=16)


@FEW
@given(ACTS)
def test_where_nothing_changes_nothing_restarts(acts: list[tuple[int, int]]) -> None:
    """Random days with live and elastic work, kept and lent nodes. Nothing may regrow within the
    day, so what restarts after all has settled does so for no reason."""
    parkade = given_parkade(8, regrow_us=24 * HOUR_US)
    for nodes in (2, 1):
        parkade.reserve(f"owner-{nodes}", nodes)
    for kind, number in acts:
        KINDS[kind](parkade, number)
    parkade.run(180)
    before = len(parkade.journal)
    parkade.run(300)
    assert restarts(parkade, before) == []
    for event in parkade.journal[before:]:
        assert not isinstance(event, events.Cleared) or not (event.resized or event.won), event
    audited(parkade)
