"""The recorded cause of a move, from what the market says of it and what the world knows."""

from collections.abc import Collection
from typing import assert_never

from parkade.core.clearing.claims import claim_named
from parkade.core.fleet.maintenance import is_maintained
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
from parkade.core.state.world import World
from parkade.core.steps.holdings import is_standing
from parkade.core.workloads.moves import (
    AsCounted,
    Cheaper,
    Drained,
    ForClaim,
    ForFloors,
    ForKeptNodes,
    ForWorkload,
    Healed,
    MoveCause,
)
from parkade.core.workloads.spec import Moves


def moved(world: World, line: ClearingLine, evacuees: Collection[str]) -> MoveCause | None:
    """Why the seats of a winner are others than before; None where it had none, or keeps them.
    `evacuees` leave a degraded node."""
    if line.demand in evacuees:
        return Healed()
    if line.moved is not None:
        return move_cause(world, line.demand, line.moved)
    if line.change is Change.START and _has_seats(world, line.demand):
        # None of the nodes that it has or is promised is open: it was seated like a newcomer.
        return move_cause(world, line.demand, MovedBroken())
    if line.change in (Change.KEEP, Change.RESIZE) and _lost_promised(world, line):
        return move_cause(world, line.demand, MovedBroken())
    return None


def _lost_promised(world: World, line: ClearingLine) -> bool:
    """Whether an elastic workload was promised a node that is not open any more; what is left of
    its promise is a size that it may have."""
    workload = world.records.workloads.get(line.demand)
    if workload is None or workload.promise is None or not workload.spec.is_elastic:
        return False
    left = {seat.node for seat in line.seats}
    nodes = (world.records.nodes.get(seat.node) for seat in workload.promise.seats)
    return any(node is None or (node.node not in left and not node.is_open) for node in nodes)


def _has_seats(world: World, demand: str) -> bool:
    """Whether it has seats that it does not leave yet, or is promised some."""
    claim = world.records.claims.get(demand)
    if claim is not None:
        return bool(claim.seats)
    workload = world.records.workloads.get(demand)
    return workload is not None and is_standing(workload)


def move_cause(world: World, demand: str, reason: MoveReason) -> MoveCause:
    """Why a workload or claim gets other seats; `reason` is the market's."""
    match reason:
        case MovedFor(demand=other):
            return _for_demand(world, other)
        case MovedForKept(reservation=name):
            return ForKeptNodes(reservation=name, org=world.records.reservations[name].org)
        case MovedForFloor():
            workload = world.records.workloads.get(demand)
            is_willing = workload is not None and workload.spec.moves is Moves.CHEAPER
            return Cheaper() if is_willing else ForFloors()
        case MovedBroken():
            return Drained() if _is_drained(world, demand) else Healed()
        case MovedAsCounted():
            return AsCounted()
        case _:
            assert_never(reason)


def _for_demand(world: World, name: str) -> MoveCause:
    claim = world.records.claims.get(claim_named(name))
    if claim is not None:
        return ForClaim(claim=claim.claim, org=claim.org)
    workload = world.records.workloads.get(name)
    # A dry run clears with a workload that the world does not have; its causes are not recorded.
    assert workload is not None, f"{name} is unknown"
    return ForWorkload(workload=name, org=workload.org)


def _is_drained(world: World, demand: str) -> bool:
    """Whether a node on which it sits, or is promised seats, is being drained."""
    claim = world.records.claims.get(claim_named(demand))
    if claim is not None:
        seats = claim.seats
    else:
        workload = world.records.workloads[demand]
        held = workload.promise or workload.attempt
        seats = held.seats if held is not None else ()
    nodes = (world.records.nodes.get(seat.node) for seat in seats)
    return any(
        node is not None and (node.draining_us is not None or is_maintained(node)) for node in nodes
    )
