"""The FastAPI app: every route under `/v1`, one authentication, one way of saying no."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Receive, Scope, Send

from parkade import __version__
from parkade.api import problems, routing
from parkade.api.bounds import RequestBounds
from parkade.api.described import describe_headers
from parkade.api.docs_page import POLICY, docs_page
from parkade.api.healing_metrics import HealingCollector
from parkade.api.logins import Logins
from parkade.api.lot_book import LotBook
from parkade.api.metrics import CONTENT_TYPE, exposition
from parkade.api.plain import PlainFirst
from parkade.api.routes import (
    agents,
    costs,
    events,
    execs,
    logins,
    logs,
    lot,
    maintenance,
    mars,
    orgs,
    pools,
    receivers,
    reservations,
    server,
    statements,
    tokens,
    users,
    workloads,
)
from parkade.api.settings import ApiSettings
from parkade.api.streams import Streams
from parkade.api.views.audience import Owners
from parkade.control.plane import Plane
from parkade.identity.door import Provider
from parkade.messages.receivers import Directory
from parkade.wire.problems import CODES, Problem

NOUNS = (
    # Routes are tried in this order, so what is asked most stands first.
    workloads,
    orgs,
    users,
    tokens,
    server,
    pools,
    maintenance,
    reservations,
    execs,
    logs,
    lot,
    statements,
    costs,
    events,
    mars,
    agents,
    logins,
    receivers,
)
NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI would look for OpenTelemetry's settings at each request, and send what it is asked."""


class Api(FastAPI):
    """FastAPI's app, behind the bounds of all requests and the short way of plain ones."""

    _front: ASGIApp

    def begin(self, settings: ApiSettings, refusals: problems.Refusals) -> None:
        """Before anything is asked, and once the routes stand."""
        routes = [
            (route, route.plain) for route in self.routes if isinstance(route, routing.StrictRoute)
        ]
        plain = PlainFirst(super().__call__, self, routes)
        self._front = RequestBounds(plain, settings, refusals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        await self._front(scope, receive, send)


def create_app(
    plane: Plane,
    settings: ApiSettings | None = None,
    *,
    collectors: tuple[Collector, ...] = (),
    provider: Provider | None = None,
    directory: Directory | None = None,
) -> FastAPI:
    """The app in front of a plane, which the caller opens and closes; `collectors` add to its
    metrics. `provider`: people may log in by it; `directory`: of the receivers that they set."""
    settings = settings or ApiSettings()
    app = Api(
        title="Parkade",
        summary="A marketplace for AI compute",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        telemetry=NO_TELEMETRY,
    )
    app.state.plane = plane
    app.state.settings = settings
    app.state.receivers = directory or Directory(None, None)
    app.state.logins = Logins(plane, provider)
    app.state.owners = Owners()
    app.state.lot_book = LotBook(plane)
    app.state.streams = Streams(
        lambda seen, *, within_s: plane.tokens_change(seen, within_s=within_s),
        most=settings.most_streams,
        most_per_token=settings.most_streams_per_token,
    )
    refusals = problems.Refusals()
    problems.install(app, refusals)
    # Not included: a router that is included is searched anew for each request.
    app.router.routes.extend(route for noun in NOUNS for route in noun.router.routes)
    app.begin(settings, refusals)
    app.include_router(_house(plane, refusals.counts, collectors))
    app.include_router(_docs(app))
    _describe_problems_and_headers(app)
    return app


def _describe_problems_and_headers(app: FastAPI) -> None:
    """Puts the body of every refusal into the description, where each route refers to it, and the
    headers of requests and answers."""
    describe = app.openapi
    schema = Problem.model_json_schema(ref_template=routing.SCHEMA_OF)
    parts = schema.pop("$defs")
    schema["properties"]["code"]["enum"] = sorted(CODES)

    def whole() -> dict[str, Any]:
        described = describe()
        described["components"]["schemas"].update({"Problem": schema, **parts})
        describe_headers(described["paths"])
        return described

    app.openapi = whole  # type: ignore[method-assign]


def _docs(app: FastAPI) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/v1/docs")
    async def docs() -> Response:
        """The routes for people; the page loads nothing."""
        return HTMLResponse(docs_page(app.openapi()), headers={"Content-Security-Policy": POLICY})

    return router


def _house(
    plane: Plane, refusals: Mapping[str, int], collectors: tuple[Collector, ...]
) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        """200 while the writer runs, 503 where it does not."""
        is_running = plane.health().is_running
        return JSONResponse({"is_running": is_running}, 200 if is_running else 503)

    @router.get("/readyz")
    async def readyz() -> Response:
        """200 where this server leads, 503 where its writer does not run; a standby answers 503 by
        itself."""
        health = plane.health()
        state = {"role": "leader", "sequence": health.sequence}
        return JSONResponse(state, 200 if health.is_running else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        healing = HealingCollector(plane.healing_figures(), plane.health_intake)
        page = exposition(plane.health(), plane.market_figures(), refusals, healing, *collectors)
        return Response(page, media_type=CONTENT_TYPE)

    return router
