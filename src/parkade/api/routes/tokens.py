"""Tokens of users and of agents: made, listed, revoked."""

import secrets
from collections.abc import Callable

from parkade.api import context as contexts
from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext, no_such
from parkade.api.pages import WHOLE, Paged, page_of
from parkade.api.problems import problem
from parkade.api.translate.scalars import instant_or_none, span_us
from parkade.api.views import people as views
from parkade.control.answers import Decided
from parkade.core.state import commands, events
from parkade.core.state.people import Token
from parkade.core.state.world import World
from parkade.core.steps.permissions import Read
from parkade.core.units.refusal import Refusal
from parkade.wire import people as wire

router = routing.router("people")


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
    look: Callable[[World, int], object] = lambda _, __: None,
) -> wire.NewToken:
    """The new token; `conflict` where an earlier try of the same request made it. `look`: as of
    `RequestContext.change`."""
    decided = await context.change(command, lambda _, __, decided, ___: decided, look=look)
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

    return await context.view(view)


@router.get("/tokens/{token}")
async def get_token(token: str, context: Authenticated) -> wire.Token:
    """One token by its public name, for those who may list it."""
    return await context.view_tagged(
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
            return no_such(f"token {name}")
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
