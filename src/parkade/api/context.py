"""The user of a request, found by the digest of its token, and what every route does with it."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Annotated, NoReturn, Protocol, TypeVar, cast
from urllib.parse import quote

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import MutableHeaders, State

from parkade.api import etags
from parkade.api.problems import problem, refused
from parkade.api.settings import ApiSettings
from parkade.api.streams import Place, Streams
from parkade.control.answers import Decided, Idempotency
from parkade.control.cycle import Asked
from parkade.control.plane import Plane
from parkade.control.viewers import Viewer
from parkade.core.state.commands import AnyCommand
from parkade.core.state.events import AnyEvent
from parkade.core.state.people import Role
from parkade.core.state.world import World
from parkade.core.steps.names import full_name
from parkade.core.steps.permissions import HOLDERS, READS, Read
from parkade.core.units.names import scoped
from parkade.core.units.refusal import Reason, Refusal

T = TypeVar("T")
B = TypeVar("B")
R = TypeVar("R", bound=etags.Tagged)
Owned = TypeVar("Owned", bound="OfAnOrg")
E = TypeVar("E", bound=AnyEvent)
PREFIX = "pk_"
LONGEST_TOKEN = 200
LONGEST_KEY = 255
PLAIN = "/!$&'()*+,:;=@"
"""What stands in a path as it is, beside letters, digits and `-._~`."""

PLANS = "/plan"
"""What the routes end with that change nothing though they are no GET."""
OF_PARTNERS = frozenset(
    {"/v1/nodes", "/v1/nodes/{node}", "/v1/statement", "/v1/whoami", "/v1/server"}
)
"""Routes that answer a partner."""
bearer = HTTPBearer(auto_error=False, description="a token that begins with pk_")


def new_token() -> str:
    """256 random bits behind a prefix that scanners for leaked secrets can find."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class OfAnOrg(Protocol):
    """Something that an org has."""

    @property
    def org(self) -> str:
        """The org's name."""
        ...


class TakesQuery(Protocol):
    """A route that knows which query parameters it takes."""

    query_names: frozenset[str]


class RequestContext:
    """One authenticated request: its viewer, and the plane as that viewer may use it.

    A route looks at the world by `view`, or by `view_tagged` where it shows one thing that people
    change. It changes the world by `make` where its command makes something, and by `change` where
    the command is about something that there is. What is not to be is a `Refusal` that the view or
    the look returns; these four raise it.
    """

    def __init__(
        self, state: State, digest: str, viewer: Viewer, headers: MutableHeaders | None = None
    ) -> None:
        self.plane = cast(Plane, state.plane)
        self.settings = cast(ApiSettings, state.settings)
        self.viewer = viewer
        self._streams = cast(Streams, state.streams)
        self._digest = digest
        self.key: Idempotency | None = None
        self.if_match: str | None = None
        self._headers = headers

    async def change(
        self,
        command: AnyCommand,
        show: Callable[[World, int, Decided, B], T],
        *,
        look: Callable[[World, int], B | Refusal],
    ) -> T:
        """Carries out a command, once for each idempotency key; raises what was refused.

        `look` finds what it is about before, which is what `If-Match` means; `show` makes the
        answer after; all is one turn. The answer has the new `ETag` of what it shows. A look may
        find None, and the command then says itself what is wrong.
        """

        def tagged(world: World, now_us: int, decided: Decided, found: B) -> tuple[T, str | None]:
            shown = show(world, now_us, decided, found)
            return shown, etags.after(world, command, decided.events, found)

        outcome = await self.plane.ask(
            Asked(
                command=command,
                idempotency=self.key,
                token=self.viewer.token,
                look=look,
                check=self._check,
                show=tagged,
            ),
            org=self.viewer.org,
        )
        if isinstance(outcome, Refusal):
            raise refused(outcome)
        shown, tag = cast(tuple[T, str | None], outcome.shown)
        if tag is not None:
            self.tag(tag)
        return shown

    def _check(self, world: World, found: object) -> Refusal | None:
        """Refuses where what was found is not as the asker saw it."""
        return None if self.if_match is None else etags.refused(world, found, self.if_match)

    def tag(self, tag: str) -> None:
        """The answer has this `ETag`."""
        if self._headers is not None:
            self._headers["ETag"] = tag

    async def make(self, command: AnyCommand, show: Callable[[World, int, Decided], T]) -> T:
        """The same for a command that is about nothing that there is."""
        return await self.change(
            command,
            lambda world, now_us, decided, _: show(world, now_us, decided),
            look=lambda _, __: None,
        )

    async def view(self, view: Callable[[World, int], T | Refusal], *, is_plan: bool = False) -> T:
        """What is seen in one turn; raises what was refused. `is_plan`: it may take as long as a
        clearing."""
        seen = await self.plane.read(view, org=self.viewer.org, is_plan=is_plan)
        if isinstance(seen, Refusal):
            raise refused(seen)
        return seen

    async def view_tagged(
        self, look: Callable[[World, int], R | Refusal], show: Callable[[World, int, R], T]
    ) -> T:
        """What is seen of one thing that was found, with its `ETag`; raises what was refused."""

        def view(world: World, now_us: int) -> tuple[T, str] | Refusal:
            found = look(world, now_us)
            if isinstance(found, Refusal):
                return found
            return show(world, now_us, found), etags.etag(world, found)

        shown, tag = await self.view(view)
        self.tag(tag)
        return shown

    @property
    def only_org(self) -> str | None:
        """The org whose things alone are told by name; None: an operator is told of all."""
        return None if self.viewer.is_operator else self.viewer.org

    def visible(self, found: Owned | None, what: str) -> Owned | Refusal:
        """What was found, where it is the viewer's to see: for `look`."""
        if found is None or not self.viewer.may_see(found.org):
            return no_such(what)
        return found

    def is_current(self) -> bool:
        """Whether the token still is what it was, for answers that take long."""
        return self.plane.viewer(self._digest) == self.viewer

    def refuse_if_it_was_revoked(self) -> None:
        """The problem `unauthenticated` where the token was good when the request came, and is not
        any more."""
        if not self.is_current():
            raise problem("unauthenticated", "the token was revoked or expired meanwhile")

    def place(self, is_good: Callable[[], bool] | None = None) -> Place:
        """A place for an answer that stays open, at most while its token is what it was and
        `is_good`; the problem `busy` where there is none."""
        if is_good is None:
            return self._streams.open(self.viewer, self.is_current)
        return self._streams.open(self.viewer, lambda: self.is_current() and is_good())

    def not_found(self, what: str) -> NoReturn:
        """The same words whether it is not there or not theirs."""
        raise refused(no_such(what))

    def require(self, read: Read, *, org: str | None = None) -> None:
        """Refused where the permission for it is missing; `org`: whose things are asked for."""
        if not self.viewer.may_read(read, org=org):
            raise problem("denied", HOLDERS[READS[read]])

    def new_name(self, name: str) -> str:
        """What the caller names something of its org: with the org behind it, so that it meets no
        name of another. An operator's name stands alone, and so does the org's own name."""
        stands_alone = self.viewer.is_operator or name == self.viewer.org
        return name if stands_alone else scoped(name, self.viewer.org)

    def meant(self, records: Mapping[str, T], name: str) -> T | None:
        """What the caller means by a name, within its org by the short one too; for views."""
        org = None if self.viewer.is_operator else self.viewer.org
        return records.get(full_name(records, name, org=org))

    def own_org(self, named: str | None) -> str:
        """The org a request is for: the viewer's own, unless an operator names another."""
        org = named or self.viewer.org
        if not self.viewer.may_see(org):
            raise problem(
                "denied", f"you belong to {self.viewer.org}; only operators ask for others"
            )
        return org


def no_such(what: str) -> Refusal:
    """The same words whether it is not there or not the caller's."""
    return Refusal(reason=Reason.NOT_FOUND, detail=f"there is no {what}")


def find(decided: Decided, kind: type[E]) -> E | None:
    """The first event of a kind among those decided."""
    return next((event for event in decided.events if isinstance(event, kind)), None)


def refuse_if_it_only_looks(viewer: Viewer) -> None:
    """The problem `denied` where the viewer's token changes nothing."""
    if viewer.is_read_only:
        raise problem("denied", "this token may only look; log in with another")


def refuse_partner(viewer: Viewer, route: str) -> None:
    """The problem `denied` where a partner asks for more than is its to see, also of what is shown
    to every other user. `route`: its path, as it is declared."""
    if viewer.role is not Role.PARTNER:
        return
    if route not in OF_PARTNERS:
        raise problem("denied", "a partner sees its nodes and its statement, and nothing else")


async def agent_context(
    request: Request,
    response: Response,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> RequestContext:
    """Authenticates whom FastAPI brings."""
    return await authenticated(
        request, credentials.credentials if credentials else "", response.headers
    )


async def authenticated(request: Request, token: str, headers: MutableHeaders) -> RequestContext:
    """Authenticates; the idempotency key is bound to the user and to all of the request. `headers`:
    those of the answer."""
    viewer = viewer_of(request, token)
    if request.method != "GET" and not _is_plan(request):
        refuse_if_it_only_looks(viewer)
    _refuse_unknown_parameters(request)
    made = RequestContext(request.app.state, digest_of(token), viewer, headers)
    made.key = await _idempotency(request, viewer)
    made.if_match = _if_match(request)
    return made


def viewer_of(request: Request, token: str) -> Viewer:
    """The user of a token; the problem `unauthenticated` where it is none that is good."""
    if not token or len(token) > LONGEST_TOKEN:
        raise problem("unauthenticated", "send a token: Authorization: Bearer pk_…")
    viewer = cast(Plane, request.app.state.plane).viewer(digest_of(token))
    if viewer is None:
        raise problem(
            "unauthenticated",
            "the token is unknown, revoked or expired, or its user is disabled; log in again",
        )
    return viewer


def _is_plan(request: Request) -> bool:
    """By its route: the name of a thing may end so too."""
    return cast(APIRoute, request.scope["route"]).path.endswith(PLANS)


def _refuse_unknown_parameters(request: Request) -> None:
    """A misspelt parameter is refused, never taken for one that was not given; so is one that
    stands twice."""
    if not request.scope["query_string"]:
        return
    known = cast(TakesQuery, request.scope["route"]).query_names
    names = [name for name, _ in request.query_params.multi_items()]
    twice = next((name for name in known if names.count(name) > 1), None)
    if twice is not None:
        raise problem("invalid", f"the query parameter {twice!r} stands twice")
    unknown = sorted(set(names) - known)
    if unknown:
        listed = ", ".join(repr(name[:40]) for name in unknown[:5])
        knows = ", ".join(sorted(known)) or "none"
        raise problem("invalid", f"no such query parameter: {listed}; this route knows: {knows}")


def named_path(request: Request) -> str:
    """The path below the place where the server is mounted, with each name in it told apart from
    every other: what `request.url` makes of an encoded `?` or `#` is the path of another thing."""
    path, mounted = request.scope["path"], request.scope.get("root_path", "").rstrip("/")
    below = path.removeprefix(mounted) if path.startswith(f"{mounted}/") else path
    return quote(below, safe=PLAIN)


async def _idempotency(request: Request, viewer: Viewer) -> Idempotency | None:
    sent = field(request, b"idempotency-key")
    if sent is None or request.method != "POST":
        return None
    key = sent.decode("latin-1")
    if not 0 < len(key) <= LONGEST_KEY:
        raise problem("invalid", f"Idempotency-Key: at most {LONGEST_KEY} characters")
    body = await request.body()
    asked = named_path(request).encode() + b"?" + request.scope["query_string"]
    whole = b"POST " + asked + b"\n" + body
    return Idempotency(
        principal=viewer.user, key=key, request_digest=hashlib.sha256(whole).hexdigest()
    )


def _if_match(request: Request) -> str | None:
    sent = field(request, b"if-match")
    if sent is None or request.method == "GET" or _is_plan(request):
        return None
    if not etags.takes_tag(cast(APIRoute, request.scope["route"]).path):
        raise problem("invalid", "If-Match: only changes of one thing that has an ETag take it")
    wanted = sent.decode("latin-1")
    if not 0 < len(wanted) <= etags.LONGEST:
        raise problem("invalid", f"If-Match: at most {etags.LONGEST} characters")
    return wanted


def field(request: Request, name: bytes) -> bytes | None:
    """The first header of a name in lower case; None where there is none."""
    return next((value for key, value in request.scope["headers"] if key == name), None)


def token_of(request: Request) -> str:
    """The bearer token that was sent; empty where there is none."""
    sent = field(request, b"authorization") or b""
    scheme, _, token = sent.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def context(
    request: Request,
    made: Annotated[RequestContext, Depends(agent_context)],
) -> RequestContext:
    """Authenticates a person or a program."""
    return of_person(request, made)


def of_person(request: Request, made: RequestContext) -> RequestContext:
    """The same context; the token of an agent is refused, and a partner who asks for more than is
    its to see."""
    pool = made.viewer.pool
    if pool is not None:
        raise problem("denied", f"this token is for the agent of pool {pool} and nothing else")
    refuse_partner(made.viewer, cast(APIRoute, request.scope["route"]).path)
    return made


Authenticated = Annotated[RequestContext, Depends(context)]
