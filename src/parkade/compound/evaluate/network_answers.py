"""How often a run's network is right: its final answers, whatever chose or wrote them.

`recorded_run` measures the candidates that `generate` made; a judge, a vote, a fusion or a
refinement stands behind them, and its answer is what a user gets. Right is what the label says, or,
without labels, what the network's verifier accepted. An abstention is no right answer; questions
without a result (they failed, or the budget ended before) are left out. The cost is that of all
calls of the network's operators.
"""

from pathlib import Path

import msgspec

from parkade.compound.evaluate.measures import Measure, mean_share
from parkade.compound.evaluate.recorded_run import Labels, is_right
from parkade.compound.run.described import read_described
from parkade.compound.run.failures import FAILURES, read_failures
from parkade.compound.run.lines import CallLine
from parkade.compound.run.ownership import JOURNAL, RUN
from parkade.compound.run.recorded_lines import decoded, recorded_lines, whole_lines
from parkade.compound.run.recording import RESULTS
from parkade.compound.run.results import Result


class NetworkAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """Over the questions that have a result and a label, or a verdict where there are no labels."""

    questions: int
    right: Measure
    #: Without an answer: the network abstained.
    abstained: int
    #: Of those with an answer; None where there is none.
    right_of_answered: Measure | None
    #: Of these questions.
    cost_micros: int
    cost_per_solved_micros: float | None
    #: Questions with a label that failed in the latest start: they have no result to count.
    failed: int = 0


def network_answers(out: Path, labels: Labels | None) -> NetworkAnswers | None:
    """Of the network that ran last in a folder; None where nothing says what is right, or there
    are no results."""
    if not (out / RESULTS).exists():
        return None
    known = _known(out, labels)
    if not known:
        return None
    answered = [right for right in known.values() if right is not None]
    cost = sum(
        call.cost
        for call in recorded_lines(out / JOURNAL, CallLine, read_described(out / RUN))
        if call.question in known
    )
    solved = sum(answered)
    return NetworkAnswers(
        questions=len(known),
        right=mean_share([float(right or 0) for right in known.values()], candidates=len(known)),
        abstained=len(known) - len(answered),
        right_of_answered=(
            mean_share([float(right) for right in answered], candidates=len(answered))
            if answered
            else None
        ),
        cost_micros=cost,
        cost_per_solved_micros=cost / solved if solved else None,
        failed=_failed(out, labels, known),
    )


def _failed(out: Path, labels: Labels | None, known: dict[str, bool | None]) -> int:
    network = read_described(out / RUN).network
    of_network = (each for each in read_failures(out / FAILURES) if each.network == network)
    return sum(
        each.id not in known and (labels is None or each.id in labels.references)
        for each in of_network
    )


def _known(out: Path, labels: Labels | None) -> dict[str, bool | None]:
    """By question: whether its answer is right; None where the network abstained."""
    network = read_described(out / RUN).network
    decode = msgspec.json.Decoder(Result).decode
    known: dict[str, bool | None] = {}
    for place, line in whole_lines(out / RESULTS, b"{"):
        result = decoded(out / RESULTS, place, line, decode)
        if network not in ("", result.network):
            continue
        if labels is not None and result.id not in labels.references:
            continue
        if result.answer is None:
            known[result.id] = None
        elif labels is not None:
            known[result.id] = is_right(labels, result.id, result.answer)
        elif result.accepted is not None:
            known[result.id] = result.accepted
    if labels is None and not any(right is not None for right in known.values()):
        return {}
    return known
