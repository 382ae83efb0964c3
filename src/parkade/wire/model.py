"""The two kinds of models: a request refuses what it does not know, an answer may have more."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from parkade.wire.spelling import KNOWN_KEYS


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


class Paged(Answer):
    """A page of a list; `next` is the `cursor` of the one behind it, null: this is the last.
    Servers older than pages answer with the whole list."""

    next: str | None = None
