"""`parkade sbatch`: submits a batch script of Slurm as it is."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parkade.cli.calling import AsJson, calling, fail, warn
from parkade.cli.flags import (
    RUN,
    Capacity,
    CheckpointCommand,
    CheckpointExitZero,
    CheckpointNeeds,
    EnvFile,
    Failures,
    InstanceType,
    Interconnect,
    Labels,
    Limit,
    Market,
    MaxSpend,
    Moves,
    Storage,
)

if TYPE_CHECKING:
    from parkade.cli.sbatch.meaning import Meaning
    from parkade.cli.sbatch.options import Given, Wrong
    from parkade.cli.sbatch.script import Remark, Script
    from parkade.client import Client
    from parkade.wire import workloads as wire

HELP = """Submit a batch script of Slurm as it is: its #SBATCH lines become a workload.

Options of Parkade stand first, then those of sbatch, then the script and its arguments. What is
not taken of the script is printed with its line."""
SETTINGS = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
}
STDIN = "stdin"
MOST_REMARKS = 40

Checkpoint = Annotated[
    str | None,
    typer.Option(help="hf, torch, SIGUSR1, …; default: --signal.", rich_help_panel=RUN),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the workload.", rich_help_panel="Output")
]


def sbatch(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SBATCH OPTIONS] SCRIPT [ARGUMENTS]",
            help="Options of sbatch come before those in the script; - is stdin.",
        ),
    ] = None,
    limit: Limit = None,
    max_spend: MaxSpend = None,
    capacity: Capacity = None,
    moves: Moves = None,
    market: Market = None,
    instance_type: InstanceType = None,
    interconnect: Interconnect = None,
    labels: Labels = None,
    env_file: EnvFile = None,
    storage: Storage = None,
    checkpoint: Checkpoint = None,
    checkpoint_command: CheckpointCommand = None,
    checkpoint_needs: CheckpointNeeds = None,
    checkpoint_exit_zero: CheckpointExitZero = None,
    failures: Failures = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Submits a batch script, and says what was not taken of it."""
    from parkade.cli.sbatch.script import in_order
    from parkade.cli.submit import pairs, saving, together

    flags = {
        "limit_price": limit,
        "max_spend": max_spend,
        "capacity": capacity,
        "moves": moves,
        "instance_type": instance_type,
        "interconnect": interconnect,
        "labels": pairs(labels, "--label"),
        "env_file": env_file,
        "storage": storage or None,
        "retry": together(failures=failures),
    }
    script, meaning, command, name = _read([*(words or ()), *ctx.args])
    value = {**meaning.spec, "command": command}
    value |= {key: it for key, it in flags.items() if it is not None}
    asked = saving(
        value.get("checkpoint"),
        together(word=checkpoint, command=checkpoint_command),
        together(needs=checkpoint_needs, exit_zero=checkpoint_exit_zero),
    )
    if asked is not None:
        value["checkpoint"] = asked
    remarks = in_order([*script.remarks, *meaning.remarks])
    if dry_run:
        _print_workload(value, remarks, name, as_json=as_json)
        return
    with calling(as_json=as_json) as client:
        _submit(client, value, meaning, remarks, name, market=market, as_json=as_json)


def _read(words: Sequence[str]) -> "tuple[Script, Meaning, str, str]":
    """The script, what it means, the command of its workload, and its name; ends the program with
    all lines that cannot be submitted."""
    from parkade.cli.sbatch import options, script, wrapping
    from parkade.cli.sbatch.meaning import mean
    from parkade.core.units import bounds

    name = "the command line"
    try:
        given, rest = options.read(words, name)
        wrapped = next((one.value for one in given if one.option.name == "wrap"), None)
        text, name, arguments = _text(wrapped, rest)
        if len(text) > bounds.COMMAND_CHARACTERS.most:
            most = f"{bounds.COMMAND_CHARACTERS.most:,}"
            raise options.Wrong("the script", f"it is longer than {most} characters")
        read = script.parse(text)
        if read.faults:
            _refuse(read.faults, name)
        meaning = mean(
            [*read.given, *given],
            script="wrap" if wrapped is not None else name,
            folder=os.getcwd(),  # noqa: PTH109 — as the shell shows it
            env=os.environ,
        )
        return read, meaning, wrapping.command_of(read, meaning, arguments, name), name
    except options.Wrong as wrong:
        _refuse((wrong,), name)
        raise AssertionError("a refusal ends the program") from wrong


def _text(wrapped: str | None, rest: Sequence[str]) -> tuple[str, str, Sequence[str]]:
    """The script's text, its name and its arguments."""
    from parkade.cli.files import read_text

    if wrapped is not None:
        if rest:
            fail("--wrap is the script; give no file beside it", exit_code=2)
        return f"#!/bin/sh\n{wrapped}\n", "--wrap", ()
    if not rest and sys.stdin.isatty():
        fail("no script; write parkade sbatch --limit-price 2 train.sh", exit_code=2)
    if not rest or rest[0] == "-":
        return read_text(Path("-")), STDIN, rest[1:]
    return read_text(Path(rest[0])), rest[0], rest[1:]


def _submit(
    client: "Client",
    value: dict[str, Any],
    meaning: "Meaning",
    remarks: "Sequence[Remark]",
    name: str,
    *,
    market: str | None,
    as_json: bool,
) -> None:
    from parkade.cli.following import ended
    from parkade.cli.screen import say, show
    from parkade.cli.submit import print_planned
    from parkade.wire.spec import WorkloadSpec
    from parkade.wire.yaml import check

    org = None if meaning.account is None else _org(client, meaning.account, name)
    spec = check(value, WorkloadSpec)
    if not meaning.is_quiet:
        _tell(remarks, name)
    if meaning.is_test:
        show(client.plan(spec, market=market, org=org), print_planned, as_json=as_json)
        return
    answer = client.submit(spec, market=market, org=org, hold=meaning.is_held)
    if as_json or not meaning.is_parsable:
        show(answer, _print_submitted, as_json=as_json)
    else:
        say(answer.workload)
        if answer.shortage is not None:
            warn(answer.shortage)
    if meaning.waits:
        ended(client.wait(answer.workload), as_json=as_json)


def _org(client: "Client", account: "Given", name: str) -> str | None:
    """The org that pays: the caller's own, or any that an operator names."""
    from parkade.cli.sbatch.options import Wrong

    caller = client.whoami()
    if caller.org == account.value:
        return None
    if caller.role != "operator":
        message = f"{account.text}: you belong to {caller.org}, which pays; leave the option out"
        _refuse((Wrong(account.place, message),), name)
    return account.value


def _print_submitted(answer: "wire.Workload") -> None:
    """Slurm's own sentence first, for scripts that read the fourth word."""
    from parkade.cli.screen import say
    from parkade.cli.submit import print_submitted

    say(f"Submitted batch job {answer.workload}")
    print_submitted(answer)


def _print_workload(
    value: dict[str, Any], remarks: "Sequence[Remark]", name: str, *, as_json: bool
) -> None:
    import json

    from parkade.cli.screen import fields, say

    _tell(remarks, name)
    if as_json:
        print(json.dumps(value, indent=2))
        return
    say("A workload of these keys:")
    fields(
        (key, it if isinstance(it, str) else json.dumps(it))
        for key, it in value.items()
        if key != "command"
    )
    say(f"Its command, {name} with what it finds on the nodes, is shown by --dry-run --json.")


def _tell(remarks: "Sequence[Remark]", name: str) -> None:
    """What was not taken, or not to the letter, on stderr."""
    if not remarks:
        return
    warn(f"{name}: not taken, or not to the letter:")
    for one in remarks[:MOST_REMARKS]:
        print(f"  {one.place}: {_visible(one.text)}", file=sys.stderr)
    if len(remarks) > MOST_REMARKS:
        print(f"  and {len(remarks) - MOST_REMARKS} more", file=sys.stderr)


def _refuse(faults: "Sequence[Wrong]", name: str) -> None:
    """All lines that cannot be submitted; nothing was."""
    warn(f"{name}: not submitted")
    for one in faults[:MOST_REMARKS]:
        print(f"  {one.place}: {_visible(one.message)}", file=sys.stderr)
    if len(faults) > MOST_REMARKS:
        print(f"  and {len(faults) - MOST_REMARKS} more", file=sys.stderr)
    raise typer.Exit(3)


def _visible(text: str) -> str:
    from parkade.core.units.visible import visible

    return visible(text)
