"""The reserved stage, case by case: who gets room of which fabric, what is kept, what is lent."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkade.core.market.allocation import allocate
from parkade.core.market.clear import clear
from parkade.core.market.layout import Parts
from parkade.core.market.market_state import Demand, MarketState, ReservationInForce
from parkade.core.market.outcome import Clearing, WaitReason
from tests.core.market.story import (
    FABRICS,
    bid,
    claim,
    given_market,
    incumbents,
    on,
    on_demand,
    reserved,
    with_demands,
)

LATER = 35
ACME = reserved("acme", {"amber": 2, "birch": 1}, lends_at=5, keep=1)


@dataclass(frozen=True)
class Case:
    """A market, and by hand what the stage makes of it, in nodes by fabric."""

    market: MarketState
    taken: dict[str, dict[str, int]]
    kept: dict[str, dict[str, int]] = field(default_factory=dict)
    lent: dict[str, dict[str, int]] = field(default_factory=dict)
    refused: dict[str, WaitReason] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)


CASES = {
    "the example of the module: all nodes in play": Case(
        given_market(
            claim("y", "acme"),
            fabrics={"amber": 3, "birch": 3},
            reservations=(ACME,),
        ),
        taken={"y": {"birch": 1}},
        kept={"acme": {"amber": 1}},
        lent={"acme": {"amber": 1}},
        left={"amber": 2, "birch": 2},
    ),
    "the example of the module: two nodes of amber failed": Case(
        given_market(
            claim("x", "acme", 2, submitted_us=1),
            claim("y", "acme", submitted_us=2),
            fabrics={"amber": 3, "birch": 3},
            failed=("amber-1", "amber-2"),
            reservations=(ACME,),
        ),
        taken={"x": {"birch": 2}, "y": {"birch": 1}},
        left={"amber": 1, "birch": 0},
    ),
    "a demand takes nodes that are free now before a tighter fabric": Case(
        given_market(
            claim("x", "acme"),
            fabrics={"amber": 2, "birch": 1},
            free_from={"birch-0": LATER},
            reservations=(ACME,),
        ),
        taken={"x": {"amber": 1}},
        kept={"acme": {"amber": 1}},
        lent={"acme": {"birch": 1}},
        left={"amber": 0, "birch": 1},
    ),
    "a running demand keeps its fabric though another is tighter": Case(
        given_market(
            on(claim("x", "acme"), "amber-0"),
            fabrics={"amber": 2, "birch": 1},
            reservations=(ACME,),
        ),
        taken={"x": {"amber": 1}},
        kept={"acme": {"amber": 1}},
        lent={"acme": {"birch": 1}},
        left={"amber": 0, "birch": 1},
    ),
    "a demand that runs in its own fabrics comes before a newcomer of an older reservation": Case(
        given_market(
            claim("new", "older"),
            on(claim("runs", "younger"), "amber-0"),
            fabrics={"amber": 1, "birch": 1},
            reservations=(
                reserved("older", {"amber": 1}, age=1),
                reserved("younger", {"amber": 1}, age=2),
            ),
        ),
        taken={"runs": {"amber": 1}, "new": {"birch": 1}},
        left={"amber": 0, "birch": 0},
    ),
    "the older reservation comes before the priority of another": Case(
        given_market(
            claim("old", "older"),
            claim("urgent", "younger", priority=9),
            fabrics={"amber": 1},
            reservations=(
                reserved("older", {"amber": 1}, age=1),
                reserved("younger", {"amber": 1}, age=2),
            ),
        ),
        taken={"old": {"amber": 1}},
        refused={"urgent": WaitReason.NO_ROOM},
        left={"amber": 0},
    ),
    "a reservation that lends nothing keeps all its idle nodes": Case(
        given_market(
            claim("x", "acme"),
            fabrics={"amber": 4},
            reservations=(reserved("acme", {"amber": 3}),),
        ),
        taken={"x": {"amber": 1}},
        kept={"acme": {"amber": 2}},
        left={"amber": 1},
    ),
    "keep comes from the fabric with the least idle nodes": Case(
        given_market(
            fabrics={"amber": 3, "birch": 2},
            reservations=(reserved("acme", {"amber": 3, "birch": 2}, lends_at=5, keep=2),),
        ),
        taken={},
        kept={"acme": {"birch": 2}},
        lent={"acme": {"amber": 3}},
        left={"amber": 3, "birch": 0},
    ),
    "no overflow takes what another owner keeps": Case(
        given_market(
            claim("x", "acme"),
            fabrics={"amber": 1, "birch": 2},
            failed=("amber-0",),
            reservations=(
                reserved("acme", {"amber": 1}),
                reserved("careful", {"birch": 2}, lends_at=5, keep=2),
            ),
        ),
        taken={},
        kept={"careful": {"birch": 2}},
        refused={"x": WaitReason.NO_ROOM},
        left={"birch": 0},
    ),
    "an overflow takes what another owner lends, and its own reservation lends as much less": Case(
        given_market(
            claim("x", "acme", 2),
            fabrics={"amber": 2, "birch": 2},
            failed=("amber-0",),
            reservations=(
                reserved("acme", {"amber": 2}, lends_at=5),
                reserved("lender", {"birch": 2}, lends_at=5),
            ),
        ),
        taken={"x": {"birch": 2}},
        lent={"lender": {"birch": 2}},
        left={"amber": 1, "birch": 0},
    ),
    "a demand beyond the shape is refused though nodes are free": Case(
        given_market(
            claim("a", "acme", 2),
            claim("b", "acme", 1),
            fabrics={"amber": 4},
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        taken={"a": {"amber": 2}},
        refused={"b": WaitReason.RESERVATION_FULL},
        left={"amber": 2},
    ),
    "a demand of a reservation that is not in force is refused": Case(
        given_market(claim("x", "gone"), fabrics={"amber": 1}),
        taken={},
        refused={"x": WaitReason.RESERVATION_FULL},
        left={"amber": 1},
    ),
    "work below a node shares a node and uses one node of the shape": Case(
        given_market(
            claim("a", "acme", gpus=2),
            claim("b", "acme", gpus=4),
            fabrics={"amber": 2},
            reservations=(reserved("acme", {"amber": 2}, lends_at=5),),
        ),
        taken={"a": {"amber": 1}, "b": {"amber": 1}},
        lent={"acme": {"amber": 1}},
        left={"amber": 1},
    ),
    "a closed node uses the shape of its holder's reservation and no open node": Case(
        given_market(
            on(claim("x", "acme"), "amber-0"),
            fabrics={"amber": 2},
            closed=("amber-0",),
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        taken={"x": {"amber": 0}},
        kept={"acme": {"amber": 1}},
        left={"amber": 0},
    ),
    "a closed node that two demands of a reservation share uses its shape once": Case(
        given_market(
            on(claim("x", "acme", gpus=2), "amber-0"),
            on(claim("y", "acme", gpus=2), "amber-0"),
            claim("z", "acme"),
            fabrics={"amber": 2},
            closed=("amber-0",),
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        taken={"x": {"amber": 0}, "y": {"amber": 0}, "z": {"amber": 1}},
        left={"amber": 0},
    ),
    "an owner gets the open nodes of a guest whose other node is closed": Case(
        given_market(
            on(bid("guest", 9, 8), *(f"amber-{n}" for n in range(8))),
            claim("x", "acme", 7),
            fabrics={"amber": 8},
            closed=("amber-3",),
            reservations=(reserved("acme", {"amber": 7}, lends_at=5),),
        ),
        taken={"x": {"amber": 7}},
        left={"amber": 0},
    ),
    "a gang over any fabrics keeps its own division": Case(
        given_market(
            on(claim("x", "acme", 2, any_fabric=True), "amber-0", "birch-0"),
            fabrics={"amber": 2, "birch": 1},
            reservations=(reserved("acme", {"amber": 2, "birch": 1}, lends_at=5),),
        ),
        taken={"x": {"amber": 1, "birch": 1}},
        lent={"acme": {"amber": 1}},
        left={"amber": 1, "birch": 0},
    ),
    "a new gang over any fabrics takes one fabric where one holds it": Case(
        given_market(
            claim("x", "acme", 2, any_fabric=True),
            fabrics={"amber": 2, "birch": 1},
            reservations=(reserved("acme", {"amber": 2, "birch": 1}, lends_at=5),),
        ),
        taken={"x": {"amber": 2}},
        lent={"acme": {"birch": 1}},
        left={"amber": 0, "birch": 1},
    ),
    "on-demand takes only the fabric whose calendar sold it": Case(
        given_market(
            on_demand("sold", only_fabric="birch"),
            on_demand("unsold", only_fabric="cedar"),
            fabrics={"amber": 1, "birch": 2, "cedar": 1},
            failed=("cedar-0",),
        ),
        taken={"sold": {"birch": 1}},
        refused={"unsold": WaitReason.NO_ROOM},
        left={"amber": 1, "birch": 1},
    ),
    "on-demand takes what is lent and not what is kept": Case(
        given_market(
            on_demand("now", submitted_us=1),
            on_demand("late", submitted_us=2),
            fabrics={"amber": 2},
            reservations=(reserved("acme", {"amber": 2}, lends_at=5, keep=1),),
        ),
        taken={"now": {"amber": 1}},
        kept={"acme": {"amber": 1}},
        lent={"acme": {"amber": 1}},
        refused={"late": WaitReason.NO_ROOM},
        left={"amber": 0},
    ),
    "on-demand larger than every fabric is too large": Case(
        given_market(on_demand("huge", 3), fabrics={"amber": 2}),
        taken={},
        refused={"huge": WaitReason.TOO_LARGE},
        left={"amber": 2},
    ),
    "closed nodes are no room for owners": Case(
        given_market(
            on(bid("guest", 9), "amber-0"),
            claim("x", "acme", 2),
            fabrics={"amber": 2},
            closed=("amber-0",),
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        taken={},
        kept={"acme": {"amber": 1}},
        refused={"x": WaitReason.NO_ROOM},
        left={"amber": 0},
    ),
    "running on-demand comes before an owner whose nodes failed": Case(
        given_market(
            on(on_demand("now", only_fabric="amber"), "amber-0"),
            claim("x", "acme", 2),
            fabrics={"amber": 3},
            failed=("amber-2",),
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        taken={"now": {"amber": 1}},
        kept={"acme": {"amber": 1}},
        refused={"x": WaitReason.NO_ROOM},
        left={"amber": 0},
    ),
    "on-demand that lost a node comes after the owners": Case(
        given_market(
            on(on_demand("now", 2, only_fabric="amber"), "amber-0", "amber-2"),
            claim("x", "acme", 2),
            fabrics={"amber": 3},
            failed=("amber-2",),
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        taken={"x": {"amber": 2}},
        refused={"now": WaitReason.NO_ROOM},
        left={"amber": 0},
    ),
    "an overflow leaves the fabric of on-demand and takes another at the cost of spot only": Case(
        given_market(
            on_demand("now", 2, only_fabric="birch"),
            on(claim("x", "acme", 2), "birch-0", "birch-1"),
            fabrics={"amber": 1, "birch": 2, "cedar": 3},
            failed=("amber-0",),
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        taken={"now": {"birch": 2}, "x": {"cedar": 2}},
        left={"birch": 0, "cedar": 1},
    ),
    "an idle demand of any priority does not stop a running overflow of its reservation": Case(
        given_market(
            on(claim("x", "acme", 3), "birch-0", "birch-1", "birch-2"),
            claim("y", "acme", priority=9),
            claim("z", "acme", gpus=1, priority=9),
            fabrics={"amber": 3, "birch": 5},
            failed=("amber-0",),
            reservations=(reserved("acme", {"amber": 3}),),
        ),
        taken={"x": {"birch": 3}},
        refused={"y": WaitReason.RESERVATION_FULL, "z": WaitReason.RESERVATION_FULL},
        left={"amber": 2, "birch": 2},
    ),
    "what a running overflow leaves of the shape is for idle demands in their own fabric": Case(
        given_market(
            on(claim("x", "acme", 2), "birch-0", "birch-1"),
            claim("y", "acme"),
            fabrics={"amber": 4, "birch": 5},
            failed=("amber-0", "amber-1", "amber-2"),
            reservations=(reserved("acme", {"amber": 3}),),
        ),
        taken={"x": {"birch": 2}, "y": {"amber": 1}},
        left={"amber": 0, "birch": 3},
    ),
    "an idle demand takes its own fabric where the running overflow of its reservation lost": Case(
        given_market(
            on(claim("x", "acme", 3), "birch-0", "birch-1", "birch-2"),
            claim("y", "acme"),
            on_demand("now", only_fabric="birch"),
            fabrics={"amber": 3, "birch": 3},
            failed=("amber-0",),
            reservations=(reserved("acme", {"amber": 3}, lends_at=5, keep=1),),
        ),
        taken={"y": {"amber": 1}, "now": {"birch": 1}},
        kept={"acme": {"amber": 1}},
        lent={"acme": {"amber": 1}},
        refused={"x": WaitReason.NO_ROOM},
        left={"amber": 0, "birch": 2},
    ),
    "an overflow stays where it stands though another fabric is tighter": Case(
        given_market(
            on(claim("x", "acme", 2), "cedar-0", "cedar-1"),
            fabrics={"amber": 1, "birch": 2, "cedar": 3},
            failed=("amber-0",),
            reservations=(reserved("acme", {"amber": 2}),),
        ),
        taken={"x": {"cedar": 2}},
        left={"birch": 2, "cedar": 1},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_reserved_stage_gives_room_in_its_order(case: Case) -> None:
    allocation = allocate(case.market)
    stage, names = allocation.reserved, allocation.layout.fabrics

    def named(counts: dict[int, int]) -> dict[str, int]:
        return {names[fabric]: nodes for fabric, nodes in counts.items() if nodes}

    def counted(parts: Parts) -> dict[str, int]:
        return {names[part.fabric]: len(part.levels) for part in parts}

    entitlements = stage.entitlements.items()
    assert {name: counted(parts) for name, parts in stage.parts.items()} == case.taken
    assert {name: named(it.kept) for name, it in entitlements if named(it.kept)} == case.kept
    assert {name: named(it.offered) for name, it in entitlements if named(it.offered)} == case.lent
    assert stage.refused == case.refused
    assert dict(zip(names, stage.room.free, strict=True)) == case.left


def test_an_owner_gets_at_once_what_it_keeps_or_all_of_what_it_lends_nothing_of() -> None:
    market = given_market(
        fabrics={"amber": 4},
        reservations=(
            reserved("lends", {"amber": 2}, lends_at=5, keep=1),
            reserved("lends-nothing", {"amber": 2}),
        ),
    )
    kept = allocate(market).reserved.kept_room()
    assert kept.without_wait == {"lends": 1, "lends-nothing": 2}
    assert kept.totals() == {"lends": 1, "lends-nothing": 2}


@settings(max_examples=200)
@given(st.integers(min_value=0, max_value=1 << 40))
def test_no_accepted_window_is_refused_or_moved_while_all_nodes_are_open(seed: int) -> None:
    """Whatever the owners ask for, in gangs that their own fabrics hold or not."""
    for clearing in sold_days(seed, days=3):
        refused = [it.demand for it in clearing.lines if it.demand[0] == "o" and not it.seats]
        moved = [it.demand for it in clearing.lines if it.demand[0] == "o" and it.change == "move"]
        assert (refused, moved) == ([], [])


def sold_days(seed: int, *, days: int) -> Iterator[Clearing]:
    """Clearings of a chance market whose calendar sold reservations and windows beside a buffer."""
    chance = random.Random(seed)
    fabrics = {name: chance.randint(1, 6) for name in FABRICS[: chance.randint(1, 4)]}
    buffer = chance.choice((0, 0, 1))
    unsold = {name: nodes - min(buffer, nodes) for name, nodes in fabrics.items()}
    reservations = []
    for n in range(chance.randint(1, 3)):
        wanted = [name for name in fabrics if unsold[name] and chance.random() < 0.7]
        shape = {name: chance.randint(1, unsold[name]) for name in wanted}
        for name, nodes in shape.items():
            unsold[name] -= nodes
        if shape:
            floor, keep = chance.choice((None, 3.0, 5.0)), chance.choice((0, 1, 2))
            age = chance.randint(0, 2)
            reservations.append(reserved(f"r{n}", shape, lends_at=floor, keep=keep, age=age))
    state = given_market(fabrics=fabrics, reservations=tuple(reservations))
    for day in range(days):
        staying = [it for it in state.demands if chance.random() < 0.75]
        for gone in (it for it in state.demands if it not in staying):
            if gone.only_fabric is not None:
                unsold[gone.only_fabric] += gone.nodes
        new = _asked(chance, unsold, reservations, f"{day}")
        state = with_demands(state, *staying, *new)
        clearing = clear(state)
        yield clearing
        state = incumbents(state, clearing)


def _asked(
    chance: random.Random, unsold: dict[str, int], owned: list[ReservationInForce], day: str
) -> list[Demand]:
    """Claims (c), windows that the calendar holds (o), and bids (b)."""
    found = []
    for n in range(chance.randint(0, 4) if owned else 0):
        name, gpus = chance.choice(owned).reservation, chance.choice((8, 8, 2, 5))
        any_fabric = chance.random() < 0.3
        nodes = chance.randint(1, 4)
        found.append(claim(f"c{day}{n}", name, nodes, gpus=gpus, any_fabric=any_fabric))
    for n in range(chance.randint(0, 3)):
        fabric, nodes = chance.choice(sorted(unsold)), chance.randint(1, 3)
        if unsold[fabric] >= nodes:
            unsold[fabric] -= nodes
            gpus = chance.choice((8, 8, 3))
            found.append(on_demand(f"o{day}{n}", nodes, gpus=gpus, only_fabric=fabric))
    bids = range(chance.randint(0, 5))
    return found + [bid(f"b{day}{n}", chance.randint(1, 9), chance.choice((1, 2))) for n in bids]
