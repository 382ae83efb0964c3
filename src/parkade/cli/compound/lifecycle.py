"""`parkade compound lifecycle`: which model size, trained how long, sampled how often."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.compound.reports import AsJson

if TYPE_CHECKING:
    from parkade.compound.lifecycle.demand import LifecycleReport
    from parkade.compound.lifecycle.models import Demand, ModelChoice, Trained

CURVE, MODELS = "From a loss", "From measured models"

Parameters = Annotated[
    float | None,
    typer.Option(
        help="A size whose compute-optimal loss is the target, such as 13e9.",
        rich_help_panel=CURVE,
    ),
]
Loss = Annotated[
    float | None, typer.Option(help="Or the target loss itself.", rich_help_panel=CURVE)
]
Tokens = Annotated[
    float,
    typer.Option(
        "--inference-tokens",
        help="Produced in its life, one sample a query.",
        rich_help_panel=CURVE,
    ),
]
Samples = Annotated[
    list[float] | None,
    typer.Option(help="Samples a query; again for more rows.", rich_help_panel=CURVE),
]
FitName = Annotated[str, typer.Option("--fit", help="hoffmann or epoch.", rich_help_panel=CURVE)]
Models = Annotated[
    Path | None,
    typer.Option(
        help="JSON: name, parameters, training_tokens, alpha, beta of each.", rich_help_panel=MODELS
    ),
]
Coverage = Annotated[float, typer.Option(help="Share of queries to solve.", rich_help_panel=MODELS)]
Queries = Annotated[float, typer.Option(help="In its life.", rich_help_panel=MODELS)]
TokensPerSample = Annotated[
    float, typer.Option(help="Generated, on average.", rich_help_panel=MODELS)
]
EarlyStop = Annotated[
    bool,
    typer.Option(
        "--early-stop/--no-early-stop",
        help="Stop at the first verified sample.",
        rich_help_panel=MODELS,
    ),
]
Trained_ = Annotated[
    bool,
    typer.Option("--already-trained", help="Training is paid.", rich_help_panel=MODELS),
]


def lifecycle(
    parameters: Parameters = None,
    loss: Loss = None,
    inference_tokens: Tokens = 2e12,
    samples: Samples = None,
    fit: FitName = "hoffmann",
    models: Models = None,
    coverage: Coverage = 0.5,
    queries: Queries = 1e9,
    tokens_per_sample: TokensPerSample = 256.0,
    early_stop: EarlyStop = True,
    already_trained: Trained_ = False,
    as_json: AsJson = False,
) -> None:
    """Training and inference compute together: the cheapest size for a quality and a demand."""
    from parkade.cli.compound.failing import failing
    from parkade.compound.lifecycle.models import Demand
    from parkade.compound.theory.domain import DomainError

    with failing(as_json=as_json):
        if models is not None:
            demand = Demand(
                queries=queries,
                tokens_per_sample=tokens_per_sample,
                coverage=coverage,
                stops_early=early_stop,
            )
            _compare(_read(models), demand, counts_training=not already_trained, as_json=as_json)
        elif (parameters is None) == (loss is None):
            raise DomainError("give exactly one of --parameters, --loss and --models")
        else:
            _curve(fit, parameters, loss, inference_tokens, samples or [1.0], as_json=as_json)


def _curve(
    name: str,
    parameters: float | None,
    loss: float | None,
    tokens: float,
    samples: list[float],
    *,
    as_json: bool,
) -> None:
    from parkade.cli.compound.reports import print_json
    from parkade.compound.lifecycle.demand import report
    from parkade.compound.lifecycle.scaling import fit_named

    fit = fit_named(name)
    found = report(fit, parameters=parameters, loss=loss, tokens=tokens, samples=samples)
    if as_json:
        print_json(found)
    else:
        _show_curve(found)


def _show_curve(found: "LifecycleReport") -> None:
    from parkade.cli.screen import say, table
    from parkade.compound.amounts import plain

    say(
        f"Loss {found.loss:.4f} ({found.fit} fit), {found.inference_tokens:.3g} tokens of inference"
        f" at one sample a query."
    )
    table(
        ("SAMPLES", "PARAMETERS", "TOKENS", "FLOPS", "COMPUTE-OPTIMAL", "ITS FLOPS", "SAVING"),
        [
            (
                plain(row.samples),
                f"{row.parameters:.3g}",
                f"{row.training_tokens:.3g}",
                f"{row.flops:.4g}",
                f"{found.optimal_parameters:.3g}",
                f"{row.optimal_flops:.4g}",
                f"{100 * row.saving:.1f} %",
            )
            for row in found.rows
        ],
        empty="",
        right="SAMPLES PARAMETERS TOKENS FLOPS COMPUTE-OPTIMAL SAVING",
    )


def _read(path: Path) -> "list[Trained]":
    import msgspec

    from parkade.compound.lifecycle.models import Trained
    from parkade.compound.theory.domain import DomainError
    from parkade.compound.wrong_values import in_words

    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Trained])
    except OSError as error:
        raise DomainError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DomainError(f"{path}: {in_words(error)}") from None


def _compare(
    models: "list[Trained]", demand: "Demand", *, counts_training: bool, as_json: bool
) -> None:
    from parkade.cli.compound.reports import print_json
    from parkade.cli.screen import say, table
    from parkade.compound.amounts import plain
    from parkade.compound.evaluate.measures import REPORT_VERSION
    from parkade.compound.lifecycle.models import compare

    choices = compare(models, demand, counts_training=counts_training)
    if as_json:
        print_json({"version": REPORT_VERSION, "demand": demand, "choices": choices})
        return
    say(
        f"{plain(100 * demand.coverage)} % of {demand.queries:.3g} queries,"
        f" {plain(demand.tokens_per_sample)} tokens a sample; the cheapest first."
    )
    table(
        ("MODEL", "SAMPLES", "DRAWN", "TRAINING", "INFERENCE", "TOTAL"),
        [_row(choice, counts_training=counts_training) for choice in choices],
        empty="",
        right="SAMPLES DRAWN TRAINING INFERENCE TOTAL",
    )


def _row(choice: "ModelChoice", *, counts_training: bool) -> tuple[str, ...]:
    training = f"{choice.training_flops:.3g}" if counts_training else "paid"
    total = choice.total(counts_training=counts_training)
    if choice.samples is None or choice.inference_flops is None or total is None:
        return (choice.name, "never", "–", training, "–", "–")
    return (
        choice.name,
        f"{choice.samples:,}",
        f"{choice.draws_per_query:,.1f}",
        training,
        f"{choice.inference_flops:.3g}",
        f"{total:.3g}",
    )
