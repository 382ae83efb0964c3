"""What the commands that know have in common: files read, amounts, plots written."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from parkade.compound.evaluate.measures import Measure
    from parkade.compound.evaluate.outcomes import Outcome
    from parkade.compound.evaluate.recorded_run import Labels as Known
    from parkade.compound.plots.chart import Chart


Outcomes = Annotated[
    Path,
    typer.Argument(help="Folder of a run, or a file of recorded outcomes.", metavar="OUTCOMES"),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Of a run: JSON lines with the right answers, such as the file of questions.",
        metavar="FILE",
    ),
]
Field = Annotated[str, typer.Option("--field", help="With --labels: the key of the answer.")]
Rule = Annotated[
    str,
    typer.Option("--rule", help="With --labels: auto, exact, number, choice or json."),
]
FIELD, RULE = "answer", "auto"
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Plot = Annotated[
    Path | None, typer.Option("--plot", help="Write a plot: FILE.svg, or FILE.png.", metavar="FILE")
]


class Truth(NamedTuple):
    """What says which samples of a run are right: the options of these names."""

    labels: Path | None
    field: str
    rule: str


class Recorded(NamedTuple):
    """Outcomes, and how they came."""

    outcomes: "Iterator[Outcome]"
    #: What compared them with labels; None without labels.
    rule: str | None
    #: Of a run: whether its network stops a question at its first accepted candidate, so that easy
    #: questions have few; None for a file of outcomes, which does not say.
    stops_early: bool | None
    #: Of a run: its labels; None without any.
    labels: "Known | None" = None

    def labels_in_words(self) -> str | None:
        """How many there are, where a run has labels."""
        return None if self.labels is None else f"{len(self.labels.references):,} in the file"

    def bias_in_words(self) -> str | None:
        """What is wrong with the choice of candidates, if something is."""
        return "few of easy questions: the network stops early" if self.stops_early else None


def read(path: Path, truth: Truth) -> Recorded:
    """The outcomes of a run's folder, or of a file of outcomes."""
    from parkade.compound.evaluate import recorded_run
    from parkade.compound.evaluate.outcomes import OutcomesUnreadable, read_outcomes
    from parkade.compound.run.described import NoSuchRun

    if not path.exists():
        raise NoSuchRun(f"{path}: there is no such run, and no such file of outcomes")
    if not path.is_dir():
        if path.name in ("results.jsonl", "journal.jsonl"):
            raise OutcomesUnreadable(f"{path} belongs to a run: give its folder, {path.parent}")
        if truth.labels is not None:
            raise OutcomesUnreadable(f"{path} has its labels: --labels is for a run's folder")
        return Recorded(read_outcomes(path), None, None)
    known = None
    stops_early = recorded_run.stops_early(path)
    if truth.labels is not None:
        known = recorded_run.read_labels(truth.labels, truth.field, truth.rule)
        known = recorded_run.with_rule_of_run(path, known)
    else:
        note("no --labels: what the run's verifier accepted is taken as right")
    if stops_early:
        note(
            "this network stops a question at its first accepted sample: easy questions have few "
            "samples; measure a network that draws all, such as 16E@model >> V@verifier"
        )
    rule = None if known is None else recorded_run.rule_in_words(known)
    return Recorded(_of_run(path, known), rule, stops_early, known)


def _of_run(path: Path, labels: "Known | None") -> "Iterator[Outcome]":
    """Refused when they are read, so that what else is known of the run may be told."""
    from parkade.compound.evaluate.recorded_run import outcomes_of_run

    yield from outcomes_of_run(path, labels)


def note(text: str) -> None:
    """Say it on stderr, beside a report."""
    print(f"note: {text}", file=sys.stderr)


def print_json(report: Any, recorded: Recorded | None = None) -> None:
    """A report as one indented document, with what is known of how its outcomes came."""
    import msgspec

    report = msgspec.to_builtins(report)
    if recorded is not None and recorded.rule is not None:
        report["rule"] = recorded.rule
    if recorded is not None and recorded.stops_early is not None:
        report["stops_early"] = recorded.stops_early
    print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())


def write_plot(chart: "Chart", path: Path) -> None:
    """SVG or PNG by the ending of the name."""
    from parkade.compound.plots.chart import CannotDraw
    from parkade.compound.plots.png import png
    from parkade.compound.plots.svg import svg

    match path.suffix.lower():
        case ".svg":
            path.write_text(svg(chart), "utf-8")
        case ".png":
            path.write_bytes(png(chart))
        case other:
            raise CannotDraw(f"{path}: a plot ends in .svg or .png, not in {other or 'nothing'!r}")


def micros(text: str, name: str) -> int:
    """An amount of money, such as 12.50, in whole micro-units."""
    from parkade.compound.amounts import micros_of
    from parkade.compound.theory.domain import DomainError
    from parkade.core.units.money import MICROS

    try:
        value = micros_of(text)
    except ValueError as error:
        raise DomainError(f"{name}: {error}") from None
    if value > 10**12 * MICROS:
        raise DomainError(f"{name} must lie in 0..10^12, got {text}")
    return value


def percent(measure: "Measure | None") -> str:
    """A share with its interval, or a dash."""
    return "–" if measure is None else measure.percent()


def money(value: float | None) -> str:
    """Micro-units as an amount with three digits that tell, or a dash."""
    from parkade.compound.amounts import amount_in_words

    return "–" if value is None else amount_in_words(value)


def milliseconds(latency_us: float) -> str | None:
    """A latency, or None where none was recorded."""
    return f"{latency_us / 1e3:,.1f} ms" if latency_us else None
