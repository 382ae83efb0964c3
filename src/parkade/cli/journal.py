"""`parkade journal`: what an operator does with a journal, on the server's machine."""

import time
from pathlib import Path
from typing import Annotated

import typer

from parkade.cli.calling import fail

journal = typer.Typer(help="The server's journal, on its machine.", no_args_is_help=True)


@journal.command()
def check(
    place: Annotated[
        Path | None,
        typer.Argument(help="A data folder or a backup; default: as for `up`.", metavar="[PLACE]"),
    ] = None,
) -> None:
    """Read a whole journal, changing nothing, and say whether it is what was written."""
    try:
        from parkade.ports import StoreError
        from parkade.service.journal import check_journal
        from parkade.service.settings import BadSettings, read_settings
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: pip install 'parkade[server]'", exit_code=1)
    started = time.monotonic()
    try:
        place = read_settings({"data_folder": place}).data_folder
        found = check_journal(place)
    except (BadSettings, StoreError) as error:
        fail(f"{place}: {error}" if isinstance(error, StoreError) else str(error), exit_code=2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; choose another path", exit_code=2)
    at = "no snapshot" if found.snapshot is None else f"the snapshot at entry {found.snapshot}"
    print(
        f"{place}: whole; {found.entries} entries, {found.transfers} transfers, {at};"
        f" {time.monotonic() - started:.1f} s"
    )
