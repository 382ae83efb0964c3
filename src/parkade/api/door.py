"""Who asks: the token's user, found by the token's digest; and what every route does with them."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Annotated, NoReturn, TypeVar, cast

import msgspec
from fastapi import Depends, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from parkade.api.plane import Plane
from parkade.api.problems import refused, said
from parkade.api.settings import ApiSettings
from parkade.control.answers import Decided, Idempotency
from parkade.core.state.commands import AnyCommand
from parkade.core.state.events import AnyEvent
from parkade.core.state.people import Role
from parkade.core.state.world import World
from parkade.core.units.refusal import Refusal

T = TypeVar("T")
E = TypeVar("E", bound=AnyEvent)
PREFIX = "pk_"
LONGEST_TOKEN = 200
LONGEST_KEY = 255
bearer = HTTPBearer(auto_error=False, description="a token that begins with pk_")


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. `token` is the token's public name."""

    user: str
    org: str
    role: Role
    token: str

    @property
    def is_operator(self) -> bool:
        """Whether it may see and do everything."""
        return self.role is Role.OPERATOR

    def may_see(self, org: str) -> bool:
        """Whether an org's things are its to see."""
        return self.is_operator or self.org == org


def new_token() -> str:
    """256 random bits behind a prefix that scanners for leaked secrets can find."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_viewer(digest: str) -> Callable[[World, int], Viewer | None]:
    """A view: the user of a token that is not revoked."""

    def view(world: World, _: int) -> Viewer | None:
        token = world.records.tokens.get(world.tokens_by_digest.get(digest, ""))
        if token is None or token.is_revoked or not hmac.compare_digest(token.digest, digest):
            return None
        user = world.records.users[token.user]
        return Viewer(user=user.user, org=user.org, role=user.role, token=token.token)

    return view


class Door:
    """One authenticated request: its viewer, and the plane as that viewer may use it."""

    def __init__(
        self, plane: Plane, settings: ApiSettings, viewer: Viewer, key: Idempotency | None
    ) -> None:
        self.plane = plane
        self.settings = settings
        self.viewer = viewer
        self._key = key

    async def execute(self, command: AnyCommand) -> Decided:
        """Carries out a command, once for each idempotency key; raises what was refused."""
        outcome = await self.plane.execute(command, idempotency=self._key)
        if isinstance(outcome, Refusal):
            raise refused(outcome)
        return outcome

    async def read(self, view: Callable[[World, int], T | None], what: str = "") -> T:
        """A view of one thing; what is not there, or another org's, is not found."""
        value = await self.plane.read(view)
        return self.not_found(what) if value is None else value

    def not_found(self, what: str) -> NoReturn:
        """The same words whether it is not there or not theirs."""
        raise said("not_found", f"there is no {what}" if what else "there is no such thing")

    def require_operator(self) -> None:
        """Some things only the operator sees."""
        if not self.viewer.is_operator:
            raise said("denied", "only an operator may do this")

    def own_org(self, named: str | None) -> str:
        """The org a request is for: the viewer's own, unless an operator names another."""
        org = named or self.viewer.org
        if not self.viewer.may_see(org):
            raise said("denied", f"you belong to {self.viewer.org}, not to {org}")
        return org


def find(decided: Decided, kind: type[E]) -> E | None:
    """The first event of a kind among those decided."""
    return next((event for event in decided.events if isinstance(event, kind)), None)


async def door(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Door:
    """Authenticates; the idempotency key is bound to the user and to all of the request."""
    plane = cast(Plane, request.app.state.plane)
    settings = cast(ApiSettings, request.app.state.settings)
    token = credentials.credentials if credentials else ""
    if not token or len(token) > LONGEST_TOKEN:
        raise said("unauthenticated", "send a token: Authorization: Bearer pk_…")
    viewer = await plane.read(find_viewer(digest_of(token)))
    if viewer is None:
        raise said("unauthenticated", "the token is unknown or revoked; log in again")
    _refuse_unknown_parameters(request)
    return Door(plane, settings, viewer, await _idempotency(request, viewer))


def _refuse_unknown_parameters(request: Request) -> None:
    """A misspelt parameter is refused, never taken for one that was not given."""
    route = cast(APIRoute, request.scope["route"])
    known = {field.alias for field in route.dependant.query_params}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        names = ", ".join(repr(name[:40]) for name in unknown[:5])
        knows = ", ".join(sorted(known)) or "none"
        raise said("invalid", f"no such query parameter: {names}; this route knows: {knows}")


async def _idempotency(request: Request, viewer: Viewer) -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None or request.method != "POST":
        return None
    if not 0 < len(key) <= LONGEST_KEY:
        raise said("invalid", f"Idempotency-Key: at most {LONGEST_KEY} characters")
    body = await request.body()
    whole = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + body
    return Idempotency(
        principal=viewer.user, key=key, request_digest=hashlib.sha256(whole).hexdigest()
    )


Asking = Annotated[Door, Depends(door)]


async def is_valid(plane: Plane, viewer: Viewer) -> bool:
    """Whether a viewer's token still is what it was, for answers that take long."""

    def view(world: World, _: int) -> bool:
        token = world.records.tokens.get(viewer.token)
        return token is not None and not token.is_revoked

    return await plane.read(view)
