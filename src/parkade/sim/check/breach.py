"""What the search looks for: an invariant that does not hold, by its number.

The numbers are those of the list in docs/simulation/model-check.md. 0 is an assertion of the
program itself that has no number: the server would have stopped there, or refused a command as its
own fault.
"""

import traceback

_NUMBERS = {
    "_check_money": 13,
    "post": 13,
    "_move": 13,
    "_check_seats": 2,
    "_give_seats": 2,
    "_check_calendar": 9,
    "_check_workload": 6,
    "_change": 6,
    "_assert_within_limit": 14,
    "_won": 14,
    "put_new_node": 22,
    "submit": 22,
}
"""By the production function whose assertion failed."""


class Violation(Exception):
    """An invariant does not hold; `says` tells where."""

    def __init__(self, invariant: int, says: str) -> None:
        super().__init__(says)
        self.invariant = invariant
        self.says = says


def require(is_so: bool, invariant: int, says: str) -> None:
    """Raises Violation where it is not so."""
    if not is_so:
        raise Violation(invariant, says)


def violation_of(error: Exception) -> Violation:
    """What an exception of production code means: an assertion there guards an invariant."""
    frames = traceback.extract_tb(error.__traceback__)
    name = frames[-1].name if frames else "?"
    says = str(error) or (frames[-1].line if frames else None) or repr(error)
    where = f"{name}: {says}" if isinstance(error, AssertionError) else f"{name}: {error!r}"
    return Violation(_NUMBERS.get(name, 0), where)
