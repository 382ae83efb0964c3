"""Who may ask for what: the server itself everything, others by role."""

from parkade.core.state.people import Role, User
from parkade.core.state.world import World


def is_operator(world: World, by: str | None) -> bool:
    """Whether the asker may do everything."""
    return by is None or _user(world, by).role is Role.OPERATOR


def may_act_for(world: World, by: str | None, org: str) -> bool:
    """Whether the asker belongs to the org, in any role."""
    return is_operator(world, by) or (by is not None and _user(world, by).org == org)


def may_own_for(world: World, by: str | None, org: str) -> bool:
    """Whether the asker may dispose of the org's reservations and money."""
    if is_operator(world, by):
        return True
    return by is not None and _user(world, by).org == org and _user(world, by).role is Role.OWNER


def may_change(world: World, by: str | None, org: str, user: str) -> bool:
    """Whether the asker may change a workload of this org and user."""
    return may_own_for(world, by, org) or by == user


def _user(world: World, by: str) -> User:
    user = world.records.users.get(by)
    assert user is not None, f"unknown user {by}"
    return user
