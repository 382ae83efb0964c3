"""`parkade up`: the server, and an agent for each pool of this machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from parkade.cli.calling import fail, server_extra

LogFormat = Literal["console", "json"]


def up(
    data_folder: Annotated[
        Path | None, typer.Option(help="Where the journal is; default: the user's data folder.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: 8300; 0: any.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of money; default: USD.")] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="Default: console.")] = None,
    allow_remote: Annotated[
        bool | None, typer.Option("--allow-remote", help="Listen beyond this machine, no TLS.")
    ] = None,
    root_workloads: Annotated[
        bool | None,
        typer.Option(
            "--root-workloads", help="As root: run users without a Unix name as root, too."
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(help="postgresql://USER@SERVER/NAME for the journal; default: a file."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Where others reach this server, like https://parkade.lab.")
    ] = None,
    standby: Annotated[
        bool | None,
        typer.Option("--standby", help="Where another server leads: follow it, and take over."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Write a new operator's token here, not to the screen.")
    ] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Make another operator's token.")
    ] = False,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo", help="Play a day in a small marketplace, in a folder that is not kept."
        ),
    ] = False,
    original_is_gone: Annotated[
        bool,
        typer.Option(
            "--original-is-gone", help="This data folder is a copy that replaces its original."
        ),
    ] = False,
) -> None:
    """Run the marketplace: server, journal, and an agent for each local pool."""
    with server_extra():
        from parkade.ports import AlreadyLed, StoreError
        from parkade.service.settings import BadSettings, read_settings
        from parkade.service.up import UpOptions
        from parkade.service.up import up as run
    if demo:
        _play(host, port, others=(data_folder, database, token_file))
        return
    given = {
        "data_folder": data_folder,
        "host": host,
        "port": port,
        "unit": unit,
        "log_format": log_format,
        "allow_remote": allow_remote,
        "root_workloads": root_workloads,
        "database": database,
        "url": url,
        "standby": standby,
    }
    options = UpOptions(
        token_file=token_file,
        is_new_token_wanted=new_token,
        is_original_gone=original_is_gone,
    )
    try:
        run(read_settings(given), options)
    except (AlreadyLed, BadSettings, StoreError) as error:
        fail(str(error), exit_code=2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; choose another path", exit_code=2)


def _play(host: str | None, port: int | None, *, others: tuple[object, ...]) -> None:
    """The demo, until it is interrupted."""
    from parkade.demo import DemoError, run_demo
    from parkade.service.settings import BadSettings, read_settings

    if any(each is not None for each in others):
        fail("--demo has a journal and tokens of its own; leave the other flags out", exit_code=2)
    try:
        settings = read_settings({"host": host, "port": port}, _heard(os.environ))
    except BadSettings as error:
        fail(str(error), exit_code=2)
    try:
        run_demo(host=settings.host, port=settings.port, say=lambda line: typer.echo(line))
    except DemoError as error:
        fail(str(error), exit_code=1)


def _heard(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of a server that the demo takes as well."""
    names = ("PARKADE_SERVER_HOST", "PARKADE_SERVER_PORT")
    return {name: environment[name] for name in names if name in environment}
