"""Names in templates that no question has: found once, at the start, and not question by question.

A prompt may name `{prompt}`, `{id}`, the fields of a question, and what its operator gives it; a
verifier may need fields of a question (`needs`), such as the reference that it compares with. A
name that none of the first questions has is a slip of the hand; one that only some have is found by
`question_faults`.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from parkade.compound.network.binding import Bound, Node
from parkade.compound.network.drawing import label
from parkade.compound.network.errors import NetworkError
from parkade.compound.network.operators import Chain, Fuse, Generate, Judge, Knockout, Rank
from parkade.compound.network.request import Writer
from parkade.compound.values import Question

#: Questions that are looked at.
FIRST = 100
OF_ALL = ("prompt", "id")
OF_ONE = ("candidate", "reason")
OF_MANY = ("candidates",)


def check_names(bound: Bound, questions: Iterable[Question]) -> None:
    """NetworkError for a name in a template, or a field that a verifier needs, that none of the
    first questions has."""
    unmet = _unmet(bound)
    if not unmet:
        return
    fields: dict[str, None] = {}
    count = 0
    for question in questions:
        if count == FIRST:
            break
        count += 1
        fields.update(dict.fromkeys(question.fields))
    if count:
        lacks = f"which none of the first {count:,} questions has"
        _check(unmet, fields, "which the question lacks" if count == 1 else lacks)


def check_served_names(bound: Bound, fields: Iterable[str]) -> None:
    """As `check_names`, for a server: its questions come later, all of them with these fields."""
    _check(_unmet(bound), fields, "which no request to a server holds")


class _Use(NamedTuple):
    """A name that a question must give."""

    name: str
    #: Where it stands, and how it is used.
    where: str
    use: str
    #: Names that its place has without the question's fields.
    known: tuple[str, ...]


def _unmet(bound: Bound) -> list[_Use]:
    templates = [
        _Use(name, label(node.operator), f"the prompt uses {{{name}}}", known)
        for node, writer, known in _writers(bound.root, is_given=False)
        for name in writer.names
        if name not in known
    ]
    verifiers = [
        _Use(name, label(node.operator), f"the verifier needs the field {name!r}", ())
        for node in bound.nodes
        for name in getattr(node.checker, "needs", ())
    ]
    return templates + verifiers


def _check(unmet: Iterable[_Use], fields: Iterable[str], lacks: str) -> None:
    fields = tuple(fields)
    for name, where, use, known in unmet:
        if name in fields:
            continue
        all_known = sorted(dict.fromkeys([*known, *fields]))
        meant = get_close_matches(name, all_known, n=1)
        shown = f"{{{meant[0]}}}" if known and meant else "".join(meant)
        hint = f"did you mean {shown}? " if meant else ""
        there_are = ", ".join(all_known) or "no fields"
        raise NetworkError(f"{where}: {use}, {lacks}; {hint}there are: {there_are}")


def names_of_templates(bound: Bound) -> Iterator[tuple[Node, str, str]]:
    """The names in templates that each question must give itself: node, name, and where it is."""
    for node, writer, known in _writers(bound.root, is_given=False):
        for name in writer.names:
            if name not in known:
                yield node, name, label(node.operator)


def _writers(node: Node, *, is_given: bool) -> Iterator[tuple[Node, Writer, tuple[str, ...]]]:
    """Each writer, its node, and the names that its operator gives it.

    `is_given`: whether the operator runs for a candidate.
    """
    operator = node.operator
    own: tuple[str, ...]
    match operator:
        case Generate():
            own = OF_ONE if is_given else ()
        case Judge() | Knockout() | Fuse():
            own = OF_MANY
        case Rank():
            own = ("candidate",)
        case _:
            own = OF_ONE
    for writer in node.writers:
        yield node, writer, (*OF_ALL, *own)
    for place, child in enumerate(node.children):
        is_fed = isinstance(operator, Chain) and place > 0
        yield from _writers(child, is_given=is_given or is_fed)
    if isinstance(node.checker, Node):
        yield from _writers(node.checker, is_given=True)
