"""Names of users, tokens and reservations: whose they are, and which thing a request means.

What an org names itself is kept as `NAME@ORG`, so that two orgs may give the same name and neither
learns of the other's. What an operator names has no org behind it: operators see all names. Within
its own org, and to an operator where it is the only one, a thing is found by NAME alone.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from parkade.core.state import commands
from parkade.core.state.people import Role, Token
from parkade.core.state.world import World
from parkade.core.steps.refusals import already_exists, bad_name
from parkade.core.units.names import NAME, scoped
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.spec import Capacity, Spec

T = TypeVar("T")


def full_name(records: Mapping[str, object], name: str, *, org: str | None) -> str:
    """The key that a member of `org` means, None: an operator; `name` itself where there is no
    such thing. An operator's short name costs a look at all."""
    if org is not None:
        own = scoped(name, org)
        return own if own in records else name
    if name in records or "@" in name:
        return name
    found = [key for key in records if key.startswith(f"{name}@")]
    return found[0] if len(found) == 1 else name


def bad_new_name(
    kind: str, name: str, records: Mapping[str, T], *, org: str, org_of: Callable[[T], str]
) -> Refusal | None:
    """The refusal of a new name within an org: no name here, of another org, or taken."""
    bare, at, of = name.partition("@")
    refusal = bad_name(kind, bare if of == org or not at else name, NAME)
    if refusal is not None:
        return refusal
    short = records.get(bare)
    if name in records or scoped(bare, org) in records:
        return already_exists(kind, name)
    is_own = short is not None and org_of(short) == org
    return already_exists(kind, name) if is_own else None


def org_of_token(world: World, token: Token) -> str:
    """The org of a token's user."""
    return world.records.users[token.user].org


def resolved(world: World, command: commands.AnyCommand) -> commands.AnyCommand:
    """The command with the full names of what it means."""
    # Most commands name nothing that could be short, and a match tries its cases in turn.
    if not isinstance(command, (commands.AboutAccounts, commands.AboutLeasing)):
        return command
    records = world.records
    match command:
        case (
            commands.AddToken()
            | commands.SetCap()
            | commands.SetUnixName()
            | commands.SetUserDisabled()
            | commands.SetUserRole()
            | commands.DeleteUser()
        ):
            return replace(command, user=_meant(world, records.users, command.user, command.by))
        case commands.RevokeToken():
            return replace(command, token=_meant(world, records.tokens, command.token, command.by))
        case (
            commands.EndReservation()
            | commands.ExtendReservation()
            | commands.SplitReservation()
            | commands.ShrinkReservation()
            | commands.Lend()
            | commands.MakeClaim()
        ):
            name = _meant(world, records.reservations, command.reservation, command.by)
            return replace(command, reservation=name)
        case _:
            return command


def with_full_reservation(world: World, spec: Spec, org: str) -> Spec:
    """The spec of an org's workload with the full name of the reservation that it is to use."""

    def full(entry: Capacity) -> Capacity:
        if entry.reservation is None:
            return entry
        found = full_name(world.records.reservations, entry.reservation, org=org)
        return replace(entry, reservation=found)

    entries = tuple(full(it) for it in spec.entries)
    return replace(spec, capacity=full(spec.capacity), entries=entries)


def _meant(world: World, records: Mapping[str, object], name: str, by: str | None) -> str:
    user = None if by is None else world.records.users.get(by)
    if user is None:
        return name
    return full_name(records, name, org=None if user.role is Role.OPERATOR else user.org)
