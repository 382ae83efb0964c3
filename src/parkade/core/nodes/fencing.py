"""Decides on what other jobs may do to a pool: its fence, and the nodes that they hold.

Where an engine's queue also takes jobs that Parkade knows nothing of, a node that was promised may
be taken before its promise is kept. A fence closes the nodes to them. Without one only spot is
sold there (`steps.capacity.refuse_unfenced`), no bid asks for moves to a lower floor, and a node on
which such a job runs takes no newcomer while it runs: the agent's cordon, whose holder is `OTHERS`.
"""

from parkade.core.fleet.node import OTHERS, Cordon
from parkade.core.fleet.pool import Fence
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision, conflict, not_found
from parkade.core.units.phrases import some_of
from parkade.core.workloads.spec import CapacityKind, Moves
from parkade.core.workloads.workload import Workload


def set_fence(world: World, command: commands.SetFence, now_us: int) -> Decision:
    """Asked of the agent; it stands once the agent says so. Given up only where nothing was sold
    that needs it. Cost grows with the marketplace's nodes, reservations and live workloads."""
    pool = world.records.pools.get(command.pool)
    if pool is None:
        return not_found("pool", command.pool)
    if pool.fence is Fence.UNNEEDED:
        return conflict(f"pool {pool.pool!r} needs no fence: all that runs there is ours")
    if command.is_on:
        if pool.fence is not Fence.NONE:
            return ()
        return (events.FenceSet(at_us=now_us, pool=pool.pool, fence=Fence.ASKED),)
    if pool.fence is Fence.NONE:
        return ()
    sold = _sold_by_right(world, pool.pool)
    if sold:
        return conflict(f"the fence keeps the nodes of {some_of(sold)}; end them first")
    return (events.FenceSet(at_us=now_us, pool=pool.pool, fence=Fence.NONE),)


def report_fence(world: World, command: commands.ReportFence, now_us: int) -> Decision:
    """A fence that fell is asked for again; what was sold stays sold."""
    pool = world.records.pools.get(command.pool)
    if pool is None:
        return not_found("pool", command.pool)
    reported = Fence.STANDS if command.stands else Fence.ASKED
    if pool.fence in (Fence.UNNEEDED, Fence.NONE, reported):
        return ()
    return (events.FenceSet(at_us=now_us, pool=pool.pool, fence=reported),)


def report_taken_nodes(world: World, command: commands.ReportTakenNodes, now_us: int) -> Decision:
    """Cordons what is taken and lifts those cordons when it is free. What runs there stays; what
    has not begun leaves when it can (`clearing.evacuation`). Cost grows with the marketplace's
    nodes and claims."""
    if command.pool not in world.records.pools:
        return not_found("pool", command.pool)
    claimed = {
        (claim.reservation, node)
        for claim in world.records.claims.values()
        for node in (*claim.runs_on, *(seat.node for seat in claim.held))
    }
    taken = {it.node: it.job for it in command.nodes if (it.reservation, it.node) not in claimed}
    found: list[events.AnyEvent] = []
    for node in world.records.nodes.values():
        if node.pool != command.pool:
            continue
        if node.node in taken and not node.is_taken:
            cordon = Cordon(holder=OTHERS, reason=taken[node.node], at_us=now_us)
            found.append(events.NodeCordoned(at_us=now_us, node=node.node, cordon=cordon))
        if node.node not in taken and node.is_taken:
            found.append(events.NodeUncordoned(at_us=now_us, node=node.node, holder=OTHERS))
    return tuple(found)


def _sold_by_right(world: World, pool: str) -> list[str]:
    """Reservations, on-demand, and bids that are moved for a lower floor, of the markets that a
    pool supplies."""
    markets = {node.market for node in world.records.nodes.values() if node.pool == pool}
    rights = [
        right.reservation
        for right in world.records.reservations.values()
        if right.market in markets and not right.state.is_over
    ]
    live = (world.records.workloads[name] for name in world.live)
    return rights + [
        workload.workload
        for workload in live
        if workload.market in markets and _needs_fence(workload)
    ]


def _needs_fence(workload: Workload) -> bool:
    is_on_demand = workload.spec.capacity.kind is CapacityKind.ON_DEMAND
    return is_on_demand or workload.fallback is not None or workload.spec.moves is Moves.CHEAPER
