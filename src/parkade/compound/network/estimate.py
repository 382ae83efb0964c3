"""What a network may cost for one question, before it runs: bounds, not forecasts.

`least` is in `fewest`. `most` is what it takes where nothing is accepted and no two candidates are
equal. Tokens are bounded as the budget bounds them (`bounding`): a byte of a prompt is at most one
token, an answer at most `max_tokens`, and a candidate that a prompt shows as much as its model may
write. A function is taken to give one candidate. Retries are not in it, nor what a question's own
messages attach. How much is likely, calibration says.

Example: `BestOf(Generate("m", max_tokens=100), k=8, verify=ModelVerifier("j", votes=3))` takes at
least 1 + 3 and at most 8 × (1 + 3) = 32 calls.
"""

from functools import reduce
from typing import Any

import msgspec

from parkade.compound.network.binding import Bound, Node
from parkade.compound.network.cost import NONE, Cost, Part
from parkade.compound.network.fewest import fewest
from parkade.compound.network.operators import (
    Asking,
    BestOf,
    Cascade,
    Chain,
    Cluster,
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
from parkade.compound.values import Question, Usage

#: What the JSON around a prompt adds to its bytes.
ENVELOPE = 200


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Of one question."""

    least: Cost
    most: Cost
    #: Most candidates that leave the network.
    candidates: int


def estimate(bound: Bound, question: Question) -> Estimate:
    """For a question of this length; the field `most.micros` is None without a bound or a price."""
    most = _Most(bound, len(question.prompt.encode())).of(bound.root, 0)
    return Estimate(least=fewest(bound).cost, most=most.cost, candidates=most.candidates)


class _Most:
    def __init__(self, bound: Bound, prompt_bytes: int) -> None:
        self.bound = bound
        self.prompt_bytes = prompt_bytes
        writers = [node.writer for node in bound.nodes if node.writer is not None]
        #: The most tokens of a candidate, whichever operator makes it.
        self.candidate = max((each.most_output_tokens or 0 for each in writers), default=0)

    def of(self, node: Node, arriving: int) -> Part:
        """`arriving` candidates come in; a source behind another runs once for each."""
        operator = node.operator
        runs = max(1, arriving)
        match operator:
            case Chain():
                return self._chain(node, arriving)
            case Generate(n=n, repairs=repairs, schema=schema):
                tries = 1 + (repairs if schema is not None else 0)
                call = self._call(node, 1 if arriving else 0)
                return Part(call.times(runs * n * tries), runs * n)
            case BestOf():
                source = self.of(node.children[0], 1 if arriving else 0)
                each = source.cost + self._check(node).times(source.candidates)
                return Part(each.times(runs), runs)
            case Repeat(times=times):
                inner = self.of(node.children[0], arriving)
                return Part(inner.cost.times(times), inner.candidates * times)
            case Cascade() | Race() | Route():
                return self._one_of(node, arriving)
            case Function() | Filter() | Cluster():
                return Part(NONE, runs)
            case Vote():
                return Part(NONE, 1)
            case Verify():
                return Part(self._check(node).times(arriving), arriving)
            case Asking():
                return self._asking(node, operator, arriving)
            case _:
                parts = [self.of(child, arriving) for child in node.children]
                cost = sum((part.cost for part in parts), NONE)
                return Part(cost, sum(part.candidates for part in parts))

    def _chain(self, node: Node, arriving: int) -> Part:
        cost = NONE
        for step in node.children:
            of_step = self.of(step, arriving)
            cost, arriving = cost + of_step.cost, of_step.candidates
        return Part(cost, arriving)

    def _one_of(self, node: Node, arriving: int) -> Part:
        parts = [self.of(child, arriving) for child in node.children]
        check = NONE if node.checker is None else self._check(node)
        costs = [part.cost + check.times(part.candidates) for part in parts]
        if isinstance(node.operator, Route):
            # One way may have the most calls, another the most tokens.
            return Part(reduce(Cost.or_more, costs), max(part.candidates for part in parts))
        return Part(sum(costs, NONE), max(1, arriving))

    def _asking(self, node: Node, operator: Any, arriving: int) -> Part:
        match operator:
            case Judge(votes=votes):
                # One candidate needs no judgement.
                return Part(self._call(node, arriving).times(votes if arriving > 1 else 0), 1)
            case Rank(votes=votes, keep=keep):
                return Part(self._call(node, 1).times(arriving * votes), min(keep, arriving))
            case Knockout(votes=votes):
                return Part(self._call(node, 2).times(max(0, arriving - 1) * votes), 1)
            case Fuse():
                return Part(self._call(node, arriving), 1)
            case Refine(rounds=rounds):
                check = self._check(node)
                a_round = self._call(node, 1).times(1 if node.critic is None else 2) + check
                return Part((a_round.times(rounds) + check).times(arriving), arriving)
            case ModelVerifier(votes=votes):
                return Part(self._call(node, 1).times(votes), 1)
            case _:
                return Part(NONE, arriving)

    def _check(self, node: Node) -> Cost:
        checker = node.checker
        return self.of(checker, 1).cost if isinstance(checker, Node) else NONE

    def _call(self, node: Node, shown: int) -> Cost:
        """One call whose prompt shows the question and so many candidates."""
        writer = node.writer
        assert writer is not None
        model = self.bound.models[writer.model_name]
        prompt = len(writer.signature) + self.prompt_bytes + ENVELOPE + shown * self.candidate
        prompt += writer.added_tokens
        output = writer.most_output_tokens
        usage = Usage(input_tokens=prompt, output_tokens=output or 0)
        is_bounded = output is not None and model.price is not None
        return Cost(
            calls=1,
            input_tokens=prompt,
            output_tokens=output,
            micros=model.price.cost_micros(usage) if model.price and is_bounded else None,
        )
