"""`parkade compound draw`: a network as a picture, and what it may cost."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from parkade.compound.network.binding import Bound
    from parkade.compound.network.estimate import Estimate


class Form(enum.StrEnum):
    """How it is drawn."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"
    JSON = "json"


def draw(
    network: Annotated[Path, typer.Argument(help="YAML or Python; docs/compound.md has its form.")],
    form: Annotated[
        Form, typer.Option("--as", help="text also says what it may cost.")
    ] = Form.TEXT,
    as_json: Annotated[
        bool, typer.Option("--json", help="The bounds as JSON, as with --as json.")
    ] = False,
    prompt_bytes: Annotated[int, typer.Option(help="Length of a question, for the cost.")] = 500,
) -> None:
    """Draw a network, and bound its calls and cost for one question."""
    from parkade.cli.compound.failing import failing
    from parkade.compound.loading import load
    from parkade.compound.network.binding import bind
    from parkade.compound.network.drawing import as_mermaid, as_svg, as_text
    from parkade.compound.network.estimate import estimate
    from parkade.compound.values import Question

    form = Form.JSON if as_json else form
    with failing(as_json=form is Form.JSON):
        loaded = load(network)
        bound = bind(loaded.network, loaded.names)
    estimated = estimate(bound, Question(id="", prompt="x" * prompt_bytes))
    match form:
        case Form.MERMAID:
            print(as_mermaid(loaded.network), end="")
        case Form.SVG:
            print(as_svg(loaded.network), end="")
        case Form.JSON:
            import msgspec

            print(msgspec.json.encode({"v": 1, **msgspec.to_builtins(estimated)}).decode())
        case Form.TEXT:
            print(as_text(loaded.network))
            _print_estimate(estimated, _templates(bound))


def _spanned(least: int, most: int) -> str:
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _templates(bound: "Bound") -> str | None:
    """Models whose chat templates may add tokens that nothing says."""
    unsaid = [
        name
        for name, model in bound.asked_models.items()
        if model.bounds.has_template and model.bounds.template_tokens is None
    ]
    if not unsaid:
        return None
    return f"not in it is what the chat template of {', '.join(unsaid)} adds: template_tokens"


def _print_estimate(estimated: "Estimate", templates: str | None) -> None:
    from parkade.cli.screen import fields
    from parkade.core.units.money import format_amount

    least, most = estimated.least, estimated.most
    money = None
    if most.micros is not None:
        money = f"at most {format_amount(most.micros)}"
    print()
    fields(
        (
            ("calls", f"{_spanned(least.calls, most.calls)} a question"),
            ("input", f"at most {most.input_tokens:,} tokens"),
            ("", templates),
            (
                "output",
                "without a bound: give max_tokens"
                if most.output_tokens is None
                else f"at most {most.output_tokens:,} tokens",
            ),
            ("money", money or "not known: it needs prices and max_tokens"),
        )
    )
