"""`parkade compound show`: what a folder holds, or everything that was done for one question."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.compound.overwriting import Force

if TYPE_CHECKING:
    from parkade.compound.run.results import Result
    from parkade.compound.show.overview import Overview

#: Columns of an answer in a list.
MAX_ANSWER = 40


def show(
    out: Annotated[Path, typer.Argument(help="Folder of a run.")],
    question: Annotated[
        str | None, typer.Argument(help="Id of a question; without one, what the folder holds.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="The questions that it ran over, to show the prompt.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="The trace as JSON.")] = False,
) -> None:
    """Show every call, verdict and cost of one question, or what the folder holds."""
    if question is None:
        _show_folder(out, html=html, as_json=as_json)
    else:
        _show_question(out, question, questions, html=html, force=force, as_json=as_json)


def _show_question(
    out: Path,
    question: str,
    questions: Path | None,
    *,
    html: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    from parkade.cli.compound.failing import failing
    from parkade.cli.compound.overwriting import PAGE, may_write
    from parkade.compound.questions import read_questions
    from parkade.compound.show.page import as_page
    from parkade.compound.show.text import as_text
    from parkade.compound.show.trace import read_trace

    prompt = ""
    with failing(as_json=as_json):
        if html is not None:
            may_write(html, PAGE, (questions,), force=force, as_json=as_json)
        if questions is not None:
            asked = (each.prompt for each in read_questions(questions) if each.id == question)
            prompt = next(asked, "")
        trace = read_trace(out, question, prompt)
        if html is not None:
            html.write_text(as_page(trace))
    if html is not None:
        print(f"Wrote {html}")
    elif as_json:
        import msgspec

        print(msgspec.json.encode({"v": 1, "trace": trace}).decode())
    else:
        print(as_text(trace))


def _show_folder(out: Path, *, html: Path | None, as_json: bool) -> None:
    from parkade.cli.compound.failing import failing
    from parkade.compound.network import NetworkError
    from parkade.compound.show.overview import read_overview

    with failing(as_json=as_json):
        if html is not None:
            raise NetworkError("--html draws one question: give its id")
        found = read_overview(out)
    if as_json:
        import msgspec

        print(msgspec.json.encode({"v": 1, "overview": found}).decode())
    else:
        _print_overview(found, out)


def _print_overview(found: "Overview", out: Path) -> None:
    from parkade.cli.compound.bill import bill_of, without_usage
    from parkade.cli.screen import fields, say, table
    from parkade.compound.run.budget import NOTHING
    from parkade.core.units.money import format_amount

    abstained = found.done - found.answered
    counts = (
        (found.answered, "answered"),
        (found.accepted, "of them accepted"),
        (abstained, "abstained"),
        (found.failed, "failed"),
    )
    shown = [f"{count:,} {what}" for count, what in counts if count]
    fields(
        (
            ("questions", ", ".join(shown) or "none is done"),
            ("spent", bill_of(found.spent, found.doubtful)),
            ("usage", without_usage(found.without_usage, found.spent.calls)),
            *((f"  {each.model}", bill_of(each.used, NOTHING)) for each in found.models),
        )
    )
    table(
        ("QUESTION", "ANSWER", "CALLS", "COST"),
        [
            (each.id, _answer(each), f"{each.calls:,}", format_amount(each.cost))
            for each in found.results
        ],
        empty="",
        right="CALLS COST",
    )
    if found.done > len(found.results):
        say(f"… {found.done - len(found.results):,} more; show {out} ID has all of one")


def _answer(result: "Result") -> str:
    if result.answer is None:
        return "–"
    mark = "" if result.accepted is None else "✓ " if result.accepted else "✗ "
    flat = " ".join(result.answer.split())
    return f"{mark}{flat if len(flat) <= MAX_ANSWER else flat[: MAX_ANSWER - 1] + '…'}"
