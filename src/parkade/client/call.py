"""A call as a value: what to send and how to read the answer. Nothing here touches a network."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from parkade.client.errors import Failed, Invalid, error_of
from parkade.wire.model import Answer
from parkade.wire.problems import faults, invalid, problem
from parkade.wire.scalars import format_instant

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Unchanged(Enum):
    """What a keyword is where it was left out and None would take something away."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


@dataclass(frozen=True, kw_only=True)
class Call(Generic[M]):
    """One request; `key` makes a change repeatable without happening twice. `if_match`: the tag on
    which a change is made. `lists`: what the pages of the answer are joined by; of an answer
    without pages, or of one that is wanted page by page, none."""

    method: str
    path: str
    answer: type[M]
    params: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    key: str | None = None
    if_match: str | None = None
    lists: tuple[str, ...] = ()

    def headers(self) -> dict[str, str]:
        """Those that this call adds."""
        headers = {"Accept": "application/json"}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        if self.if_match is not None:
            headers["If-Match"] = self.if_match
        return headers

    def rest(self, answer: M) -> "Call[M] | None":
        """The page behind what was answered; None where that is the last."""
        cursor = getattr(answer, "next", None) if self.lists else None
        if cursor is None:
            return None
        return replace(self, params={**self.params, "cursor": cursor})

    def joined(self, answer: M, more: M) -> M:
        """Two pages as one."""
        parts = {it: (*getattr(answer, it), *getattr(more, it)) for it in self.lists}
        return answer.model_copy(update={**parts, "next": getattr(more, "next", None)})

    def read(self, response: httpx.Response) -> M:
        """The answer; raises the error that fits what else came back."""
        if not response.is_success:
            raise error_of(response)
        try:
            answer = self.answer.model_validate_json(response.content)
        except ValidationError as error:
            detail = f"{self.path} answered something else than this client knows"
            raise Failed(problem("internal", detail)) from error
        tag = response.headers.get("ETag")
        if isinstance(answer, Answer) and tag is not None:
            answer.read_under(tag)
        return answer


def checked(model: type[M], **values: object) -> M:
    """A request's body; raises Invalid with every fault, before anything is sent."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Invalid(invalid(faults(error.errors()))) from None


def body_of(model: type[M], given: M | Mapping[str, Any]) -> M:
    """A request's body, given as its model or as a dict of its keys, as a file has them."""
    return checked(model, **given) if isinstance(given, Mapping) else given


def changed(model: type[M], **given: object) -> M:
    """A request's body without what is to stay as it is."""
    return checked(model, **{name: it for name, it in given.items() if it is not UNCHANGED})


def get(path: str, answer: type[M], **params: object) -> Call[M]:
    """A question; parameters that are None are left out."""
    return Call(method="GET", path=f"/v1{path}", answer=answer, params=texts(params))


def get_list(path: str, answer: type[M], *lists: str, **params: object) -> Call[M]:
    """A question whose pages are followed to the end and joined by `lists`, the answer's fields."""
    return replace(get(path, answer, **params), lists=lists)


def post(
    path: str, answer: type[M], body: BaseModel | None = None, *, if_match: str | None = None
) -> Call[M]:
    """A change, with a key of its own. `if_match`: the `etag` of what was read, where it shall be
    made on that and nothing else; `errors.Changed` where it is not so any more."""
    content = (
        body.model_dump_json(exclude_unset=True, by_alias=True).encode()
        if body is not None
        else b"{}"
    )
    key = secrets.token_urlsafe(18)
    return Call(
        method="POST",
        path=f"/v1{path}",
        answer=answer,
        body=content,
        key=key,
        if_match=if_match,
    )


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
