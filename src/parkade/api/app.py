"""The FastAPI app: every route under `/v1`, one authentication, one way of saying no."""

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, Response

from parkade import __version__
from parkade.api import problems
from parkade.api.bounds import BodyBound
from parkade.api.healing_metrics import HealingCollector
from parkade.api.metrics import CONTENT_TYPE, exposition
from parkade.api.routes import (
    agents,
    events,
    mars,
    people,
    pools,
    reservations,
    statements,
    workloads,
)
from parkade.api.settings import ApiSettings
from parkade.api.views.audience import Owners
from parkade.control.plane import Plane
from parkade.wire.problems import PROBLEM_JSON, Problem

NOUNS = (people, pools, reservations, workloads, statements, events, mars, agents)
REFUSED = {401, 402, 403, 404, 409, 413, 422, 500, 503}


def create_app(plane: Plane, settings: ApiSettings | None = None) -> FastAPI:
    """The app in front of a plane, which the caller opens and closes."""
    settings = settings or ApiSettings()
    app = FastAPI(
        title="Parkade",
        summary="A marketplace for AI compute",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url="/v1/docs",
        redoc_url=None,
    )
    app.state.plane = plane
    app.state.settings = settings
    app.state.owners = Owners()
    problems.install(app)
    app.add_middleware(BodyBound, settings=settings)
    app.include_router(_v1())
    app.include_router(_house(plane))
    return app


def _v1() -> APIRouter:
    refused: dict[int | str, dict[str, object]] = {
        status: {
            "description": "Refused; `code` says why",
            "content": {PROBLEM_JSON: {"schema": Problem.model_json_schema()}},
        }
        for status in sorted(REFUSED)
    }
    router = APIRouter(prefix="/v1", responses=refused)
    for noun in NOUNS:
        router.include_router(noun.router)
    return router


def _house(plane: Plane) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        """200 while the writer runs, 503 where it does not."""
        is_running = plane.health().is_running
        return JSONResponse({"is_running": is_running}, 200 if is_running else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        collector = HealingCollector(plane.healing_figures(), plane.health_intake)
        return Response(exposition(plane.health(), collector), media_type=CONTENT_TYPE)

    return router
