"""Which K to run: for a budget, for a target, or for what a right answer is worth.

The plan says what K gives, what it costs, the ceiling that false positives set, where accuracy
turns down, and in plain words whether more calls will help at all. It never promises more than the
calibration can carry: intervals are over questions, and few questions make them wide.
"""

from collections.abc import Sequence

import msgspec

from parkade.compound.amounts import amount_in_words
from parkade.compound.evaluate.calibration import Calibration
from parkade.compound.evaluate.curve import Curve, curve_of, curves_in_doubt
from parkade.compound.evaluate.drawing_cost import Drawing, drawing
from parkade.compound.evaluate.measures import REPORT_VERSION, Measure, mean_share
from parkade.compound.theory.domain import DomainError, not_negative, positive, whole
from parkade.compound.theory.domain import open_probability as share_between

MOST_K = 1_000
# Accuracy within this of the best counts as the best: a tenth of a point is not worth its price.
_CLOSE = 0.001
# A fall of less than this is not called a turn.
_TURN = 0.002
_LITTLE = 0.01
# Of an interval of 95 %, on each side.
_TAIL = 0.025
_FEW_QUESTIONS = 30


class Budget(msgspec.Struct, frozen=True, kw_only=True, tag="budget"):
    """Spend at most this in all, in expectation; the run's own budget is the hard one."""

    micros: int


class Target(msgspec.Struct, frozen=True, kw_only=True, tag="target"):
    """Answer this share of the questions right, as cheaply as possible."""

    accuracy: float


class Worth(msgspec.Struct, frozen=True, kw_only=True, tag="worth"):
    """A right answer is worth this, a wrong one costs that; the highest net worth wins.

    The K found is also the number of rejected candidates after which a question is given up.
    """

    right_micros: int
    wrong_micros: int


Goal = Budget | Target | Worth


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One K of the curve, per question."""

    k: int
    accuracy: float
    draws: float
    cost_micros: float


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The report of `plan`; `version` is that of its JSON form."""

    version: int
    goal: Goal
    questions: int
    # None where the goal cannot be met; everything about K is then None too.
    k: int | None
    accuracy: Measure | None
    draws_per_question: float | None
    cost_micros: float | None
    # If no candidate were ever accepted: K candidates of each question.
    worst_cost_micros: float | None
    cost_per_solved_micros: float | None
    # One candidate, without verifier.
    accuracy_of_one: Measure
    # What no K exceeds.
    ceiling: Measure
    # The K after which accuracy falls; None where it does not.
    turns_down_after: int | None
    steps: tuple[Step, ...]
    # Whether and why more calls help, in sentences.
    findings: tuple[str, ...]
    # Candidates of a question in flight at once.
    parallel: int = 1


def plan(
    calibration: Calibration,
    goal: Goal,
    *,
    questions: int | None = None,
    most_k: int = MOST_K,
    is_exact: bool = False,
    parallel: int = 1,
) -> Plan:
    """Plan a run over `questions` (default: as many as were calibrated) questions like these.

    `parallel` candidates of a question are in flight at once (`drawing_cost`).
    `is_exact` states that the verifier never errs (a proof checker, a multiplication), which no
    number of observations can show. Raises DomainError where there is no verifier, a goal makes no
    sense, or a budget meets candidates that cost nothing.
    """
    questions = (
        calibration.questions if questions is None else whole("questions", questions, least=1)
    )
    if calibration.misses is None and not is_exact:
        raise DomainError(
            "the outcomes hold no verdicts, so nothing is known of a verifier: record is_accepted,"
            " or plan with an exact verifier if the check never errs"
        )
    _check(goal, calibration)
    curve = curve_of(calibration, is_exact=is_exact)
    grid = _grid(whole("most_k", most_k, least=1))
    drawn = drawing(calibration, curve, whole("parallel", parallel, least=1))
    steps = [_step(drawn, k) for k in grid]
    chosen = _choose(drawn, steps, goal, questions)
    return _report(calibration, goal, questions, drawn, steps, chosen, is_exact=is_exact)


def _check(goal: Goal, calibration: Calibration) -> None:
    match goal:
        case Budget(micros=micros):
            whole("budget in micro-units", micros, least=1)
            if calibration.cost_micros == 0:
                raise DomainError("a budget needs prices: every recorded candidate costs 0")
        case Target(accuracy=accuracy):
            share_between("target accuracy", accuracy)
        case Worth(right_micros=right, wrong_micros=wrong):
            positive("worth of a right answer", right)
            not_negative("cost of a wrong answer", wrong)


def _grid(most_k: int) -> list[int]:
    """Every K to 10, then twelve a decade, and the last."""
    steps = {min(most_k, k) for k in range(1, 11)}
    exponent = 1.0
    while (k := round(10**exponent)) < most_k:
        steps.add(k)
        exponent += 1 / 12
    return sorted(steps | {most_k})


def _step(drawn: Drawing, k: int) -> Step:
    return Step(
        k=k,
        accuracy=drawn.curve.accuracy(k),
        draws=drawn.draws(k),
        cost_micros=drawn.cost_micros(k),
    )


def _choose(drawn: Drawing, steps: Sequence[Step], goal: Goal, questions: int) -> Step | None:
    match goal:
        case Budget(micros=micros):
            each = micros / questions
            largest = _largest(drawn, steps, each / drawn.each_micros)
            if largest is None:
                return None
            affordable = [step for step in steps if step.k < largest]
            return _best([*affordable, _step(drawn, largest)])
        case Target(accuracy=accuracy):
            k = _smallest(drawn.curve, steps, accuracy)
            return None if k is None else _step(drawn, k)
        case Worth(right_micros=right, wrong_micros=wrong):
            return max(
                steps,
                key=lambda step: (
                    step.accuracy * right - (1 - step.accuracy) * wrong - step.cost_micros
                ),
            )


def _best(steps: Sequence[Step]) -> Step:
    """The smallest K whose accuracy is within a tenth of a point of the best."""
    most = max(step.accuracy for step in steps)
    return next(step for step in steps if step.accuracy >= most - _CLOSE)


def _largest(drawn: Drawing, steps: Sequence[Step], draws: float) -> int | None:
    """The largest K of at most so many expected draws; draws grow with K."""
    low, high = 0, steps[-1].k
    if steps[-1].draws <= draws:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if drawn.draws(middle) <= draws else (low, middle)
    return low or None


def _smallest(curve: Curve, steps: Sequence[Step], accuracy: float) -> int | None:
    """The smallest K that reaches an accuracy, found between two steps of the grid."""
    reached = next((i for i, step in enumerate(steps) if step.accuracy >= accuracy), None)
    if reached is None:
        return None
    low, high = steps[reached - 1].k if reached else 0, steps[reached].k
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if curve.accuracy(middle) >= accuracy else (middle, high)
    return high


def _report(
    calibration: Calibration,
    goal: Goal,
    questions: int,
    drawn: Drawing,
    steps: Sequence[Step],
    chosen: Step | None,
    *,
    is_exact: bool,
) -> Plan:
    curve = drawn.curve
    in_doubt = curves_in_doubt(calibration, is_exact=is_exact)
    ceiling = _measure(calibration, curve, in_doubt, None)
    turn = _turn(steps)
    accuracy = _measure(calibration, curve, in_doubt, chosen.k) if chosen else None
    cost = chosen.cost_micros * questions if chosen else None
    return Plan(
        version=REPORT_VERSION,
        goal=goal,
        questions=questions,
        k=chosen.k if chosen else None,
        accuracy=accuracy,
        draws_per_question=chosen.draws if chosen else None,
        cost_micros=cost,
        worst_cost_micros=chosen.k * drawn.each_micros * questions if chosen else None,
        cost_per_solved_micros=(
            chosen.cost_micros / chosen.accuracy if chosen and chosen.accuracy > 0 else None
        ),
        accuracy_of_one=calibration.accuracy,
        ceiling=ceiling,
        turns_down_after=turn,
        steps=tuple(steps),
        findings=_findings(calibration, goal, steps, chosen, ceiling, turn, is_exact=is_exact),
        parallel=drawn.parallel,
    )


def _measure(
    calibration: Calibration, curve: Curve, in_doubt: Sequence[Curve], k: int | None
) -> Measure:
    """Accuracy at K, or the ceiling for None, with an interval for questions like these.

    The wider of two doubts on each side: what the rates of such questions follow, and, whatever
    they follow, that it was these questions that were drawn.
    """
    found = mean_share(curve.shares(k), candidates=calibration.candidates)
    if not in_doubt:
        return found
    may_be = sorted(each.ceiling() if k is None else each.accuracy(k) for each in in_doubt)
    tail = int(_TAIL * len(may_be))
    return Measure(
        value=found.value,
        low=min(found.low, may_be[tail]),
        high=max(found.high, may_be[-1 - tail]),
    )


def _turn(steps: Sequence[Step]) -> int | None:
    best = max(steps, key=lambda step: step.accuracy)
    return best.k if best.accuracy - steps[-1].accuracy > _TURN else None


def _findings(
    calibration: Calibration,
    goal: Goal,
    steps: Sequence[Step],
    chosen: Step | None,
    ceiling: Measure,
    turn: int | None,
    *,
    is_exact: bool,
) -> tuple[str, ...]:
    one, most = steps[0].accuracy, _best(steps)
    found = []
    if most.accuracy - one < _LITTLE:
        found.append(
            f"More calls will not help: one candidate is right on {100 * one:.1f} % of the"
            f" questions, and no K up to {steps[-1].k:,} reaches more than"
            f" {100 * max(step.accuracy for step in steps):.1f} %."
        )
    else:
        found.append(
            f"More calls help: from {100 * one:.1f} % with one candidate to"
            f" {100 * most.accuracy:.1f} % at K = {most.k:,}."
        )
    if not is_exact:
        best = max(steps, key=lambda step: step.accuracy)
        found += _about_the_verifier(calibration, ceiling, best)
    if turn is not None:
        found.append(
            f"Accuracy turns down after K = {turn}: later candidates are accepted mostly on"
            " questions where the verifier is wrong."
        )
    if chosen is None:
        found.append(_why_none(goal, most, ceiling, steps[0]))
    if isinstance(goal, Worth) and chosen is not None and chosen.k > most.k:
        found.append(
            f"K = {chosen.k:,} has the highest net worth: it is above K = {most.k:,}, since what"
            " little accuracy the further candidates add is worth more than they cost."
        )
    if calibration.questions < _FEW_QUESTIONS:
        found.append(
            f"Only {calibration.questions} questions were calibrated; label at least"
            f" {_FEW_QUESTIONS} before you trust these figures."
        )
    return tuple(found)


def _about_the_verifier(calibration: Calibration, ceiling: Measure, best: Step) -> list[str]:
    found = []
    assert calibration.verifier is not None
    tpr = calibration.verifier.true_positive_rate
    fpr = calibration.verifier.false_positive_rate
    if tpr and fpr and tpr.value <= fpr.value:
        found.append(
            f"The verifier accepts wrong answers ({100 * fpr.value:.1f} %) at least as often as"
            f" right ones ({100 * tpr.value:.1f} %): do without it, or mend it first."
        )
    elif tpr and fpr and tpr.low <= fpr.high:
        found.append(
            "The verifier may not tell right from wrong: the intervals of its true and false"
            " positive rate overlap. Label more candidates."
        )
    if best.accuracy > ceiling.value + _LITTLE:
        found.append(
            f"False positives take accuracy down to {100 * ceiling.value:.1f} % with ever more"
            f" candidates, below the {100 * best.accuracy:.1f} % at K = {best.k:,}: more"
            " candidates do not help, a better verifier does."
        )
    elif ceiling.value < 1 - _LITTLE:
        found.append(
            f"False positives cap accuracy at {100 * ceiling.value:.1f} %: no budget goes beyond,"
            " a better verifier does."
        )
    return found


def _why_none(goal: Goal, most: Step, ceiling: Measure, first: Step) -> str:
    match goal:
        case Target(accuracy=accuracy):
            return (
                f"The target of {100 * accuracy:.1f} % is out of reach: the best is"
                f" {100 * most.accuracy:.1f} % at K = {most.k}, the ceiling"
                f" {100 * ceiling.value:.1f} %."
            )
        case Budget(micros=micros):
            return (
                f"The budget of {amount_in_words(micros)} does not pay for one candidate of each"
                f" question, at {amount_in_words(first.cost_micros)} a question."
            )
        case Worth():
            raise AssertionError("some K is always the best")
