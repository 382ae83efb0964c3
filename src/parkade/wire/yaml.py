"""YAML as people write it, with nothing rounded: `2.50` stays the text `2.50`.

Only `true`, `false`, `null` and plain decimal whole numbers are more than text, so that prices,
spans, versions and dates reach their own parsers as written. A key may stand only once.
"""

import re
from collections.abc import Hashable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from parkade.core.units.bounds import MOST_DOCUMENT_BYTES
from parkade.wire.problems import MOST_FAULTS, Fault, Problem, faults, invalid

T = TypeVar("T", bound=BaseModel)
BAD_TAGS = (AttributeError, KeyError, TypeError)
"""What the library raises where a value is not what its explicit tag says."""


class Unreadable(Exception):
    """A document was refused; `problem` holds every fault with its place. `source`: where the
    document came from, if its reader says."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.source: str | None = None


class _Loader(yaml.SafeLoader):
    """Plain scalars are text, but for a few."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            # A key that is itself a list or a mapping is refused further down.
            if isinstance(key.value, str):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key `{key.value}` stands twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("int", r"^-?(?:0|[1-9][0-9]{0,17})$", "-0123456789"),
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def parse(text: str, model: type[T]) -> T:
    """The document as a model; raises Unreadable with all faults at once."""
    return check(load(text), model)


def load(text: str) -> dict[str, Any]:
    """The document's keys and values, unchecked; raises Unreadable where it is no mapping."""
    if len(text) > MOST_DOCUMENT_BYTES:
        raise Unreadable(invalid([Fault(place="document", message="larger than 1 MiB")]))
    try:
        value = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError, *BAD_TAGS) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "document"
        message = getattr(error, "problem", None) or "not YAML"
        raise Unreadable(invalid([Fault(place=place, message=message)])) from None
    if not isinstance(value, dict):
        raise Unreadable(
            invalid(
                [
                    Fault(
                        place="document",
                        message="write keys and values, a line each, like `name: train`",
                    )
                ]
            )
        )
    return value


def check(value: object, model: type[T]) -> T:
    """A parsed value as a model; raises Unreadable with all faults at once."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors()
        listed = faults(found[:MOST_FAULTS], model=model)
        raise Unreadable(invalid(listed, more=len(found) - len(listed))) from None
