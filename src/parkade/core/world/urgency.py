"""Which events cannot wait for the next interval: they ask for a clearing in the next cycle."""

from parkade.core.workloads.spec import CapacityKind
from parkade.core.world import events as happened
from parkade.core.world.world import World


def urgent_markets(world: World, events: tuple[happened.Event, ...]) -> tuple[str, ...]:
    """Markets for which these events ask for a clearing in the next cycle: after a reclaim, a
    failure, a release, an on-demand request or the cancel of something seated."""
    found = {
        market
        for event in events
        if (market := _urgent_market(world, event)) is not None and market in world.records.markets
    }
    return tuple(sorted(found))


def _urgent_market(world: World, event: happened.Event) -> str | None:
    records = world.records
    match event:
        case happened.Submitted(workload=workload):
            is_spot = workload.spec.capacity.kind is CapacityKind.SPOT
            return None if is_spot else workload.market
        case happened.Claimed(claim=claim):
            return records.reservations[claim.reservation].market
        case happened.NodeHealthSet(node=node) | happened.NodeUncordoned(node=node):
            return records.nodes[node].market
        case happened.ReservationChanged(reservation=name) | happened.LendingSet(reservation=name):
            return records.reservations[name].market
        case happened.Ended(workload=name) | happened.StopOrdered(workload=name):
            return records.workloads[name].market
        case happened.PhaseChanged(workload=name) if name in records.workloads:
            return records.workloads[name].market
        case happened.PoolOpened(market=opened):
            return opened.market
        case happened.ReachabilityChanged(market=market):
            return market
        case happened.Unclaimed():
            return next(iter(records.markets), None)
        case _:
            return None
