"""`parkade compound evaluate`: what recorded outcomes say."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.compound.reports import FIELD, RULE, AsJson, Field, Labels, Outcomes, Plot, Rule

if TYPE_CHECKING:
    from parkade.cli.compound.reports import Recorded
    from parkade.compound.evaluate.evaluation import Evaluation

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
    as_json: AsJson = False,
) -> None:
    """Accuracy, pass@K, the verifier and what a solved question cost, with intervals."""
    from parkade.cli.compound.failing import failing
    from parkade.cli.compound.reports import Truth, print_json, read, write_plot
    from parkade.compound.evaluate import evaluation
    from parkade.compound.evaluate.pictures import evaluation_chart

    with failing(as_json=as_json):
        recorded = read(outcomes, Truth(labels, field, rule))
        found = evaluation.evaluate(recorded.outcomes, ks=ks)
        if plot is not None:
            write_plot(evaluation_chart(found), plot)
    if as_json:
        print_json(found, recorded)
    else:
        _show(found, recorded)


def _show(found: "Evaluation", recorded: "Recorded") -> None:
    from parkade.cli.compound.reports import milliseconds, money, percent
    from parkade.cli.screen import fields, table

    verifier = found.verifier
    fields(
        [
            ("questions", f"{found.questions:,}"),
            ("candidates", f"{found.candidates:,}"),
            ("without a label", f"{found.unlabelled_candidates:,}"),
            ("one candidate is right", percent(found.accuracy)),
            ("right ones accepted", percent(verifier.true_positive_rate) if verifier else "–"),
            ("wrong ones accepted", percent(verifier.false_positive_rate) if verifier else "–"),
            ("accepted ones right", percent(verifier.precision) if verifier else "–"),
            ("cost", money(found.cost_micros)),
            ("latency of a candidate", milliseconds(found.latency_us)),
            ("labels compared as", recorded.rule),
            ("candidates are", recorded.bias_in_words()),
        ]
    )
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
