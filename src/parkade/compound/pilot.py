"""A pilot from Python: draw candidates of labelled questions, and calibrate generator and verifier.

    from parkade.compound.evaluate import Target, plan
    from parkade.compound.pilot import pilot

    calibration = pilot("64B(E@small)@check", rows, models=models, verifiers=verifiers)
    print(plan(calibration, Target(accuracy=0.9)).k)

A network that stops at its first accepted candidate says little of easy questions, so the pilot of
`best_of` draws `samples` candidates of each question and has every one verified. Any other network
runs as it is. What `parkade compound run` and `calibrate` do with files, in one call.
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Unpack

from msgspec.structs import replace

from parkade.compound.asking import (
    Asked,
    AskOptions,
    Network,
    answers_of,
    chosen_of,
    file_of,
    names_of,
    questions_of,
    waited_for,
)
from parkade.compound.evaluate.calibration import PILOT, Calibration, calibration_of
from parkade.compound.evaluate.outcomes import OutcomesUnreadable
from parkade.compound.evaluate.recorded_run import Labels, outcomes_of_run, with_rule_of_run
from parkade.compound.loading import loaded_from
from parkade.compound.network import BestOf, NetworkError, Operator, Repeat, Verify
from parkade.compound.theory.domain import whole
from parkade.compound.values import Question


def pilot(
    network: Network,
    labelled: Iterable[Asked],
    *,
    samples: int = PILOT,
    field: str | None = "answer",
    rule: str = "auto",
    **options: Unpack[AskOptions],
) -> Calibration:
    """Generator accuracy by question, and the verifier's rates, with intervals.

    `field` holds each question's right answer, compared by `rule` as `parkade compound calibrate`
    does; None takes what the verifier accepts as right. `options` are those of `ask`: with `out`
    the run is kept and goes on. Raises what `ask` does, DomainError and OutcomesUnreadable.
    """
    if (file := file_of(network)) is not None:
        raise NetworkError(f"{file}: a pilot needs the network itself; for a file use calibrate")
    chosen = chosen_of(options, beside=("samples", "field", "rule"))
    loaded = loaded_from(network, *names_of(options))
    drawn = _drawing(loaded.network, whole("samples", samples, least=1))
    questions = questions_of(labelled)
    labels = None if field is None else _labels(questions, field, rule)
    with TemporaryDirectory(prefix="parkade-") as folder:
        kept = chosen.out or Path(folder)
        waited_for(answers_of(replace(loaded, network=drawn), questions, replace(chosen, out=kept)))
        known = None if labels is None else with_rule_of_run(kept, labels)
        return calibration_of(outcomes_of_run(kept, known))


def _drawing(network: Operator, samples: int) -> Operator:
    """The network that draws all and has all verified."""
    if isinstance(network, BestOf):
        return Repeat(network.source, samples) >> Verify(network.verify)
    return network


def _labels(questions: Iterable[Question], field: str, rule: str) -> Labels:
    references = {
        question.id: question.fields[field]
        for question in questions
        if question.fields.get(field) is not None
    }
    if not references:
        raise OutcomesUnreadable(f"no question has the field {field!r}; name it with field=")
    return Labels(references=references, rule=rule)
