"""The console in front of the API's app: its pages, its files and what it keeps."""

from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from parkade.api.lot_book import LotBook
from parkade.console.context import refusal
from parkade.console.routes import (
    caps,
    events,
    front,
    incidents,
    live,
    market,
    money,
    oidc,
    operate,
    people,
    receivers,
    reservation,
    reservations,
    reserve,
    runs,
    session,
    submit,
    supply,
    what_if,
    workloads,
)
from parkade.console.security import secure
from parkade.console.settings import ConsoleSettings
from parkade.console.state import ConsoleState
from parkade.control.plane import Plane
from parkade.wire.problems import problem

Handler = Callable[[Request, Exception], Awaitable[Response]]
NOUNS = (
    session,
    oidc,
    live,
    front,
    submit,
    workloads,
    reservation,
    reservations,
    reserve,
    runs,
    market,
    money,
    events,
    incidents,
    what_if,
    operate,
    supply,
    # Before people: its addresses would be taken for one of their actions.
    caps,
    people,
    receivers,
)


def add_console(app: FastAPI, settings: ConsoleSettings | None = None) -> ConsoleState:
    """Serves the console at `/` of an app that serves the API; its state is the app's."""
    plane = cast(Plane, app.state.plane)
    lots = cast(LotBook, app.state.lot_book)
    state = ConsoleState(plane, lots, settings or ConsoleSettings())
    app.state.console = state
    for noun in NOUNS:
        app.include_router(noun.routes)
    _tell_browsers_on_pages(app)
    return state


def _tell_browsers_on_pages(app: FastAPI) -> None:
    """An address that there is not is a page for a browser, and a problem for programs."""
    to_programs = cast(Handler, app.exception_handlers[HTTPException])

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        is_browser = "text/html" in request.headers.get("accept", "")
        if not is_browser or request.url.path.startswith("/v1/") or error.status_code != 404:
            return await to_programs(request, error)
        return secure(await refusal(request, problem("not_found", "there is no such page")))
