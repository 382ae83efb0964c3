"""Faults of questions that can be known before a call is paid for.

Every question is looked at, once, at a cost of their number: a name in a template or a field of a
verifier that some questions lack, and what a verifier itself finds wrong with its field (`fault`:
a reference that is no number, a pattern that is no regular expression, a text that is a list). All
of these would fail a question only after its candidates were drawn. Operators that stand behind a
`route` are left to the run: only the function knows which questions they get.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from parkade.compound.network.binding import Bound, Node
from parkade.compound.network.drawing import label
from parkade.compound.network.errors import NetworkError
from parkade.compound.network.fields import FIRST, check_names, names_of_templates
from parkade.compound.network.operators import Route
from parkade.compound.values import Question

#: Ids that are shown, and their length.
MOST_IDS = 3
MAX_ID = 40


def check_questions(bound: Bound, questions: Iterable[Question]) -> int:
    """How many questions there are; NetworkError for what is wrong with some of them."""
    rest = iter(questions)
    first = list(islice(rest, FIRST))
    check_names(bound, first)
    always = set(_always(bound.root))
    named = [
        (name, where) for node, name, where in names_of_templates(bound) if node.index in always
    ]
    checkers = [
        (node.checker, label(node.operator)) for node in bound.nodes if node.index in always
    ]
    found: dict[str, list[str]] = {}
    count = 0
    for question in chain(first, rest):
        count += 1
        for fault in _faults(question, named, checkers):
            found.setdefault(fault, []).append(question.id)
    if found:
        raise NetworkError(_in_words(found, count))
    return count


def _always(node: Node) -> Iterator[int]:
    """Nodes that every question may come to."""
    yield node.index
    if isinstance(node.operator, Route):
        return
    for child in node.children:
        yield from _always(child)
    if isinstance(node.checker, Node):
        yield from _always(node.checker)


def _faults(
    question: Question, named: list[tuple[str, str]], checkers: list[tuple[object, str]]
) -> Iterator[str]:
    for name, where in named:
        if name not in question.fields:
            yield f"{where}: the prompt uses {{{name}}}, which is missing"
    for checker, where in checkers:
        missing = [name for name in getattr(checker, "needs", ()) if name not in question.fields]
        for name in missing:
            yield f"{where}: the verifier needs the field {name!r}, which is missing"
        fault = getattr(checker, "fault", None)
        if fault is not None and not missing and (text := fault(question)):
            yield f"{where}: {text}"


def _in_words(found: dict[str, list[str]], count: int) -> str:
    """The first kind of fault, with the first questions that have it; how many kinds more."""
    (fault, ids), *others = found.items()
    shown = ", ".join(f"{each[:MAX_ID]!r}" for each in ids[:MOST_IDS])
    more = ", …" if len(ids) > MOST_IDS else ""
    other = f"; {len(others):,} more kinds of faults" if others else ""
    return (
        f"{fault} in {len(ids):,} of {count:,} questions ({shown}{more}): correct them, or leave "
        f"them out; nothing was asked{other}"
    )
