"""`decide(world, command, now)`: what follows from a command, as events, or why not.

It never changes the world. A user's refusal is a value; an assertion here is our bug and refuses
that command alone.
"""

from typing import assert_never

from msgspec.structs import replace

from parkade.core.accounts import caps, deleting
from parkade.core.accounts import decisions as accounts
from parkade.core.clearing.changes import run_clearing
from parkade.core.epoch import decisions as epoch
from parkade.core.leasing import decisions as leasing
from parkade.core.leasing import owners
from parkade.core.leasing.dividing import shrink_reservation, split_reservation
from parkade.core.leasing.extending import extend_reservation
from parkade.core.nodes import decisions as nodes
from parkade.core.nodes import fencing, maintenance, pools, terms
from parkade.core.repairing import automation, progress, surroundings
from parkade.core.repairing import decisions as repairing
from parkade.core.running import arrays, bounding, execs, resubmitting
from parkade.core.running import decisions as running
from parkade.core.running.observations import report_attempts
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.steps.names import resolved
from parkade.core.steps.permissions import authorize
from parkade.core.steps.refusals import Decision
from parkade.core.units.refusal import Refusal


def decide(world: World, command: commands.AnyCommand, now_us: int) -> Decision:
    """Events in order, or a refusal; `now_us` is never before the world's last instant."""
    assert now_us >= world.records.now_us, "the present never runs back"
    command = resolved(world, command)
    outcome = authorize(world, command) or _decide(world, command, now_us)
    if isinstance(outcome, Refusal) or command.by is None:
        return outcome
    return tuple(replace(event, by=command.by) for event in outcome)


def _decide(world: World, command: commands.AnyCommand, now_us: int) -> Decision:
    # By subject first, because a match tries its cases in turn; the frequent ones first.
    match command:
        case commands.AboutWorkloads():
            return _about_workload(world, command, now_us)
        case commands.AboutReports():
            return _about_report(world, command, now_us)
        case commands.AboutServer():
            return _about_server(world, command, now_us)
        case commands.AboutLeasing():
            return _about_leasing(world, command, now_us)
        case commands.AboutFleet():
            return _about_fleet(world, command, now_us)
        case commands.AboutHealing():
            return _about_healing(world, command, now_us)
        case commands.AboutAccounts():
            return _about_accounts(world, command, now_us)
        case commands.AboutTerms():
            return _about_terms(world, command, now_us)
        case commands.AboutMaintenance():
            return _about_maintenance(world, command, now_us)
        case _:
            assert_never(command)


def _about_workload(world: World, command: commands.WorkloadCommand, now_us: int) -> Decision:
    match command:
        case commands.Submit():
            return running.submit(world, command, now_us)
        case commands.ChangeBid():
            return running.change_bid(world, command, now_us)
        case commands.ChangeBounds():
            return bounding.change_bounds(world, command, now_us)
        case commands.Cancel():
            return running.cancel(world, command, now_us)
        case commands.Retry():
            return arrays.retry(world, command, now_us)
        case commands.Resubmit():
            return resubmitting.resubmit(world, command, now_us)
        case commands.OpenExec():
            return execs.open_exec(world, command, now_us)
        case commands.Hold():
            return running.hold(world, command, now_us)
        case commands.Release():
            return running.release(world, command, now_us)
        case _:
            assert_never(command)


def _about_report(world: World, command: commands.ReportCommand, now_us: int) -> Decision:
    match command:
        case commands.ReportAttempts():
            return report_attempts(world, command, now_us)
        case commands.ReportReachability():
            return pools.report_reachability(world, command, now_us)
        case commands.ReportFence():
            return fencing.report_fence(world, command, now_us)
        case commands.ReportTakenNodes():
            return fencing.report_taken_nodes(world, command, now_us)
        case commands.ReportOwnerJobs():
            return owners.report_owner_jobs(world, command, now_us)
        case _:
            assert_never(command)


def _about_server(world: World, command: commands.ServerCommand, now_us: int) -> Decision:
    match command:
        case commands.RunClearing():
            return run_clearing(world, command, now_us)
        case commands.OpenEpoch():
            return epoch.open_epoch(world, command, now_us)
        case commands.ConfirmClock():
            return epoch.confirm_clock(world, now_us)
        case _:
            assert_never(command)


def _about_leasing(world: World, command: commands.LeasingCommand, now_us: int) -> Decision:
    match command:
        case commands.Reserve():
            return leasing.reserve(world, command, now_us)
        case commands.EndReservation():
            return leasing.end_reservation(world, command, now_us)
        case commands.ExtendReservation():
            return extend_reservation(world, command, now_us)
        case commands.SplitReservation():
            return split_reservation(world, command, now_us)
        case commands.ShrinkReservation():
            return shrink_reservation(world, command, now_us)
        case commands.Lend():
            return leasing.lend(world, command, now_us)
        case commands.MakeClaim():
            return leasing.make_claim(world, command, now_us)
        case commands.Unclaim():
            return leasing.unclaim(world, command, now_us)
        case _:
            assert_never(command)


def _about_fleet(world: World, command: commands.FleetCommand, now_us: int) -> Decision:
    match command:
        case commands.OpenPool():
            return pools.open_pool(world, command, now_us)
        case commands.AddNodes():
            return pools.add_nodes(world, command, now_us)
        case commands.DrainNode():
            return nodes.drain_node(world, command, now_us)
        case commands.UndrainNode():
            return nodes.undrain_node(world, command, now_us)
        case commands.RemoveNode():
            return nodes.remove_node(world, command, now_us)
        case commands.ClosePool():
            return pools.close_pool(world, command, now_us)
        case commands.FailNode():
            return nodes.fail_node(world, command, now_us)
        case commands.RestoreNode():
            return nodes.restore_node(world, command, now_us)
        case commands.CordonNode():
            return nodes.cordon_node(world, command, now_us)
        case commands.UncordonNode():
            return nodes.uncordon_node(world, command, now_us)
        case commands.ObservePool():
            return nodes.observe_pool(world, command, now_us)
        case commands.SetFence():
            return fencing.set_fence(world, command, now_us)
        case _:
            assert_never(command)


def _about_healing(world: World, command: commands.HealingCommand, now_us: int) -> Decision:
    match command:
        case commands.ReportVerdict():
            return repairing.report_verdict(world, command, now_us)
        case commands.ReportRepair():
            return progress.report_repair(world, command, now_us)
        case commands.ReportRepairKinds():
            return repairing.report_repair_kinds(world, command, now_us)
        case commands.ReportSurroundings():
            return surroundings.report_surroundings(world, command, now_us)
        case commands.SetAutomation():
            return automation.set_automation(world, command, now_us)
        case _:
            assert_never(command)


def _about_accounts(world: World, command: commands.AccountCommand, now_us: int) -> Decision:
    match command:
        case commands.CreateOrg():
            return accounts.create_org(world, command, now_us)
        case commands.CreateUser():
            return accounts.create_user(world, command, now_us)
        case commands.AddToken():
            return accounts.add_token(world, command, now_us)
        case commands.RevokeToken():
            return accounts.revoke_token(world, command, now_us)
        case commands.Deposit():
            return accounts.deposit(world, command, now_us)
        case commands.Adjust():
            return accounts.adjust(world, command, now_us)
        case commands.SetGrant():
            return accounts.set_grant(command, now_us)
        case commands.SetCap():
            return caps.set_cap(command, now_us)
        case commands.SetOrgCap():
            return caps.set_org_cap(world, command, now_us)
        case commands.SetOrgBounds():
            return caps.set_org_bounds(command, now_us)
        case commands.DescribeOrg():
            return accounts.describe_org(world, command, now_us)
        case commands.SetOrgDisabled():
            return accounts.set_org_disabled(world, command, now_us)
        case commands.SetUserDisabled():
            return accounts.set_user_disabled(world, command, now_us)
        case commands.DeleteUser():
            return deleting.delete_user(world, command, now_us)
        case commands.DeleteOrg():
            return deleting.delete_org(world, command, now_us)
        case commands.SetUserRole():
            return accounts.set_user_role(world, command, now_us)
        case commands.SetUnixName():
            return accounts.set_unix_name(command, now_us)
        case _:
            assert_never(command)


def _about_terms(world: World, command: commands.TermsCommand, now_us: int) -> Decision:
    match command:
        case commands.SetPrices():
            return terms.set_prices(world, command, now_us)
        case commands.ChangeTerms():
            return terms.change_terms(world, command, now_us)
        case _:
            assert_never(command)


def _about_maintenance(world: World, command: commands.MaintenanceCommand, now_us: int) -> Decision:
    match command:
        case commands.ScheduleMaintenance():
            return maintenance.schedule_maintenance(world, command, now_us)
        case commands.ChangeMaintenance():
            return maintenance.change_maintenance(world, command, now_us)
        case commands.CancelMaintenance():
            return maintenance.cancel_maintenance(world, command, now_us)
        case _:
            assert_never(command)
