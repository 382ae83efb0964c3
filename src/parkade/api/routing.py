"""The routes below `/v1`: bodies are read strictly, and a plain request takes a short way.

FastAPI finds what a route wants anew for each request, which costs more than a submission itself. A
route that wants a viewer, a body and names in its path, and answers with the one model that it
declares, is *plain*: it is called at once. Everything else goes FastAPI's way. Who may ask stands
in `context`, for both.

The short way knows none of FastAPI's options for answers (`response_class`, `response_model` and
all that begins so). A route that has one is not plain.
"""

from collections.abc import Callable, Coroutine, Iterator
from inspect import iscoroutinefunction
from json import JSONDecodeError
from typing import Any, get_type_hints

from fastapi import APIRouter, Request
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from parkade.api import context as contexts
from parkade.api.strict import StrictRequest, load
from parkade.wire.problems import PROBLEM_JSON

JSON = "application/json"
REFUSED = {401, 402, 403, 404, 408, 409, 412, 413, 421, 422, 429, 500, 503}
SCHEMA_OF = "#/components/schemas/{model}"
"""Where the API's description has a model."""


OPTIONS: dict[str, object] = {
    "response_model_include": None,
    "response_model_exclude": None,
    "response_model_by_alias": True,
    "response_model_exclude_unset": False,
    "response_model_exclude_defaults": False,
    "response_model_exclude_none": False,
}
"""What FastAPI takes for an answer where a route does not say."""


class StrictRoute(APIRoute):
    """A route that reads bodies strictly, and knows the `query_names` that it takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.query_names = frozenset(_query_names(self.dependant))
        self._plain = _plain(self)

    @property
    def is_plain(self) -> bool:
        """Whether requests may take the short way."""
        return self._plain is not None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `APIRoute`: what is asked, once the path fits."""
        assert self.methods is not None
        if self._plain is None or scope["method"] not in self.methods:
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await self._plain.answer(request)
            if answer is None:
                await super().handle(scope, _again(await request.body()), send)
                return
        except ClientDisconnect:
            return
        await answer(scope, receive, send)


class Plain:
    """How a plain route is called. `context` and `body`: the names of its parameters."""

    def __init__(
        self,
        call: Callable[..., Coroutine[Any, Any, BaseModel]],
        *,
        context: str,
        body: tuple[str, type[BaseModel]] | None,
        answers: type[BaseModel],
        status: int,
    ) -> None:
        self._call = call
        self._context = context
        self._body = body
        self._encode = answers.__pydantic_serializer__.to_json
        self._status = status

    async def answer(self, request: Request) -> Response | None:
        """None where there is no JSON. Raises what was refused, and what does not fit. Nothing of a
        body is waited for before the token is known, nor where the route takes none."""
        headers = MutableHeaders()
        context = contexts.of_person(
            request, await contexts.authenticated(request, _token(request), headers)
        )
        values = {**request.path_params, self._context: context}
        if self._body is not None:
            name, model = self._body
            body = await request.body()
            if request.headers.get("content-type") != JSON or not body:
                return None
            try:
                values[name] = model.model_validate(load(body))
            except JSONDecodeError as error:
                raise _no_json(error) from error
            except ValidationError as error:
                faults = error.errors(include_url=False)
                raise RequestValidationError([_in_body(it) for it in faults]) from error
        encoded = self._encode(await self._call(**values), by_alias=True)
        response = Response(encoded, self._status, media_type=JSON)
        response.raw_headers.extend(headers.raw)
        return response


def _no_json(error: JSONDecodeError) -> RequestValidationError:
    """As FastAPI says it."""
    says = {
        "type": "json_invalid",
        "loc": ("body", error.pos),
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": error.msg},
    }
    return RequestValidationError([says])


def _in_body(fault: ErrorDetails) -> dict[str, Any]:
    return {**fault, "loc": ("body", *fault["loc"])}


def _plain(route: APIRoute) -> Plain | None:
    """None for a route that wants or answers anything else."""
    wants, answers = route.dependant, _model(route.response_model)
    viewers = [it.name or "" for it in wants.dependencies if it.call is contexts.context]
    bodies = [(it.name, _model(it.field_info.annotation)) for it in wants.body_params]
    wants_more = (
        len(viewers) != len(wants.dependencies)
        or wants.query_params
        or wants.header_params
        or wants.cookie_params
        or wants.http_connection_param_name
        or wants.request_param_name
        or wants.response_param_name
        or wants.background_tasks_param_name
        or not iscoroutinefunction(wants.call)
        or any(it.field_info.annotation is not str for it in wants.path_params)
        or any(it.field_info.metadata for it in wants.path_params)
    )
    if wants_more or len(viewers) != 1 or len(bodies) > 1 or answers is None:
        return None
    assert wants.call is not None
    is_as_declared = get_type_hints(wants.call).get("return") is answers
    if _has_options(route) or not is_as_declared:
        return None
    body = None
    for name, model in bodies:
        if model is None:
            return None
        body = (name, model)
    return Plain(
        wants.call,
        context=viewers[0],
        body=body,
        answers=answers,
        status=route.status_code or 200,
    )


def _has_options(route: APIRoute) -> bool:
    """Whether its answer is made otherwise than FastAPI makes one that says nothing."""
    given = any(getattr(route, name) != default for name, default in OPTIONS.items())
    return given or not isinstance(route.response_class, DefaultPlaceholder)


def _model(kind: object) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _again(body: bytes) -> Receive:
    """The body for another reader."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _query_names(each)


def router(tag: str) -> APIRouter:
    """A router of strict routes below `/v1`, each with the refusals that it may answer."""
    refused: dict[int | str, dict[str, object]] = {
        status: {
            "description": "Refused; `code` says why",
            "content": {PROBLEM_JSON: {"schema": {"$ref": SCHEMA_OF.format(model="Problem")}}},
        }
        for status in sorted(REFUSED)
    }
    return APIRouter(prefix="/v1", tags=[tag], route_class=StrictRoute, responses=refused)
