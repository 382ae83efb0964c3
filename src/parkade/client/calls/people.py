"""Calls about orgs and users: their money, caps and bounds, and who may still ask."""

from datetime import timedelta
from decimal import Decimal

from parkade.client.call import Call, checked, get, get_list, path_id, post
from parkade.wire import people


def create_org(org: str) -> Call[people.Org]:
    """A new customer."""
    return post("/orgs", people.Org, checked(people.CreateOrg, org=org))


def list_orgs(*, deleted: bool = False) -> Call[people.Orgs]:
    """The orgs the caller may see; with `deleted` those that are gone too."""
    return get_list("/orgs", people.Orgs, "orgs", deleted=deleted or None)


def get_org(org: str) -> Call[people.Org]:
    """One org."""
    return get(f"/orgs/{path_id(org)}", people.Org)


def deposit_money(
    org: str, amount: Decimal | str, *, if_match: str | None = None
) -> Call[people.Org]:
    """Money from outside for an org."""
    body = checked(people.Deposit, amount=amount)
    return post(f"/orgs/{path_id(org)}/deposits", people.Org, body, if_match=if_match)


def disburse_money(
    org: str, amount: Decimal | str, *, reason: str, if_match: str | None = None
) -> Call[people.Org]:
    """An org's money to the outside, as far as nothing has a claim on it."""
    body = checked(people.Adjust, amount=amount, reason=reason)
    return post(f"/orgs/{path_id(org)}/disbursements", people.Org, body, if_match=if_match)


def refund_money(
    org: str, amount: Decimal | str, *, reason: str, if_match: str | None = None
) -> Call[people.Org]:
    """The operator's money to an org."""
    body = checked(people.Adjust, amount=amount, reason=reason)
    return post(f"/orgs/{path_id(org)}/refunds", people.Org, body, if_match=if_match)


def set_org_grant(
    org: str, *, amount: Decimal | str, every: timedelta, if_match: str | None = None
) -> Call[people.Org]:
    """Money now and again and again; 0 ends it."""
    body = checked(people.SetGrant, amount=amount, every=every)
    return post(f"/orgs/{path_id(org)}/grant", people.Org, body, if_match=if_match)


def set_org_cap(
    org: str,
    *,
    cap: Decimal | str | None,
    period: people.CapPeriod = "total",
    most_gpus: int | None = None,
    if_match: str | None = None,
) -> Call[people.Org]:
    """The most that all workloads of an org may cost, and the most GPUs that they hold. The whole
    cap is set: None, or left out, is no cap."""
    body = checked(people.SetCap, cap=cap, period=period, most_gpus=most_gpus)
    return post(f"/orgs/{path_id(org)}/cap", people.Org, body, if_match=if_match)


def plan_org_cap(
    org: str,
    *,
    cap: Decimal | str | None,
    period: people.CapPeriod = "total",
    most_gpus: int | None = None,
) -> Call[people.StoppedByCap]:
    """The bids that get their notice by such a cap; nothing is changed."""
    body = checked(people.SetCap, cap=cap, period=period, most_gpus=most_gpus)
    return post(f"/orgs/{path_id(org)}/cap/plan", people.StoppedByCap, body)


def set_org_bounds(
    org: str,
    *,
    open_workloads: int | None = None,
    submits_per_minute: int | None = None,
    starts_per_minute: int | None = None,
    if_match: str | None = None,
) -> Call[people.Org]:
    """How many workloads an org may have open, submit and start in a minute. All are set:
    None, or left out, is the default."""
    body = checked(
        people.SetOrgBounds,
        open_workloads=open_workloads,
        submits_per_minute=submits_per_minute,
        starts_per_minute=starts_per_minute,
    )
    return post(f"/orgs/{path_id(org)}/bounds", people.Org, body, if_match=if_match)


def set_org_description(
    org: str,
    *,
    title: str | None = None,
    contact: str | None = None,
    if_match: str | None = None,
) -> Call[people.Org]:
    """What an org is called, and whom to ask about it; None: as it is, empty: none."""
    given = {"title": title, "contact": contact}
    body = checked(people.DescribeOrg, **{name: it for name, it in given.items() if it is not None})
    return post(f"/orgs/{path_id(org)}/description", people.Org, body, if_match=if_match)


def disable_org(org: str, *, if_match: str | None = None) -> Call[people.Org]:
    """All tokens of an org are refused, and its work ends with the market's notice."""
    body = checked(people.SetOrgDisabled, is_disabled=True)
    return post(f"/orgs/{path_id(org)}/disabled", people.Org, body, if_match=if_match)


def enable_org(org: str, *, if_match: str | None = None) -> Call[people.Org]:
    """The org's tokens are good again; what ended stays so."""
    body = checked(people.SetOrgDisabled, is_disabled=False)
    return post(f"/orgs/{path_id(org)}/disabled", people.Org, body, if_match=if_match)


def delete_org(org: str, *, if_match: str | None = None) -> Call[people.Org]:
    """An org that is disabled and holds nothing goes for good; its statements stay."""
    return post(f"/orgs/{path_id(org)}/delete", people.Org, if_match=if_match)


def create_user(
    user: str, *, org: str, role: people.Role = "member", unix_name: str | None = None
) -> Call[people.User]:
    """A new user; `unix_name`: the Unix user of its workloads, None: the agent's own."""
    body = checked(people.CreateUser, user=user, org=org, role=role, unix_name=unix_name)
    return post("/users", people.User, body)


def list_users(*, deleted: bool = False) -> Call[people.Users]:
    """The users the caller may see; with `deleted` those that are gone too."""
    return get_list("/users", people.Users, "users", deleted=deleted or None)


def get_user(user: str) -> Call[people.User]:
    """One user."""
    return get(f"/users/{path_id(user)}", people.User)


def delete_user(user: str, *, if_match: str | None = None) -> Call[people.User]:
    """A user that is disabled and runs nothing goes for good, with its tokens."""
    return post(f"/users/{path_id(user)}/delete", people.User, if_match=if_match)


def set_user_cap(
    user: str,
    *,
    cap: Decimal | str | None,
    period: people.CapPeriod = "total",
    most_gpus: int | None = None,
    if_match: str | None = None,
) -> Call[people.User]:
    """The most that a user's workloads may cost, and the most GPUs that they hold; None: what its
    org may."""
    body = checked(people.SetCap, cap=cap, period=period, most_gpus=most_gpus)
    return post(f"/users/{path_id(user)}/cap", people.User, body, if_match=if_match)


def plan_user_cap(
    user: str,
    *,
    cap: Decimal | str | None,
    period: people.CapPeriod = "total",
    most_gpus: int | None = None,
) -> Call[people.StoppedByCap]:
    """The bids that get their notice by such a cap; nothing is changed."""
    body = checked(people.SetCap, cap=cap, period=period, most_gpus=most_gpus)
    return post(f"/users/{path_id(user)}/cap/plan", people.StoppedByCap, body)


def set_user_unix_name(
    user: str, *, unix_name: str | None, if_match: str | None = None
) -> Call[people.User]:
    """The Unix user of a user's workloads, from their next attempt on; None: the agent's own."""
    body = checked(people.SetUnixName, unix_name=unix_name)
    return post(f"/users/{path_id(user)}/unix-name", people.User, body, if_match=if_match)


def set_user_role(
    user: str, *, role: people.Role, if_match: str | None = None
) -> Call[people.User]:
    """What a user may do from now on, with the tokens that it has; its work goes on."""
    body = checked(people.SetUserRole, role=role)
    return post(f"/users/{path_id(user)}/role", people.User, body, if_match=if_match)


def disable_user(user: str, *, if_match: str | None = None) -> Call[people.User]:
    """All tokens of a user are refused from now on; its work goes on."""
    body = checked(people.SetUserDisabled, is_disabled=True)
    return post(f"/users/{path_id(user)}/disabled", people.User, body, if_match=if_match)


def enable_user(user: str, *, if_match: str | None = None) -> Call[people.User]:
    """The user's tokens are good again, those that are not revoked and have not expired."""
    body = checked(people.SetUserDisabled, is_disabled=False)
    return post(f"/users/{path_id(user)}/disabled", people.User, body, if_match=if_match)
