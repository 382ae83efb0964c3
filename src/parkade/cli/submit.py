"""`parkade submit`, its dry run `parkade plan`, and `parkade run`: the same options for all."""

import os
import shlex
from pathlib import Path, PurePath
from shutil import which
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from parkade.cli.calling import AsJson, calling, fail, warn
from parkade.cli.flags import (
    After,
    AfterAny,
    AfterNotOk,
    AfterOk,
    Array,
    Capacity,
    Checkpoint,
    CheckpointCommand,
    CheckpointExitZero,
    CheckpointNeeds,
    CheckpointSignal,
    Command,
    Deadline,
    Duration,
    Env,
    EnvFile,
    Failures,
    File,
    Gpus,
    Hold,
    Image,
    InstanceType,
    Interconnect,
    Labels,
    Limit,
    Market,
    MaxDuration,
    MaxSpend,
    Moves,
    Name,
    Nodes,
    Org,
    Priority,
    Resize,
    Spread,
    Storage,
    Workdir,
)

if TYPE_CHECKING:
    from parkade.client import Client
    from parkade.wire import workloads as wire

SPEC_ENDINGS = (".yaml", ".yml", ".json")


def submit(
    ctx: typer.Context,
    command: Command = None,
    file: File = None,
    name: Name = None,
    nodes: Nodes = None,
    resize: Resize = None,
    gpus: Gpus = None,
    array: Array = None,
    spread: Spread = None,
    instance_type: InstanceType = None,
    interconnect: Interconnect = None,
    market: Market = None,
    capacity: Capacity = None,
    moves: Moves = None,
    limit: Limit = None,
    max_spend: MaxSpend = None,
    max_duration: MaxDuration = None,
    deadline: Deadline = None,
    duration: Duration = None,
    org: Org = None,
    labels: Labels = None,
    after: After = None,
    after_ok: AfterOk = None,
    after_not_ok: AfterNotOk = None,
    after_any: AfterAny = None,
    env: Env = None,
    env_file: EnvFile = None,
    image: Image = None,
    storage: Storage = None,
    workdir: Workdir = None,
    checkpoint: Checkpoint = None,
    checkpoint_signal: CheckpointSignal = None,
    checkpoint_command: CheckpointCommand = None,
    checkpoint_needs: CheckpointNeeds = None,
    checkpoint_exit_zero: CheckpointExitZero = None,
    failures: Failures = None,
    priority: Priority = None,
    hold: Hold = False,
    as_json: AsJson = False,
) -> None:
    """Submit a workload: from a file, from flags, or both (flags win)."""
    from parkade.cli.files import named_in_faults
    from parkade.cli.screen import show
    from parkade.wire.spec import WorkloadSpec
    from parkade.wire.yaml import check

    flags = {
        "name": name,
        "command": _command(command),
        "nodes": number_of_nodes(nodes),
        "resize": resize,
        "gpus": gpus,
        "array": array,
        "spread": spread,
        "instance_type": instance_type,
        "interconnect": interconnect,
        "market": market,
        "capacity": capacity,
        "moves": moves,
        "limit_price": limit,
        "max_spend": max_spend,
        "max_duration": max_duration,
        "deadline": deadline,
        "duration": duration,
        "fallback": "on-demand" if deadline is not None else None,
        "labels": pairs(labels, "--label"),
        "after": after or None,
        "after_ok": after_ok or None,
        "after_not_ok": after_not_ok or None,
        "after_any": after_any or None,
        "env": pairs(env, "--env"),
        "env_file": env_file,
        "image": image,
        "storage": storage or None,
        "workdir": workdir and folder_from_here(workdir),
        "retry": together(failures=failures),
        "priority": priority,
    }
    with calling(as_json=as_json) as client:
        document = document_of(file, command)
        flags["checkpoint"] = saving(
            document.get("checkpoint"),
            together(word=checkpoint, signal=checkpoint_signal, command=checkpoint_command),
            together(needs=checkpoint_needs, exit_zero=checkpoint_exit_zero),
        )
        value = {**document, **{k: v for k, v in flags.items() if v is not None}}
        with named_in_faults(file):
            spec = check(value, WorkloadSpec)
        if ctx.info_name == "plan":
            show(client.plan(spec, market=market, org=org), print_planned, as_json=as_json)
            return
        answer = client.submit(spec, market=market, org=org, hold=hold)
        if ctx.info_name == "run":
            _run(client, answer, as_json=as_json)
        show(answer, print_submitted, as_json=as_json)


def _run(client: "Client", answer: "wire.Workload", *, as_json: bool) -> NoReturn:
    """Prints the workload's output and ends as it does; an interrupt cancels it. The output has
    stdout for itself, so all else goes to stderr."""
    from parkade.cli.following import ended, follow_output

    name = answer.workload
    if not as_json:
        warn(f"{name} {answer.name}: {answer.phase} in {answer.market}; {answer.cost.says}")
        if answer.shortage is not None:
            warn(answer.shortage)
    try:
        ended(follow_output(client, name), as_json=as_json)
    except KeyboardInterrupt:
        client.cancel(name)
        warn(f"{name} is told to leave, within its market's notice; parkade logs -f {name}")
        raise


def folder_from_here(written: str) -> str:
    """A relative path from where the command runs; an absolute one is the node's, and stays."""
    return os.path.abspath(written)  # noqa: PTH100 - `..` goes away as a shell's `cd` has it


def number_of_nodes(written: str | None) -> int | dict[str, int] | str | None:
    """A number, or the least and the most; what is neither is told by the form."""
    if written is None or written.isdecimal():
        return None if written is None else int(written)
    least, _, most = written.partition("-")
    if least.isdecimal() and most.isdecimal():
        return {"min": int(least), "max": int(most)}
    return written


def _command(words: list[str] | None) -> str | None:
    """One word is a shell line as it stands; several are quoted as they were given."""
    if not words:
        return None
    return words[0] if len(words) == 1 else shlex.join(words)


def document_of(file: Path | None, command: list[str] | None) -> dict[str, Any]:
    if file is not None:
        from parkade.cli.files import named_in_faults, read_text
        from parkade.wire.yaml import load

        with named_in_faults(file):
            return load(read_text(file))
    if not command:
        fail("nothing to run; give -f FILE or -- COMMAND", exit_code=2)
    if len(command) == 1 and command[0].endswith(SPEC_ENDINGS) and Path(command[0]).is_file():
        fail(f"{command[0]} is a file, not a command; write -f {command[0]}", exit_code=2)
    if "/" not in command[0] and Path(command[0]).is_file() and which(command[0]) is None:
        fail(
            f"{command[0]} is a file here, not a command; write -- ./{command[0]}, or"
            f" -- bash {command[0]}; `parkade sbatch {command[0]}` runs a script of Slurm",
            exit_code=2,
        )
    return {"name": _name(command)}


def _name(command: list[str]) -> str:
    """The script's name, else the program's, in letters that a name may have."""
    from parkade.core.units.names import WORKLOAD_NAME

    words = command if len(command) > 1 else command[0].split()
    script = next((word for word in words[1:] if word.endswith((".py", ".sh"))), None)
    stem = PurePath(script or next(iter(words), "")).stem
    kept = "".join(each if each.isascii() and each.isalnum() else "-" for each in stem)
    return kept[: WORKLOAD_NAME.longest].strip("-") or "job"


def pairs(written: list[str] | None, option: str) -> dict[str, str] | None:
    """What an option gives as NAME=VALUE, once for each."""
    if not written:
        return None
    wrong = [pair.partition("=")[0] for pair in written if "=" not in pair]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]}: write NAME=VALUE", param_hint=option)
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in written}


def _signal(word: object) -> object:
    """`TERM` as `SIGTERM`, as `kill` and Slurm take both."""
    from parkade.wire.spec import WORDS

    full = f"SIG{word}"
    return full if full in WORDS else word


def saving(
    written: object, ways: dict[str, object] | None, terms: dict[str, object] | None
) -> dict[str, object] | None:
    """The spec's `checkpoint` as a file has it, with what the flags say in its place; asked by
    `auto` where neither says how. None: no flag says anything."""
    from parkade.wire.spec import PRESET_WORDS, WORDS

    if ways is None and terms is None:
        return None
    if ways is not None and len(ways) > 1:
        raise typer.BadParameter("give one of --checkpoint and --checkpoint-command")
    found = dict(written) if isinstance(written, dict) else {}
    if isinstance(written, str):
        ways = ways or {"word": written}
    if ways is not None:
        found = {key: it for key, it in found.items() if key in ("needs", "exit_zero")}
        ways = {key: _signal(it) if key != "command" else it for key, it in ways.items()}
        word = ways.get("word")
        if word is not None and word not in WORDS:
            fail(
                f"--checkpoint: {word} is neither a preset nor a signal; write one of"
                f" {', '.join(WORDS)}, or give --checkpoint-command",
                exit_code=3,
            )
        named = {"preset" if word in PRESET_WORDS else "signal": word}
        found |= ways if word is None else named
    found |= terms or {}
    if not {"signal", "preset", "command"} & found.keys():
        found["signal"] = "auto"
    return found


def together(**parts: object) -> dict[str, object] | None:
    """What was given of a key's parts; None where nothing was."""
    given = {name: value for name, value in parts.items() if value is not None}
    return given or None


def print_submitted(answer: "wire.Workload") -> None:
    from parkade.cli.screen import fields, say, shape

    say(f"{answer.workload} {answer.name}: {answer.phase} in {answer.market}")
    fields(
        [
            ("shape", f"{shape(answer)}, {answer.capacity}"),
            ("array", answer.spec.array and f"{answer.spec.array}, such a shape for each member"),
            ("price", _per_gpu_hour(answer)),
            ("cost", answer.cost.says),
            ("money", answer.shortage),
        ]
    )


def _per_gpu_hour(answer: "wire.Workload") -> str:
    from parkade.wire.scalars import format_amount

    price = format_amount(answer.cost.price_per_gpu_hour)
    return (
        f"at most {price} per GPU-hour"
        if answer.limit_price is not None
        else (f"{price} per GPU-hour")
    )


def print_planned(answer: "wire.Plan") -> None:
    from parkade.cli.screen import fields, say, seats

    say(answer.says[0].upper() + answer.says[1:] + ".")
    fields(
        [
            ("market", answer.market),
            ("seats", seats(answer.seats)),
            ("price now", _price_now(answer)),
            ("price to win", None if answer.markets else answer.price_to_win),
            ("falls back", answer.falls_back),
            ("on-demand" if answer.falls_back is None else "on-demand then", _fallback(answer)),
            ("cost", answer.cost.says),
        ]
    )
    if answer.rendered is not None:
        say("")
        say(answer.rendered.rstrip())


def _fallback(answer: "wire.Plan") -> str | None:
    from parkade.wire.scalars import format_amount

    cost = answer.fallback_cost
    if cost is None:
        return None
    return f"costs up to {format_amount(cost)}, set aside until then"


def _price_now(answer: "wire.Plan") -> str | None:
    from parkade.wire.scalars import format_amount

    if answer.price is None or answer.per_hour is None:
        return None
    return f"{format_amount(answer.price)} per GPU-hour, {format_amount(answer.per_hour)} per hour"
