"""What keeps a page of the console its user's own: headers, the cookie, and where forms come from.

Nothing is loaded from outside and no script stands in a page, so that a name with a script in it is
text wherever it is shown. The cookie is HttpOnly and SameSite=Strict: no script reads it, and no
other site's page sends it. A form is taken only with the secret of its session in it, and only
where the browser does not say, by `Sec-Fetch-Site` or else by `Origin`, that another site sent it.
"""

import hashlib
import hmac

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "parkade_session"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FORM = b"parkade console form"


def secure(response: Response) -> Response:
    """The headers of every page; one that is set already stays."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def give_cookie(
    response: Response, request: Request, session: str, *, lasts_s: float, url: str
) -> None:
    """The session's cookie; over TLS it is sent over TLS alone, also where only the address (`url`)
    by which people reach the server says that a proxy speaks TLS."""
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(lasts_s),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https" or url.startswith("https:"),
        path="/",
    )


def take_cookie(response: Response) -> None:
    """The browser forgets the session."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def form_secret(session: str) -> str:
    """What a form of this session carries; it follows from the cookie, and not the other way."""
    return hmac.new(session.encode(), _FORM, hashlib.sha256).hexdigest()


def is_of_own_site(request: Request, *, url: str) -> bool:
    """Whether the browser says that a page of this site sent a form. Where people reach the server
    by plain HTTP and another name than localhost, browsers leave `Sec-Fetch-Site` out and send
    `Origin` alone; a program sends neither. `url`: the address by which people reach the server."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    place = origin.partition("://")[2].lower()
    own = (request.headers.get("Host", ""), url.partition("://")[2].partition("/")[0])
    return place != "" and place in {each.lower() for each in own}


def is_own_form(request: Request, session: str, given: str, *, url: str) -> bool:
    """Whether a form was sent by a page of this session; `url` as in `is_of_own_site`."""
    is_same_site = is_of_own_site(request, url=url)
    return is_same_site and hmac.compare_digest(given.encode(), form_secret(session).encode())
