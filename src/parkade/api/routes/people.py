"""Orgs, users and tokens; deposits."""

import secrets
from collections.abc import Callable

from fastapi import APIRouter

from parkade.api import door as doors
from parkade.api.door import Asking, Door
from parkade.api.problems import said
from parkade.api.translate import micros, span_us
from parkade.api.views import people as views
from parkade.control.answers import Decided
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.world import commands, events
from parkade.core.world.people import Role, Token, User
from parkade.core.world.world import World
from parkade.wire import people as wire
from parkade.wire.feed import Caller

router = APIRouter(tags=["people"])


@router.get("/whoami")
async def whoami(door: Asking) -> Caller:
    """Who the token speaks for."""
    from parkade import __version__

    viewer = door.viewer
    return Caller(user=viewer.user, org=viewer.org, role=viewer.role.value, server=__version__)


@router.post("/orgs", status_code=201)
async def create_org(body: wire.CreateOrg, door: Asking) -> wire.Org:
    """A new customer; operators only."""
    door.require_operator()
    command = commands.CreateOrg(by=door.viewer.user, org=body.org)
    return await door.execute(command, _org(body.org))


@router.get("/orgs")
async def list_orgs(door: Asking) -> wire.Orgs:
    """The caller's own, or all for an operator."""

    def view(world: World, _: int) -> wire.Orgs:
        seen = [org for org in world.records.orgs.values() if door.viewer.may_see(org.org)]
        return wire.Orgs(orgs=tuple(views.org(world, org) for org in seen))

    return await door.read(view)


@router.post("/orgs/{org}/deposits", status_code=201)
async def deposit(org: str, body: wire.Deposit, door: Asking) -> wire.Org:
    """Money from outside; operators only."""
    door.require_operator()
    command = commands.Deposit(by=door.viewer.user, org=org, micros=micros(body.amount))
    return await door.execute(command, _org(org))


@router.post("/orgs/{org}/grant")
async def set_grant(org: str, body: wire.SetGrant, door: Asking) -> wire.Org:
    """Money now and again and again; operators only."""
    door.require_operator()
    command = commands.SetGrant(
        by=door.viewer.user,
        org=org,
        micros=micros(body.amount),
        every_us=span_us(body.every),
    )
    return await door.execute(command, _org(org))


def _org(name: str) -> Callable[[World, int, Decided], wire.Org]:
    return lambda world, _, __: views.org(world, world.records.orgs[name])


@router.post("/users", status_code=201)
async def create_user(body: wire.CreateUser, door: Asking) -> wire.User:
    """A new user; operators, and owners within their org."""
    door.own_org(body.org)
    command = commands.CreateUser(
        by=door.viewer.user,
        user=body.user,
        org=body.org,
        role=Role(body.role),
        unix_name=body.unix_name,
    )
    return await door.execute(
        command, lambda world, _, __: views.user(world, world.records.users[body.user])
    )


@router.post("/users/{user}/cap")
async def set_cap(user: str, body: wire.SetCap, door: Asking) -> wire.User:
    """The most that a user's workloads may cost; operators, and owners within their org."""

    def look(world: World, _: int) -> User | Refusal:
        return door.visible(world.records.users.get(user), f"user {user}")

    def show(world: World, _: int, _decided: Decided, _before: User) -> wire.User:
        return views.user(world, world.records.users[user])

    cap = None if body.cap is None else micros(body.cap)
    command = commands.SetCap(by=door.viewer.user, user=user, cap_micros=cap)
    return await door.change(command, show, look=look)


@router.get("/users")
async def list_users(door: Asking) -> wire.Users:
    """Those of the caller's org, or all for an operator."""

    def view(world: World, _: int) -> wire.Users:
        seen = [user for user in world.records.users.values() if door.viewer.may_see(user.org)]
        return wire.Users(users=tuple(views.user(world, user) for user in seen))

    return await door.read(view)


@router.post("/tokens", status_code=201)
async def create_token(body: wire.CreateToken, door: Asking) -> wire.NewToken:
    """A new token. Its secret is told here and kept nowhere, so a repeated request cannot have
    it again: it is refused with `conflict`."""
    secret = doors.new_token()
    command = commands.AddToken(
        by=door.viewer.user,
        token=body.token or f"{body.user[:40]}-{secrets.token_hex(4)}",
        user=body.user,
        digest=doors.digest_of(secret),
    )
    return await add_token(door, command, secret)


async def add_token(door: Door, command: commands.AddToken, secret: str) -> wire.NewToken:
    """The new token; `conflict` where an earlier try of the same request made it."""
    decided = await door.execute(command, lambda _, __, decided: decided)
    added = doors.find(decided, events.TokenAdded)
    assert added is not None
    if added.token.digest != doors.digest_of(secret):
        raise said(
            "conflict",
            f"the token {added.token.token} was made by an earlier try, and its secret was told "
            "only there; revoke it and make another",
        )
    return wire.NewToken(token=added.token.token, user=added.token.user, secret=secret)


@router.get("/tokens")
async def list_tokens(door: Asking) -> wire.Tokens:
    """The caller's own; those of its org for an owner, all for an operator."""

    def view(world: World, _: int) -> wire.Tokens:
        users = world.records.users
        return wire.Tokens(
            tokens=tuple(
                views.token(token)
                for token in world.records.tokens.values()
                if may_manage(door, token.user, users[token.user].org)
            )
        )

    return await door.read(view)


@router.post("/tokens/{token}/revoke")
async def revoke_token(token: str, door: Asking) -> wire.Token:
    """The token is refused from now on."""

    def look(world: World, _: int) -> Token | Refusal:
        found = world.records.tokens.get(token)
        if found is None or not may_manage(door, found.user, world.records.users[found.user].org):
            return Refusal(reason=Reason.NOT_FOUND, detail=f"there is no token {token}")
        return found

    def show(world: World, _: int, _decided: Decided, _before: Token) -> wire.Token:
        return views.token(world.records.tokens[token])

    command = commands.RevokeToken(by=door.viewer.user, token=token)
    return await door.change(command, show, look=look)


def may_manage(door: Door, user: str, org: str) -> bool:
    """Whether a user's tokens are the caller's to see and revoke."""
    viewer = door.viewer
    return user == viewer.user or (viewer.role is not Role.MEMBER and viewer.may_see(org))
