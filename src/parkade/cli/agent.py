"""`parkade agent run`: the agent of one pool, beside its engine."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from parkade.cli.calling import fail, server_extra

agent = typer.Typer(help="Agents, which run a pool's engine.", no_args_is_help=True)
LogFormat = Literal["console", "json"]
LONGEST = timedelta(days=7)


@agent.command()
def run(
    pool: Annotated[str, typer.Option(help="The pool whose nodes it runs.")],
    server: Annotated[
        str,
        typer.Option(help="The server's address, like https://parkade.lab; with commas, several."),
    ],
    token_file: Annotated[
        Path, typer.Option(help="From `parkade pool agent-token`; for its owner's eyes only.")
    ],
    data_folder: Annotated[
        Path, typer.Option(help="Its memory, and the engine's; one agent at a time.")
    ],
    engine: Annotated[str, typer.Option(help="What runs the workloads.")] = "local",
    engine_option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the engine; may be repeated.")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="How it writes its log.")] = "console",
    original_is_gone: Annotated[
        bool,
        typer.Option(
            "--original-is-gone", help="This data folder is a copy that replaces its original."
        ),
    ] = False,
) -> None:
    """Run a pool's agent until it is stopped; what runs on the nodes goes on without it."""
    with server_extra():
        from parkade.ports import AlreadyLed
        from parkade.service.agent import AgentSettings
        from parkade.service.agent import run as run_agent
        from parkade.service.engines import read_options
        from parkade.service.settings import BadSettings
    try:
        settings = AgentSettings(
            pool=pool,
            server=server,
            token_file=token_file,
            data_folder=data_folder,
            engine=engine,
            options=read_options(engine_option or []),
            log_format=log_format,
            is_original_gone=original_is_gone,
        )
        run_agent(settings)
    except (AlreadyLed, BadSettings) as error:
        fail(str(error), exit_code=2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; choose another path", exit_code=2)


@agent.command()
def end(
    data_folder: Annotated[
        Path, typer.Option(help="The agent's: DATA/pools/POOL of a server's own pools.")
    ],
    notice: Annotated[str, typer.Option(help="To save in, before TERM: 30s, 2m.")] = "30s",
    timeout: Annotated[str, typer.Option(help="How long to wait after KILL.")] = "30s",
) -> None:
    """End whatever the local engine still runs, as when Parkade is removed from a machine.

    The work counts as preempted by its operator: it waits and starts again."""
    with server_extra():
        from parkade.ports import AlreadyLed
        from parkade.service.agent import end as end_all
        from parkade.service.agent import is_of_slurm
    notice_s, timeout_s = _seconds(notice, "--notice"), _seconds(timeout, "--timeout")
    place = data_folder / "engine"
    if not place.is_dir():
        fail(f"{place} is no engine's folder; give the data folder of an agent", exit_code=2)
    if is_of_slurm(data_folder):
        says = "what runs there are jobs of Slurm: `parkade cancel` them, or drain the pool first"
        fail(f"{place}: {says}", exit_code=2)
    try:
        found = end_all(data_folder, notice_s=notice_s, timeout_s=timeout_s, tell=typer.echo)
    except AlreadyLed as error:
        fail(str(error), exit_code=2)
    for one in found:
        named = f"{one.attempt} ({one.org}'s {one.name})"
        if one.how is not None:
            typer.echo(f"{named} had ended" if one.was_over else f"ended {named}", nl=False)
            typer.echo(f": {one.how}")
    left = [one.attempt for one in found if one.how is None]
    if left:
        fail(f"still running: {', '.join(left[:10])}; look into {place}/live", exit_code=1)
    typer.echo("nothing is running now" if found else "nothing was running")


def _seconds(text: str, option: str) -> float:
    """Of a span, or of seconds as a plain number."""
    from parkade.wire.scalars import parse_span

    try:
        span = parse_span(f"{text}s" if text.isdecimal() else text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if span > LONGEST:
        raise typer.BadParameter(f"{text}: give at most 7d", param_hint=option)
    return span.total_seconds()
