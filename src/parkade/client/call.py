"""A call as a value: what to send and how to read the answer. Nothing here touches a network."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from parkade.client.errors import Failed, Invalid, error_of
from parkade.wire.problems import faults, invalid, problem
from parkade.wire.scalars import format_instant

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Call(Generic[M]):
    """One request; `key` makes a change repeatable without happening twice."""

    method: str
    path: str
    answer: type[M]
    params: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    key: str | None = None

    def headers(self) -> dict[str, str]:
        """Those that this call adds."""
        headers = {"Accept": "application/json"}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        return headers

    def read(self, response: httpx.Response) -> M:
        """The answer; raises the error that fits what else came back."""
        if not response.is_success:
            raise error_of(response)
        try:
            return self.answer.model_validate_json(response.content)
        except ValidationError as error:
            detail = f"{self.path} answered something else than this client knows"
            raise Failed(problem("internal", detail)) from error


def checked(model: type[M], **values: object) -> M:
    """A request's body; raises Invalid with every fault, before anything is sent."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Invalid(invalid(faults(error.errors()))) from None


def get(path: str, answer: type[M], **params: object) -> Call[M]:
    """A question; parameters that are None are left out."""
    return Call(method="GET", path=f"/v1{path}", answer=answer, params=texts(params))


def post(path: str, answer: type[M], body: BaseModel | None = None) -> Call[M]:
    """A change, with a key of its own."""
    content = (
        body.model_dump_json(exclude_unset=True, by_alias=True).encode()
        if body is not None
        else b"{}"
    )
    key = secrets.token_urlsafe(18)
    return Call(method="POST", path=f"/v1{path}", answer=answer, body=content, key=key)


def path_id(text: str) -> str:
    """An id as one part of a path, whatever is in it."""
    return quote(text, safe="")


def texts(params: dict[str, object]) -> dict[str, str]:
    """Query parameters as text; what is None is left out."""
    return {name: _text(value) for name, value in params.items() if value is not None}


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case datetime():
            return format_instant(value)
        case _:
            return str(value)
