"""Orgs, users, tokens and deposits."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling
from parkade.cli.caps import cap_org, cap_user, short_cap
from parkade.cli.confirming import Yes, confirm_for_good
from parkade.cli.deleting import AlsoDeleted, delete_org, delete_user, state_of
from parkade.cli.names import NewOrg, NewUser, OrgName, TokenName, UserName
from parkade.cli.org_bounds import bound_org
from parkade.cli.people_shown import show_org, show_user
from parkade.cli.roles import set_user

if TYPE_CHECKING:
    from parkade.wire import people as wire

orgs = typer.Typer(help="Customers.", no_args_is_help=True)
users = typer.Typer(help="People and programs of an org.", no_args_is_help=True)
tokens = typer.Typer(help="What users and agents log in with.", no_args_is_help=True)
orgs.command("show")(show_org)
orgs.command("cap")(cap_org)
orgs.command("bounds")(bound_org)
users.command("show")(show_user)
users.command("cap")(cap_user)
users.command("set")(set_user)
users.command("delete")(delete_user)
orgs.command("delete")(delete_org)

Amount = Annotated[str, typer.Argument(help="Like 500 or 12.50.")]
Reason = Annotated[str, typer.Option(help="Shown to the org.")]


@orgs.command("create")
def create_org(org: NewOrg, as_json: AsJson = False) -> None:
    """Create a customer."""
    call(lambda client: client.create_org(org), _balance, as_json=as_json)


@orgs.command("list")
def list_orgs(
    deleted: AlsoDeleted = False,
    wide: Annotated[bool, typer.Option("--wide", help="With titles and contacts.")] = False,
    as_json: AsJson = False,
) -> None:
    """The orgs you may see and what they hold."""
    call(
        lambda client: client.list_orgs(deleted=deleted),
        lambda answer: _orgs(answer, wide=wide),
        as_json=as_json,
    )


@orgs.command("set")
def set_org(
    org: OrgName,
    title: Annotated[str | None, typer.Option(help="What it is called; '' for none.")] = None,
    contact: Annotated[str | None, typer.Option(help="Its contact's address; '' for none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what an org is called and whom to ask about it; what is left out stays."""
    if title is None and contact is None:
        raise typer.BadParameter("name --title, --contact or both", param_hint="org set")
    call(
        lambda client: client.set_org_description(org, title=title, contact=contact),
        _described,
        as_json=as_json,
    )


@orgs.command("disable")
def disable_org(org: OrgName, yes: Yes = False, as_json: AsJson = False) -> None:
    """Refuse all tokens of an org and end its work, with the market's notice; this asks before."""
    from parkade.cli.screen import show
    from parkade.core.units.phrases import counted

    with calling(as_json=as_json) as client:
        before = client.get_org(org)
        open_now = 0 if before.bounds is None else before.bounds.open_now
        ends = f"its {counted(open_now, 'workload')} end" if open_now else "it has no work to end"
        is_asked = confirm_for_good(f"{org}: all its tokens are refused; {ends}", yes=yes)
        made = client.disable_org(org, if_match=before.etag if is_asked else None)
        show(made, _org_disabled, as_json=as_json)


@orgs.command("enable")
def enable_org(org: OrgName, as_json: AsJson = False) -> None:
    """Take the tokens of a disabled org again."""
    call(lambda client: client.enable_org(org), _org_disabled, as_json=as_json)


def deposit(org: OrgName, amount: Amount, as_json: AsJson = False) -> None:
    """Credit an org with money from outside."""
    call(lambda client: client.deposit_money(org, amount), _balance, as_json=as_json)


def disburse(org: OrgName, amount: Amount, reason: Reason, as_json: AsJson = False) -> None:
    """Pay an org's money out, as far as nothing has a claim on it."""
    call(
        lambda client: client.disburse_money(org, amount, reason=reason), _balance, as_json=as_json
    )


def refund(org: OrgName, amount: Amount, reason: Reason, as_json: AsJson = False) -> None:
    """Give an org money from the operator's account."""
    call(lambda client: client.refund_money(org, amount, reason=reason), _balance, as_json=as_json)


@orgs.command("grant")
def grant(
    org: OrgName,
    amount: Annotated[str, typer.Argument(help="Like 500; 0 ends the grant.")],
    every: Annotated[str, typer.Option(help="Like 24h.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Give an org money now and again and again."""
    from parkade.cli.screen import show
    from parkade.wire.people import SetGrant
    from parkade.wire.yaml import check

    with calling(as_json=as_json) as client:
        request = check({"amount": amount, "every": every}, SetGrant)
        answer = client.set_org_grant(org, amount=request.amount, every=request.every)
        show(answer, _balance, as_json=as_json)


@users.command("unix-name")
def unix_name(
    user: UserName,
    name: Annotated[
        str | None, typer.Argument(help="A Unix user of the nodes; none: the agent's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say as which Unix user a user's workloads run, from their next attempt on."""
    from parkade.cli.screen import say

    call(
        lambda client: client.set_user_unix_name(user, unix_name=name),
        lambda made: say(f"{made.user}: workloads run as {made.unix_name or 'the agent'}"),
        as_json=as_json,
    )


@users.command("disable")
def disable(user: UserName, as_json: AsJson = False) -> None:
    """Refuse all tokens of a user. Its work goes on: `parkade cancel` ends it."""
    call(lambda client: client.disable_user(user), _disabled, as_json=as_json)


@users.command("enable")
def enable(user: UserName, as_json: AsJson = False) -> None:
    """Take the tokens of a disabled user again."""
    call(lambda client: client.enable_user(user), _disabled, as_json=as_json)


@users.command("create")
def create_user(
    user: NewUser,
    org: Annotated[str, typer.Option(help="The org it belongs to.")],
    role: Annotated[str, typer.Option(help="operator, owner, member or partner.")] = "member",
    unix_name: Annotated[
        str | None, typer.Option(help="Unix user that its workloads run as.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a user of an org."""
    from parkade.cli.screen import say, show
    from parkade.wire.people import CreateUser
    from parkade.wire.yaml import check

    with calling(as_json=as_json) as client:
        given = check({"user": user, "org": org, "role": role, "unix_name": unix_name}, CreateUser)
        made = client.create_user(user, org=org, role=given.role, unix_name=unix_name)
        show(made, lambda made: say(f"{made.user}: {made.role} of {made.org}"), as_json=as_json)


@users.command("list")
def list_users(deleted: AlsoDeleted = False, as_json: AsJson = False) -> None:
    """The users you may see."""
    call(lambda client: client.list_users(deleted=deleted), _users, as_json=as_json)


@tokens.command("create")
def create_token(
    user: UserName,
    name: Annotated[str | None, typer.Option(help="The token's public name.")] = None,
    lasts: Annotated[
        str | None,
        typer.Option(help="How long it is good, like 90d. Default: until your own token ends."),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="It may only look, and change nothing.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write it here, readable by you alone; else it is printed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a token. It is shown once, and kept nowhere."""
    import sys

    from parkade.cli.calling import calling, fail
    from parkade.cli.files import write_secret

    if out is not None:
        if out.exists():
            fail(f"{out} is there already; remove it, or choose another name", exit_code=3)
        with calling(as_json=as_json) as client:
            made = client.create_token(user, token=name, lasts=lasts, is_read_only=read_only)
        write_secret(out, made.secret)
        print(f"{made.token} for {made.user}{until(made)} is in {out}", file=sys.stderr)
        return

    def once(made: "wire.NewToken") -> None:
        print(f"{made.token} for {made.user}{until(made)}; shown only now:", file=sys.stderr)
        print(made.secret)

    call(
        lambda client: client.create_token(user, token=name, lasts=lasts, is_read_only=read_only),
        once,
        as_json=as_json,
    )


def until(made: "wire.NewToken") -> str:
    """For how long a new token is good, where that ends."""
    from parkade.cli.screen import minute

    return "" if made.expires is None else f", good until {minute(made.expires)},"


@tokens.command("revoke")
def revoke_token(token: TokenName, as_json: AsJson = False) -> None:
    """Refuse a token from now on."""
    from parkade.cli.screen import say

    call(
        lambda client: client.revoke_token(token),
        lambda gone: say(f"{gone.token} is revoked"),
        as_json=as_json,
    )


@tokens.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """The tokens you may see, never their secrets."""
    call(lambda client: client.list_tokens(), _tokens, as_json=as_json)


def _balance(org: "wire.Org") -> None:
    from parkade.cli.screen import say
    from parkade.wire.scalars import format_amount, format_instant

    granted = ""
    if org.grant is not None:
        upcoming = format_instant(org.grant.next)
        granted = f", granted {format_amount(org.grant.amount)} next at {upcoming}"
    say(f"{org.org}: balance {format_amount(org.balance)}{granted}")


def _described(org: "wire.Org") -> None:
    from parkade.cli.screen import say

    says = f"title {org.title or 'none'}, contact {org.contact or 'none'}"
    say(f"{org.org}: {says}")


def _orgs(answer: "wire.Orgs", *, wide: bool) -> None:
    from parkade.cli.screen import say, table
    from parkade.wire.scalars import format_amount

    rows = [
        (
            org.org,
            org.balance,
            short_cap(org),
            *_kept(org.kept),
            org.created,
            state_of(org.deleted, is_disabled=org.disabled is not None),
            *((org.title, org.contact) if wide else ()),
        )
        for org in answer.orgs
    ]
    more = ("TITLE", "CONTACT") if wide else ()
    table(
        ("ORG", "BALANCE", "CAP", "FOLDERS", "HOLD", "CREATED", "", *more),
        rows,
        empty="No orgs yet.",
        right="BALANCE FOLDERS HOLD",
        drops="CREATED HOLD FOLDERS",
    )
    for house in (org.house for org in answer.orgs if org.house is not None):
        say(f"The operator's own account, of fees and sales, holds {format_amount(house)}.")


def _kept(kept: "wire.KeptFolders | None") -> tuple[object, object]:
    """How many folders of ended workloads are kept, and what they hold."""
    from parkade.cli.screen import storage

    if kept is None:
        return None, None
    return kept.folders, storage(kept.bytes) + ("" if kept.is_counted else "+")


def _org_disabled(org: "wire.Org") -> None:
    from parkade.cli.screen import say

    if org.disabled is not None:
        kept = "what it reserved and what its account holds stays"
        say(f"{org.org} is disabled: its work ends with notice; {kept}")
    else:
        say(f"{org.org} is enabled: its tokens are taken again")


def _disabled(user: "wire.User") -> None:
    from parkade.cli.screen import say

    if user.is_disabled:
        say(f"{user.user} is disabled: its tokens are refused; what it runs goes on")
    else:
        say(f"{user.user} is enabled: its tokens are taken again")


def _users(answer: "wire.Users") -> None:
    from parkade.cli.screen import table

    rows = [
        (
            user.user,
            user.org,
            user.role,
            user.spent,
            short_cap(user),
            user.unix_name,
            state_of(user.deleted, is_disabled=user.is_disabled),
        )
        for user in answer.users
    ]
    heads = ("USER", "ORG", "ROLE", "SPENT", "CAP", "UNIX NAME", "")
    table(heads, rows, empty="No users yet.")


def _tokens(answer: "wire.Tokens") -> None:
    from parkade.cli.screen import minute, table

    rows = [
        (
            each.token,
            each.user,
            _good_for(each),
            minute(each.expires),
            each.made_with,
            minute(each.last_used),
        )
        for each in answer.tokens
    ]
    heads = ("TOKEN", "USER", "GOOD FOR", "EXPIRES", "MADE WITH", "USED")
    table(heads, rows, empty="No tokens yet.", drops="USED MADE EXPIRES")


def _good_for(token: "wire.Token") -> str:
    if token.is_revoked:
        return "revoked"
    if token.expires is not None and token.expires <= datetime.now(UTC):
        return "expired"
    if token.pool is not None:
        return f"pool {token.pool}"
    return "reading" if token.is_read_only else "all"
