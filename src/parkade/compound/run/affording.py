"""Whether a budget holds any call of a network: told before anything is rented, started or asked.

A bound from below: every call that a node may make for a question has at least the request with
nothing in place of candidates, and may write as much as its limit says. A network that may answer
without a call, and a question with parts that nothing bounds, are left to the run.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from parkade.compound.network.binding import Bound
from parkade.compound.network.errors import NetworkError
from parkade.compound.network.estimate import MADE
from parkade.compound.network.fewest import fewest
from parkade.compound.run.budget import NOTHING, Account, Amounts, Budget
from parkade.compound.run.lane import worst_case
from parkade.compound.values import Question

#: Questions that are looked at before the rest is left to the run.
MOST_LOOKED = 1_000


class BudgetTooSmall(Exception):
    """What is left of the budget holds not even one call; the message says what one may need."""


def check_affords(bound: Bound, left: Account, questions: Iterable[Question]) -> None:
    """BudgetTooSmall unless a call of one of the questions fits. None is read beyond the first
    that does."""
    if left.budget.is_unlimited or fewest(bound).cost.calls == 0:
        return
    least: Amounts | None = None
    for count, question in enumerate(questions, start=1):
        for worst in _least(bound, question):
            if worst is None or left.has_room(worst):
                return
            least = worst if least is None else min(least, worst, key=_size)
        if count == MOST_LOOKED:
            return
    if least is not None:
        raise BudgetTooSmall(
            f"the budget holds not even one call: {left.lacking(least)}; raise it, or make calls "
            "smaller with max_tokens"
        )


def affordable(bound: Bound, left: Account, questions: Iterable[Question]) -> Iterator[Question]:
    """The same questions, once `check_affords` has read as many of them as it needs."""
    rest = iter(questions)
    read: list[Question] = []

    def reading() -> Iterator[Question]:
        for question in rest:
            read.append(question)
            yield question

    check_affords(bound, left, reading())
    return chain(read, rest)


def fresh(budget: Budget) -> Account:
    """An account from which nothing was taken."""
    return Account(budget, NOTHING, NOTHING)


def _least(bound: Bound, question: Question) -> Iterator[Amounts | None]:
    """Of each node that asks a model, what its smallest call may need; None where nothing bounds
    it, or it is not known what it asks."""
    values = {**question.fields, "prompt": question.prompt, "id": question.id}
    values |= dict.fromkeys(MADE, "")
    for node in bound.nodes:
        for writer in node.writers:
            try:
                call = writer.write(values).call(0)
            except NetworkError:
                # What stands behind a route may need what this question lacks.
                yield None
            else:
                yield worst_case(call, bound.models[writer.model_name], added=0)


def _size(amounts: Amounts) -> tuple[int, int]:
    return amounts.micros, amounts.tokens
