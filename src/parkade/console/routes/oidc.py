"""The login by a provider: to it with a fresh secret, and back from it into a session.

What the browser must show again is in a cookie of its own, signed and good for ten minutes, which
is SameSite=Lax because the provider's page sends the browser back. A code that came back without
it, as one that another's page slipped in, begins no session.
"""

import base64
import hashlib
import hmac
import time

import msgspec
from fastapi import Request
from starlette.responses import RedirectResponse, Response

from parkade.api.logins import logins_of
from parkade.api.problems import ProblemError
from parkade.console import pages
from parkade.console.context import router, state_of
from parkade.console.routes.session import own_path, show_login
from parkade.console.security import give_cookie
from parkade.identity.door import Redirect, new_redirect
from parkade.identity.errors import IdentityError

routes = router()
COOKIE = "parkade_login"
PLACE = "/login/oidc"
LASTS_S = 600


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    redirect: Redirect
    after: str
    ends_s: int


@routes.get(PLACE)
async def to_provider(request: Request, after: str = "/") -> Response:
    """The browser goes to the provider."""
    begun = new_redirect()
    try:
        address = await logins_of(request).provider.redirect_to(begun, back=_back(request))
    except IdentityError as error:
        return _failed(request, str(error))
    response = RedirectResponse(address, status_code=303)
    kept = _Begun(redirect=begun, after=own_path(after), ends_s=int(time.time()) + LASTS_S)
    response.set_cookie(
        COOKIE,
        _signed(msgspec.json.encode(kept), state_of(request).login_key),
        max_age=LASTS_S,
        httponly=True,
        samesite="lax",
        secure=_back(request).startswith("https:"),
        path=PLACE,
    )
    return response


@routes.get(f"{PLACE}/callback")
async def from_provider(
    request: Request, code: str = "", state: str = "", error: str = ""
) -> Response:
    """Back from the provider: a session, if the browser began this login."""
    begun = _begun(request)
    if begun is None or not hmac.compare_digest(begun.redirect.state.encode(), state.encode()):
        return _failed(request, "this browser did not begin that login, or it took too long")
    if error or not code:
        return _failed(request, f"the provider refused the login: {error[:80]}")
    logins, console = logins_of(request), state_of(request)
    try:
        claims = await logins.provider.finish_redirect(begun.redirect, code, back=_back(request))
        made = await logins.log_in(claims)
    except IdentityError as failure:
        return _failed(request, str(failure))
    except ProblemError as failure:
        return _failed(request, failure.problem.detail)
    # A page in between: the browser sends the session's cookie only where our own page leads on.
    response = pages.page("logged_in.html", after=begun.after)
    viewer = console.plane.viewer(made.digest)
    org = "" if viewer is None else viewer.org
    session = await console.sessions.begin(made.digest, time.time(), user=made.user, org=org)
    settings = console.settings
    give_cookie(response, request, session, lasts_s=settings.session_s, url=settings.url)
    response.delete_cookie(COOKIE, path=PLACE)
    return response


def _failed(request: Request, why: str) -> Response:
    response = show_login(request, 403, refused=why)
    response.delete_cookie(COOKIE, path=PLACE)
    return response


def _back(request: Request) -> str:
    """Where the provider sends the browser; it must be registered there word for word."""
    base = state_of(request).settings.url or str(request.base_url)
    return f"{base.rstrip('/')}{PLACE}/callback"


def _begun(request: Request) -> _Begun | None:
    content = _opened(request.cookies.get(COOKIE, ""), state_of(request).login_key)
    if content is None:
        return None
    begun = msgspec.json.decode(content, type=_Begun)
    return begun if begun.ends_s > time.time() else None


def _signed(content: bytes, key: bytes) -> str:
    text = base64.urlsafe_b64encode(content).decode()
    return f"{text}.{hmac.new(key, content, hashlib.sha256).hexdigest()}"


def _opened(cookie: str, key: bytes) -> bytes | None:
    """What was signed; None where it was not."""
    text, _, signature = cookie.rpartition(".")
    try:
        content = base64.urlsafe_b64decode(text.encode())
    except ValueError:
        return None
    wanted = hmac.new(key, content, hashlib.sha256).hexdigest()
    return content if hmac.compare_digest(wanted.encode(), signature.encode()) else None
