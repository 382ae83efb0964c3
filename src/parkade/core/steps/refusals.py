"""The refusals that decisions share, in the same words everywhere."""

from parkade.core.state import events
from parkade.core.units.names import NAME, Grammar
from parkade.core.units.refusal import Reason, Refusal

Decision = tuple[events.AnyEvent, ...] | Refusal
"""What `decide` answers: events in order, or why not."""


def denied(detail: str) -> Refusal:
    """The refusal of a user that lacks the right."""
    return Refusal(reason=Reason.DENIED, detail=detail)


def not_found(kind: str, name: str) -> Refusal:
    """The refusal of a name that does not exist, or that the user may not see."""
    return Refusal(reason=Reason.NOT_FOUND, detail=f"there is no {kind} {name!r}")


def already_exists(kind: str, name: str) -> Refusal:
    """The refusal of a name that is taken."""
    return Refusal(reason=Reason.ALREADY_EXISTS, detail=f"{kind} {name!r} exists")


def conflict(detail: str) -> Refusal:
    """The refusal of what the present state does not allow."""
    assert detail, "a refusal says what to do"
    return Refusal(reason=Reason.CONFLICT, detail=detail)


def invalid(field: str, detail: str) -> Refusal:
    """The refusal of a value, with its place."""
    assert field and detail
    return Refusal(reason=Reason.INVALID, detail=detail, field=field)


def bad_name(field: str, name: str, grammar: Grammar = NAME) -> Refusal | None:
    """A refusal unless the name is one of the grammar."""
    if grammar.accepts(name):
        return None
    return invalid(field, f"{name[:80]!r} is not a name here: {grammar.words}")
