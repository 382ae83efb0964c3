"""`parkade market verify`: one clearing's record decided again, on the server's machine."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.admin import Database, DataFolder, explained
from parkade.cli.calling import fail, server_extra
from parkade.cli.exit_codes import SIM_FOUND, SIM_INVALID

if TYPE_CHECKING:
    from parkade.sim.whatif.one_clearing import CheckedRecord

market = typer.Typer(help="Records of clearings, on the server's machine.", no_args_is_help=True)


@market.callback()
def _group() -> None:
    """So that `verify` stays a command of its own."""


@market.command()
def verify(
    sequence: Annotated[
        int, typer.Argument(help="Its position in the journal.", min=1, metavar="POSITION")
    ],
    data_folder: DataFolder = None,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Decide one clearing again from the entries before it, and say whether its record holds.

    Ends with 1 where it does not."""
    with server_extra():
        import msgspec

        from parkade.service.journal_place import open_to_read
        from parkade.service.settings import read_settings
        from parkade.sim.whatif.one_clearing import NotAClearing, check_record
    with explained():
        store = open_to_read(read_settings({"data_folder": data_folder, "database": database}))
        try:
            found = check_record(store, sequence)
        except NotAClearing as error:
            fail(str(error), exit_code=SIM_INVALID)
        finally:
            store.close()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    else:
        print("\n".join(_says(found)))
    if not found.holds:
        raise typer.Exit(SIM_FOUND)


def _says(found: "CheckedRecord") -> list[str]:
    lines = f"{found.won} won, {found.left} left, {found.repriced} repriced, {found.waiting} wait"
    head = f"clearing {found.sequence} of {found.market}, {found.at}: {lines}"
    chain = f"the {found.before:,} entries before it are whole; its digest is {found.digest}"
    if found.holds:
        prices = f"{found.priced_by_bids} of its prices set by a bid"
        return [head, f"holds: decided again it is the same, {prices}", chain]
    return [head, f"does not hold: {found.difference}", chain]
