"""The console in front of the API's app: its pages, its files and what it keeps."""

from typing import cast

from fastapi import FastAPI

from parkade.api.lot_book import LotBook
from parkade.console.routes import (
    events,
    front,
    incidents,
    live,
    market,
    money,
    oidc,
    operate,
    people,
    reservations,
    runs,
    session,
    submit,
    supply,
    workloads,
)
from parkade.console.settings import ConsoleSettings
from parkade.console.state import ConsoleState
from parkade.control.plane import Plane

NOUNS = (
    session,
    oidc,
    live,
    front,
    submit,
    workloads,
    reservations,
    runs,
    market,
    money,
    events,
    incidents,
    operate,
    supply,
    people,
)


def add_console(app: FastAPI, settings: ConsoleSettings | None = None) -> ConsoleState:
    """Serves the console at `/` of an app that serves the API; its state is the app's."""
    plane = cast(Plane, app.state.plane)
    lots = cast(LotBook, app.state.lot_book)
    state = ConsoleState(plane, lots, settings or ConsoleSettings())
    app.state.console = state
    for noun in NOUNS:
        app.include_router(noun.routes)
    return state
