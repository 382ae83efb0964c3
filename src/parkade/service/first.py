"""The first start: an operator and its token, shown once and kept nowhere.

The token is shown before its digest is committed. Should the server die in between, that token
is worth nothing and the next start shows another, so the operator is never locked out.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from parkade.api.context import digest_of, new_token
from parkade.control.plane import Plane
from parkade.core.state.commands import AddToken, AnyCommand, CreateOrg, CreateUser
from parkade.core.state.people import Role
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.service.folders import write_owner_only

OPERATOR = "operator"

ShowSecret = Callable[[str], None]


async def make_operator(
    plane: Plane, *, show_secret: ShowSecret, is_new_token_wanted: bool
) -> None:
    """Makes sure that there is an operator with a token; shows a token that it makes."""
    tokens = await plane.read(lambda world, _: _tokens(world))
    if tokens and not is_new_token_wanted:
        return
    await _once(plane, CreateOrg(by=None, org=OPERATOR))
    await _once(
        plane,
        CreateUser(by=None, user=OPERATOR, org=OPERATOR, role=Role.OPERATOR, unix_name=None),
    )
    secret = new_token()
    show_secret(secret)
    name = f"{OPERATOR}-{tokens + 1}"
    digest = digest_of(secret)
    await _once(plane, AddToken(by=None, token=name, user=OPERATOR, digest=digest))


def write_token(path: Path) -> ShowSecret:
    """Writes a token to a file that only its owner reads; the file is new or replaced."""
    return partial(write_owner_only, path)


def _tokens(world: World) -> int:
    return sum(1 for token in world.records.tokens.values() if token.user == OPERATOR)


async def _once(plane: Plane, command: AnyCommand) -> None:
    outcome = await plane.execute(command)
    is_there = isinstance(outcome, Refusal) and outcome.reason is Reason.ALREADY_EXISTS
    assert is_there or not isinstance(outcome, Refusal), outcome
