"""Events that cannot wait for the next interval: they ask for a clearing in the next cycle."""

from typing import assert_never

from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.spec import CapacityKind


def urgent_markets(world: World, committed: tuple[events.AnyEvent, ...]) -> tuple[str, ...]:
    """Markets for which these events ask for a clearing in the next cycle: after a reclaim, a
    failure, a release, an on-demand request or the cancel of something seated."""
    found = {
        market
        for event in committed
        if (market := _urgent_market(world, event)) is not None and market in world.records.markets
    }
    return tuple(sorted(found))


def _urgent_market(world: World, event: events.AnyEvent) -> str | None:
    records = world.records
    match event:
        case events.Submitted(workload=workload):
            is_spot = workload.spec.capacity.kind is CapacityKind.SPOT
            return None if is_spot else workload.market
        case events.Claimed(claim=claim):
            return records.reservations[claim.reservation].market
        case events.NodeHealthSet(node=node) | events.NodeUncordoned(node=node):
            return records.nodes[node].market
        case events.ReservationChanged(reservation=name) | events.LendingSet(reservation=name):
            return records.reservations[name].market
        case events.Ended(workload=name) | events.StopOrdered(workload=name):
            return records.workloads[name].market
        case events.PhaseChanged(workload=name):
            return records.workloads[name].market if name in records.workloads else None
        case events.PoolOpened(market=opened):
            return opened.market
        case events.ReachabilityChanged(market=market):
            return market
        case events.Unclaimed():
            return next(iter(records.markets), None)
        case (
            events.EpochOpened()
            | events.ClockJumped()
            | events.ClockConfirmed()
            | events.PricesSet()
            | events.OrgCreated()
            | events.UserCreated()
            | events.TokenAdded()
            | events.TokenRevoked()
            | events.MoneyMoved()
            | events.GrantSet()
            | events.CapSet()
            | events.Reserved()
            | events.ReservationPaid()
            | events.ClaimSeated()
            | events.BidChanged()
            | events.NodeCordoned()
            | events.Cleared()
            | events.Launched()
            | events.Started()
            | events.Checkpointed()
            | events.Broken()
            | events.BudgetNoted()
            | events.Forgotten()
        ):
            return None
        case _:
            assert_never(event)
