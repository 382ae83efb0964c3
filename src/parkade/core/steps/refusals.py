"""The refusals that decisions share, in the same words everywhere."""

import re

from parkade.core.state import events
from parkade.core.units.refusal import Reason, Refusal

Decision = tuple[events.AnyEvent, ...] | Refusal
"""What `decide` answers: events in order, or why not."""

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?")
MOST_MICROS = 10**18
MOST_PRICE_MICROS = 10**12


def denied(detail: str) -> Refusal:
    """The refusal of a user that lacks the right."""
    return Refusal(reason=Reason.DENIED, detail=detail)


def not_found(kind: str, name: str) -> Refusal:
    """The refusal of a name that does not exist, or that the user may not see."""
    return Refusal(reason=Reason.NOT_FOUND, detail=f"there is no {kind} {name!r}")


def already_exists(kind: str, name: str) -> Refusal:
    """The refusal of a name that is taken."""
    return Refusal(reason=Reason.ALREADY_EXISTS, detail=f"{kind} {name!r} exists")


def invalid(field: str, detail: str) -> Refusal:
    """The refusal of a value, with its place."""
    return Refusal(reason=Reason.INVALID, detail=detail, field=field)


def bad_name(field: str, name: str) -> Refusal | None:
    """A refusal unless the name can stand in paths, ids and accounts."""
    if NAME.fullmatch(name):
        return None
    return invalid(
        field, f"{name!r} is not a name: use up to 40 lower-case letters, digits, - and _"
    )
