"""Names in templates that no question has: found once, before a run, and not question by question.

A prompt may name `{prompt}`, `{id}`, the fields of a question, and what its operator gives it. A
name that none of the first questions has is a slip of the hand; one that only some have is left to
the run, which fails the questions that lack it.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

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
    """NetworkError for a name in a template that none of the first questions gives a value."""
    unmet = {
        (where, name): known
        for where, writer, known in _writers(bound.root, is_given=False)
        for name in writer.names
        if name not in known
    }
    if not unmet:
        return
    fields: dict[str, None] = {}
    count = 0
    for question in questions:
        if count == FIRST:
            break
        count += 1
        fields.update(dict.fromkeys(question.fields))
    for (where, name), known in unmet.items():
        if count and name not in fields:
            raise NetworkError(_complaint(where, name, [*known, *fields], count))


def _complaint(where: str, name: str, known: list[str], count: int) -> str:
    meant = get_close_matches(name, known, n=1)
    hint = f"did you mean {{{meant[0]}}}? " if meant else ""
    first = "the question lacks" if count == 1 else f"none of the first {count:,} questions has"
    there_are = ", ".join(sorted(dict.fromkeys(known)))
    return f"{where}: the prompt uses {{{name}}}, which {first}; {hint}there are: {there_are}"


def _writers(node: Node, *, is_given: bool) -> Iterator[tuple[str, Writer, tuple[str, ...]]]:
    """Each writer, where it stands, and the names that its operator gives it.

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
    for writer in (node.writer, node.critic):
        if writer is not None:
            yield label(operator), writer, (*OF_ALL, *own)
    for place, child in enumerate(node.children):
        is_fed = isinstance(operator, Chain) and place > 0
        yield from _writers(child, is_given=is_given or is_fed)
    if isinstance(node.checker, Node):
        yield from _writers(node.checker, is_given=True)
