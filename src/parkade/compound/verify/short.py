"""Short names of the usual verifiers, for network files and the compact notation.

    verifiers:
      sum: {number: {relative: 0.01}}                    # a name of one's own
    network:
      - generate: {model: m, n: 5}
      - verify: {exact: {field: reference}}              # or in its place
    network: "5E@m >> V@choice"                          # or, with all defaults, its name alone

| short name | fields, and what they are by default |
|---|---|
| `exact` | `field: answer`, `find: whole` |
| `number` | `field: answer`, `find: last_number`, `relative: 0`, `absolute: 0` |
| `choice` | `field: answer`, `letters: ABCD` |
| `json` | `field: answer` |
| `regex` | `field: pattern`, `find: whole` |
| `unit_tests` | `contract: human_eval` (or `mbpp`), `limits: {…}` of the sandbox |
| `command` | `command` (words), `name`, `version`, `seconds: 60`, `at_once` |

`find` is a function of `verify.extract` by name. Each makes the verifier of the same rules that
Python has (`verify.exact`, `verify.python_tests`, `verify.command`).
"""

import shlex
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from parkade.compound.network.errors import NetworkError
from parkade.compound.verify import exact, extract
from parkade.compound.verify.command import CommandVerifier
from parkade.compound.verify.python_tests import Contract, PythonTests, human_eval, mbpp
from parkade.compound.verify.sandbox.errors import ACCEPTANCE
from parkade.compound.verify.sandbox.limits import Limits
from parkade.compound.verify.sandbox.pool import Sandbox
from parkade.compound.wrong_values import in_words

F = TypeVar("F")

FINDS: dict[str, extract.Extract] = {
    "whole": extract.whole,
    "last_line": extract.last_line,
    "last_number": extract.last_number,
    "after_marker": extract.after_marker,
    "boxed": extract.boxed,
    "code_block": extract.code_block,
    "json_text": extract.json_text,
}
CONTRACTS: dict[str, Contract] = {"human_eval": human_eval, "mbpp": mbpp}
#: Keys of an operator under which a verifier may stand.
PLACES = ("verify", "accept")
#: Keys whose values are a server's and not a network's.
FOREIGN = ("options", "schema", "messages")
MAX_DEPTH = 100


class _Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the fields of a short name."""


class _Exact(_Fields, frozen=True, kw_only=True):
    field: str = "answer"
    find: str = "whole"


class _Number(_Fields, frozen=True, kw_only=True):
    field: str = "answer"
    find: str = "last_number"
    relative: float = 0.0
    absolute: float = 0.0


class _Choice(_Fields, frozen=True, kw_only=True):
    field: str = "answer"
    letters: str = "ABCD"


class _Json(_Fields, frozen=True, kw_only=True):
    field: str = "answer"


class _Regex(_Fields, frozen=True, kw_only=True):
    field: str = "pattern"
    find: str = "whole"


class _UnitTests(_Fields, frozen=True, kw_only=True):
    contract: str = "human_eval"
    limits: dict[str, int] = {}
    allow_unsandboxed: str | None = None


class _Command(_Fields, frozen=True, kw_only=True):
    command: str | list[str]
    name: str | None = None
    version: str | int = ""
    seconds: float = 60.0
    at_once: int | None = None


class UnitTests(PythonTests):
    """Python tests with a sandbox of their own."""

    def __init__(
        self, contract: Contract, limits: Limits, *, allow_unsandboxed: str | None = None
    ) -> None:
        if allow_unsandboxed not in (None, ACCEPTANCE):
            raise ValueError(f"allow_unsandboxed must be {ACCEPTANCE!r}, or be left out")
        self._own = Sandbox(limits=limits, allow_unsandboxed=allow_unsandboxed)
        super().__init__(self._own, contract)

    def close(self) -> None:
        """End the sandbox."""
        self._own.close()


#: The short names with their fields.
SHORT: dict[str, type[_Fields]] = {
    "exact": _Exact,
    "number": _Number,
    "choice": _Choice,
    "json": _Json,
    "regex": _Regex,
    "unit_tests": _UnitTests,
    "command": _Command,
}


def is_short(given: Any) -> bool:
    """Whether it is a map from one short name to its fields."""
    return isinstance(given, dict) and len(given) == 1 and next(iter(given)) in SHORT


def verifier(given: dict[str, Any], folder: Path, where: str) -> Any:
    """The verifier that a short name makes; NetworkError says what is wrong."""
    ((name, fields),) = given.items()
    if name == "command" and isinstance(fields, str | list):
        fields = {"command": fields}
    try:
        parsed = msgspec.convert({} if fields is None else fields, SHORT[name])
        return _made(parsed, folder)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise NetworkError(f"{where}.{name}: {in_words(error)}") from None


def plain(folder: Path, *, taken: AbstractSet[str]) -> dict[str, Any]:
    """The verifiers with all defaults, by their short names, but for names that are taken."""
    return {
        name: verifier({name: {}}, folder, name)
        for name in SHORT
        if name != "command" and name not in taken
    }


def named(network: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """The plain network with a name where a short name stood, and what the names mean."""
    found: dict[str, Any] = {}

    def walk(value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return value
        if isinstance(value, list):
            return [walk(each, depth + 1) for each in value]
        if not isinstance(value, dict):
            return value
        return {
            key: each if key in FOREIGN else place(key, each, depth) for key, each in value.items()
        }

    def place(key: Any, value: Any, depth: int) -> Any:
        if key in PLACES and is_short(value):
            name = f"{next(iter(value))} {len(found) + 1}"
            found[name] = verifier(value, folder, f"network.{key}")
            return name
        return walk(value, depth + 1)

    return walk(network, 0), found


def _made(fields: _Fields, folder: Path) -> Any:
    match fields:
        case _Exact():
            return exact.exact_text(find=_find(fields.find), field=fields.field)
        case _Number():
            return exact.exact_number(
                find=_find(fields.find),
                relative=fields.relative,
                absolute=fields.absolute,
                field=fields.field,
            )
        case _Choice():
            return exact.multiple_choice(letters=fields.letters, field=fields.field)
        case _Json():
            return exact.exact_json(field=fields.field)
        case _Regex():
            return exact.pattern(field=fields.field, find=_find(fields.find))
        case _UnitTests():
            return UnitTests(
                _one_of(CONTRACTS, fields.contract),
                Limits(**fields.limits),
                allow_unsandboxed=fields.allow_unsandboxed,
            )
        case _Command():
            given = fields.command
            return CommandVerifier(
                shlex.split(given) if isinstance(given, str) else given,
                name=fields.name,
                version=str(fields.version),
                wall_us=int(fields.seconds * 1e6),
                folder=folder,
                at_once=fields.at_once,
            )
        case _:
            raise AssertionError(f"no verifier is made of {type(fields).__name__}")


def _find(name: str) -> extract.Extract:
    return _one_of(FINDS, name)


def _one_of(known: Mapping[str, F], name: str) -> F:
    if name not in known:
        raise ValueError(f"there is no {name!r}; there are: {', '.join(known)}")
    return known[name]
