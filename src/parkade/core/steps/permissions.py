"""Authorization: one table of what commands and reads need, and one function that reads it.

`authorize` is asked once, before a command is decided; the API asks `is_allowed` for what it
shows. The server itself (`by` None) may do everything that is not refused for other reasons. A
name that belongs to another org is answered like a name that does not exist, so that no org
learns what others have. docs/security.md prints the same table.
"""

import enum
from typing import assert_never

import msgspec

from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.state.world import World
from parkade.core.steps.deleting import refuse_deleted
from parkade.core.steps.disabling import refuse_disabled
from parkade.core.steps.refusals import denied, not_found
from parkade.core.units.refusal import Refusal


class Permission(enum.StrEnum):
    """What a command needs; each includes those after it, and an operator has all but the first. A
    partner has PARTNER, and SELF of itself."""

    SERVER = "server"
    OPERATOR = "operator"
    OWNER = "owner"
    PARTNER = "partner"
    SELF = "self"
    MEMBER = "member"


HOLDERS = {
    Permission.SERVER: "only the server itself does this",
    Permission.OPERATOR: "only an operator may do this",
    Permission.OWNER: "only an owner of its org, or an operator, may do this",
    Permission.PARTNER: "only an owner or a partner of its org, or an operator, may do this",
    Permission.SELF: "only its user, an owner of its org, or an operator, may do this",
    Permission.MEMBER: "only members of the org, or an operator, may do this",
}

PERMISSIONS: dict[type[commands.AnyCommand], Permission] = {
    commands.OpenEpoch: Permission.SERVER,
    commands.ReportAttempts: Permission.SERVER,
    commands.ReportReachability: Permission.SERVER,
    commands.ReportVerdict: Permission.SERVER,
    commands.ReportRepair: Permission.SERVER,
    commands.ReportRepairKinds: Permission.SERVER,
    commands.ReportSurroundings: Permission.SERVER,
    commands.ReportFence: Permission.SERVER,
    commands.ReportOwnerJobs: Permission.SERVER,
    commands.ReportTakenNodes: Permission.SERVER,
    commands.RunClearing: Permission.SERVER,
    commands.ConfirmClock: Permission.OPERATOR,
    commands.OpenPool: Permission.OPERATOR,
    commands.ClosePool: Permission.OPERATOR,
    commands.SetFence: Permission.OPERATOR,
    commands.ObservePool: Permission.OPERATOR,
    commands.ChangeTerms: Permission.OPERATOR,
    commands.SetPrices: Permission.OPERATOR,
    commands.AddNodes: Permission.OPERATOR,
    commands.DrainNode: Permission.OPERATOR,
    commands.UndrainNode: Permission.OPERATOR,
    commands.RemoveNode: Permission.OPERATOR,
    commands.ScheduleMaintenance: Permission.OPERATOR,
    commands.ChangeMaintenance: Permission.OPERATOR,
    commands.CancelMaintenance: Permission.OPERATOR,
    commands.CordonNode: Permission.OPERATOR,
    commands.UncordonNode: Permission.OPERATOR,
    commands.FailNode: Permission.OPERATOR,
    commands.RestoreNode: Permission.OPERATOR,
    commands.SetAutomation: Permission.OPERATOR,
    commands.CreateOrg: Permission.OPERATOR,
    commands.Deposit: Permission.OPERATOR,
    commands.Adjust: Permission.OPERATOR,
    commands.SetGrant: Permission.OPERATOR,
    commands.SetOrgBounds: Permission.OPERATOR,
    commands.SetUnixName: Permission.OPERATOR,
    commands.CreateUser: Permission.OWNER,
    commands.SetCap: Permission.OWNER,
    commands.SetOrgCap: Permission.OWNER,
    commands.DescribeOrg: Permission.OWNER,
    commands.SetOrgDisabled: Permission.OPERATOR,
    commands.SetUserDisabled: Permission.OWNER,
    commands.SetUserRole: Permission.OWNER,
    commands.DeleteUser: Permission.OWNER,
    commands.DeleteOrg: Permission.OPERATOR,
    commands.Reserve: Permission.OWNER,
    commands.EndReservation: Permission.OWNER,
    commands.ExtendReservation: Permission.OWNER,
    commands.SplitReservation: Permission.OWNER,
    commands.ShrinkReservation: Permission.OWNER,
    commands.Lend: Permission.OWNER,
    commands.MakeClaim: Permission.OWNER,
    commands.Unclaim: Permission.OWNER,
    commands.AddToken: Permission.SELF,
    commands.RevokeToken: Permission.SELF,
    commands.Hold: Permission.SELF,
    commands.Release: Permission.SELF,
    commands.ChangeBid: Permission.SELF,
    commands.ChangeBounds: Permission.SELF,
    commands.Cancel: Permission.SELF,
    commands.Retry: Permission.SELF,
    commands.Resubmit: Permission.SELF,
    commands.OpenExec: Permission.SELF,
    commands.Submit: Permission.MEMBER,
}


class Read(enum.StrEnum):
    """What the API shows. Prices, pools and markets are shown to every user."""

    NODES = "nodes"
    SUPPLY = "nodes that its org supplies, without who is there"
    MARS = "incidents, budgets of automatic action"
    HOUSE_STATEMENT = "the operator's statement"
    AGENT_PROTOCOL = "desired state, observation, output of a pool"
    STATEMENT = "statement of an org"
    TOKENS = "tokens of a user"
    RECEIVERS = "where an org is told of its work"
    ORG = "its org, users, reservations, claims, workloads, output, events"


READS: dict[Read, Permission] = {
    Read.NODES: Permission.OPERATOR,
    Read.MARS: Permission.OPERATOR,
    Read.HOUSE_STATEMENT: Permission.OPERATOR,
    Read.AGENT_PROTOCOL: Permission.OPERATOR,
    Read.SUPPLY: Permission.PARTNER,
    Read.STATEMENT: Permission.PARTNER,
    Read.RECEIVERS: Permission.OWNER,
    Read.TOKENS: Permission.SELF,
    Read.ORG: Permission.MEMBER,
}


def is_allowed(needed: Permission, role: Role, *, is_own_org: bool, is_self: bool) -> bool:
    """Whether a user of this role has a permission; `is_own_org`: what it is for belongs to its
    org, `is_self`: to itself."""
    if needed is Permission.SERVER:
        return False
    if role is Role.OPERATOR:
        return True
    match needed:
        case Permission.OPERATOR:
            return False
        case Permission.OWNER:
            return is_own_org and role is Role.OWNER
        case Permission.PARTNER:
            return is_own_org and role in (Role.OWNER, Role.PARTNER)
        case Permission.SELF:
            return is_own_org and (role is Role.OWNER or is_self)
        case Permission.MEMBER:
            return is_own_org and role is not Role.PARTNER
        case _:
            assert_never(needed)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The org that a command concerns and, where it concerns a user's own thing, that user.

    `hidden`: the refusal for outsiders, in the words used where the thing does not exist.
    """

    org: str | None = None
    user: str | None = None
    hidden: Refusal | None = None


def is_operator(world: World, by: str | None) -> bool:
    """Whether the user is an operator, or the server itself."""
    return by is None or world.records.users[by].role is Role.OPERATOR


def authorize(world: World, command: commands.AnyCommand) -> Refusal | None:
    """The refusal of a command that its user may not give, or that names nothing it may see."""
    if command.by is not None and command.by not in world.records.users:
        return denied(f"there is no user {command.by}")
    subject = _subject(world, command)
    if isinstance(subject, Refusal):
        return subject
    refusal = _refuse_withdrawn(world, command, subject)
    if command.by is None:
        return refusal
    needed = PERMISSIONS[type(command)]
    user = world.records.users[command.by]
    is_own_org = user.org == subject.org
    is_self = user.user == subject.user
    if is_allowed(needed, user.role, is_own_org=is_own_org, is_self=is_self):
        return refusal
    if subject.org is None or is_own_org:
        return denied(HOLDERS[needed])
    return subject.hidden or denied(f"you belong to {user.org}, not to {subject.org}")


def _refuse_withdrawn(
    world: World, command: commands.AnyCommand, subject: Subject
) -> Refusal | None:
    """The refusal of what the subject, deleted or disabled, does not do."""
    gone = refuse_deleted(world, command, org=subject.org, user=subject.user)
    return gone or refuse_disabled(world, command, subject.org)


def _subject(world: World, command: commands.AnyCommand) -> Subject | Refusal:
    """The org and user that a command concerns; not found where it names nothing that exists."""
    match command:
        case commands.AboutWorkloads():
            return _of_workload(world, command)
        case commands.AboutLeasing():
            return _of_right(world, command)
        case commands.AboutAccounts():
            return _of_account(world, command)
        case (
            commands.AboutReports()
            | commands.AboutServer()
            | commands.AboutFleet()
            | commands.AboutHealing()
            | commands.AboutTerms()
            | commands.AboutMaintenance()
        ):
            # These are about pools, and pools are of no org.
            return Subject()
        case _:
            assert_never(command)


def _of_workload(world: World, command: commands.WorkloadCommand) -> Subject | Refusal:
    if isinstance(command, commands.Submit):
        return _of_org(world, command.org, command.by)
    name = command.workload
    workload = world.records.workloads.get(name)
    missing = not_found("workload", name)
    if workload is None:
        return missing
    return Subject(org=workload.org, user=workload.user, hidden=missing)


def _of_right(world: World, command: commands.LeasingCommand) -> Subject | Refusal:
    match command:
        case (
            commands.MakeClaim()
            | commands.Lend()
            | commands.EndReservation()
            | (
                commands.ExtendReservation()
                | commands.SplitReservation()
                | commands.ShrinkReservation()
            )
        ):
            name = command.reservation
            reservation = world.records.reservations.get(name)
            missing = not_found("reservation", name)
            return missing if reservation is None else Subject(org=reservation.org, hidden=missing)
        case commands.Unclaim(claim=name):
            claim = world.records.claims.get(name)
            missing = not_found("claim", name)
            return missing if claim is None else Subject(org=claim.org, hidden=missing)
        case commands.Reserve(org=org):
            return _of_org(world, org, command.by)
        case _:
            assert_never(command)


def _of_account(world: World, command: commands.AccountCommand) -> Subject | Refusal:
    match command:
        case (
            commands.CreateUser(org=org)
            | commands.Deposit(org=org)
            | commands.Adjust(org=org)
            | commands.SetGrant(org=org)
            | commands.SetOrgCap(org=org)
            | commands.SetOrgBounds(org=org)
            | commands.DescribeOrg(org=org)
        ):
            return _of_org(world, org, command.by)
        case (
            commands.SetCap(user=name)
            | commands.SetUnixName(user=name)
            | commands.SetUserDisabled(user=name)
            | commands.SetUserRole(user=name)
            | commands.DeleteUser(user=name)
            | commands.AddToken(user=name)
        ):
            return _user(world, name, not_found("user", name))
        case commands.RevokeToken(token=name):
            token = world.records.tokens.get(name)
            missing = not_found("token", name)
            return missing if token is None else _user(world, token.user, missing)
        case commands.CreateOrg() | commands.SetOrgDisabled() | commands.DeleteOrg():
            return Subject()
        case _:
            assert_never(command)


def _of_org(world: World, org: str, by: str | None) -> Subject | Refusal:
    """An org that is named; whether it exists is told to its own people and operators."""
    is_visible = is_operator(world, by) or world.records.users[by or ""].org == org
    if is_visible and org not in world.records.orgs:
        return not_found("org", org)
    return Subject(org=org)


def _user(world: World, name: str, missing: Refusal) -> Subject | Refusal:
    user = world.records.users.get(name)
    return missing if user is None else Subject(org=user.org, user=name, hidden=missing)
