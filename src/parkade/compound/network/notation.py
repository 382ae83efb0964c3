r"""The compact notation: `"5E@a(t=0.7) + 5E@b >> V@v >> 1J@j"`.

A term is `[count]KIND[@name][(field=value, …)]`. Terms are joined by `+` (side by side, binds
closer) and `>>` (fed by); parentheses group, `3*(…)` repeats a group, and `8B(…)@v` is the best of
8 draws of a group by verifier v.

| kind | operator | count is | @name is |
|---|---|---|---|
| E | generate (an ensemble of n samples) | n | model |
| V | verify | votes of a model | verifier or model |
| J | judge: pick one | votes | model |
| S | fuse: synthesise one from all | 1 | model |
| R | rank | votes | model |
| K | knockout | votes | model |
| X | refine | rounds | model |
| M | majority vote | 1 | key function |
| C | cluster | groups kept | key function |
| F | filter | 1 | function |
| P | Python function | 1 | function |
| B(…) | best_of | k | verifier or model |
| Q(…) | race | replicas | – |

Fields are those of the operator, of V those of the model that verifies; `t` is temperature, `m`
max_tokens. Values are numbers, words, or texts in double quotes, where `\n`, `\t`, `\"` and `\\`
are as in Python.

    parse("3E@small(t=0.8) >> M") == Generate("small", n=3, temperature=0.8) >> Vote()
"""

import re
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from parkade.compound.network.errors import NetworkError
from parkade.compound.network.operators import (
    MAX_COUNT,
    MAX_PARTS,
    BestOf,
    Cluster,
    Filter,
    Function,
    Fuse,
    Generate,
    Judge,
    Knockout,
    ModelVerifier,
    Operator,
    Race,
    Rank,
    Refine,
    Repeat,
    Verify,
    Vote,
    out_of_range,
)
from parkade.compound.wrong_values import in_words

MAX_LENGTH = 10_000
MAX_DEPTH = 50
#: Types of fields that a text can be checked against.
PLAIN_TYPES = (
    *(int, int | None, float, float | None, str, str | None, bool, bool | None),
    float | msgspec.UnsetType,
)
SHORT = {"t": "temperature", "m": "max_tokens"}
#: After a backslash, in a text; any other character stands for itself.
ESCAPES = {"n": "\n", "t": "\t"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:(?P<join>>>|\+)|(?P<open>\()|(?P<close>\))|(?P<times>(?P<count>\d+)\s*\*)"
    r"|(?P<term>(?P<number>\d*)(?P<kind>[A-Z])(?![A-Za-z]))|(?P<end>$))"
)
_NAME = re.compile(r"@(?P<name>[A-Za-z0-9_][A-Za-z0-9_./:\-]*)")
_FIELD = re.compile(
    r"\s*(?P<field>[a-z_]+)\s*=\s*(?:\"(?P<text>(?:[^\"\\]|\\.)*)\"|(?P<word>[^,()\"\s]+))\s*(?P<next>[,)])"
)


def parse(text: str) -> Operator:
    """The network that a text describes; NetworkError points at what is wrong."""
    if len(text) > MAX_LENGTH:
        raise NetworkError(f"a network of more than {MAX_LENGTH} characters; write it as YAML")
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0

    def whole(self) -> Operator:
        network = self.chain()
        if self.place < len(self.text.rstrip()):
            self.fail("expected >>, + or the end")
        return network

    def chain(self) -> Operator:
        network = self.sum()
        while self.take(">>"):
            network = network >> self.sum()
        return network

    def sum(self) -> Operator:
        network = self.part()
        while self.take("+"):
            network = network + self.part()
        return network

    def part(self) -> Operator:
        found = _TOKEN.match(self.text, self.place)
        if found is None or found["join"] or found["close"] or found["end"] is not None:
            self.fail("expected an operator such as 5E@model, or a group in parentheses")
        self.place = found.end()
        if found["open"]:
            return self.group()
        if found["times"]:
            times = self.count(found, "count")
            if not self.take("("):
                self.fail("expected a group in parentheses after *")
            return Repeat(self.group(), times)
        return self.term(found["kind"], self.count(found, "number") if found["number"] else None)

    def group(self) -> Operator:
        """What stands in parentheses, after the opening one."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} parentheses deep")
        network = self.chain()
        if not self.take(")"):
            self.fail("expected )")
        self.depth -= 1
        return network

    def term(self, kind: str, count: int | None) -> Operator:
        began = self.place
        if count == 0:
            self.fail("a count must be at least 1")
        source = self.source(kind)
        name = self.name()
        fields, places = self.fields()
        try:
            made = _make(kind, count, name, source)
        except NetworkError as error:
            self.place = began
            self.fail(str(error))
        # Only a model has fields where it verifies.
        asked = _model_verifier(made) if fields else made
        for field, value in fields.items():
            if wrong := _wrong_field(asked, field, value):
                self.place = places[field]
                self.fail(wrong)
        try:
            given = msgspec.structs.replace(asked, **fields) if fields else asked
            return Verify(given) if isinstance(given, ModelVerifier) else given
        except NetworkError as error:
            self.place = began
            self.fail(str(error))

    def count(self, found: re.Match[str], group: str) -> int:
        """How many; a count that no run can reach is a slip of the hand."""
        digits = found[group]
        if len(digits) > len(str(MAX_COUNT)) or int(digits) > MAX_COUNT:
            self.place = found.start(group)
            self.fail(f"a count must be at most {MAX_COUNT:,}")
        return int(digits)

    def source(self, kind: str) -> Operator | None:
        if kind not in "BQ":
            return None
        if not self.take("("):
            self.fail(f"{kind} needs a group in parentheses")
        return self.group()

    def name(self) -> str | None:
        found = _NAME.match(self.text, self.place)
        if found is None:
            return None
        self.place = found.end()
        return found["name"]

    def fields(self) -> tuple[dict[str, Any], dict[str, int]]:
        """The fields in parentheses, and where each stands."""
        fields: dict[str, Any] = {}
        places: dict[str, int] = {}
        if self.text[self.place : self.place + 1] != "(":
            return fields, places
        self.place += 1
        while True:
            found = _FIELD.match(self.text, self.place)
            if found is None:
                self.fail("expected field=value, with texts in double quotes")
            name = SHORT.get(found["field"], found["field"])
            if name in fields:
                self.place = found.start("field")
                self.fail(f"{name} is given twice")
            fields[name] = _value(found["word"], found["text"])
            places[name] = found.start("field")
            self.place = found.end()
            if found["next"] == ")":
                return fields, places

    def take(self, token: str) -> bool:
        rest = self.text[self.place :]
        stripped = rest.lstrip()
        if not stripped.startswith(token):
            return False
        self.place += len(rest) - len(stripped) + len(token)
        return True

    def fail(self, what: str) -> NoReturn:
        shown = self.text[self.place : self.place + 20] or "the end"
        raise NetworkError(f"in {self.text[:80]!r} at character {self.place + 1} ({shown}): {what}")


def _wrong_field(operator: Operator, name: str, value: Any) -> str | None:
    """What is wrong with a field of an operator, if something is."""
    known = {field.name: field.type for field in msgspec.structs.fields(type(operator))}
    if name not in known:
        return f"no field {name!r}; there are: {', '.join(known)}"
    if known[name] not in PLAIN_TYPES:
        return None
    try:
        msgspec.convert(value, known[name])
    except msgspec.ValidationError as error:
        return f"{name}={value}: {in_words(error)}"
    wrong = out_of_range(name, value)
    return None if wrong is None else f"{name}={value}: {wrong}"


def _value(word: str | None, text: str | None) -> Any:
    if text is not None:
        return _ESCAPE.sub(lambda found: ESCAPES.get(found[1], found[1]), text)
    assert word is not None
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    return word


def _make(kind: str, count: int | None, name: str | None, source: Operator | None) -> Operator:
    number = count or 1
    if kind in "BQ":
        assert source is not None
        if kind == "Q":
            if number > MAX_PARTS:
                raise NetworkError(f"a race has at most {MAX_PARTS:,} replicas")
            return Race.of(source, number)
        return BestOf(source, number, _named(kind, name))
    makers: dict[str, Callable[[], Operator]] = {
        "E": lambda: Generate(_named(kind, name), n=number),
        "V": lambda: Verify(_verifier(_named(kind, name), count)),
        "J": lambda: Judge(_named(kind, name), votes=number),
        "S": lambda: Fuse(_named(kind, name)),
        "R": lambda: Rank(_named(kind, name), votes=number),
        "K": lambda: Knockout(_named(kind, name), votes=number),
        "X": lambda: Refine(_named(kind, name), rounds=number),
        "M": lambda: Vote(name),
        "C": lambda: Cluster(name, keep=count),
        "F": lambda: Filter(_named(kind, name)),
        "P": lambda: Function(_named(kind, name)),
    }
    if kind not in makers:
        raise NetworkError(f"no kind {kind!r}; there are: {', '.join([*makers, 'B', 'Q'])}")
    return makers[kind]()


def _verifier(name: str, votes: int | None) -> str | ModelVerifier:
    """A count above 1 can only mean votes, so that the name is a model's."""
    return name if votes is None or votes == 1 else ModelVerifier(name, votes=votes)


def _model_verifier(made: Operator) -> Operator:
    """The model that a verify asks; any other operator itself."""
    match made:
        case Verify(verify=str() as model):
            return ModelVerifier(model)
        case Verify(verify=ModelVerifier() as model):
            return model
        case _:
            return made


def _named(kind: str, name: str | None) -> str:
    if name is None:
        raise NetworkError(f"{kind} needs @ and a name")
    return name
