"""What a reservation has of its shape in a clearing: all of it, once its window has begun.

It takes part a notice + kill + turnaround earlier, so that guests are gone in time. Until its
window begins, other rights still hold what was sold to them: a reservation whose window ends then,
and on-demand windows that end before. Together they may need more nodes than a fabric has. So
until then it has as much of its shape as the calendar has not sold to others at this moment.

A reservation that is closing needs what it uses and keeps, no more: what it still lends could not
be its own again before its window ends. So its guests make room for the next window in time.

Nodes on which an owner's job runs that its engine started by itself are in no clearing, wherever
they are. The reservation has as many fewer: where they are, then where it uses none, then anywhere.

Example: of three nodes, amber has two until 12:00 and an on-demand window one until 14:00; birch
has two from 12:00 on. From 11:58 on both reservations take part. Birch has nothing until 12:00
where amber uses or keeps its two, and both nodes from 11:58 on where amber's guests sit on them.
"""

from parkade.core.fleet.market import Market
from parkade.core.reservations.reservation import Reservation, ReservationState
from parkade.core.state.world import World
from parkade.core.steps.rights import used_nodes
from parkade.core.workloads.spec import CapacityKind

FabricNodes = tuple[tuple[str, int], ...]
"""(fabric, nodes), ascending by fabric."""


def shapes_now(world: World, market: Market, now_us: int) -> dict[str, FabricNodes]:
    """By reservation that takes part: what it has of its shape now.

    Grows with reservations, and with live workloads while a window is about to begin.
    """
    taking = [
        it
        for it in world.records.reservations.values()
        if it.market == market.market and it.state.takes_part
    ]
    shapes = {it.reservation: it.shape for it in taking}
    entering = [it for it in taking if it.window.start_us > now_us]
    if not entering:
        return _less_started(world, shapes)
    left = dict(world.sizes[market.market])
    for reservation in taking:
        if reservation.window.start_us <= now_us:
            _take(left, _needed(world, reservation))
    for name in world.live:
        workload = world.records.workloads[name]
        is_window = workload.spec.capacity.kind is CapacityKind.ON_DEMAND
        if workload.market == market.market and is_window and workload.fabric is not None:
            opened = workload.spec.nodes_alone(market.instance_type.gpus_per_node)
            _take(left, {workload.fabric: opened})
    for reservation in sorted(entering, key=lambda it: (it.created_us, it.reservation)):
        shape = tuple(
            (fabric, min(nodes, left.get(fabric, 0)))
            for fabric, nodes in reservation.shape
            if left.get(fabric, 0) > 0
        )
        assert sum(nodes for _, nodes in shape) <= reservation.nodes
        shapes[reservation.reservation] = shape
        _take(left, dict(shape))
    return _less_started(world, shapes)


def _less_started(world: World, shapes: dict[str, FabricNodes]) -> dict[str, FabricNodes]:
    """Without the nodes of jobs that engines started by themselves. Grows with the claims."""
    started: dict[str, list[str]] = {}
    for claim in world.records.claims.values():
        if claim.runs_on and claim.reservation in shapes:
            started.setdefault(claim.reservation, []).extend(claim.runs_on)
    for name, nodes in started.items():
        left = dict(shapes[name])
        used = used_nodes(world, world.records.reservations[name])
        elsewhere = 0
        for node in nodes:
            fabric = world.records.nodes[node].fabric
            used[fabric] = used.get(fabric, 0) - 1
            if left.get(fabric, 0):
                left[fabric] -= 1
            else:
                elsewhere += 1
        for fabric in sorted(left, key=lambda it: used.get(it, 0) - left[it]):
            less = min(left[fabric], elsewhere)
            left[fabric] -= less
            elsewhere -= less
        shapes[name] = tuple((fabric, count) for fabric, count in left.items() if count)
    return shapes


def _take(left: dict[str, int], nodes: dict[str, int]) -> None:
    for fabric, count in nodes.items():
        left[fabric] = max(0, left.get(fabric, 0) - count)


def _needed(world: World, reservation: Reservation) -> dict[str, int]:
    """Nodes by fabric that a reservation whose window has begun needs until it ends."""
    if reservation.state is not ReservationState.CLOSING or reservation.lending is None:
        return dict(reservation.shape)
    used = used_nodes(world, reservation)
    keep = reservation.lending.keep
    return {fabric: min(nodes, used.get(fabric, 0) + keep) for fabric, nodes in reservation.shape}
