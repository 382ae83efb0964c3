"""Networks as plain data, as YAML and JSON have them.

An operator is a map with one key, its name, and its fields below; a list is a chain; a text is the
compact notation (`"5E@a >> V@v"`). The field that a person would write first may stand alone:
`verify: v` is `verify: {verify: v}`.

    network:
      - ensemble:
          - generate: {model: a, n: 5, temperature: 0.7}
          - generate: {model: b, n: 5}
      - verify: v
      - judge: {model: j, votes: 3}
"""

from typing import Any

import msgspec

from parkade.compound.network.errors import NetworkError
from parkade.compound.network.notation import parse
from parkade.compound.network.operators import KINDS, NAMES, Chain, Operator, out_of_range
from parkade.compound.wrong_values import in_words

#: Fields that hold one operator, many, or many by name.
ONE = frozenset({"source"})
MANY = frozenset({"parts", "steps"})
NAMED = frozenset({"routes"})
#: What a name that stands alone means, and what a list does.
ALONE = {"best_of": "source", "repeat": "source"}
MAX_DEPTH = 50


def from_plain(plain: Any, *, where: str = "network", depth: int = 0) -> Operator:
    """The network that plain data describes; NetworkError says where it is wrong."""
    if depth > MAX_DEPTH:
        raise NetworkError(f"{where}: nested more than {MAX_DEPTH} deep")
    match plain:
        case str():
            return parse(plain)
        case list() if plain:
            steps = [
                from_plain(step, where=f"{where}[{place}]", depth=depth + 1)
                for place, step in enumerate(plain)
            ]
            chained = steps[0]
            for step in steps[1:]:
                chained = chained >> step
            return chained
        case dict() if len(plain) == 1:
            ((name, fields),) = plain.items()
            if name not in KINDS:
                raise NetworkError(f"{where}: no operator {name!r}; there are: {', '.join(KINDS)}")
            return _operator(name, fields, f"{where}.{name}", depth)
        case _:
            raise NetworkError(
                f"{where}: an operator is a map with one key (its name), a list of operators, "
                "or a text in the compact notation"
            )


def name_in_yaml(key: Any, where: str) -> str:
    """A key as a name; NetworkError for what YAML takes for something else, such as a bare `no`."""
    if isinstance(key, bool) or key is None:
        words = {True: "yes, on or true", False: "no, off or false", None: "an empty key or null"}
        raise NetworkError(f"{where}: YAML reads {words[key]} as {key}; put the name in quotes")
    return str(key)


def _operator(name: str, fields: Any, where: str, depth: int) -> Operator:
    kind = KINDS[name]
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    if not isinstance(fields, dict):
        first = next(iter(known))
        fields = {} if fields is None else {first: fields}
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise NetworkError(f"{where}: no field {unknown[0]!r}; there are: {', '.join(known)}")
    made = {
        field: _field(field, value, f"{where}.{field}", depth) for field, value in fields.items()
    }
    lacking = [field.name for field in known.values() if field.required and field.name not in made]
    if lacking:
        raise NetworkError(f"{where}: {lacking[0]} is missing")
    return _typed(kind, made, where)


def _field(name: str, value: Any, where: str, depth: int) -> Any:
    if name in ONE:
        return from_plain(value, where=where, depth=depth + 1)
    if name in MANY:
        if not isinstance(value, list):
            raise NetworkError(f"{where}: must be a list of operators")
        return tuple(
            from_plain(part, where=f"{where}[{place}]", depth=depth + 1)
            for place, part in enumerate(value)
        )
    if name in NAMED:
        if not isinstance(value, dict):
            raise NetworkError(f"{where}: must be a map from names to operators")
        return {
            name_in_yaml(way, where): from_plain(part, where=f"{where}.{way}", depth=depth + 1)
            for way, part in value.items()
        }
    if name in ("verify", "accept") and isinstance(value, dict) and "model_verifier" in value:
        return from_plain(value, where=where, depth=depth + 1)
    return value


#: Types of fields that need no operator, checked one by one.
TYPES: dict[str, Any] = {
    "model": str,
    "prompt": str,
    "system": str | None,
    "temperature": float | None,
    "max_tokens": int | None,
    "options": dict[str, Any],
    "n": int,
    "messages": tuple[dict[str, Any], ...] | None,
    "kind": str,
    "schema": dict[str, Any] | None,
    "repairs": int,
    "votes": int,
    "keep": int | str | None,
    "rounds": int,
    "critic": str | None,
    "critique": str,
    "times": int,
    "k": int,
    "stop": str,
    "fallback": str,
    "parallel": int | None,
    "worth": float,
    "key": str | None,
    "function": str,
    "choose": str,
}


def _typed(kind: type[Operator], fields: dict[str, Any], where: str) -> Operator:
    for name, value in fields.items():
        if name in TYPES:
            try:
                fields[name] = msgspec.convert(value, TYPES[name])
            except msgspec.ValidationError as error:
                raise NetworkError(f"{where}.{name}: {in_words(error)}") from None
            if wrong := out_of_range(name, fields[name]):
                raise NetworkError(f"{where}.{name}: {wrong}")
        elif name in ("verify", "accept") and not isinstance(value, (str, Operator)):
            raise NetworkError(f"{where}.{name}: must be a name or a model_verifier")
    return kind(**fields)


def to_plain(operator: Operator) -> Any:
    """Plain data of a network whose verifiers and functions are names; NetworkError otherwise."""
    if isinstance(operator, Chain):
        return [to_plain(step) for step in operator.steps]
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(type(operator)):
        value = getattr(operator, field.name)
        if value == field.default or (field.default_factory is dict and value == {}):
            continue
        fields[field.name] = _plain_value(value)
    return {NAMES[type(operator)]: fields}


def _plain_value(value: Any) -> Any:
    match value:
        case Operator():
            return to_plain(value)
        case tuple() | list():
            return [_plain_value(each) for each in value]
        case dict():
            return {name: _plain_value(each) for name, each in value.items()}
        case str() | int() | float() | None:
            return value
        case _:
            raise NetworkError(
                f"{value!r} stands in the network itself; give it a name to write the network down"
            )
