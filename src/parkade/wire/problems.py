"""Refusals of the API (RFC 9457): one table from a code to HTTP status and exit code.

The codes are those of the core's `Reason`, and the API's own.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from parkade.wire.exits import (
    EXIT_DENIED,
    EXIT_INVALID,
    EXIT_NOT_FOUND,
    EXIT_OTHER,
    EXIT_REFUSED,
    EXIT_TRY_AGAIN,
    EXIT_USAGE,
)

PROBLEM_JSON = "application/problem+json"
# So many faults are told of one request; the rest are counted.
MOST_FAULTS = 20
LONGEST_PLACE = 200
LONGEST_MESSAGE = 500


class Code(NamedTuple):
    """What a code means to HTTP and to a shell."""

    status: int
    exit: int


CODES: dict[str, Code] = {
    "invalid": Code(422, EXIT_INVALID),
    "not_yet": Code(422, EXIT_INVALID),
    "unsupported": Code(422, EXIT_INVALID),
    "limit_required": Code(422, EXIT_INVALID),
    "already_exists": Code(409, EXIT_INVALID),
    "already_ended": Code(409, EXIT_INVALID),
    "conflict": Code(409, EXIT_INVALID),
    "changed": Code(412, EXIT_INVALID),
    "not_found": Code(404, EXIT_NOT_FOUND),
    "unauthenticated": Code(401, EXIT_USAGE),
    "denied": Code(403, EXIT_DENIED),
    "cordoned_by_another": Code(409, EXIT_DENIED),
    "insufficient_funds": Code(402, EXIT_REFUSED),
    "over_cap": Code(409, EXIT_REFUSED),
    "no_capacity": Code(409, EXIT_REFUSED),
    "unfenced": Code(409, EXIT_REFUSED),
    "reservation_full": Code(409, EXIT_REFUSED),
    "reservation_ended": Code(409, EXIT_REFUSED),
    "too_large": Code(409, EXIT_REFUSED),
    "notice_too_short": Code(409, EXIT_REFUSED),
    "busy": Code(503, EXIT_TRY_AGAIN),
    "too_many": Code(429, EXIT_TRY_AGAIN),
    "clock_jumped": Code(503, EXIT_TRY_AGAIN),
    "internal": Code(500, EXIT_OTHER),
    # The API's own.
    "method_not_allowed": Code(405, EXIT_OTHER),
    "body_too_large": Code(413, EXIT_INVALID),
    "too_slow": Code(408, EXIT_TRY_AGAIN),
    "misdirected": Code(421, EXIT_USAGE),
    "unreachable": Code(503, EXIT_TRY_AGAIN),
    "standby": Code(503, EXIT_TRY_AGAIN),
}
UNKNOWN = Code(500, EXIT_OTHER)


class Fault(BaseModel):
    """One thing that is wrong with a request, and where."""

    model_config = ConfigDict(frozen=True)

    place: str
    message: str
    code: str = "invalid"


class Problem(BaseModel):
    """The body of every answer that is not a success."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: tuple[Fault, ...] = ()


def problem(code: str, detail: str, errors: Iterable[Fault] = ()) -> Problem:
    """The problem of a code, its status from the table."""
    status = CODES.get(code, UNKNOWN).status
    title = code.replace("_", " ").capitalize()
    return Problem(title=title, status=status, code=code, detail=detail, errors=tuple(errors))


def invalid(faults: Iterable[Fault], *, more: int = 0) -> Problem:
    """The first faults of a request at once; they name the code where they agree on one. `more`:
    how many there are beside them."""
    found = tuple(faults)
    listed = found[:MOST_FAULTS]
    more += len(found) - len(listed)
    codes = {fault.code for fault in listed}
    code = codes.pop() if len(codes) == 1 else "invalid"
    says = [f"{fault.place}: {fault.message}" for fault in listed]
    return problem(code, "; ".join(says + ([f"and {more} more faults"] if more else [])), listed)


def faults(
    errors: Iterable[Any], *, prefix: str = "", model: type[BaseModel] | None = None
) -> list[Fault]:
    """Pydantic's errors as faults, in the order of the request: explaining one costs time, so give
    no more than are told. `model`: whose keys an unknown one is compared with."""
    return [_fault(error, prefix=prefix, model=model) for error in errors]


def _fault(error: Any, *, prefix: str, model: type[BaseModel] | None) -> Fault:
    from parkade.wire.spelling import explain_pattern, explain_unknown_key, explain_value

    place = _place(error["loc"], prefix=prefix)
    kind = str(error["type"])
    if kind == "extra_forbidden":
        code, message = explain_unknown_key(tuple(error["loc"]), model)
        return Fault(place=place, message=message, code=code)
    message = str(error["msg"])[:LONGEST_MESSAGE].removeprefix("Value error, ")
    if kind == "missing":
        message = "is missing"
    if kind in WRONG_FORMS:
        message = f"must be {WRONG_FORMS[kind]}, not {_form(error['input'])}"
    message = explain_value(kind, error.get("ctx", {}), error["input"]) or message
    if kind == "string_pattern_mismatch":
        message = explain_pattern(str(error["ctx"]["pattern"]), message)
    return Fault(place=place, message=message, code=kind if kind in CODES else "invalid")


LIST_IN_WORDS, KEYS_IN_WORDS = "a list, `[a, b]` or a line `- a` for each", "keys and values"
WRONG_FORMS = {
    "tuple_type": LIST_IN_WORDS,
    "list_type": LIST_IN_WORDS,
    "dict_type": KEYS_IN_WORDS,
    "model_type": KEYS_IN_WORDS,
    "model_attributes_type": KEYS_IN_WORDS,
}
"""Pydantic's kinds of a value whose whole form is wrong, and what it must be."""


def _form(given: object) -> str:
    match given:
        case dict():
            return KEYS_IN_WORDS
        case list() | tuple():
            return "a list"
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
    return "a text"


FORM_NUMBER, FORM_RANGE = ("{number}", "{range}")
FORM_ONE, FORM_LIST, FORM_LIMITS = ("{one}", "{list}", "{limits}")
FORMS = (FORM_NUMBER, FORM_RANGE, FORM_ONE, FORM_LIST, FORM_LIMITS)
"""The forms of a value that has several; no place of a fault names them."""


KEY_MARK = "[key]"
"""What pydantic adds to the place of a mapping's key that is none."""


def _place(location: Iterable[int | str], *, prefix: str) -> str:
    text = prefix
    for step in location:
        if step in FORMS or step == KEY_MARK:
            continue
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{step}"
    return text[:LONGEST_PLACE] or "body"
