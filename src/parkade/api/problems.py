"""Every refusal as problem+json: the core's, faults in a request, and our own failures."""

import re

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from parkade.control.answers import LogsUnavailable, PlaneStopped, TooMany
from parkade.core.units.refusal import Refusal
from parkade.wire import problems as wire
from parkade.wire.problems import MOST_FAULTS, PROBLEM_JSON, Fault, Problem, faults, invalid

log = structlog.get_logger(__name__)
BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


class ProblemError(Exception):
    """The answer is this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def refused(refusal: Refusal) -> ProblemError:
    """The core's refusal, as it stands."""
    place = (
        []
        if refusal.field is None
        else [Fault(place=refusal.field, message=refusal.detail, code=refusal.reason.value)]
    )
    return ProblemError(wire.problem(refusal.reason.value, refusal.detail, place))


def problem(code: str, detail: str) -> ProblemError:
    """The API's own refusal, to be raised."""
    return ProblemError(wire.problem(code, detail))


class Refusals:
    """How many requests were refused, by code, since the server's start."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def answer(self, problem: Problem) -> JSONResponse:
        """The problem as a response, counted."""
        self.counts[problem.code] = self.counts.get(problem.code, 0) + 1
        return _response(problem)


def _response(problem: Problem) -> JSONResponse:
    """A problem as a response."""
    headers = {"Retry-After": "1"} if problem.status in (429, 503) else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        problem.model_dump(mode="json"), problem.status, headers=headers, media_type=PROBLEM_JSON
    )


NOT_JSON = "send JSON, keys and values, with the header `Content-Type: application/json`"


def install(app: FastAPI, refusals: Refusals) -> None:
    """Every exception that may leave a route gets its problem."""
    answer = refusals.answer

    @app.exception_handler(ProblemError)
    async def on_problem(_: Request, error: ProblemError) -> Response:
        return answer(error.problem)

    @app.exception_handler(RequestValidationError)
    async def on_faults(_: Request, error: RequestValidationError) -> Response:
        listed, found = [], error.errors()
        for each in found[:MOST_FAULTS]:
            where, *rest = each["loc"]
            if each["type"] == "json_invalid":
                why = str(each.get("ctx", {}).get("error", ""))[:200]
                each = {**each, "msg": f"the body is not JSON as it is taken here: {why}"}
                rest = []
            elif where == "body" and not rest and isinstance(each.get("input"), (str, bytes)):
                each = {**each, "type": "not_json", "msg": NOT_JSON}
            prefix = "" if where in ("body", "query", "path") else str(where)
            listed += faults([{**each, "loc": tuple(rest)}], prefix=prefix)
        return answer(invalid(listed, more=len(found) - len(listed)))

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        code = BY_STATUS.get(error.status_code, "invalid")
        reply = answer(wire.problem(code, str(error.detail)))
        reply.headers.update(error.headers or {})
        return reply

    @app.exception_handler(PlaneStopped)
    async def on_stop(_: Request, __: PlaneStopped) -> Response:
        return answer(wire.problem("busy", "the control plane is restarting; ask again"))

    @app.exception_handler(TooMany)
    async def on_too_many(_: Request, error: TooMany) -> Response:
        return answer(wire.problem(error.refusal.reason.value, error.refusal.detail))

    @app.exception_handler(LogsUnavailable)
    async def on_no_logs(_: Request, error: LogsUnavailable) -> Response:
        return answer(wire.problem("busy", str(error)))

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> Response:
        path = re.sub(r"[^\x20-\x7e]", "?", request.url.path)
        log.error("request failed", path=path, kind=type(error).__name__, exc_info=error)
        return answer(wire.problem("internal", "the server failed; its log says where"))
