"""Orgs, users and tokens; deposits."""

import secrets
from collections.abc import Callable

from parkade.api import context as contexts
from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.pages import WHOLE, Paged, page_of
from parkade.api.problems import problem
from parkade.api.translate import instant_or_none, micros, span_us
from parkade.api.views import people as views
from parkade.control.answers import Decided
from parkade.core.state import commands, events
from parkade.core.state.people import CapPeriod, Org, Role, Token, User
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.core.units.refusal import Reason, Refusal
from parkade.wire import people as wire
from parkade.wire.feed import Caller

router = routing.router("people")


@router.get("/whoami")
async def whoami(context: Authenticated) -> Caller:
    """The user of the token."""
    from parkade import __version__

    viewer = context.viewer
    return Caller(user=viewer.user, org=viewer.org, role=viewer.role.value, server=__version__)


@router.post("/orgs", status_code=201)
async def create_org(body: wire.CreateOrg, context: Authenticated) -> wire.Org:
    """A new customer; operators only."""
    command = commands.CreateOrg(by=context.viewer.user, org=body.org)
    return await context.execute(command, _org(context, body.org))


@router.get("/orgs")
async def list_orgs(
    context: Authenticated, page: Paged = WHOLE, deleted: bool = False
) -> wire.Orgs:
    """The caller's own, or all for an operator; with `deleted` those that are gone too."""

    def view(world: World, now_us: int) -> wire.Orgs:
        shown = (it for it in world.records.orgs.values() if deleted or it.deleted_us is None)
        own = (it for it in shown if context.viewer.may_see(it.org))
        seen, upcoming = page_of(page, own, lambda it: it.org)
        kept_of = context.plane.kept_of
        return wire.Orgs(
            orgs=tuple(views.org(world, org, kept_of(org.org), now_us) for org in seen),
            next=upcoming,
        )

    return await context.read(view)


@router.get("/orgs/{org}")
async def get_org(org: str, context: Authenticated) -> wire.Org:
    """One org: the caller's own, or any for an operator."""
    kept_of = context.plane.kept_of

    def look(world: World, _: int) -> Org | Refusal:
        return context.visible(world.records.orgs.get(org), f"org {org}")

    return await context.tagged(
        look, lambda world, now_us, it: views.org(world, it, kept_of(org), now_us)
    )


@router.post("/orgs/{org}/deposits", status_code=201)
async def deposit(org: str, body: wire.Deposit, context: Authenticated) -> wire.Org:
    """Money from outside; operators only."""
    command = commands.Deposit(by=context.viewer.user, org=org, micros=micros(body.amount))
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/disbursements", status_code=201)
async def disburse(org: str, body: wire.Adjust, context: Authenticated) -> wire.Org:
    """An org's money to the outside, as far as nothing has a claim on it; operators only."""
    return await _on_org(context, _adjust(org, body, context, is_refund=False), org)


@router.post("/orgs/{org}/refunds", status_code=201)
async def refund(org: str, body: wire.Adjust, context: Authenticated) -> wire.Org:
    """The operator's money to an org; operators only."""
    return await _on_org(context, _adjust(org, body, context, is_refund=True), org)


def _adjust(
    org: str, body: wire.Adjust, context: RequestContext, *, is_refund: bool
) -> commands.Adjust:
    return commands.Adjust(
        by=context.viewer.user,
        org=org,
        micros=micros(body.amount),
        is_refund=is_refund,
        reason=body.reason,
    )


@router.post("/orgs/{org}/grant")
async def set_grant(org: str, body: wire.SetGrant, context: Authenticated) -> wire.Org:
    """Money now and again and again; operators only."""
    command = commands.SetGrant(
        by=context.viewer.user,
        org=org,
        micros=micros(body.amount),
        every_us=span_us(body.every),
    )
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/cap")
async def set_org_cap(org: str, body: wire.SetCap, context: Authenticated) -> wire.Org:
    """The most that all workloads of an org may cost and hold; operators, and owners of the org
    unless an operator set the cap that there is."""
    command = org_cap_command(org, body, context)
    kept_of = context.plane.kept_of

    def show(world: World, now_us: int, _: Decided) -> wire.Org:
        return views.capped_org(world, world.records.orgs[org], kept_of(org), now_us)

    return await context.execute(command, show, about=_own(context, org))


def org_cap_command(org: str, body: wire.SetCap, context: RequestContext) -> commands.SetOrgCap:
    """As the core has it."""
    return commands.SetOrgCap(
        by=context.viewer.user,
        org=org,
        cap_micros=None if body.cap is None else micros(body.cap),
        period=CapPeriod(body.period),
        most_gpus=body.most_gpus,
    )


@router.post("/orgs/{org}/bounds")
async def set_org_bounds(org: str, body: wire.SetOrgBounds, context: Authenticated) -> wire.Org:
    """How many workloads an org may have open, submit and start in a minute; operators only."""
    command = commands.SetOrgBounds(
        by=context.viewer.user,
        org=org,
        open_workloads=body.open_workloads,
        submits_per_minute=body.submits_per_minute,
        starts_per_minute=body.starts_per_minute,
    )
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/description")
async def describe_org(org: str, body: wire.DescribeOrg, context: Authenticated) -> wire.Org:
    """What an org is called, and whom to ask about it; operators, and owners of the org."""
    command = commands.DescribeOrg(
        by=context.viewer.user, org=org, title=body.title, contact=body.contact
    )
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/disabled")
async def set_org_disabled(org: str, body: wire.SetOrgDisabled, context: Authenticated) -> wire.Org:
    """Whether an org's tokens are refused; where they are, its workloads get their notice and end,
    and its claims are given back. What it has reserved and what its account holds stays. Operators
    only."""
    command = commands.SetOrgDisabled(by=context.viewer.user, org=org, is_disabled=body.is_disabled)
    return await _on_org(context, command, org)


@router.post("/orgs/{org}/delete")
async def delete_org(org: str, context: Authenticated) -> wire.Org:
    """An org that is disabled and holds nothing goes for good; its statements and its name stay.
    Operators only."""
    command = commands.DeleteOrg(by=context.viewer.user, org=org)
    return await _on_org(context, command, org)


async def _on_org(context: RequestContext, command: commands.AnyCommand, name: str) -> wire.Org:
    return await context.execute(command, _org(context, name), about=_own(context, name))


def _own(context: RequestContext, name: str) -> Callable[[World], Org | None]:
    """The org, where the caller may see it."""
    return lambda world: world.records.orgs.get(name) if context.viewer.may_see(name) else None


def _org(context: RequestContext, name: str) -> Callable[[World, int, Decided], wire.Org]:
    kept_of = context.plane.kept_of
    return lambda world, now_us, _: views.org(
        world, world.records.orgs[name], kept_of(name), now_us
    )


@router.post("/users", status_code=201)
async def create_user(body: wire.CreateUser, context: Authenticated) -> wire.User:
    """A new user; operators, and owners within their org."""
    context.own_org(body.org)
    name = context.new_name(body.user)
    command = commands.CreateUser(
        by=context.viewer.user,
        user=name,
        org=body.org,
        role=Role(body.role),
        unix_name=body.unix_name,
    )
    return await context.execute(
        command, lambda world, now_us, _: views.user(world, world.records.users[name], now_us)
    )


@router.post("/users/{user}/cap")
async def set_cap(user: str, body: wire.SetCap, context: Authenticated) -> wire.User:
    """The most that a user's workloads may cost and hold; operators, and owners within their
    org."""

    def show(world: World, now_us: int, _decided: Decided, before: User) -> wire.User:
        return views.capped_user(world, world.records.users[before.user], now_us)

    command = cap_command(user, body, context)
    return await context.change(command, show, look=_user(context, user))


def cap_command(user: str, body: wire.SetCap, context: RequestContext) -> commands.SetCap:
    """As the core has it."""
    return commands.SetCap(
        by=context.viewer.user,
        user=user,
        cap_micros=None if body.cap is None else micros(body.cap),
        period=CapPeriod(body.period),
        most_gpus=body.most_gpus,
    )


@router.post("/users/{user}/unix-name")
async def set_unix_name(user: str, body: wire.SetUnixName, context: Authenticated) -> wire.User:
    """The Unix user of a user's workloads, from their next attempt on; operators only."""

    command = commands.SetUnixName(by=context.viewer.user, user=user, unix_name=body.unix_name)
    return await _on_user(context, command, user)


@router.post("/users/{user}/disabled")
async def set_user_disabled(
    user: str, body: wire.SetUserDisabled, context: Authenticated
) -> wire.User:
    """Whether a user's tokens are refused, those of agents excepted; its work goes on. Operators,
    and owners within their org."""

    command = commands.SetUserDisabled(
        by=context.viewer.user, user=user, is_disabled=body.is_disabled
    )
    return await _on_user(context, command, user)


@router.post("/users/{user}/role")
async def set_user_role(user: str, body: wire.SetUserRole, context: Authenticated) -> wire.User:
    """What a user may do, with the tokens that it has; its work goes on. Operators, and owners
    within their org, who make no operators; no user for itself."""

    command = commands.SetUserRole(by=context.viewer.user, user=user, role=Role(body.role))
    return await _on_user(context, command, user)


@router.post("/users/{user}/delete")
async def delete_user(user: str, context: Authenticated) -> wire.User:
    """A user that is disabled and runs nothing goes for good, with its tokens; its history and its
    name stay. Operators, and owners within their org; no user itself."""

    command = commands.DeleteUser(by=context.viewer.user, user=user)
    return await _on_user(context, command, user)


async def _on_user(context: RequestContext, command: commands.AnyCommand, name: str) -> wire.User:
    def show(world: World, now_us: int, _decided: Decided, before: User) -> wire.User:
        return views.user(world, world.records.users[before.user], now_us)

    return await context.change(command, show, look=_user(context, name))


def _user(context: RequestContext, name: str) -> Callable[[World, int], User | Refusal]:
    return lambda world, _: context.visible(
        context.meant(world.records.users, name), f"user {name}"
    )


@router.get("/users")
async def list_users(
    context: Authenticated, page: Paged = WHOLE, deleted: bool = False
) -> wire.Users:
    """Those of the caller's org, or all for an operator; with `deleted` those that are gone too."""

    def view(world: World, now_us: int) -> wire.Users:
        shown = (it for it in world.records.users.values() if deleted or it.deleted_us is None)
        own = (it for it in shown if context.viewer.may_see(it.org))
        seen, upcoming = page_of(page, own, lambda it: it.user)
        return views.users(world, seen, now_us).model_copy(update={"next": upcoming})

    return await context.read(view)


@router.get("/users/{user}")
async def get_user(user: str, context: Authenticated) -> wire.User:
    """One user, of the caller's org, or of any for an operator."""
    return await context.tagged(
        _user(context, user), lambda world, now_us, it: views.user(world, it, now_us)
    )


@router.post("/tokens", status_code=201)
async def create_token(body: wire.CreateToken, context: Authenticated) -> wire.NewToken:
    """A new token. Its secret is in this answer only and kept nowhere, so a repeated request cannot
    have it again: it is refused with `conflict`. It expires with the token of the request at the
    latest."""
    secret = contexts.new_token()
    generated = f"{body.user.partition('@')[0][:40]}-{secrets.token_hex(4)}"
    command = commands.AddToken(
        by=context.viewer.user,
        token=context.new_name(body.token) if body.token else generated,
        user=body.user,
        digest=contexts.digest_of(secret),
        is_read_only=body.is_read_only,
        lasts_us=None if body.lasts is None else span_us(body.lasts),
        made_with=context.viewer.token,
    )
    return await add_token(context, command, secret)


async def add_token(
    context: RequestContext,
    command: commands.AddToken,
    secret: str,
    *,
    about: Callable[[World], object] | None = None,
) -> wire.NewToken:
    """The new token; `conflict` where an earlier try of the same request made it."""
    decided = await context.execute(command, lambda _, __, decided: decided, about=about)
    added = contexts.find(decided, events.TokenAdded)
    assert added is not None
    if added.token.digest != contexts.digest_of(secret):
        raise problem(
            "conflict",
            f"the token {added.token.token} was made by an earlier try, and its secret was shown "
            "only there; revoke it and make another",
        )
    return wire.NewToken(
        token=added.token.token,
        user=added.token.user,
        secret=secret,
        expires=instant_or_none(added.token.expires_us),
    )


@router.get("/tokens")
async def list_tokens(context: Authenticated, page: Paged = WHOLE) -> wire.Tokens:
    """The caller's own; those of its org for an owner, all for an operator. None of deleted
    users."""

    def view(world: World, _: int) -> wire.Tokens:
        own = (
            it
            for it in world.records.tokens.values()
            if world.records.users[it.user].deleted_us is None and _may_see(context, world, it)
        )
        seen, upcoming = page_of(page, own, lambda it: it.token)
        return wire.Tokens(tokens=tuple(_shown(context, world, it) for it in seen), next=upcoming)

    return await context.read(view)


@router.get("/tokens/{token}")
async def get_token(token: str, context: Authenticated) -> wire.Token:
    """One token by its public name, for those who may list it."""
    return await context.tagged(
        _token(context, token), lambda world, _, it: _shown(context, world, it)
    )


@router.post("/tokens/{token}/revoke")
async def revoke_token(token: str, context: Authenticated) -> wire.Token:
    """The token is refused from now on."""

    def show(world: World, _: int, _decided: Decided, before: Token) -> wire.Token:
        return _shown(context, world, world.records.tokens[before.token])

    command = commands.RevokeToken(by=context.viewer.user, token=token)
    return await context.change(command, show, look=_token(context, token))


def _token(context: RequestContext, name: str) -> Callable[[World, int], Token | Refusal]:
    def look(world: World, _: int) -> Token | Refusal:
        found = context.meant(world.records.tokens, name)
        if found is None or not _may_see(context, world, found):
            return Refusal(reason=Reason.NOT_FOUND, detail=f"there is no token {name}")
        return found

    return look


def _may_see(context: RequestContext, world: World, token: Token) -> bool:
    return may_manage(context, token.user, world.records.users[token.user].org)


def _shown(context: RequestContext, world: World, token: Token) -> wire.Token:
    """A token's public side; what it was made with is named to those who may see that one."""
    maker = world.records.tokens.get(token.made_with or "")
    is_shown = maker is not None and _may_see(context, world, maker)
    return views.token(
        token,
        context.plane.last_used_us(token.token),
        made_with=token.made_with if is_shown else None,
    )


def may_manage(context: RequestContext, user: str, org: str) -> bool:
    """Whether a user's tokens are the caller's to see."""
    return context.viewer.may_read(Read.TOKENS, org=org, user=user)
