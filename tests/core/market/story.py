"""Builders of the market's tests: markets by hand, and chance markets."""

import random
from typing import Any

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.market.clear import clear
from parkade.core.market.market_state import (
    ClearingTerms,
    Demand,
    MarketState,
    NodeInPlay,
    PriorityTier,
    ReservationInForce,
)
from parkade.core.market.outcome import Change, Clearing, ClearingLine
from parkade.core.units.fraction import Fraction

MICROS = 1_000_000
FABRICS = ("amber", "birch", "cedar", "delta")


def terms(
    *,
    floor: float = 0,
    pay_as_you_go: float = 12,
    fee: str = "2/7",
    credit: str = "1/20",
    shared_nodes: bool = False,
) -> ClearingTerms:
    """ClearingTerms of a market; amounts in whole units."""
    top, bottom = fee.split("/")
    credit_top, credit_bottom = credit.split("/")
    return ClearingTerms(
        public_floor_micros=int(floor * MICROS),
        pay_as_you_go_micros=int(pay_as_you_go * MICROS),
        fee=Fraction(numerator=int(top), denominator=int(bottom)),
        switching_credit=Fraction(numerator=int(credit_top), denominator=int(credit_bottom)),
        supplier_account="supplier",
        operator_account="operator",
        shared_nodes=shared_nodes,
    )


def given_market(
    *demands: Demand,
    fabrics: dict[str, int],
    gpus: int = 8,
    closed: tuple[str, ...] = (),
    failed: tuple[str, ...] = (),
    free_from: dict[str, int] | None = None,
    reservations: tuple[ReservationInForce, ...] = (),
    on: ClearingTerms | None = None,
) -> MarketState:
    """A market whose nodes are named amber-0, amber-1, …; failed ones are out of play."""
    names = [(fabric, f"{fabric}-{n}") for fabric, size in fabrics.items() for n in range(size)]
    nodes = tuple(
        NodeInPlay(
            node=node,
            fabric=fabric,
            gpus=gpus,
            is_open=node not in closed,
            free_from_us=(free_from or {}).get(node, 0),
        )
        for fabric, node in names
        if node not in failed
    )
    return MarketState(
        gpus_per_node=gpus,
        terms=on or terms(),
        nodes=nodes,
        reservations=reservations,
        demands=demands,
    )


def bid(name: str, limit: float, nodes: int = 1, *, gpus: int = 8, **changes: Any) -> Demand:
    """A spot workload of an org named as itself, submitted as its name sorts."""
    demand = Demand(
        demand=name,
        org=name,
        tier=PriorityTier.SPOT,
        nodes=nodes,
        gpus=gpus,
        any_fabric=False,
        reservation=None,
        priority=0,
        limit_micros=round(limit * MICROS),
        use_7_days=0,
        submitted_us=0,
        seats=(),
    )
    return msgspec.structs.replace(demand, **changes)


def on_demand(name: str, nodes: int = 1, *, gpus: int = 8, **changes: Any) -> Demand:
    """An on-demand workload."""
    return bid(name, 0, nodes, gpus=gpus, tier=PriorityTier.ON_DEMAND, limit_micros=None, **changes)


def claim(name: str, reservation: str, nodes: int = 1, *, gpus: int = 8, **changes: Any) -> Demand:
    """An owner's demand on its reservation."""
    changes = {"org": f"org-{reservation}"} | changes
    return bid(
        name,
        0,
        nodes,
        gpus=gpus,
        tier=PriorityTier.RESERVED,
        limit_micros=None,
        reservation=reservation,
        **changes,
    )


def reserved(
    name: str, shape: dict[str, int], *, lends_at: float | None = None, keep: int = 0, age: int = 0
) -> ReservationInForce:
    """A reservation of org-NAME, paid to account owner-NAME."""
    return ReservationInForce(
        reservation=name,
        org=f"org-{name}",
        account=f"owner-{name}",
        created_us=age,
        shape=tuple(sorted(shape.items())),
        floor_micros=None if lends_at is None else round(lends_at * MICROS),
        keep=keep,
    )


def worked_example(*more: Demand) -> MarketState:
    """The market that the docstrings of the market's modules compute by hand."""
    return given_market(
        on_demand("od"),
        bid("a", 10, 2),
        bid("b", 8),
        bid("c", 6),
        *more,
        fabrics={"amber": 3, "birch": 2},
        reservations=(reserved("acme", {"amber": 2}, lends_at=5, keep=1),),
        on=terms(floor=1),
    )


def on(demand: Demand, *nodes: str) -> Demand:
    """The demand, running on these nodes."""
    seats = tuple(Seat(node=node, gpus=demand.gpus) for node in nodes)
    return msgspec.structs.replace(demand, seats=seats)


def incumbents(state: MarketState, clearing: Clearing | None = None) -> MarketState:
    """The same market once the clearing was carried out: winners sit, losers wait."""
    lines = {line.demand: line for line in (clearing or clear(state)).lines}
    closed = {node.node for node in state.nodes if not node.is_open}
    found = []
    for demand in state.demands:
        line = lines[demand.demand]
        has_closed = any(seat.node in closed for seat in line.seats)
        floor = demand.floor_micros if has_closed else line.floor_micros
        found.append(msgspec.structs.replace(demand, seats=line.seats, floor_micros=floor))
    return with_demands(state, *found)


def with_demands(state: MarketState, *demands: Demand) -> MarketState:
    """The market with other demands."""
    return msgspec.structs.replace(state, demands=demands)


def rebid(state: MarketState, name: str, limit_micros: int) -> MarketState:
    """The market in which one workload names another limit."""
    return with_demands(
        state,
        *(
            msgspec.structs.replace(it, limit_micros=limit_micros) if it.demand == name else it
            for it in state.demands
        ),
    )


def line_of(clearing: Clearing, name: str) -> ClearingLine:
    """The line of one demand."""
    return next(line for line in clearing.lines if line.demand == name)


def winners(clearing: Clearing) -> dict[str, int]:
    """CriticalValue of each winner."""
    return {line.demand: line.price_micros for line in clearing.lines if line.seats}


def changes(clearing: Clearing) -> dict[str, Change]:
    """What became of each demand."""
    return {line.demand: line.change for line in clearing.lines}


def nodes_of(clearing: Clearing, name: str) -> tuple[str, ...]:
    """Where a demand sits."""
    return tuple(seat.node for seat in line_of(clearing, name).seats)


def chance_market(
    seed: int,
    *,
    lends: bool = True,
    any_fabric: bool = True,
    has_closed: bool = True,
    crowd: int = 1,
    shared: bool = True,
    packs: bool = True,
) -> MarketState:
    """A small random market in its second clearing: incumbents, newcomers, failures, lenders.

    Owners lend at floors less and more than a credit apart, or nothing at all unless
    `lends`; `crowd` multiplies workloads and nodes; without `shared` every rank wants a whole node,
    without `packs` every rank another node.
    """
    chance = random.Random(seed)
    fabrics = {name: chance.randint(1, 5 * crowd) for name in FABRICS[: chance.randint(1, 4)]}
    reservations = _chance_reservations(chance, fabrics, lends)
    first = given_market(
        *(
            _chance_demand(chance, n, reservations, any_fabric, shared, packs)
            for n in range(chance.randint(1, 9 * crowd))
        ),
        fabrics=fabrics,
        reservations=reservations,
        on=terms(
            floor=chance.choice((0, 1, 2)),
            fee=chance.choice(("2/7", "0/1", "1/10")),
            shared_nodes=seed % 3 == 0,
        ),
    )
    if chance.random() < 0.25:
        return first
    running = incumbents(first)
    names = [node.node for node in first.nodes]
    failed = set(chance.sample(names, k=chance.choice((0, 0, 0, 1, min(2, len(names))))))
    closed: set[str] = set()
    if has_closed:
        many = min(len(names), 3)
        closed = set(chance.sample(names, k=chance.choice((0, 0, 1, many)))) - failed
    nodes = tuple(
        msgspec.structs.replace(
            node, is_open=node.node not in closed, free_from_us=chance.choice((0, 0, 5, 9))
        )
        for node in first.nodes
        if node.node not in failed
    )
    demands = []
    for demand in running.demands:
        if chance.random() < 0.15:
            continue
        limit = demand.limit_micros
        if limit is not None and chance.random() < 0.3:
            limit = chance.randint(0, 12) * MICROS
        demands.append(msgspec.structs.replace(demand, limit_micros=limit))
    demands += [
        _chance_demand(chance, n, reservations, any_fabric, shared, packs)
        for n in range(100, 100 + chance.randint(0, 7 * crowd))
    ]
    return msgspec.structs.replace(first, nodes=nodes, demands=tuple(demands))


def _chance_reservations(
    chance: random.Random, fabrics: dict[str, int], lends: bool
) -> tuple[ReservationInForce, ...]:
    floors = (None, 3.0, 5.0, 3.03, 5.1) if lends else (None,)
    left = dict(fabrics)
    found = []
    for n in range(chance.randint(0, 3)):
        shape = {}
        for fabric, size in left.items():
            if size and chance.random() < 0.6:
                shape[fabric] = chance.randint(1, size)
                left[fabric] -= shape[fabric]
        if shape:
            found.append(
                reserved(
                    f"r{n}",
                    shape,
                    lends_at=chance.choice(floors),
                    keep=chance.choice((0, 0, 1)),
                    age=chance.randint(0, 2),
                )
            )
    return tuple(found)


def _chance_demand(
    chance: random.Random,
    n: int,
    reservations: tuple[ReservationInForce, ...],
    any_fabric: bool,
    shared: bool,
    packs: bool,
) -> Demand:
    kind = chance.random()
    gpus = chance.choice((8, 8, 8, 2, 4, 5) if shared else (8,))
    changes: dict[str, Any] = {
        "gpus": gpus,
        "org": chance.choice(("ant", "bee", "org-r0", "org-r1")),
        "submitted_us": chance.randint(0, 3),
        "use_7_days": chance.randint(0, 1),
        "any_fabric": any_fabric and chance.random() < 0.15,
        "moves_if_cheaper": chance.random() < 0.3,
    }
    if packs and n % 2:
        changes["ranks_per_node"] = 8 // gpus
    nodes = chance.choice((1, 1, 1, 2, 2, 3, 4))
    name = f"w{n:03d}"
    if kind < 0.2 and reservations:
        room = chance.choice(reservations)
        changes |= {"org": room.org, "priority": chance.randint(0, 1)}
        return claim(name, room.reservation, nodes, **changes)
    if kind < 0.3:
        return on_demand(name, nodes, **changes)
    return bid(name, chance.randint(0, 12), nodes, **changes)
