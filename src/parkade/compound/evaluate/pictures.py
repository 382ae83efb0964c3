"""Reports as charts."""

from collections.abc import Callable

from parkade.compound.evaluate.evaluation import Evaluation, EvaluationRow
from parkade.compound.evaluate.measures import Measure
from parkade.compound.evaluate.planning import Plan
from parkade.compound.plots.chart import Axis, Chart, Line, Scale

_ACROSS = Axis("candidates a question, K", Scale.LOG)
_UP = Axis("questions answered right", Scale.PERCENT)


def evaluation_chart(found: Evaluation) -> Chart:
    """pass@K, verified accuracy and vote over K, with their intervals."""
    coverage = _measured("at least one right", found, lambda row: row.pass_at_k)
    lines = [
        _measured("first accepted", found, lambda row: row.verified),
        _measured("majority vote", found, lambda row: row.vote),
        # Dashed and drawn last: with an exact verifier it lies on "first accepted".
        coverage if coverage is None else coverage._replace(is_dashed=True),
    ]
    title = f"{found.questions} questions, {found.candidates} candidates"
    return Chart(title, _ACROSS, _UP, tuple(line for line in lines if line is not None))


def _measured(
    name: str, found: Evaluation, of: Callable[[EvaluationRow], Measure | None]
) -> Line | None:
    rows = [(row.k, of(row)) for row in found.rows]
    known = [(k, measure) for k, measure in rows if measure is not None]
    if not known:
        return None
    return Line(
        name,
        tuple((float(k), measure.value) for k, measure in known),
        tuple((measure.low, measure.high) for _, measure in known),
    )


def plan_chart(found: Plan) -> Chart:
    """Expected accuracy over K, the ceiling, and the K that was chosen."""
    steps = [(float(step.k), step.accuracy) for step in found.steps]
    first, last = steps[0][0], steps[-1][0]
    lines = [
        Line("expected accuracy", tuple(steps), is_dashed=False),
        Line(
            "ceiling",
            ((first, found.ceiling.value), (last, found.ceiling.value)),
            is_dashed=True,
        ),
    ]
    if found.k is not None and found.accuracy is not None:
        lines.append(Line(f"K = {found.k}", ((float(found.k), found.accuracy.value),)))
    return Chart("What K candidates give", _ACROSS, _UP, tuple(lines))
