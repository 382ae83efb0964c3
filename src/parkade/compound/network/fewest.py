"""The least that a network takes for one question where no call fails: a bound, not a forecast.

Every choice falls out cheapest, each by itself: the first candidate is accepted, a filter keeps
none, all candidates are equal (a judge of one is not asked), the first step serves. A call reads
one token and writes none. Nothing that a run does can be less; few runs reach it.

Example: `5E@m >> 3J@j` takes at least 5 calls, since five equal answers leave nothing to judge.
"""

from functools import reduce
from typing import Any, assert_never

from parkade.compound.network.binding import Bound, Node
from parkade.compound.network.cost import NONE, Cost, Part
from parkade.compound.network.operators import (
    Asking,
    BestOf,
    Cascade,
    Chain,
    Cluster,
    Ensemble,
    Filter,
    Function,
    Fuse,
    Generate,
    Judge,
    Knockout,
    ModelVerifier,
    Race,
    Rank,
    Refine,
    Repeat,
    Route,
    Verify,
    Vote,
)
from parkade.compound.network.request import Writer
from parkade.compound.values import Usage

USAGE = Usage(input_tokens=1, output_tokens=0)


NOTHING = Part(NONE, 0)


def fewest(bound: Bound) -> Part:
    """The least cost of a question, and the fewest candidates; not necessarily in one run."""
    return _of(bound, bound.root, None)


def _of(bound: Bound, node: Node, arriving: int | None) -> Part:
    """`arriving` candidates come in; None at the head, where a source runs for the question."""
    operator: Any = node.operator
    # Behind another operator a source runs once for each candidate.
    runs = 1 if arriving is None else arriving
    some = min(1, runs)
    match operator:
        case Chain():
            return _chain(bound, node, arriving)
        case Generate(n=n):
            return Part(_call(bound, node).times(runs * n), 0 if operator.schema else runs * n)
        case Repeat(times=times):
            inner = _of(bound, node.children[0], arriving)
            return Part(inner.cost.times(times), inner.candidates * times)
        case Ensemble():
            parts = [_of(bound, child, arriving) for child in node.children]
            cost = sum((part.cost for part in parts), NONE)
            return Part(cost, sum(part.candidates for part in parts))
        case BestOf():
            return _best_of(bound, node, operator, runs)
        case Race() | Route():
            parts = [_of(bound, child, arriving) for child in node.children]
            cost = reduce(Cost.or_less, (part.cost for part in parts))
            return Part(cost, min(part.candidates for part in parts))
        case Cascade():
            first = _of(bound, node.children[0], arriving)
            check = _check(bound, node).times(min(1, first.candidates))
            return Part(first.cost + check, 0)
        case Verify():
            return Part(_check(bound, node).times(runs), 0)
        case Filter() | Function():
            return NOTHING
        case Vote() | Cluster():
            return Part(NONE, some)
        case Asking():
            return _asking(bound, node, operator, runs)
        case _:
            assert_never(operator)


def _chain(bound: Bound, node: Node, arriving: int | None) -> Part:
    cost, left = NONE, arriving
    for step in node.children:
        of_step = _of(bound, step, left)
        cost, left = cost + of_step.cost, of_step.candidates
    return Part(cost, left or 0)


def _best_of(bound: Bound, node: Node, operator: BestOf, runs: int) -> Part:
    source = _of(bound, node.children[0], None)
    check = _check(bound, node)
    left = 0 if operator.fallback == "abstain" or source.candidates == 0 else 1
    if operator.stop == "all":
        cost = source.cost + check.times(source.candidates)
    else:
        k = operator.k
        draw = Cost(
            calls=-(-source.cost.calls // k),
            input_tokens=-(-source.cost.input_tokens // k),
            output_tokens=0,
            micros=None if source.cost.micros is None else source.cost.micros // k,
        )
        cost = draw + check.times(min(1, source.candidates))
    return Part(cost.times(runs), left * runs)


def _asking(bound: Bound, node: Node, operator: Asking, runs: int) -> Part:
    call, some = _call(bound, node), min(1, runs)
    match operator:
        case Judge() | Knockout():
            # Equal candidates are one, and one needs no comparison.
            return Part(NONE, some)
        case Rank(votes=votes):
            return Part(call.times(some * votes), some)
        case Fuse():
            return Part(call.times(some), some)
        case Refine(rounds=rounds):
            checked = node.checker is not None
            a_round = call if node.critic is None else call + _of_writer(bound, node.critic)
            each = _check(bound, node) if checked else a_round.times(rounds)
            return Part(each.times(runs), runs)
        case ModelVerifier(votes=votes):
            return Part(call.times(votes), 1)
        case _:
            raise AssertionError(f"{type(operator).__name__} has no least cost")


def _check(bound: Bound, node: Node) -> Cost:
    return _of(bound, node.checker, 1).cost if isinstance(node.checker, Node) else NONE


def _call(bound: Bound, node: Node) -> Cost:
    assert node.writer is not None
    return _of_writer(bound, node.writer)


def _of_writer(bound: Bound, writer: Writer) -> Cost:
    price = bound.models[writer.model_name].price
    micros = None if price is None else price.cost_micros(USAGE)
    return Cost(calls=1, input_tokens=1, output_tokens=0, micros=micros)
