"""`parkade compound calibrate`: how good the generator is, and how far to trust the verifier."""

from typing import TYPE_CHECKING

from parkade.cli.compound.reports import FIELD, RULE, AsJson, Field, Labels, Outcomes, Rule

if TYPE_CHECKING:
    from parkade.cli.compound.reports import Recorded
    from parkade.compound.evaluate.calibration import Calibration

HARDEST = 10


def calibrate(
    outcomes: Outcomes,
    labels: Labels = None,
    field: Field = FIELD,
    rule: Rule = RULE,
    as_json: AsJson = False,
) -> None:
    """Generator accuracy question by question, verifier rates, cost and latency."""
    from parkade.cli.compound.failing import failing
    from parkade.cli.compound.reports import Truth, print_json, read
    from parkade.compound.evaluate.calibration import calibration_of

    with failing(as_json=as_json):
        recorded = read(outcomes, Truth(labels, field, rule))
        found = calibration_of(recorded.outcomes)
    if as_json:
        import msgspec

        report = msgspec.to_builtins(found)
        # What intervals of a plan are read from: hundreds of numbers that say little alone.
        del report["doubts"]
        print_json(report, recorded)
    else:
        _show(found, recorded)


def _show(found: "Calibration", recorded: "Recorded") -> None:
    from parkade.cli.compound.reports import milliseconds, money, percent
    from parkade.cli.screen import fields, say, table
    from parkade.compound.evaluate.drawing_cost import each_micros

    verifier = found.verifier
    # Else each paid for its own prompt, and the two are one.
    alone = money(each_micros(found, 1)) if found.shared_prompt else None
    fields(
        [
            ("questions", f"{found.questions:,}"),
            ("candidates", f"{found.candidates:,}"),
            ("one candidate is right", percent(found.accuracy)),
            (
                "p over questions",
                f"Beta({found.generator.alpha:.3g}, {found.generator.beta:.3g})",
            ),
            ("right ones accepted", percent(verifier.true_positive_rate) if verifier else "–"),
            ("wrong ones accepted", percent(verifier.false_positive_rate) if verifier else "–"),
            ("cost of a candidate", money(found.cost_micros)),
            ("drawn alone", alone),
            ("latency of a candidate", milliseconds(found.latency_us)),
            ("labels", recorded.labels_in_words()),
            ("labels compared as", recorded.rule),
            ("candidates are", recorded.bias_in_words()),
        ]
    )
    hardest = sorted(found.per_question, key=lambda each: each.accuracy.value)[:HARDEST]
    say(f"The {len(hardest)} hardest questions:")
    table(
        ("QUESTION", "RIGHT", "OF", "P"),
        [(each.question, each.right, each.samples, percent(each.accuracy)) for each in hardest],
        empty="",
        right="RIGHT OF",
    )
