"""Users: their roles, their caps, whether they are let in."""

from collections.abc import Callable

from parkade.api import routing
from parkade.api.context import Authenticated, RequestContext
from parkade.api.pages import WHOLE, Paged, page_of
from parkade.api.translate.scalars import micros
from parkade.api.views import people as views
from parkade.control.answers import Decided
from parkade.core.state import commands
from parkade.core.state.people import CapPeriod, Role, User
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal
from parkade.wire import people as wire

router = routing.router("people")


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
    return await context.make(
        command, lambda world, now_us, _: views.user(world, world.records.users[name], now_us)
    )


@router.post("/users/{user}/cap")
async def set_cap(user: str, body: wire.SetCap, context: Authenticated) -> wire.User:
    """The most that a user's workloads may cost and hold; operators, and owners within their
    org."""

    def show(world: World, now_us: int, _decided: Decided, before: User) -> wire.User:
        return views.capped_user(world, world.records.users[before.user], now_us)

    command = _cap_command(user, body, context)
    return await context.change(command, show, look=_user(context, user))


@router.post("/users/{user}/cap/plan")
async def plan_cap(user: str, body: wire.SetCap, context: Authenticated) -> wire.StoppedByCap:
    """The bids that a cap of a user would tell to leave; operators, and owners within their
    org."""
    command, look = _cap_command(user, body, context), _user(context, user)

    def view(world: World, now_us: int) -> wire.StoppedByCap | Refusal:
        found = look(world, now_us)
        return found if isinstance(found, Refusal) else views.stopped_by(world, command, now_us)

    return await context.view(view, is_plan=True)


def _cap_command(user: str, body: wire.SetCap, context: RequestContext) -> commands.SetCap:
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

    return await context.view(view)


@router.get("/users/{user}")
async def get_user(user: str, context: Authenticated) -> wire.User:
    """One user, of the caller's org, or of any for an operator."""
    return await context.view_tagged(
        _user(context, user), lambda world, now_us, it: views.user(world, it, now_us)
    )
