"""What a network may cost for one question, before it runs.

Bounds, not forecasts: `least` is what it takes when all goes well (the first candidate is accepted,
the first way serves), `most` when nothing does. Tokens are bounded as the budget bounds them: a
byte of prompt is at most one token, an answer at most `max_tokens`. Retries are not in it. How much
is likely, calibration says.

Example: `BestOf(Generate("m", max_tokens=100), k=8, verify=ModelVerifier("j", votes=3))` takes at
least 1 + 3 and at most 8 × (1 + 3) = 32 calls.
"""

from typing import Any

import msgspec

from parkade.compound.network.binding import Bound, Node
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


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of some calls: how many, their tokens, their money; None where it has no bound."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int | None = 0
    micros: int | None = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            micros=_sum(self.micros, other.micros),
        )

    def times(self, count: int) -> "Cost":
        """So often."""
        return Cost(
            calls=self.calls * count,
            input_tokens=self.input_tokens * count,
            output_tokens=None if self.output_tokens is None else self.output_tokens * count,
            micros=None if self.micros is None else self.micros * count,
        )


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Of one question."""

    least: Cost
    most: Cost
    #: Most candidates that leave the network.
    candidates: int


NONE = Cost()


def estimate(bound: Bound, question: Question) -> Estimate:
    """For a question of this length; the field `most.micros` is None without a bound or a price."""
    return _Estimator(bound, len(question.prompt.encode())).of(bound.root, 0)


class _Estimator:
    def __init__(self, bound: Bound, prompt_bytes: int) -> None:
        self.bound = bound
        self.prompt_bytes = prompt_bytes

    def of(self, node: Node, arriving: int) -> Estimate:
        """`arriving` candidates come in; a source behind another runs once for each."""
        operator = node.operator
        match operator:
            case Chain():
                return self._chain(node)
            case Generate(n=n, repairs=repairs, schema=schema):
                times = max(1, arriving) * n
                tries = 1 + (repairs if schema is not None else 0)
                call = self._call(node, 1 if arriving else 0)
                return _made(call.times(times), call.times(times * tries), times)
            case BestOf(k=k, stop=stop):
                return self._best_of(node, k, stop)
            case Repeat(times=times):
                inner = self.of(node.children[0], arriving)
                return _made(
                    inner.least.times(times), inner.most.times(times), inner.candidates * times
                )
            case Cascade() | Race() | Route():
                return self._one_of(node, arriving)
            case Function() | Filter() | Vote() | Cluster():
                some = 1 if isinstance(operator, Vote) else arriving or 1
                return _made(NONE, NONE, some)
            case Verify():
                each = self._check(node)
                return _made(each.times(arriving), each.times(arriving), arriving)
            case Asking():
                return self._asking(node, operator, arriving)
            case _:
                parts = [self.of(child, arriving) for child in node.children]
                return Estimate(
                    least=sum((part.least for part in parts), NONE),
                    most=sum((part.most for part in parts), NONE),
                    candidates=sum(part.candidates for part in parts),
                )

    def _chain(self, node: Node) -> Estimate:
        least = most = NONE
        arriving = 0
        for step in node.children:
            of_step = self.of(step, arriving)
            least, most = least + of_step.least, most + of_step.most
            arriving = of_step.candidates
        return Estimate(least=least, most=most, candidates=arriving)

    def _best_of(self, node: Node, k: int, stop: str) -> Estimate:
        source = self.of(node.children[0], 0)
        check = self._check(node)
        all_checked = source.most + check.times(source.candidates)
        if stop == "all":
            return _made(all_checked, all_checked, 1)
        draw = source.least
        per_draw = Cost(
            calls=-(-draw.calls // k),
            input_tokens=draw.input_tokens // k,
            output_tokens=None if draw.output_tokens is None else draw.output_tokens // k,
            micros=None if draw.micros is None else draw.micros // k,
        )
        return _made(per_draw + check, all_checked, 1)

    def _one_of(self, node: Node, arriving: int) -> Estimate:
        parts = [self.of(child, arriving) for child in node.children]
        check = NONE if node.checker is None else self._check(node)
        costs = [part.most + check.times(part.candidates) for part in parts]
        if isinstance(node.operator, Route):
            most = max(costs, key=lambda cost: cost.calls)
            least = min((part.least for part in parts), key=lambda cost: cost.calls)
        else:
            most = sum(costs, NONE)
            least = parts[0].least + check
        return _made(least, most, 1)

    def _asking(self, node: Node, operator: Any, arriving: int) -> Estimate:
        match operator:
            case Judge(votes=votes):
                cost = self._call(node, arriving).times(votes)
                return _made(cost, cost, 1)
            case Rank(votes=votes, keep=keep):
                cost = self._call(node, 1).times(arriving * votes)
                return _made(cost, cost, min(keep, arriving))
            case Knockout(votes=votes):
                cost = self._call(node, 2).times(max(0, arriving - 1) * votes)
                return _made(cost, cost, 1)
            case Fuse():
                cost = self._call(node, arriving)
                return _made(cost, cost, 1)
            case Refine(rounds=rounds):
                check = self._check(node)
                a_round = self._call(node, 1).times(1 if node.critic is None else 2) + check
                least = check if node.checker is not None else a_round.times(rounds)
                most = a_round.times(rounds) + check
                return _made(least.times(arriving), most.times(arriving), arriving)
            case ModelVerifier(votes=votes):
                cost = self._call(node, 1).times(votes)
                return _made(cost, cost, 1)
            case _:
                return _made(NONE, NONE, arriving)

    def _check(self, node: Node) -> Cost:
        checker = node.checker
        return self.of(checker, 1).most if isinstance(checker, Node) else NONE

    def _call(self, node: Node, shown: int) -> Cost:
        """One call whose prompt shows the question and so many candidates."""
        writer = node.writer
        assert writer is not None
        model = self.bound.models[writer.model_name]
        candidate = writer.most_output_tokens or 0
        prompt = len(writer.signature) + self.prompt_bytes + ENVELOPE + shown * candidate
        output = writer.most_output_tokens
        usage = Usage(input_tokens=prompt, output_tokens=output or 0)
        is_bounded = output is not None and model.price is not None
        return Cost(
            calls=1,
            input_tokens=prompt,
            output_tokens=output,
            micros=model.price.cost_micros(usage) if model.price and is_bounded else None,
        )


def _made(least: Cost, most: Cost, candidates: int) -> Estimate:
    return Estimate(least=least, most=most, candidates=candidates)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
