"""`parkade compound distil`: training data out of a run."""

from pathlib import Path
from typing import Annotated

import typer

from parkade.cli.compound.overwriting import Force


def distil(
    out: Annotated[Path, typer.Argument(help="Folder of a run.")],
    questions: Annotated[Path, typer.Argument(help="The questions that it ran over.")],
    to: Annotated[Path, typer.Option(help="File to write: .jsonl or .parquet.")],
    keep: Annotated[str, typer.Option(help="verified, best or pairs.")] = "verified",
    form: Annotated[
        str | None, typer.Option(help="sft, dpo or batch; default: dpo for pairs, else sft.")
    ] = None,
    most: Annotated[int, typer.Option(help="Most examples of one question.", min=1)] = 4,
    test_set: Annotated[
        Path | None, typer.Option(help="Questions that must not be trained on.")
    ] = None,
    words: Annotated[int, typer.Option(help="Words in a row that contaminate.", min=1)] = 13,
    system: Annotated[str | None, typer.Option(help="A system message before each.")] = None,
    model: Annotated[str, typer.Option(help="Model of batch requests.")] = "",
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as JSON.")] = False,
) -> None:
    """Keep what was verified, once each and not from a test set, in a trainer's format."""
    import msgspec

    from parkade.cli.compound.failing import fail, failing
    from parkade.cli.compound.overwriting import EXAMPLES, may_write
    from parkade.cli.compound.reports import note
    from parkade.cli.exit_codes import COMPOUND_WRONG
    from parkade.cli.screen import fields
    from parkade.compound.distil.examples import Choice, ExampleCounts, examples, why_none
    from parkade.compound.distil.gather import gather
    from parkade.compound.distil.similar import TestSet
    from parkade.compound.distil.writing import WritingError, write
    from parkade.compound.questions import QuestionError, read_questions

    chosen = form or ("dpo" if keep == "pairs" else "sft")
    choice = Choice(keep=keep, form=chosen, most=most, system=system, model=model)
    counted = ExampleCounts()
    with failing(as_json=as_json):
        may_write(to, EXAMPLES, (questions, test_set), force=force, as_json=as_json)
        try:
            tests = None
            if test_set is not None:
                prompts = (each.prompt for each in read_questions(test_set))
                tests = TestSet(prompts, words=words)
            rows, kept = read_questions(questions), gather(out)
            write(to, examples(rows, kept, choice, tests, counted))
        except QuestionError:
            raise
        except (WritingError, ValueError) as error:
            fail("invalid", str(error), COMPOUND_WRONG, as_json=as_json)
    if (why := why_none(counted, kept, choice)) is not None:
        note(f"nothing was written: {why}")
    counts = msgspec.to_builtins(counted)
    if as_json:
        print(msgspec.json.encode({"v": 1, **counts, "file": str(to)}).decode())
    else:
        shown = {name.replace("_", " "): count for name, count in counts.items() if count}
        fields((*shown.items(), ("file", to)))
