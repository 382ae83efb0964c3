"""Plain requests are answered in front of FastAPI's layers, which cost more than a submission does.

A route that wants a viewer, a body and names in its path, and answers with the one model that it
declares, is *plain*: it is called at once (decision records 233 and 243). Everything else goes
FastAPI's way, and so does each request that is refused: how that is told stands there. Who may ask
stands in `context`, for both.

The short way knows none of FastAPI's options for answers (`response_class`, `response_model` and
all that begins so). A route that has one is not plain.
"""

from collections.abc import Callable, Coroutine, Iterable
from inspect import iscoroutinefunction
from json import JSONDecodeError
from typing import Any, get_type_hints

from fastapi import FastAPI, Request
from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parkade.api import context as contexts
from parkade.api.strict import load

JSON = b"application/json"
REFUSED = "parkade.refused"
"""Where a scope has what FastAPI's way is to raise, because the short way raised it."""

OPTIONS: dict[str, object] = {
    "response_model_include": None,
    "response_model_exclude": None,
    "response_model_by_alias": True,
    "response_model_exclude_unset": False,
    "response_model_exclude_defaults": False,
    "response_model_exclude_none": False,
}
"""What FastAPI takes for an answer where a route does not say."""

_NOUN = 2
"""Which part of a path, split at its slashes, has the noun."""


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

    async def answer(self, request: Request, send: Send) -> bool:
        """False, and nothing is sent, where there is no JSON. Raises what was refused, and what
        does not fit. Nothing of a body is waited for before the token is known, nor where the route
        takes none."""
        headers = MutableHeaders()
        context = contexts.of_person(
            request, await contexts.authenticated(request, contexts.token_of(request), headers)
        )
        values = {**request.path_params, self._context: context}
        if self._body is not None:
            name, model = self._body
            body = await request.body()
            if contexts.field(request, b"content-type") != JSON or not body:
                return False
            try:
                values[name] = model.model_validate(load(body))
            except JSONDecodeError as error:
                raise _no_json(error) from error
            except ValidationError as error:
                faults = error.errors(include_url=False)
                raise RequestValidationError([_in_body(it) for it in faults]) from error
        encoded = self._encode(await self._call(**values), by_alias=True)
        length = b"%d" % len(encoded)
        begun = [(b"content-length", length), (b"content-type", JSON), *headers.raw]
        await send({"type": "http.response.start", "status": self._status, "headers": begun})
        await send({"type": "http.response.body", "body": encoded})
        return True


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


class PlainFirst:
    """An ASGI layer: plain requests are answered, all others passed on. `routes`: those of `owner`,
    in its order, each with how it is called where it is plain."""

    def __init__(
        self, app: ASGIApp, owner: FastAPI, routes: Iterable[tuple[BaseRoute, Plain | None]]
    ) -> None:
        self._app = app
        self._owner = owner
        self._by_noun: dict[str, list[tuple[BaseRoute, Plain | None]]] = {}
        for route, plain in routes:
            assert isinstance(route, APIRoute)
            noun = route.path.split("/")[_NOUN]
            assert "{" not in noun, route.path
            self._by_noun.setdefault(noun, []).append((route, plain))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        plain = self._find(scope) if scope["type"] == "http" else None
        if plain is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            if await plain.answer(request, watched):
                return
        except ClientDisconnect:
            return
        except Exception as error:
            if has_begun:
                raise
            scope[REFUSED] = error
        is_read = hasattr(request, "_body")
        await self._app(scope, _again(await request.body()) if is_read else receive, send)

    def _find(self, scope: Scope) -> Plain | None:
        """How the first route that fits is called. Cost grows with the routes of its noun."""
        parts = scope["path"].split("/", _NOUN + 1)
        routes = self._by_noun.get(parts[_NOUN], ()) if len(parts) > _NOUN else ()
        for route, plain in routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                if plain is not None:
                    scope.update(found, app=self._owner, route=route)
                return plain
        return None


def plain_of(route: APIRoute) -> Plain | None:
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


def _again(body: bytes) -> Receive:
    """The body for another reader."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
