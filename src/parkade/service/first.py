"""The first start: an operator and its token, shown once and kept nowhere.

The token is shown before its digest is committed. Should the server die in between, that token
is worth nothing and the next start shows another, so the operator is never locked out. A token file
is never overwritten; one that a start wrote before it died is known by its digest, kept beside the
journal, and taken.
"""

from collections.abc import Callable
from pathlib import Path

from parkade.api.context import digest_of, new_token
from parkade.control.plane import Plane
from parkade.core.state.commands import AddToken, AnyCommand, CreateOrg, CreateUser
from parkade.core.state.people import Role
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from parkade.service.folders import write_new_owner_only, write_owner_only
from parkade.service.settings import BadSettings

OPERATOR = "operator"

ShowSecret = Callable[[str], str | None]
"""Shows a new token; the one that holds where that is another, None where it is the new one."""


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
    secret = show_secret(secret) or secret
    name = f"{OPERATOR}-{tokens + 1}"
    digest = digest_of(secret)
    await _once(plane, AddToken(by=None, token=name, user=OPERATOR, digest=digest))


def write_token(path: Path, *, written: Path) -> ShowSecret:
    """Writes a token to a new file that only its owner reads. BadSettings where there is a file
    already, but for one that an earlier start wrote: `written` holds the digest of its token."""

    def show(secret: str) -> str:
        earlier = _token_of_an_earlier_start(path, written)
        if earlier is not None:
            return earlier
        write_owner_only(written, digest_of(secret))
        try:
            write_new_owner_only(path, secret)
        except FileExistsError:
            raise BadSettings(
                f"token_file: {path} is there already and is not overwritten; move it away, or name"
                " another file"
            ) from None
        except OSError as error:
            raise BadSettings(f"token_file: {path}: {error.strerror}; name another file") from error
        return secret

    return show


def _token_of_an_earlier_start(path: Path, written: Path) -> str | None:
    try:
        secret, digest = path.read_text().strip(), written.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return secret if digest_of(secret) == digest else None


def _tokens(world: World) -> int:
    return sum(1 for token in world.records.tokens.values() if token.user == OPERATOR)


async def _once(plane: Plane, command: AnyCommand) -> None:
    outcome = await plane.execute(command)
    is_there = isinstance(outcome, Refusal) and outcome.reason is Reason.ALREADY_EXISTS
    assert is_there or not isinstance(outcome, Refusal), outcome
