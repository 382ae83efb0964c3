"""The two kinds of models: a request refuses what it does not know, an answer may have more."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

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
