"""What a call raises when the answer is no: one class for each thing a caller may do about it."""

import httpx
from pydantic import ValidationError

from parkade.wire.exits import (
    EXIT_DENIED,
    EXIT_INVALID,
    EXIT_NOT_FOUND,
    EXIT_OTHER,
    EXIT_REFUSED,
    EXIT_TRY_AGAIN,
    EXIT_USAGE,
)
from parkade.wire.problems import CODES, UNKNOWN, Problem, problem


class ParkadeError(Exception):
    """The server said no; `problem` holds its words, `problem.code` the reason."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem

    @property
    def code(self) -> str:
        """The reason, from a closed list."""
        return self.problem.code


class Unauthenticated(ParkadeError):
    """The token is missing or good no more (revoked, expired, its user disabled); log in again."""


class Invalid(ParkadeError):
    """The request is wrong as it stands, `problem.errors` says where; or it contradicts what is
    there. The same request does not succeed later."""


class Changed(Invalid):
    """It was changed since it was read, so that `if_match` is not its `etag` any more; nothing was
    done. Read it again, look whether the change is still wanted, and send it with the new tag."""


class NotFound(ParkadeError):
    """There is no such thing, or it is another org's."""


class Denied(ParkadeError):
    """The caller may not do this."""


class Refused(ParkadeError):
    """The market refused: no money, no room, or too low a price."""


class TryAgain(ParkadeError):
    """The server cannot answer now; the same request may succeed later."""


class Unreachable(TryAgain):
    """No server was reached at the address."""


class Failed(ParkadeError):
    """The server failed, or answered with something that is not Parkade's."""


BY_EXIT: dict[int, type[ParkadeError]] = {
    EXIT_OTHER: Failed,
    EXIT_USAGE: Unauthenticated,
    EXIT_INVALID: Invalid,
    EXIT_NOT_FOUND: NotFound,
    EXIT_DENIED: Denied,
    EXIT_TRY_AGAIN: TryAgain,
    EXIT_REFUSED: Refused,
}

"""By the exit code of a problem's code."""

BY_CODE: dict[str, type[ParkadeError]] = {
    "changed": Changed,
    "misdirected": Failed,
    "unreachable": Unreachable,
}
"""Those whose caller may do something else about it than about the others of their exit code."""


def class_of(code: str) -> type[ParkadeError]:
    """What a problem with this code is raised as."""
    return BY_CODE.get(code) or BY_EXIT[CODES.get(code, UNKNOWN).exit]


def error_of(response: httpx.Response) -> ParkadeError:
    """The error of an answer that is not a success."""
    try:
        found = Problem.model_validate_json(response.content)
    except ValidationError:
        code = "busy" if response.status_code in (429, 502, 503, 504) else "internal"
        found = problem(code, f"the server answered {response.status_code} without saying why")
    return class_of(found.code)(found)


def unreachable(error: httpx.TransportError, *, server: str) -> Unreachable:
    """The error of a call that got no answer."""
    return Unreachable(problem("unreachable", f"{server} does not answer ({error!s})"))
