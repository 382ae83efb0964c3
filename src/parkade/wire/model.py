"""The two kinds of models: a request refuses what it does not know, an answer may have more."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from parkade.wire.spelling import KNOWN_KEYS

_M = TypeVar("_M", bound=BaseModel)


class Request(BaseModel):
    """What a caller sends: every key is known or refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ELSEWHERE: ClassVar[Mapping[str, str]] = {}
    """What is said of keys that people write here and that belong elsewhere."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        KNOWN_KEYS.update(cls.model_fields)


class Answer(BaseModel):
    """What the API answers; a newer server may say more than an older client knows."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    _etag: str | None = PrivateAttr(None)

    @property
    def etag(self) -> str | None:
        """The tag under which it was read, for `if_match`; None where it came with none, as in a
        list."""
        return self._etag

    def read_under(self, tag: str) -> None:
        """It was read with this tag."""
        self._etag = tag


def trusted(model: type[_M], **values: Any) -> _M:
    """A model of values that were checked or made here, each of its fields among them:
    `model_construct` without its search for aliases and defaults."""
    assert len(values) == len(model.__pydantic_fields__)
    made = model.__new__(model)
    in_order = {name: values[name] for name in model.__pydantic_fields__}
    object.__setattr__(made, "__dict__", in_order)
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    made.model_post_init(None)
    return made


class Paged(Answer):
    """A page of a list; `next` is the `cursor` of the one behind it, null: this is the last.
    Servers older than pages answer with the whole list."""

    next: str | None = None
