"""`parkade compound show`: everything that was done for one question."""

from pathlib import Path
from typing import Annotated

import typer

from parkade.cli.compound.overwriting import Force


def show(
    out: Annotated[Path, typer.Argument(help="Folder of a run.")],
    question: Annotated[str, typer.Argument(help="Id of a question.")],
    questions: Annotated[
        Path | None, typer.Option(help="The questions that it ran over, to show the prompt.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="The trace as JSON.")] = False,
) -> None:
    """Show every call, verdict and cost of one question."""
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
