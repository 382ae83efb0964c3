"""`parkade compound plan`: which K to run, and whether more calls help at all."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.compound.overwriting import Force
from parkade.cli.compound.reports import FIELD, RULE, AsJson, Field, Labels, Outcomes, Plot, Rule

if TYPE_CHECKING:
    from parkade.cli.compound.reports import Recorded
    from parkade.compound.evaluate.planning import Goal, Plan, Step

ROWS = 10

Budget = Annotated[str | None, typer.Option(help="Most to spend in all, in expectation.")]
Target = Annotated[
    str | None, typer.Option(help="Share of questions to answer right: 0.9, or 90%.")
]
Worth = Annotated[str | None, typer.Option(help="What a right answer is worth.")]
WrongCost = Annotated[str, typer.Option(help="With --worth: what a wrong answer costs.")]
Questions = Annotated[
    int | None, typer.Option(help="Questions to run; default: as many as were calibrated.")
]
MostK = Annotated[int, typer.Option("--most-k", help="No K beyond this is looked at.")]
Parallel = Annotated[
    int,
    typer.Option(
        help="Candidates of a question in flight at once, as the network's parallel.", min=1
    ),
]
Exact = Annotated[
    bool, typer.Option("--exact-verifier", help="The verifier never errs, such as a proof checker.")
]


def plan(
    outcomes: Outcomes,
    labels: Labels = None,
    field: Field = FIELD,
    rule: Rule = RULE,
    budget: Budget = None,
    target: Target = None,
    worth: Worth = None,
    wrong_cost: WrongCost = "0",
    questions: Questions = None,
    most_k: MostK = 1_000,
    parallel: Parallel = 1,
    exact_verifier: Exact = False,
    plot: Plot = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """K, expected accuracy, ceiling and cost for a budget, a target, or a worth.

    Give one of --budget, --target and --worth.
    """
    from parkade.cli.compound.failing import failing
    from parkade.cli.compound.overwriting import PLOT, may_write
    from parkade.cli.compound.reports import Truth, print_json, read, write_plot
    from parkade.compound.evaluate import planning
    from parkade.compound.evaluate.calibration import calibration_of
    from parkade.compound.evaluate.pictures import plan_chart

    with failing(as_json=as_json):
        if plot is not None:
            may_write(plot, PLOT, (outcomes, labels), force=force, as_json=as_json)
        goal = _goal(budget, target, worth, wrong_cost)
        recorded = read(outcomes, Truth(labels, field, rule))
        found = planning.plan(
            calibration_of(recorded.outcomes),
            goal,
            questions=questions,
            most_k=most_k,
            is_exact=exact_verifier,
            parallel=parallel,
        )
        if plot is not None:
            write_plot(plan_chart(found), plot)
    if as_json:
        print_json(found, recorded)
    else:
        _show(found, recorded)


def _goal(budget: str | None, target: str | None, worth: str | None, wrong: str) -> "Goal":
    from parkade.cli.compound.reports import micros
    from parkade.compound.evaluate import planning
    from parkade.compound.theory.domain import DomainError

    match (budget, target, worth):
        case (str(amount), None, None):
            return planning.Budget(micros=micros(amount, "--budget"))
        case (None, str(share), None):
            return planning.Target(accuracy=_share(share))
        case (None, None, str(amount)):
            return planning.Worth(
                right_micros=micros(amount, "--worth"), wrong_micros=micros(wrong, "--wrong-cost")
            )
        case _:
            raise DomainError("give exactly one of --budget, --target and --worth")


def _share(text: str) -> float:
    """A share of questions, as people write one; DomainError if it is none."""
    from parkade.compound.amounts import plain
    from parkade.compound.theory.domain import DomainError

    number, percent, rest = text.partition("%")
    try:
        share = float(number)
    except ValueError:
        rest = text
    if rest.strip():
        raise DomainError(f"--target: {text!r} is no share; write 0.9, or 90%")
    if percent:
        return share / 100
    if 1 < share <= 100:
        raise DomainError(f"--target is a share: write {plain(share / 100)} for {plain(share)} %")
    return share


def _show(found: "Plan", recorded: "Recorded") -> None:
    from parkade.cli.compound.reports import money, percent
    from parkade.cli.screen import fields, say, table

    draws = found.draws_per_question
    side = "one by one" if found.parallel == 1 else f"{found.parallel} side by side"
    for finding in found.findings:
        say(finding)
    fields(
        [
            ("K", found.k),
            ("expected accuracy", percent(found.accuracy) if found.accuracy else None),
            ("with one candidate", percent(found.accuracy_of_one)),
            ("ceiling", percent(found.ceiling)),
            ("questions", f"{found.questions:,}"),
            ("candidates a question", None if draws is None else f"{draws:.2f}, {side}"),
            ("cost, expected", None if found.k is None else money(found.cost_micros)),
            ("cost, at worst", None if found.k is None else money(found.worst_cost_micros)),
            (
                "cost per solved question",
                None if found.k is None else money(found.cost_per_solved_micros),
            ),
            ("labels compared as", recorded.rule),
            ("candidates are", recorded.bias_in_words()),
        ]
    )
    table(
        ("K", "ACCURACY", "DRAWN", "COST EACH"),
        [
            (
                f"{step.k:,}",
                f"{100 * step.accuracy:.1f} %",
                f"{step.draws:.2f}",
                money(step.cost_micros),
            )
            for step in _shown(found)
        ],
        empty="",
        right="K ACCURACY DRAWN",
    )


def _shown(found: "Plan") -> list["Step"]:
    """Rows that people need: a few a decade."""
    steps = [*found.steps]
    wanted = [round(steps[-1].k ** (i / (ROWS - 1))) for i in range(ROWS)]
    nearest = [min(steps, key=lambda step: abs(step.k - k)) for k in wanted]
    return list({step.k: step for step in nearest}.values())
