"""`parkade compound outcomes`: what the samples of a run were, as a file of outcomes."""

from pathlib import Path
from typing import Annotated

import typer

from parkade.cli.compound.overwriting import Force
from parkade.cli.compound.reports import FIELD, RULE, Field, Labels, Rule


def outcomes(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[Path, typer.Option("--out", help="File of outcomes to write.")],
    labels: Labels = None,
    field: Field = FIELD,
    rule: Rule = RULE,
    force: Force = False,
) -> None:
    """Write the outcomes of a run's samples: right or not, accepted or not, cost and time."""
    from parkade.cli.compound.failing import failing
    from parkade.cli.compound.overwriting import OUTCOMES, may_write
    from parkade.cli.compound.reports import Truth, read
    from parkade.compound.evaluate.outcomes import encode_outcomes

    with failing(as_json=False):
        may_write(out, OUTCOMES, (run, labels), force=force, as_json=False)
        lines = list(encode_outcomes(read(run, Truth(labels, field, rule)).outcomes))
        out.write_bytes(b"".join(lines))
    print(f"Wrote {len(lines) - 1:,} outcomes to {out}")
