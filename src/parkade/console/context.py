"""The user of a page: found by the session's cookie, and given to the API's own reads.

A page has a `RequestContext` as a request of the API has, made for the same viewer. It asks the
API's functions with it and nothing else, so a page cannot show what the API would not.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from parkade.api import etags
from parkade.api.context import RequestContext, named_path, refuse_if_it_only_looks
from parkade.api.problems import ProblemError, problem
from parkade.console import pages
from parkade.console.security import COOKIE, form_secret, is_own_form, secure
from parkade.console.settings import ConsoleSettings
from parkade.console.state import ConsoleState
from parkade.control.answers import Idempotency, LogsUnavailable, PlaneStopped, TooMany
from parkade.control.viewers import Viewer
from parkade.core.state.people import Role
from parkade.wire.problems import Problem
from parkade.wire.problems import problem as problem_of

T = TypeVar("T")
MOST_FIELDS = 64
MOST_CHARACTERS = 65_536
"""Of a form in all: what is wrong with it is told on a page that shows it again, and quotes take
five times their size there."""

HIDDEN = ("form_secret", "form_key", "form_tag")
"""What a form carries beside what its user says."""

OF_PARTNERS = frozenset({"/", "/supply", "/money", "/money/statement.csv", "/logout"})
"""Pages of a partner: what the API answers it, and nothing else."""


class LoginNeeded(Exception):
    """There is no session; the page for it comes first. `ended`: why one that there was is over."""

    def __init__(self, ended: str = "") -> None:
        super().__init__(ended)
        self.ended = ended


SESSION_ENDED = "Your session has ended. Log in again."
TOKEN_ENDED = (
    "The token of your session was revoked or has expired, or its user or org was disabled. Log in"
    " with another one, or ask your operator."
)


class PageContext:
    """One request of a page by a user that is logged in."""

    def __init__(self, request: Request, session: str, token_digest: str, viewer: Viewer) -> None:
        self._answered = MutableHeaders()
        api = RequestContext(request.app.state, token_digest, viewer, self._answered)
        self.request = request
        self.api = api
        self.viewer = api.viewer
        self.session = session
        self.console = state_of(request)
        self.sequence = api.plane.health().sequence
        """The journal's position before anything was read for this page."""

    @property
    def settings(self) -> ConsoleSettings:
        """The console's."""
        return self.console.settings

    @property
    def is_partner(self) -> bool:
        """Whether it may only look at what its org supplies, and at its statement."""
        return self.viewer.role is Role.PARTNER

    def is_open(self) -> bool:
        """Whether the session still is, for answers that take long."""
        return self.console.sessions.find(self.session, time.time()) is not None

    async def tagged(self, read: Awaitable[T]) -> tuple[T, str]:
        """What the API answers, and its tag for a form that shows it: the change is made on what
        was shown and nothing else."""
        del self._answered["ETag"]
        found = await read
        return found, self._answered.get("ETag", "").strip('"')

    async def if_there(self, read: Awaitable[T]) -> T | None:
        """What the API answers; None where it does not find it."""
        try:
            return await read
        except ProblemError as error:
            if error.problem.code != "not_found":
                raise
            return None

    async def form(self, *, is_change: bool = True) -> dict[str, str]:
        """The fields of a form of this session; each once, what is empty is not there. Binds the
        change to the form, so that one that is sent twice is carried out once, and to what the form
        showed (`tagged`)."""
        body = await self.request.body()
        fields = fields_of(body)
        if is_change:
            refuse_if_it_only_looks(self.viewer)
        given, url = fields.pop("form_secret", ""), self.console.settings.url
        if not is_own_form(self.request, self.session, given, url=url):
            raise problem("denied", "this form was not sent by a page of your session; try again")
        tag = fields.pop("form_tag", "")
        if tag:
            self.api.if_match = f'"{tag[: etags.LONGEST]}"'
        key = fields.pop("form_key", "")
        if key:
            digest = hashlib.sha256(named_path(self.request).encode() + b"\n" + body).hexdigest()
            self.api.key = Idempotency(
                principal=self.viewer.user, key=f"console-{key[:64]}", request_digest=digest
            )
        return fields

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """A page of this user."""
        common = {
            "viewer": self.viewer,
            "is_operator": self.viewer.is_operator,
            "is_owner": self.viewer.role is Role.OWNER,
            "is_partner": self.is_partner,
            "path": self.request.url.path,
            "unit": self.settings.unit,
            "form_secret": form_secret(self.session),
            "form_key": pages.new_key(),
            "sequence": self.sequence,
        }
        return pages.page(template, status, **(common | values))


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form, without spaces around them; the problem `invalid` if it is none."""
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=MOST_FIELDS)
    except ValueError:
        raise problem("invalid", "the form cannot be read") from None
    if sum(len(name) + len(value) for name, value in pairs) > MOST_CHARACTERS:
        most = f"a form has at most {MOST_CHARACTERS:,} characters"
        raise problem("body_too_large", f"{most}; `parkade submit FILE` takes more")
    return {name: value.strip() for name, value in pairs}


def state_of(request: Request) -> ConsoleState:
    """The console of the request's app."""
    return cast(ConsoleState, request.app.state.console)


async def page_context(request: Request) -> PageContext:
    """Finds the session; `LoginNeeded` where there is none, or its token was revoked. The problem
    `denied` where a partner asks for more than is its to see."""
    found = session_of(request)
    if found.is_partner and request.scope["path"] not in OF_PARTNERS:
        raise problem("denied", "a partner sees its nodes and its statement, and nothing else")
    return found


def session_of(request: Request) -> PageContext:
    """The page's user, whatever is asked; `LoginNeeded` where there is no session."""
    console = state_of(request)
    session = request.cookies.get(COOKIE, "")
    found = console.sessions.find(session, time.time()) if session else None
    viewer = None if found is None else console.plane.viewer(found.token_digest)
    if found is None:
        raise LoginNeeded(SESSION_ENDED if session else "")
    if viewer is None or viewer.pool is not None:
        raise LoginNeeded(TOKEN_ENDED)
    console.history.start()
    return PageContext(request, session, found.token_digest, viewer)


Page = Annotated[PageContext, Depends(page_context)]


class PageRoute(APIRoute):
    """A route that answers with pages, also where it says no."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handle = super().get_route_handler()

        async def paged(request: Request) -> Response:
            try:
                response = await handle(request)
            except LoginNeeded:
                response = _to_login(request)
            except ProblemError as error:
                response = await refusal(request, error.problem)
            except TooMany as error:
                full = problem_of(error.refusal.reason.value, error.refusal.detail)
                response = await refusal(request, full)
            except (PlaneStopped, LogsUnavailable) as error:
                response = await refusal(request, problem_of("busy", str(error)))
            except RequestValidationError:
                refused = problem_of("invalid", "this page has no such address")
                response = await refusal(request, refused)
            return secure(response)

        return paged


def router() -> APIRouter:
    """A router of pages, which the API's description leaves out."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)


def _to_login(request: Request) -> Response:
    path = named_path(request) if request.method == "GET" else "/"
    after = f"?after={quote(path)}" if path not in ("/", "/login", "/live") else ""
    return RedirectResponse(f"/login{after}", status_code=303)


async def refusal(request: Request, refused: Problem) -> Response:
    """The page of a refusal: of the user, where there is a session."""
    values: dict[str, object] = {"problem": refused, "faults": refused.errors[:10]}
    try:
        context = session_of(request)
    except LoginNeeded:
        return pages.page("problem_alone.html", refused.status, **values)
    if refused.code == "changed":
        return context.page("changed.html", refused.status, again=await _again(request))
    return context.page("problem.html", refused.status, **values)


async def _again(request: Request) -> str:
    """Where the form of a change is shown anew, with what was typed."""
    fields = fields_of(await request.body())
    typed = urlencode({name: text for name, text in fields.items() if name not in HIDDEN})
    path = named_path(request)
    return f"{path}?{typed}" if typed else path
