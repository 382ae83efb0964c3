"""Which work leaves a degraded or taken node in this clearing: that for which there is a place.

A degraded node still works, so its work loses no step: it leaves with the market's notice when the
allocation seats it elsewhere, and runs on, closed to newcomers, until then or until the verdict is
fatal. The question is asked of the allocation itself: the demand is given only its seats on open
nodes, like a broken gang, and if it wins so, it leaves. A guest asks for free room only: where
another demand would lose for it, it stays. An owner and on-demand displace guests, as they may.

A taken node has a job of others, or takes none of ours for another cause that its engine knows
(`fleet.node.OTHERS`). What runs there stays. What has not begun cannot begin there, so it leaves
by the same question; it has lost nothing, is not billed, and waits for no back-off.

Invariants. Nothing leaves such a node without seats that are promised to it in the same event.
A demand that stays is treated like any holder of a closed node.

Worked example. w1 (a guest at 9) runs on a1, w2 (at 4) on a2; there is no third node. a1 is
degraded: w1 alone would win a2, but w2 would lose, so both stay. w2 ends: w1 gets its notice and
the promise of a2 in the next clearing. Decision record 67.
"""

from msgspec.structs import replace

from parkade.core.clearing.input import ClearingInput
from parkade.core.fleet.node import Health, Node
from parkade.core.healing.verdict import Action, Level
from parkade.core.market.allocation import allocate
from parkade.core.market.market_state import Demand, MarketState, PriorityTier
from parkade.core.state.world import World

MOST_ASKED = 8
"""Demands that are asked about in one clearing. Where there are more, they take turns in the order
of the input, so that the first keep none of the others waiting."""


def with_evacuees(world: World, given: ClearingInput, *, turn: int) -> ClearingInput:
    """The input with those that leave degraded or taken nodes. `turn`: the number of the clearing
    interval, in which the same demands are asked about. Costs a look at the closed nodes; while one
    is to be left and held, an allocation, and one more for each demand that is asked about."""
    closed = [world.records.nodes[it] for it in given.closed]
    degraded = frozenset(it.node for it in closed if is_left(world, it))
    taken = frozenset(it.node for it in closed if it.is_taken)
    asked: list[Demand] = []
    if degraded or taken:
        asked = [it for it in given.state.demands if _leaves(world, it, degraded, taken)]
        asked = in_turn(asked, turn)
    if not asked:
        return given
    state, leaving = given.state, []
    winners = allocate(state).parts.keys()
    for demand in asked:
        # Nothing is started on a closed node, so no seat there counts, whatever closed it.
        still = tuple(it for it in demand.seats if it.node not in given.closed)
        moved = replace(demand, seats=still)
        tried = _with(state, moved)
        parts = allocate(tried).parts
        harms = demand.tier is PriorityTier.SPOT and not winners <= parts.keys()
        if demand.demand in parts and not harms:
            state, winners = tried, parts.keys()
            leaving.append(demand.demand)
    return replace(given, state=state, evacuees=frozenset(leaving))


def in_turn(waiting: list[Demand], turn: int) -> list[Demand]:
    """MOST_ASKED of those that wait, others in the next turn: each is asked about at least once in
    as many turns as it takes to ask all."""
    rounds = -(-len(waiting) // MOST_ASKED)
    first = MOST_ASKED * (turn % rounds) if rounds else 0
    return waiting[first : first + MOST_ASKED]


def _with(state: MarketState, changed: Demand) -> MarketState:
    return replace(
        state,
        demands=tuple(changed if it.demand == changed.demand else it for it in state.demands),
    )


def _leaves(world: World, demand: Demand, degraded: frozenset[str], taken: frozenset[str]) -> bool:
    """Whether a workload is to leave one of its nodes: a degraded one, or, while it has not begun,
    a taken one."""
    nodes = {seat.node for seat in demand.seats}
    if nodes.isdisjoint(degraded) and nodes.isdisjoint(taken):
        return False
    workload = world.records.workloads.get(demand.demand)
    attempt = None if workload is None else workload.attempt
    if attempt is None or attempt.stop is not None or attempt.broken_us is not None:
        return False
    return attempt.started_us is None or not nodes.isdisjoint(degraded)


def is_left(world: World, node: Node) -> bool:
    """Whether the work on a node leaves it when it can: its incident is degraded, is let through by
    the guards, asks for a repair that does not wait for an idle node, and no owner claims it."""
    incident = world.open_incident(node.node)
    if incident is None or node.health is not Health.SUSPECT:
        return False
    if incident.held is not None or incident.level is not Level.DEGRADED:
        return False
    if incident.action is Action.RESET_AT_IDLE:
        return False
    if not world.records.automation.is_on or node.is_a_persons:
        return False
    return all(holder in world.records.workloads for holder in world.held_on[node.node])
