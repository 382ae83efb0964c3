"""Options that several commands share; those of `submit` and `plan` are the spec's keys."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

SHAPE, MONEY, RUN = "Shape", "Money", "Run"

Command = Annotated[
    list[str] | None, typer.Argument(help="After --: the command to run.", metavar="[-- COMMAND]")
]
File = Annotated[Path | None, typer.Option("-f", "--file", help="A workload in YAML; - is stdin.")]
Name = Annotated[str | None, typer.Option(help="Default: from the command.")]
Nodes = Annotated[
    str | None,
    typer.Option(help="Ranks, or least-most: 2-16.", metavar="N", rich_help_panel=SHAPE),
]
Resize = Annotated[
    str | None,
    typer.Option(help="Of least-most: restart or live.", rich_help_panel=SHAPE),
]
Gpus = Annotated[int | None, typer.Option(help="Of each rank.", rich_help_panel=SHAPE)]
Array = Annotated[
    str | None,
    typer.Option(help="Indexes of its members: 0-199%20.", rich_help_panel=SHAPE),
]
Spread = Annotated[
    bool | None,
    typer.Option("--spread", help="Each rank on another node.", rich_help_panel=SHAPE),
]
InstanceType = Annotated[
    str | None,
    typer.Option(help="Or several: a,b; or a limit for each: a=2.50,b=1.", rich_help_panel=SHAPE),
]
Interconnect = Annotated[str | None, typer.Option(help="fabric or any.", rich_help_panel=SHAPE)]
Market = Annotated[
    str | None,
    typer.Option(help="Needed where several could run it.", rich_help_panel=SHAPE),
]
Capacity = Annotated[
    str | None,
    typer.Option(
        help="spot, on-demand or reservation/NAME; or reservation/NAME,spot.", rich_help_panel=MONEY
    ),
]
Moves = Annotated[
    str | None,
    typer.Option(help="needed, or cheaper: also for a lower floor.", rich_help_panel=MONEY),
]
Limit = Annotated[
    str | None,
    typer.Option(
        "--limit-price", "--limit", help="Most per GPU-hour, for spot.", rich_help_panel=MONEY
    ),
]
MaxSpend = Annotated[str | None, typer.Option(help="Over all attempts.", rich_help_panel=MONEY)]
Duration = Annotated[
    str | None,
    typer.Option(help="How long it runs in all; for a deadline.", rich_help_panel=MONEY),
]
Deadline = Annotated[
    str | None,
    typer.Option(help="When it is done, like +52h; on-demand if it must.", rich_help_panel=MONEY),
]
MaxDuration = Annotated[str | None, typer.Option(help="Like 24h.", rich_help_panel=MONEY)]
Org = Annotated[str | None, typer.Option(help="It pays; operators only.", rich_help_panel=MONEY)]
Env = Annotated[list[str] | None, typer.Option(help="NAME=VALUE; public.", rich_help_panel=RUN)]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="KEY=VALUE, to choose it by.", rich_help_panel=RUN),
]
After = Annotated[
    list[str] | None,
    typer.Option(help="Waits until this workload has started.", rich_help_panel=RUN),
]
AfterOk = Annotated[
    list[str] | None,
    typer.Option(help="Waits until it succeeded; may be given often.", rich_help_panel=RUN),
]
AfterNotOk = Annotated[
    list[str] | None,
    typer.Option(help="Waits until it ended without success.", rich_help_panel=RUN),
]
AfterAny = Annotated[
    list[str] | None, typer.Option(help="Waits until it ended.", rich_help_panel=RUN)
]
EnvFile = Annotated[str | None, typer.Option(help="On the node; for secrets.", rich_help_panel=RUN)]
Storage = Annotated[
    list[str] | None,
    typer.Option(help="A file system it needs; again for more.", rich_help_panel=RUN),
]
Image = Annotated[
    str | None, typer.Option(help="Container image; else in none.", rich_help_panel=RUN)
]
Workdir = Annotated[str | None, typer.Option(help="Default: here.", rich_help_panel=RUN)]
Checkpoint = Annotated[
    str | None,
    typer.Option(help="hf, torch, SIGUSR1, …; default: auto.", rich_help_panel=RUN),
]
CheckpointSignal = Annotated[str | None, typer.Option(hidden=True)]
CheckpointCommand = Annotated[
    str | None, typer.Option(help="Asks it in place of a signal.", rich_help_panel=RUN)
]
CheckpointNeeds = Annotated[
    str | None, typer.Option(help="How long it saves, like 60s.", rich_help_panel=RUN)
]
CheckpointExitZero = Annotated[
    str | None, typer.Option(help="saved or done: exit 0 after our signal.", rich_help_panel=RUN)
]
Failures = Annotated[int | None, typer.Option(help="Failures to retry.", rich_help_panel=RUN)]
Priority = Annotated[
    int | None, typer.Option(help="Of your org's work, the higher first.", rich_help_panel=RUN)
]
Hold = Annotated[bool, typer.Option("--hold", help="Keep it from starting.", rich_help_panel=RUN)]


def when(text: str | None, option: str) -> datetime | None:
    """The instant that an option names; None where it is left out."""
    from parkade.wire.scalars import parse_when

    try:
        return None if text is None else parse_when(text, now=datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
