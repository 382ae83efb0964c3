"""Events that cannot wait for the next interval: they ask for a clearing in the next cycle."""

from collections.abc import Iterable
from typing import assert_never

from parkade.core.fleet.node import OTHERS
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.workloads.spec import CapacityKind


def urgent_markets(world: World, committed: tuple[events.AnyEvent, ...]) -> tuple[str, ...]:
    """Markets for which these events ask for a clearing in the next cycle: after a reclaim, a
    failure, a release, an on-demand request, the cancel of something seated, or where a node on
    which something has its seats was taken by others.

    The world already has the events; what they name may be gone again.
    """
    found = {market for event in committed for market in _urgent(world, event)}
    return tuple(sorted(found & world.records.markets.keys()))


def _urgent(world: World, event: events.AnyEvent) -> Iterable[str]:
    match event:
        # The frequent ones first, because a match tries its cases in turn.
        case events.Launched() | events.Started() | events.UsePosted() | events.Cleared():
            return ()
        case events.Submitted(workload=workload) | events.Resubmitted(workload=workload):
            is_spot = workload.spec.capacity.kind is CapacityKind.SPOT
            return () if is_spot else (workload.market,)
        case events.Claimed(claim=claim):
            return _of_reservation(world, claim.reservation)
        case events.Unclaimed(reservation=None):
            return world.records.markets
        case (
            events.Unclaimed(reservation=str(name))
            | events.ReservationChanged(reservation=name)
            | events.LendingSet(reservation=name)
            | events.ReservationDivided(reservation=name)
        ):
            return _of_reservation(world, name)
        case (
            events.NodeHealthSet(node=node)
            | events.NodeUncordoned(node=node)
            | events.NodeDraining(node=node)
            | events.NodeUndrained(node=node)
        ):
            record = world.records.nodes.get(node)
            return () if record is None else (record.market,)
        case events.NodeCordoned(node=node, cordon=cordon) if cordon.holder == OTHERS:
            record = world.records.nodes.get(node)
            return () if record is None or not world.held_on[node] else (record.market,)
        case (
            events.Ended(workload=name)
            | events.RanksChanged(workload=name)
            | events.StopOrdered(workload=name)
            | events.FellBack(workload=name)
            | events.PhaseChanged(workload=name)
        ):
            workload_or_none = world.records.workloads.get(name)
            return () if workload_or_none is None else (workload_or_none.market,)
        case events.MembersOpened(workload=name):
            array = world.records.workloads.get(name)
            is_growing = world.members.of(name).seated > 0
            return () if array is None or not is_growing else (array.market,)
        case events.MaintenanceBegun(maintenance=name):
            window = world.records.maintenance.get(name)
            emptied = () if window is None else window.nodes
            return {world.records.nodes[node].market for node in emptied}
        case events.PoolOpened(nodes=nodes) | events.NodesAdded(nodes=nodes):
            return {node.market for node in nodes}
        case events.ReachabilityChanged(pool=pool):
            return {node.market for node in world.records.nodes.values() if node.pool == pool}
        case events.TermsChanged(market=market):
            return (market,)
        case (
            events.NodeRemoved()
            | events.MaintenanceScheduled()
            | events.MaintenanceChanged()
            | events.MaintenanceEnded()
            | events.PoolClosed()
            | events.TermsAnnounced()
            | events.PricesSet()
            | events.NodeCordoned()
            | events.FenceSet()
            | events.Reserved()
            | events.ClaimSeated()
            | events.Unclaimed()
            | events.BidChanged()
            | events.BoundsChanged()
            | events.EntryTaken()
            | events.MembersEnded()
            | events.MembersRetried()
            | events.DependenciesMet()
            | events.Checkpointed()
            | events.Broken()
            | events.BudgetNoted()
            | events.ExecOpened()
            | events.Forgotten()
            | events.WithdrawalCharged()
            | events.MoneyMoved()
            | events.ReservationPaid()
            | events.ReservationSettled()
            | events.OrgCreated()
            | events.UserCreated()
            | events.TokenAdded()
            | events.TokenRevoked()
            | events.GrantSet()
            | events.CapSet()
            | events.OrgCapSet()
            | events.OrgBoundsSet()
            | events.OrgDescribed()
            | events.CapNoted()
            | events.UnixNameSet()
            | events.OrgDisabled()
            | events.UserDisabled()
            | events.UserDeleted()
            | events.OrgDeleted()
            | events.UserRoleSet()
            | events.EpochOpened()
            | events.ClockJumped()
            | events.ClockConfirmed()
            | events.ClockAdvanced()
            | events.RepairsKnown()
            | events.AutomationSet()
            | events.VerdictGiven()
            | events.IncidentOpened()
            | events.IncidentHeld()
            | events.IncidentTurned()
            | events.RepairOrdered()
            | events.RepairEnded()
            | events.IncidentClosed()
            | events.TurnaroundOrdered()
            | events.TurnaroundEnded()
            | events.NodeSanitised()
            | events.BuffersSized()
            | events.SurroundingsKnown()
        ):
            return ()
        case _:
            assert_never(event)


def _of_reservation(world: World, name: str) -> tuple[str, ...]:
    reservation = world.records.reservations.get(name)
    return () if reservation is None else (reservation.market,)
