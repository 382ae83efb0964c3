"""Effects on orgs, users, tokens, grants and caps."""

from msgspec.structs import replace

from parkade.core.state import events
from parkade.core.state.agenda import Entry
from parkade.core.state.world import World
from parkade.core.units.time import month_of


def create_org(world: World, event: events.OrgCreated) -> None:
    """A new org; it has no account in the ledger until money moves."""
    assert event.org.org not in world.records.orgs
    world.records.orgs[event.org.org] = event.org


def create_user(world: World, event: events.UserCreated) -> None:
    """A new user, without a token."""
    assert event.user.user not in world.records.users
    world.records.users[event.user.user] = event.user


def add_token(world: World, event: events.TokenAdded) -> None:
    """A token that its digest is found by from now on."""
    assert event.token.token not in world.records.tokens and not event.token.is_revoked
    assert event.token.user in world.records.users
    world.records.tokens[event.token.token] = event.token
    world.tokens_by_digest[event.token.digest] = event.token.token


def revoke_token(world: World, event: events.TokenRevoked) -> None:
    """The record stays, marked as revoked, so that its name is not given again."""
    token = world.records.tokens[event.token]
    assert not token.is_revoked
    world.records.tokens[event.token] = replace(token, is_revoked=True)


def set_grant(world: World, event: events.GrantSet) -> None:
    """Also puts the next payment on the agenda."""
    org = world.records.orgs[event.org]
    assert event.grant is None or (event.grant.micros > 0 and event.grant.every_us > 0)
    world.records.orgs[event.org] = replace(org, grant=event.grant)
    world.agenda.add(Entry.GRANT, event.org)


def disable_org(world: World, event: events.OrgDisabled) -> None:
    """Also puts the end of what it has on the agenda."""
    org = world.records.orgs[event.org]
    assert (org.disabled_us is not None) != event.is_disabled
    disabled_us = event.at_us if event.is_disabled else None
    world.records.orgs[event.org] = replace(org, disabled_us=disabled_us)
    if event.is_disabled:
        world.wake_disabled(event.org)


def disable_user(world: World, event: events.UserDisabled) -> None:
    """Its tokens stay as they are, and are good again where it is enabled."""
    user = world.records.users[event.user]
    assert user.is_disabled != event.is_disabled
    world.records.users[event.user] = replace(user, is_disabled=event.is_disabled)


def delete_user(world: World, event: events.UserDeleted) -> None:
    """The record stays, so that its name is not given again and what it did has its name."""
    user = world.records.users[event.user]
    assert user.deleted_us is None
    gone = replace(user, deleted_us=event.at_us, is_disabled=True, cap=None)
    world.records.users[event.user] = gone


def delete_org(world: World, event: events.OrgDeleted) -> None:
    """The record stays; what still comes to its account does, and is paid out."""
    org = world.records.orgs[event.org]
    assert org.deleted_us is None and org.disabled_us is not None and org.grant is None
    assert not world.live_of_org.get(event.org)
    world.records.orgs[event.org] = replace(org, deleted_us=event.at_us, cap=None, bounds=None)


def set_user_role(world: World, event: events.UserRoleSet) -> None:
    """Its workloads stay its own."""
    user = world.records.users[event.user]
    assert user.role is not event.role
    world.records.users[event.user] = replace(user, role=event.role)


def set_unix_name(world: World, event: events.UnixNameSet) -> None:
    """What runs goes on as the Unix user it was started as."""
    user = world.records.users[event.user]
    world.records.users[event.user] = replace(user, unix_name=event.unix_name)


def set_cap(world: World, event: events.CapSet) -> None:
    """Counts against what the user spent so far."""
    assert event.cap_micros is None or event.cap_micros >= 0
    user = world.records.users[event.user]
    world.records.users[event.user] = replace(user, cap=event.cap)
    world.agenda.add(Entry.USER_CAP, event.user)


def set_org_cap(world: World, event: events.OrgCapSet) -> None:
    """Counts against what the org's workloads cost so far."""
    org = world.records.orgs[event.org]
    assert event.cap is None or event.cap.noted_month is None
    world.records.orgs[event.org] = replace(org, cap=event.cap)
    world.agenda.add(Entry.ORG_CAP, event.org)


def set_org_bounds(world: World, event: events.OrgBoundsSet) -> None:
    """From the next submission and clearing on."""
    org = world.records.orgs[event.org]
    world.records.orgs[event.org] = replace(org, bounds=event.bounds)


def describe_org(world: World, event: events.OrgDescribed) -> None:
    """Nothing follows from it; it is for people to read."""
    org = world.records.orgs[event.org]
    world.records.orgs[event.org] = replace(org, title=event.title, contact=event.contact)


def note_cap(world: World, event: events.CapNoted) -> None:
    """It is told once, or once in each month that it counts anew."""
    month = month_of(event.at_us)
    if event.user is None:
        org = world.records.orgs[event.org]
        assert org.cap is not None and org.cap.noted_month != month
        world.records.orgs[event.org] = replace(org, cap=replace(org.cap, noted_month=month))
        return
    user = world.records.users[event.user]
    assert user.cap is not None and user.cap.noted_month != month
    world.records.users[event.user] = replace(user, cap=replace(user.cap, noted_month=month))
