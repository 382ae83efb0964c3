"""The routes below `/v1`, as FastAPI has them: bodies are read strictly."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from parkade.api import context as contexts
from parkade.api import plain
from parkade.api.strict import StrictRequest
from parkade.wire.problems import PROBLEM_JSON

REFUSED = {401, 402, 403, 404, 408, 409, 412, 413, 421, 422, 429, 500, 503}
SCHEMA_OF = "#/components/schemas/{model}"
"""Where the API's description has a model."""


class StrictRoute(APIRoute):
    """A route that reads bodies strictly, and knows the `query_names` that it takes. `plain`: how
    plain requests call it; None where they do not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.query_names = frozenset(_query_names(self.dependant))
        self.plain = plain.plain_of(self)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handle = super().get_route_handler()
        asks_for_a_token = _asks_for_a_token(self.dependant)

        async def strict(request: Request) -> Response:
            if asks_for_a_token:
                # FastAPI reads a body before it calls what authenticates.
                contexts.viewer_of(request, contexts.token_of(request))
            return await handle(StrictRequest(request.scope, request.receive))

        return strict

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `APIRoute`: what is asked, once the path fits. Raises what the short way raised."""
        if plain.REFUSED in scope:
            raise scope.pop(plain.REFUSED)
        await super().handle(scope, receive, send)


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _query_names(each)


def _asks_for_a_token(dependant: Dependant) -> bool:
    return dependant.call is contexts.agent_context or any(
        _asks_for_a_token(each) for each in dependant.dependencies
    )


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
