"""The only code that changes the world: each event's effect, at a cost set by the event."""

from typing import assert_never

from parkade.core.accounts import effects as accounts
from parkade.core.billing import effects as billing
from parkade.core.clearing import effects as clearing
from parkade.core.epoch import effects as epoch
from parkade.core.leasing import effects as leasing
from parkade.core.nodes import effects as nodes
from parkade.core.nodes import maintenance_effects as maintenance
from parkade.core.repairing import buffer_effects as buffering
from parkade.core.repairing import effects as repairing
from parkade.core.repairing import surroundings, wear
from parkade.core.repairing import turnaround_effects as turning
from parkade.core.running import dependencies
from parkade.core.running import effects as running
from parkade.core.running import member_effects as members
from parkade.core.state import events
from parkade.core.state.world import World


def evolve(world: World, event: events.AnyEvent) -> None:
    """Applies one event. An assertion here is a bug that stops the process."""
    world.records.sequence += 1
    world.records.now_us = max(world.records.now_us, event.at_us)
    # By subject first, because a match tries its cases in turn; the frequent ones first.
    match event:
        case events.AboutWorkloads():
            _about_workload(world, event)
        case events.Cleared():
            clearing.clear(world, event)
            repairing.note_cleared(world, event)
        case events.AboutMoney():
            _about_money(world, event)
        case events.AboutLeasing():
            _about_leasing(world, event)
        case events.AboutFleet():
            _about_fleet(world, event)
        case events.AboutHealing():
            _about_healing(world, event)
        case events.AboutServer():
            _about_server(world, event)
        case events.AboutAccounts():
            _about_accounts(world, event)
        case events.AboutMaintenance():
            _about_maintenance(world, event)
        case events.Forgotten():
            running.forget(world, event)
        case _:
            assert_never(event)


def _about_workload(world: World, event: events.WorkloadEvent) -> None:
    match event:
        case events.Submitted():
            running.submit(world, event)
        case events.Launched():
            running.launch(world, event)
            repairing.note_launched(world, event)
            wear.wear_launched(world, event)
        case events.Started():
            running.start(world, event)
            repairing.note_started(world, event)
        case events.Checkpointed():
            running.note_checkpoint(world, event)
        case events.Ended():
            running.end(world, event)
            repairing.note_ended(world, event)
        case events.PhaseChanged():
            running.change_phase(world, event)
        case events.DependenciesMet():
            dependencies.note_met(world, event)
        case events.MembersOpened():
            members.open_members(world, event)
        case events.MembersEnded():
            members.end_members(world, event)
        case events.MembersRetried():
            members.retry_members(world, event)
        case events.StopOrdered():
            running.order_stop(world, event)
            repairing.note_stop(world, event)
        case events.BidChanged():
            running.change_bid(world, event)
        case events.Resubmitted():
            running.resubmit(world, event)
        case events.BoundsChanged():
            running.change_bounds(world, event)
        case events.FellBack():
            running.fall_back(world, event)
        case events.EntryTaken():
            running.take_entry(world, event)
        case events.Broken():
            running.break_attempt(world, event)
            repairing.note_broken(world, event)
            wear.wear_broken(world, event)
        case events.RanksChanged():
            running.change_ranks(world, event)
        case events.BudgetNoted():
            running.note_budget(world, event)
        case events.ExecOpened():
            # Told for the record; nothing follows from it.
            pass
        case _:
            assert_never(event)


def _about_money(world: World, event: events.MoneyEvent) -> None:
    match event:
        case events.UsePosted():
            billing.post_use(world, event)
        case events.MoneyMoved():
            billing.move_money(world, event)
        case events.WithdrawalCharged():
            billing.charge_withdrawal(world, event)
        case events.ReservationSettled():
            billing.settle_reservation(world, event)
        case events.ReservationDivided():
            leasing.divide_reservation(world, event)
        case events.ReservationPaid():
            leasing.pay_reservation(world, event)
        case _:
            assert_never(event)


def _about_leasing(world: World, event: events.LeasingEvent) -> None:
    match event:
        case events.Reserved():
            leasing.reserve(world, event)
        case events.ReservationChanged():
            leasing.change_reservation(world, event)
        case events.LendingSet():
            leasing.set_lending(world, event)
        case events.Claimed():
            leasing.claim(world, event)
        case events.ClaimSeated():
            leasing.seat_claim(world, event)
        case events.Unclaimed():
            leasing.unclaim(world, event)
        case _:
            assert_never(event)


def _about_fleet(world: World, event: events.FleetEvent) -> None:
    match event:
        case events.PoolOpened():
            nodes.open_pool(world, event)
        case events.NodesAdded():
            nodes.add_nodes(world, event)
        case events.NodeDraining():
            nodes.drain_node(world, event)
        case events.NodeUndrained():
            nodes.undrain_node(world, event)
        case events.NodeRemoved():
            nodes.remove_node(world, event)
        case events.PoolClosed():
            nodes.close_pool(world, event)
        case events.TermsAnnounced():
            nodes.announce_terms(world, event)
        case events.TermsChanged():
            nodes.change_terms(world, event)
        case events.PricesSet():
            nodes.set_prices(world, event)
        case events.NodeHealthSet():
            was_in_play = world.records.nodes[event.node].is_in_play
            nodes.set_health(world, event)
            buffering.note_down(world, event, was_in_play=was_in_play)
            wear.wear_health(world, event, was_in_play=was_in_play)
            repairing.note_health(world, event)
        case events.NodeCordoned():
            nodes.cordon(world, event)
        case events.NodeUncordoned():
            nodes.uncordon(world, event)
        case events.ReachabilityChanged():
            nodes.change_reachability(world, event)
        case events.FenceSet():
            nodes.set_fence(world, event)
        case _:
            assert_never(event)


def _about_healing(world: World, event: events.HealingEvent) -> None:
    match event:
        case events.VerdictGiven():
            repairing.give_verdict(world, event)
            wear.wear_verdict(world, event)
        case events.IncidentOpened():
            repairing.open_incident(world, event)
        case events.IncidentHeld():
            repairing.hold(world, event)
        case events.IncidentTurned():
            repairing.turn(world, event)
        case events.RepairOrdered():
            repairing.order_repair(world, event)
            wear.wear_order(world, event)
        case events.RepairEnded():
            repairing.end_repair(world, event)
        case events.IncidentClosed():
            repairing.close_incident(world, event)
        case events.TurnaroundOrdered():
            turning.order_turnaround(world, event)
        case events.TurnaroundEnded():
            turning.end_turnaround(world, event)
        case events.NodeSanitised():
            turning.sanitise(world, event)
        case events.SurroundingsKnown():
            surroundings.know_surroundings(world, event)
        case events.BuffersSized():
            buffering.size_buffers(world, event)
        case events.RepairsKnown():
            repairing.know_repairs(world, event)
        case events.AutomationSet():
            repairing.set_automation(world, event)
        case _:
            assert_never(event)


def _about_server(world: World, event: events.ServerEvent) -> None:
    match event:
        case events.EpochOpened():
            epoch.open_epoch(world, event)
        case events.ClockJumped():
            epoch.doubt_clock(world)
        case events.ClockConfirmed():
            epoch.confirm_clock(world)
        case events.ClockAdvanced():
            nodes.advance_clock(world, event)
        case _:
            assert_never(event)


def _about_accounts(world: World, event: events.AccountEvent) -> None:
    match event:
        case events.OrgCreated():
            accounts.create_org(world, event)
        case events.UserCreated():
            accounts.create_user(world, event)
        case events.TokenAdded():
            accounts.add_token(world, event)
        case events.TokenRevoked():
            accounts.revoke_token(world, event)
        case events.GrantSet():
            accounts.set_grant(world, event)
        case events.CapSet():
            accounts.set_cap(world, event)
        case events.OrgCapSet():
            accounts.set_org_cap(world, event)
        case events.OrgBoundsSet():
            accounts.set_org_bounds(world, event)
        case events.OrgDescribed():
            accounts.describe_org(world, event)
        case events.CapNoted():
            accounts.note_cap(world, event)
        case events.OrgDisabled():
            accounts.disable_org(world, event)
        case events.UserDisabled():
            accounts.disable_user(world, event)
        case events.UserDeleted():
            accounts.delete_user(world, event)
        case events.OrgDeleted():
            accounts.delete_org(world, event)
        case events.UserRoleSet():
            accounts.set_user_role(world, event)
        case events.UnixNameSet():
            accounts.set_unix_name(world, event)
        case _:
            assert_never(event)


def _about_maintenance(world: World, event: events.MaintenanceEvent) -> None:
    match event:
        case events.MaintenanceScheduled():
            maintenance.schedule(world, event)
        case events.MaintenanceChanged():
            maintenance.change(world, event)
        case events.MaintenanceBegun():
            maintenance.begin(world, event)
        case events.MaintenanceEnded():
            maintenance.end(world, event)
        case _:
            assert_never(event)
