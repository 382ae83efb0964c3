"""What a network may cost for one question, before it runs: bounds, not forecasts.

`least` is in `fewest`. `most` is what it takes where nothing is accepted, no two candidates are
equal, and each call writes and reads as much as it may. Tokens are bounded as the budget bounds
them (`bounding`): a byte of a prompt is at most one token, an answer at most `max_tokens`, and a
candidate, or a critic's words, that a prompt shows as much as its model may write. A reason that a
verifier of Python gives has at most `MAX_REASON` characters. A field of the question that it lacks
is taken to be as long as its prompt, a function to give one candidate no longer than a model's.
Retries are not in it, nor what a question's own messages attach. How much is likely, calibration
says.

Example: `BestOf(Generate("m", max_tokens=100), k=8, verify=ModelVerifier("j", votes=3))` takes at
least 1 + 3 and at most 8 × (1 + 3) = 32 calls.
"""

from functools import reduce
from typing import Any

import msgspec

from parkade.compound.models.structured import MAX_ERROR
from parkade.compound.network import wording
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
from parkade.compound.network.request import Writer
from parkade.compound.values import MAX_REASON, Question, Usage

#: What the JSON around a prompt adds to its bytes.
ENVELOPE = 200
#: `Candidate 17:` and the empty line between two.
LABEL = 24
#: The most bytes of a character.
CHARACTER = 4
#: Names in a prompt that are no fields of the question.
MADE = ("candidate", "candidates", "reason")


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Of one question."""

    least: Cost
    most: Cost
    #: Most candidates that leave the network.
    candidates: int


def estimate(bound: Bound, question: Question) -> Estimate:
    """For a question of this length; the field `most.micros` is None without a bound or a price."""
    most = _Most(bound, question).of(bound.root, 0)
    return Estimate(least=fewest(bound).cost, most=most.cost, candidates=most.candidates)


class _Most:
    def __init__(self, bound: Bound, question: Question) -> None:
        self.bound = bound
        self.question = question
        self.prompt_bytes = len(question.prompt.encode())
        writers = [node.writer for node in bound.nodes if node.writer is not None]
        #: The most tokens of a candidate, whichever operator makes it.
        self.candidate = max((each.most_output_tokens or 0 for each in writers), default=0)

    def of(self, node: Node, arriving: int) -> Part:
        """`arriving` candidates come in; a source behind another runs once for each."""
        operator = node.operator
        if arriving > 1 and not node.is_stage and not isinstance(operator, (Chain, Function)):
            each = self.of(node, 1)
            return Part(each.cost.times(arriving), each.candidates * arriving)
        match operator:
            case Chain():
                return self._chain(node, arriving)
            case Generate(n=n):
                return Part(self._sample(node).times(n), n)
            case BestOf():
                source = self.of(node.children[0], arriving)
                return Part(source.cost + self._check(node).times(source.candidates), 1)
            case Repeat(times=times):
                inner = self.of(node.children[0], arriving)
                return Part(inner.cost.times(times), inner.candidates * times)
            case Cascade() | Race() | Route():
                return self._one_of(node, arriving)
            case Function() | Filter() | Cluster():
                return Part(NONE, max(1, arriving))
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
        return Part(sum(costs, NONE), 1)

    def _asking(self, node: Node, operator: Any, arriving: int) -> Part:
        call = self._call(node.writer, arriving)
        match operator:
            case Judge(votes=votes):
                # One candidate needs no judgement.
                return Part(call.times(votes if arriving > 1 else 0), 1)
            case Rank(votes=votes, keep=keep):
                return Part(call.times(arriving * votes), min(keep, arriving))
            case Knockout(votes=votes):
                a_pair = self._call(node.writer, 2)
                return Part(a_pair.times(max(0, arriving - 1) * votes), 1)
            case Fuse():
                return Part(call, 1)
            case Refine(rounds=rounds):
                check = self._check(node)
                each = (self._round(node) + check).times(rounds) + check
                return Part(each.times(arriving), arriving)
            case ModelVerifier(votes=votes):
                return Part(call.times(votes), 1)
            case _:
                return Part(NONE, arriving)

    def _sample(self, node: Node) -> Cost:
        """One sample, and its repairs, each of which shows all answers before it."""
        operator, cost = node.operator, self._call(node.writer, 0)
        if operator.schema is None or operator.kind != "chat":
            return cost
        assert node.writer is not None
        answer = node.writer.most_output_tokens or 0
        a_turn = answer + len(wording.REPAIR) + CHARACTER * MAX_ERROR + ENVELOPE
        repairs = (
            self._call(node.writer, 0, more=turn * a_turn)
            for turn in range(1, operator.repairs + 1)
        )
        return sum(repairs, cost)

    def _round(self, node: Node) -> Cost:
        """A critic's call, if there is one, and the call that makes a better answer of it."""
        checker, critic = node.checker, node.critic
        reason = 0
        if isinstance(checker, Node) and checker.writer is not None:
            reason = min(checker.writer.most_output_tokens or 0, CHARACTER * MAX_REASON)
        elif checker is not None:
            reason = CHARACTER * MAX_REASON
        if critic is None:
            return self._call(node.writer, 1, reason=reason)
        # Where the critic gives no answer, what the verifier said stands in the prompt.
        critique = max(reason, critic.most_output_tokens or 0)
        return self._call(critic, 1, reason=reason) + self._call(node.writer, 1, reason=critique)

    def _check(self, node: Node) -> Cost:
        checker = node.checker
        return self.of(checker, 1).cost if isinstance(checker, Node) else NONE

    def _call(self, writer: Writer | None, shown: int, *, reason: int = 0, more: int = 0) -> Cost:
        """One call whose prompt shows the question, so many candidates, a reason, and more."""
        assert writer is not None
        model = self.bound.models[writer.model_name]
        counts = writer.counts
        prompt = len(writer.signature) + ENVELOPE + writer.added_tokens + more
        prompt += counts["candidates"] * shown * (self.candidate + LABEL)
        prompt += counts["candidate"] * self.candidate + counts["reason"] * reason
        prompt += sum(self._field(name) * n for name, n in counts.items() if name not in MADE)
        output = writer.most_output_tokens
        usage = Usage(input_tokens=prompt, output_tokens=output or 0)
        is_bounded = output is not None and model.price is not None
        return Cost(
            calls=1,
            input_tokens=prompt,
            output_tokens=output,
            micros=model.price.cost_micros(usage) if model.price and is_bounded else None,
        )

    def _field(self, name: str) -> int:
        """Bytes of one of the question's variables; of one that it lacks, those of its prompt."""
        if name == "id":
            return len(self.question.id.encode())
        value = self.question.fields.get(name)
        return self.prompt_bytes if value is None else len(str(value).encode())
