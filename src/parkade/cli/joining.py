"""`parkade agent join` and `parkade pool doctor`: a Slurm cluster looked at, nothing changed."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, fail, server_extra

if TYPE_CHECKING:
    from parkade.engines.slurm.settings import SlurmSettings

Options = Annotated[
    list[str] | None, typer.Option("--engine-option", help="KEY=VALUE, as of `agent run`.")
]


def join(
    pool: Annotated[str, typer.Option(help="The pool's name to be.")],
    out: Annotated[Path, typer.Option(help="A new folder for what is proposed.")],
    observe: Annotated[
        bool, typer.Option("--observe", help="Only look; joining is what you do with the files.")
    ] = False,
    site: Annotated[str, typer.Option(help="Where the cluster stands.")] = "slurm",
    engine: Annotated[str, typer.Option(help="slurm alone can be looked at.")] = "slurm",
    engine_option: Options = None,
    lend: Annotated[
        str | None, typer.Option(help="`buffer`: only the marked nodes of a partner.")
    ] = None,
    marked: Annotated[
        str | None, typer.Option(help="With --lend buffer: which, like n[5-6].", metavar="NODES")
    ] = None,
    org: Annotated[str | None, typer.Option(help="With --lend buffer: the partner's.")] = None,
    floor: Annotated[
        str, typer.Option(help="With --lend buffer: what it receives per GPU-hour at least.")
    ] = "1.00",
    notice: Annotated[
        str, typer.Option(help="With --lend buffer: in which it has them back.", metavar="SPAN")
    ] = "30s",
    dedicate: Annotated[
        list[str] | None,
        typer.Option(
            "--dedicate",
            "--pin",
            help="An account whose own nodes are to be a market of their own; may be repeated.",
            metavar="ACCOUNT",
        ),
    ] = None,
    report_every: Annotated[
        str | None,
        typer.Option(
            help="Like 24h: stay, and write so often what that time could have lent.",
            metavar="SPAN",
        ),
    ] = None,
) -> None:
    """Propose how a Slurm cluster joins, as files; report what it could lend; change nothing."""
    if engine != "slurm" or not observe:
        fail("write --engine slurm --observe: it looks, and you run what it proposes", exit_code=2)
    _refuse(pool, site, lend=lend, marked=marked, org=org, floor=floor, dedicate=dedicate)
    with server_extra():
        from parkade.cli.daily import keep_reporting, seconds_of
        from parkade.engines.slurm.commands import Commands
        from parkade.engines.slurm.finding import find
        from parkade.engines.slurm.hosts import expand
        from parkade.ports import EngineError
        from parkade.service.admission import admission
        from parkade.service.joining import propose
        from parkade.service.partnering import Offer, propose_buffer
    every_s = None if report_every is None else seconds_of(report_every)
    if out.exists():
        fail(f"{out} is there already; name a new folder", exit_code=2)
    settings = _settings(engine_option)
    commands = Commands(settings)
    try:
        found = find(commands)
    except EngineError as error:
        fail(f"{error}; `parkade pool doctor` says what is missing", exit_code=6)
    if not found.nodes:
        fail("no node of this cluster has GPUs (Gres=gpu)", exit_code=7)
    admits = admission(settings, found)
    try:
        if lend is None:
            pinned = tuple(dedicate or ())
            proposal = propose(found, pool=pool, site=site, dedicated=pinned, admission=admits)
        else:
            buffer = frozenset(expand(marked or ""))
            offer = Offer(org=org or "", marked=buffer, floor=floor, notice=notice)
            proposal = propose_buffer(found, offer, pool=pool, site=site, admission=admits)
    except ValueError as error:
        fail(f"{'--dedicate' if lend is None else '--marked'}: {error}", exit_code=2)
    _write(out, proposal.files)
    for line in proposal.says:
        typer.echo(line)
    typer.echo(f"proposed in {out}: {', '.join(proposal.files)}; nothing was changed")
    if every_s is not None:
        keep_reporting(commands, out, every_s)


def _refuse(
    pool: str,
    site: str,
    *,
    lend: str | None,
    marked: str | None,
    org: str | None,
    floor: str,
    dedicate: list[str] | None,
) -> None:
    """Ends with 2 where the options of `join` do not fit together, or cannot be read."""
    with server_extra():
        from parkade.core.units.names import NAME
        from parkade.engines.slurm.hosts import is_whole
        from parkade.wire.scalars import parse_amount
    if lend is not None and dedicate:
        fail("--dedicate is of a cluster that joins whole; leave out --lend", exit_code=2)
    if lend not in (None, "buffer") or (lend is None) != (marked is None):
        fail("write --lend buffer --marked NODES --org ORG, or none of them", exit_code=2)
    names = [("--pool", pool), ("--site", site)]
    names += [] if lend is None else [("--org", org or "")]
    for option, name in names:
        if not NAME.accepts(name):
            fail(f"{option}: {NAME.words}", exit_code=2)
    if not is_whole(marked or ""):
        fail(f"--marked: {marked!r}: a bracket is open; write n[5-6]", exit_code=2)
    try:
        is_price = parse_amount(floor) >= 0
    except ValueError as error:
        fail(f"--floor: {error}", exit_code=2)
    if not is_price:
        fail(f"--floor: {floor!r} is below 0", exit_code=2)


def _write(out: Path, files: Mapping[str, str]) -> None:
    try:
        out.mkdir(parents=True)
        for name, text in files.items():
            (out / name).write_text(text)
            (out / name).chmod(0o755 if name.endswith(".sh") else 0o644)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; choose another folder", exit_code=2)


def doctor(
    folder: Annotated[
        Path | None, typer.Option("--data-folder", help="The agent's, shared with the nodes.")
    ] = None,
    gang: Annotated[
        int, typer.Option(min=0, max=64, help="Nodes of a job that meets in that folder.")
    ] = 0,
    engine_option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Check beside a Slurm cluster whether a pool can stand on it; exit code 7 where it cannot."""
    import json

    if gang and folder is None:
        fail("--gang needs --data-folder, where its ranks meet", exit_code=2)
    with server_extra():
        import msgspec

        from parkade.engines.slurm.doctor import examine
    found = []
    tell = partial(typer.echo, err=True)
    for check in examine(_settings(engine_option), folder, gang=gang, tell=tell):
        found.append(check)
        if not as_json:
            typer.echo(f"{'good' if check.is_good else 'BAD ':4}  {check.check:13}  {check.says}")
    if as_json:
        typer.echo(json.dumps({"version": 1, "checks": msgspec.to_builtins(found)}, indent=1))
    if not all(check.is_good for check in found):
        raise typer.Exit(7)


def launcher(
    agent: Annotated[str, typer.Option(help="The agent's Unix user.")] = "parkade",
    group: Annotated[
        str, typer.Option(help="It starts workloads of its members alone.")
    ] = "parkade-users",
    into: Annotated[
        str, typer.Option(help="Root's own folder for it.")
    ] = "/usr/local/libexec/parkade",
    conf: Annotated[
        str | None, typer.Option(help="Path of slurm.conf, where the agent has the option conf.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Folder of Slurm's commands, if not /usr/bin or the like.")
    ] = None,
) -> None:
    """Print the one command that lets an agent without root run each workload as its user."""
    with server_extra():
        from parkade.core.units.names import UNIX_NAME
        from parkade.engines.slurm.installing import install_command
    for option, name in (("--agent", agent), ("--group", group)):
        if not UNIX_NAME.accepts(name):
            fail(f"{option}: {UNIX_NAME.words}", exit_code=2)
    for option, given in (("--into", into), ("--conf", conf or "/"), ("--path", path or "/")):
        if not re.fullmatch(r"/[\w/.-]*", given):
            fail(f"{option}: write an absolute path of letters, digits, /, ., _ and -", exit_code=2)
    folder = into.rstrip("/")
    typer.echo(install_command(agent=agent, group=group, folder=folder, conf=conf, path=path))


def _settings(options: list[str] | None) -> "SlurmSettings":
    with server_extra():
        import msgspec

        from parkade.engines.slurm.settings import SlurmSettings
        from parkade.service.engines import read_options
        from parkade.service.settings import BadSettings
    try:
        return msgspec.convert(read_options(options or []), SlurmSettings, strict=False)
    except (BadSettings, msgspec.ValidationError) as error:
        fail(str(error), exit_code=2)
