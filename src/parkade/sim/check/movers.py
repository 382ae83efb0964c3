"""The rule of moves by one's own org: what it pushes out is owed for (number 19)."""

from collections.abc import Iterator

from parkade.core.fleet.seat import by_node
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.moves import ForClaim, ForKeptNodes, ForWorkload
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload
from parkade.sim.check.breach import require


def look_at_movers(world: World, event: events.Cleared) -> None:
    """A bid that a bid or right of its own org moves owes for each attempt of another org that is
    outbid where it goes. Cost grows with the moves times the notices."""
    for won in event.won:
        workload = world.records.workloads.get(lines.name_of(won.demand))
        if workload is None or not _is_by_own(world, workload, won):
            continue
        if workload.spec.capacity.kind is CapacityKind.RESERVATION:
            continue
        owes = won.promise.debt.nodes if won.promise.debt is not None else ()
        for name, node in _pushed_out(world, workload, won, event):
            says = f"{workload.workload}, moved by its own org, makes {name} leave {node}"
            require(node in owes, 19, f"{says} and owes nothing")


def _is_by_own(world: World, workload: Workload, won: lines.Won) -> bool:
    """Whether a right of its org moves it, or a bid that comes before it beyond doubt."""
    match won.moved:
        case ForClaim(org=org) | ForKeptNodes(org=org):
            return org == workload.org
        case ForWorkload(workload=name, org=org):
            other = world.records.workloads[name].spec
            if org != workload.org or other.capacity.kind is not CapacityKind.SPOT:
                return org == workload.org
            least = 2 * (workload.spec.limit_price_micros or 0)
            return (other.limit_price_micros or 0) * other.gpus > least * workload.spec.gpus
        case _:
            return False


def _pushed_out(
    world: World, workload: Workload, won: lines.Won, event: events.Cleared
) -> Iterator[tuple[str, str]]:
    """(attempt's workload, node) of those of other orgs that are outbid where a winner goes."""
    takes = {seat.node: seat.gpus for seat in by_node(won.promise.seats)}
    for leaving in event.left:
        if leaving.stop is None or leaving.stop.cause is not Cause.OUTBID:
            continue
        other = world.records.workloads[lines.name_of(leaving.demand)]
        if other.org == workload.org or other.attempt is None:
            continue
        for seat in by_node(other.attempt.seats):
            gpus = world.records.nodes[seat.node].gpus
            if seat.gpus + takes.get(seat.node, 0) > gpus:
                yield other.workload, seat.node
