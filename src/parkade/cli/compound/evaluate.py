"""`parkade compound evaluate`: what recorded outcomes say."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from parkade.cli.compound.overwriting import Force
from parkade.cli.compound.reports import FIELD, RULE, AsJson, Field, Labels, Outcomes, Plot, Rule

if TYPE_CHECKING:
    from parkade.cli.compound.reports import Recorded
    from parkade.compound.evaluate.evaluation import Evaluation
    from parkade.compound.evaluate.network_answers import NetworkAnswers

Ks = Annotated[
    list[int] | None, typer.Option("-k", help="Candidates a question; again for more rows.")
]


def evaluate(
    outcomes: Outcomes,
    labels: Labels = None,
    field: Field = FIELD,
    rule: Rule = RULE,
    ks: Ks = None,
    plot: Plot = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Accuracy, pass@K, the verifier and what a solved question cost, with intervals."""
    from parkade.cli.compound.failing import failing
    from parkade.cli.compound.overwriting import PLOT, may_write
    from parkade.cli.compound.reports import Truth, print_json, read, write_plot
    from parkade.compound.evaluate.network_answers import network_answers
    from parkade.compound.evaluate.pictures import evaluation_chart

    with failing(as_json=as_json):
        if plot is not None:
            may_write(plot, PLOT, (outcomes, labels), force=force, as_json=as_json)
        recorded = read(outcomes, Truth(labels, field, rule))
        answers = network_answers(outcomes, recorded.labels) if outcomes.is_dir() else None
        found = _of_candidates(recorded, ks, or_nothing=answers is not None and plot is None)
        if plot is not None and found is not None:
            write_plot(evaluation_chart(found), plot)
    if as_json:
        print_json(_report(found, answers), recorded)
    else:
        _show(found, answers, recorded)


def _of_candidates(
    recorded: "Recorded", ks: list[int] | None, *, or_nothing: bool
) -> "Evaluation | None":
    """What is known of single candidates: None, and a note, where nothing is and that will do."""
    from parkade.cli.compound.reports import note
    from parkade.compound.evaluate import evaluation
    from parkade.compound.evaluate.outcomes import OutcomesUnreadable

    try:
        return evaluation.evaluate(recorded.outcomes, ks=ks)
    except OutcomesUnreadable:
        if not or_nothing:
            raise
        note("no verdict is about a sample of generate: nothing is told of single candidates")
        return None


def _report(found: "Evaluation | None", answers: "NetworkAnswers | None") -> dict[str, Any]:
    import msgspec

    from parkade.compound.evaluate.evaluation import VERSION

    report = {"version": VERSION} if found is None else msgspec.to_builtins(found)
    return report if answers is None else {**report, "answers": answers}


def _show(
    found: "Evaluation | None", answers: "NetworkAnswers | None", recorded: "Recorded"
) -> None:
    from parkade.cli.screen import fields, say

    if answers is not None:
        fields(_of_answers(answers))
    if found is not None and answers is not None:
        say("")
    fields([*_of_all_candidates(found), *_of_record(recorded)])
    if found is not None:
        _show_rows(found)


def _of_answers(answers: "NetworkAnswers") -> list[tuple[str, str | None]]:
    from parkade.cli.compound.reports import money, percent

    asked = answers.questions + answers.failed
    of_answered = percent(answers.right_of_answered) if answers.abstained else None
    return [
        ("answers of the network", f"{answers.questions - answers.abstained:,}"),
        ("abstained", f"{answers.abstained:,}" if answers.abstained else None),
        ("failed, not counted", f"{answers.failed:,} of {asked:,}" if answers.failed else None),
        ("the network is right", percent(answers.right)),
        ("right where it answers", of_answered),
        ("cost of all its calls", money(answers.cost_micros)),
        ("cost per solved question", money(answers.cost_per_solved_micros)),
    ]


def _of_all_candidates(found: "Evaluation | None") -> list[tuple[str, str | None]]:
    from parkade.cli.compound.reports import milliseconds, money, percent

    if found is None:
        return []
    verifier = found.verifier
    return [
        ("questions", f"{found.questions:,}"),
        ("candidates", f"{found.candidates:,}"),
        ("without a label", f"{found.unlabelled_candidates:,}"),
        ("one candidate is right", percent(found.accuracy)),
        ("right ones accepted", percent(verifier.true_positive_rate) if verifier else "–"),
        ("wrong ones accepted", percent(verifier.false_positive_rate) if verifier else "–"),
        ("accepted ones right", percent(verifier.precision) if verifier else "–"),
        ("cost", money(found.cost_micros)),
        ("latency of a candidate", milliseconds(found.latency_us)),
    ]


def _of_record(recorded: "Recorded") -> list[tuple[str, str | None]]:
    return [
        ("labels", recorded.labels_in_words()),
        ("labels compared as", recorded.rule),
        ("candidates are", recorded.bias_in_words()),
    ]


def _show_rows(found: "Evaluation") -> None:
    from parkade.cli.compound.reports import money, percent
    from parkade.cli.screen import table

    table(
        (
            "K",
            "AT LEAST ONE RIGHT",
            "FIRST ACCEPTED",
            _vote_title(found),
            "DRAWN",
            "COST PER SOLVED",
        ),
        [
            (
                f"{row.k:,}",
                percent(row.pass_at_k),
                percent(row.verified),
                percent(row.vote),
                f"{row.draws:.1f}",
                money(row.cost_per_solved_micros),
            )
            for row in found.rows
        ],
        empty="",
        right="K DRAWN",
    )


def _vote_title(found: "Evaluation") -> str:
    """A vote of one is exact, and a larger one is drawn by chance from what was recorded."""
    is_simulated = any(row.vote is not None and row.k > 1 for row in found.rows)
    return f"MAJORITY VOTE{' (SIMULATED)' if is_simulated else ''}"
