"""Which demands of an owner are short: of nodes that they would have were all nodes well.

One rule for every cause (failed, draining, cordoned, suspect, unreachable): the allocation of the
reserved and on-demand tiers is asked once more, with every node of the market open. What lost now
and wins there is short. So a gang that never fitted is short of nothing.

Of each reservation no more GPUs are short than its other demands use and guests draw now: what is
lent meanwhile earns already, and no GPU is owed for twice at one instant. `billing.settlements`
says what a shortage costs whom.

Example (`tests/core/clearing/test_short_demands.py`): acme reserved two nodes of four GPUs, and
a2 is broken. Its jobs w1 and w2 take a node each; w1 runs on a1. Were a2 well, w2 would run there:
it is short of four GPUs. A third job w3 would not, so it is short of none.
"""

from msgspec.structs import replace

from parkade.core.billing.charges import Postings
from parkade.core.billing.settlements import settle_short, short_of
from parkade.core.clearing.claims import claim_named
from parkade.core.fleet.market import Market
from parkade.core.market.allocation import allocate
from parkade.core.market.market_state import MarketState, NodeInPlay, PriorityTier
from parkade.core.market.outcome import Clearing, WaitReason
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.steps.rights import started_nodes

NO_ROOM = frozenset({None, WaitReason.NO_ROOM, WaitReason.TOO_LARGE})


def short_demands(
    world: World, market: Market, state: MarketState, outcome: Clearing
) -> dict[str, int]:
    """GPUs of which claims and workloads on reservations are short, in the order of the clearing's
    lines. Costs one allocation without spot, and only while an owner waits and a node is not
    open."""
    sold = sum(world.sizes[market.market].values())
    is_whole = len(state.nodes) == sold - len(_started(world, market))
    if is_whole and all(node.is_open for node in state.nodes):
        return {}
    demands = {demand.demand: demand for demand in state.demands}
    waiting = [
        demands[line.demand]
        for line in outcome.lines
        if not line.seats
        and line.reason in NO_ROOM
        and line.demand in demands
        and demands[line.demand].tier is PriorityTier.RESERVED
    ]
    if not waiting:
        return {}
    would_win = allocate(_with_all_nodes(world, market, state)).parts
    left = _unused_gpus(state, outcome)
    short: dict[str, int] = {}
    for demand in waiting:
        assert demand.reservation is not None
        gpus = min(demand.nodes * demand.gpus, left[demand.reservation])
        if demand.demand in would_win and gpus > 0:
            left[demand.reservation] -= gpus
            name = claim_named(demand.demand)
            short[name] = short.get(name, 0) + gpus
    return short


def settle_shortages(
    world: World, postings: Postings, market: Market, short: dict[str, int], at_us: int
) -> tuple[events.ReservationSettled, ...]:
    """Demands that are short of another number of GPUs from now on are credited up to now; `short`:
    of how many GPUs each is."""
    settled: list[events.ReservationSettled] = []
    if not short and not _is_any_short(world):
        return ()
    # Grows with reservations x claims, but only while an owner is short.
    for reservation in world.records.reservations.values():
        if reservation.market != market.market or not reservation.state.takes_part:
            continue
        before = dict(short_of(world, reservation))
        now = {
            name: gpus
            for name, gpus in short.items()
            if _reservation_of(world, name) == reservation.reservation
        }
        changed = {
            name: now.get(name, 0)
            for name in {**before, **now}
            if before.get(name, 0) != now.get(name, 0)
        }
        settled.extend(settle_short(world, postings, reservation, changed, at_us))
    return tuple(settled)


def _is_any_short(world: World) -> bool:
    """Whether a demand is short as far as is known."""
    workloads = world.records.workloads
    return any(it.short_us is not None for it in world.records.claims.values()) or any(
        workloads[name].short_us is not None for name in world.live
    )


def _reservation_of(world: World, name: str) -> str | None:
    claim = world.records.claims.get(name)
    if claim is not None:
        return claim.reservation
    return world.records.workloads[name].spec.capacity.reservation


def _with_all_nodes(world: World, market: Market, state: MarketState) -> MarketState:
    """The state as it would be with every node of the market open, without spot."""
    started = _started(world, market)
    nodes = tuple(
        NodeInPlay(node=node.node, fabric=node.fabric, gpus=node.gpus, is_open=True, free_from_us=0)
        for node in world.records.nodes.values()
        if node.market == market.market and node.node not in started
    )
    return replace(
        state,
        nodes=nodes,
        demands=tuple(demand for demand in state.demands if demand.tier is not PriorityTier.SPOT),
    )


def _started(world: World, market: Market) -> list[str]:
    nodes = world.records.nodes
    return [node for node in started_nodes(world) if nodes[node].market == market.market]


def _unused_gpus(state: MarketState, outcome: Clearing) -> dict[str, int]:
    """By reservation, GPUs that neither its demands use nor guests draw."""
    demands = {demand.demand: demand for demand in state.demands}
    left = {
        room.reservation: sum(nodes for _, nodes in room.shape) * state.gpus_per_node
        for room in state.reservations
    }
    for line in outcome.lines:
        demand = demands.get(line.demand)
        if demand is not None and demand.reservation in left and line.seats:
            left[demand.reservation] -= demand.nodes * demand.gpus
    for use in outcome.reservations:
        left[use.reservation] -= use.lent * state.gpus_per_node
    return {name: max(0, gpus) for name, gpus in left.items()}
