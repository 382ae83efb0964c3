"""In and out: the login with a pasted token, the logout, and the files that pages load."""

import time
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from parkade.api.context import LONGEST_TOKEN, digest_of
from parkade.api.logins import logins_of
from parkade.api.problems import problem
from parkade.console import pages
from parkade.console.context import (
    LoginNeeded,
    Page,
    fields_of,
    page_context,
    router,
    state_of,
)
from parkade.console.security import give_cookie, is_of_own_site, take_cookie

routes = router()
FOREVER = "public, max-age=31536000, immutable"


@routes.get("/login")
async def login_page(request: Request, after: str = "/") -> Response:
    """Where a token is pasted; one who is logged in goes on."""
    try:
        await page_context(request)
    except LoginNeeded as needed:
        return show_login(request, after=own_path(after), ended=needed.ended)
    return RedirectResponse(own_path(after), status_code=303)


@routes.post("/login")
async def login(request: Request) -> Response:
    """A session of a token that is known; the token is kept nowhere and logged nowhere."""
    console = state_of(request)
    if not is_of_own_site(request, url=console.settings.url):
        raise problem("denied", "this form was sent by another site")
    fields = fields_of(await request.body())
    after = own_path(fields.get("after", "/"))
    address = "" if request.client is None else request.client.host
    now_s = time.monotonic()
    token = fields.get("token", "")
    digest = digest_of(token)
    viewer = console.plane.viewer(digest) if 0 < len(token) <= LONGEST_TOKEN else None
    if viewer is None:
        wait_s = console.throttle.wait_s(address, now_s)
        if wait_s > 0:
            says = f"too many wrong tokens from here; try again in {wait_s:.0f} s"
            return show_login(request, 429, after=after, refused=says)
        console.throttle.failed(address, now_s)
        says = "this token is unknown, revoked or expired, or its user is disabled"
        return show_login(request, 401, after=after, refused=says)
    if viewer.pool is not None:
        says = f"this is the token of an agent: it runs pool {viewer.pool} and sees nothing"
        return show_login(request, 403, after=after, refused=says)
    response = RedirectResponse(after, status_code=303)
    session = await console.sessions.begin(digest, time.time(), user=viewer.user, org=viewer.org)
    settings = console.settings
    give_cookie(response, request, session, lasts_s=settings.session_s, url=settings.url)
    return response


@routes.post("/logout")
async def logout(context: Page) -> Response:
    """Ends the session, here and in the browser; says so where a restart may bring it back."""
    await context.form(is_change=False)
    response: Response = RedirectResponse("/login", status_code=303)
    if not await context.console.sessions.end(context.session):
        says = (
            "You are logged out, but the server could not write that down: if it starts again, the"
            f" session is open again. Run `parkade token revoke {context.viewer.token}` to end it."
        )
        response = show_login(context.request, 507, refused=says)
    take_cookie(response)
    return response


@routes.get("/static/{version}/{name}")
async def static(version: str, name: str) -> Response:
    """A file that pages load; no session is needed, it tells nothing."""
    found = pages.static_file(name)
    if found is None:
        raise problem("not_found", "there is no such file")
    kind = pages.TYPES[name.partition(".")[2]]
    kept = FOREVER if version == pages.version() else "no-store"
    return Response(found, media_type=kind, headers={"Cache-Control": kept})


def show_login(
    request: Request, status: int = 200, *, after: str = "/", refused: str = "", ended: str = ""
) -> Response:
    """The page where a person logs in; `refused`: why it did not work, `ended`: why the session
    that there was is over."""
    has_provider = logins_of(request).is_offered
    values = {"after": after, "refused": refused, "ended": ended, "has_provider": has_provider}
    return pages.page("login.html", status, **values)


def own_path(path: str) -> str:
    """A path of this server; the front page for anything else."""
    if not path.startswith("/") or path.startswith(("//", "/\\")) or not path.isprintable():
        return "/"
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    return path if not parts.scheme and not parts.netloc else "/"
