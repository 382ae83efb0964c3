"""What is wrong with a value that was read, in words for people.

msgspec names its own types and puts the place last (``Expected `int`, got `str` - at `$.a[0]` ``).
"""

import re

NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}
_EXPECTED = re.compile(
    r"Expected `(?P<wanted>[^`]+)`"
    r"(?: (?P<bound>[<>]=?) (?P<limit>[-0-9.e+]+))?(?:, got `(?P<got>[^`]+)`)?"
)
_PLACE = re.compile(r" - at (?:the root|`\$?(?P<place>[^`]*)`)$")
_BOUNDS = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}


def in_words(error: Exception) -> str:
    """`max_tokens must be a whole number, not a text`; any other message as it is."""
    text = str(error)
    found = _PLACE.search(text)
    place = "" if found is None else (found["place"] or "").removeprefix(".").replace("[...]", "")
    what = text if found is None else text[: found.start()]
    predicate = _predicate(what)
    if predicate is None:
        return text
    return f"{place} {predicate}" if place else predicate


def _predicate(what: str) -> str | None:
    """The predicate; None for a message of another kind."""
    expected = _EXPECTED.fullmatch(what)
    if expected is not None:
        wanted = " or ".join(_named(each) for each in expected["wanted"].split(" | "))
        bound = ""
        if expected["bound"] is not None:
            bound = f" {_BOUNDS[expected['bound']]} {expected['limit']}"
        got = "" if expected["got"] is None else f", not {_named(expected['got'])}"
        return f"must be {wanted}{bound}{got}"
    if what.startswith("Object missing required field "):
        return f"lacks the field {_quoted(what)}"
    if what.startswith("Object contains unknown field "):
        return f"has no field {_quoted(what)}"
    return None


def _named(kind: str) -> str:
    return NAMES.get(kind, kind)


def _quoted(what: str) -> str:
    return repr(what.split("`")[1])
