"""`parkade sim what-if`: a marketplace's own journal under other terms."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from parkade.cli.admin import Database, DataFolder, explained
from parkade.cli.calling import fail, server_extra
from parkade.cli.exit_codes import SIM_INVALID
from parkade.cli.sim.replay import show, write

NONE_FOUND = "the journal is empty: start the server once, so that it has something to tell"


def what_if(
    data_folder: DataFolder = None,
    database: Database = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A change, such as notice=5m; again for more.", metavar="KEY=VALUE"
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report to this HTML file.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Decide a journal again under other terms: who would have won, paid, waited and moved."""
    with server_extra():
        import msgspec

        from parkade.service.journal_place import open_to_read
        from parkade.service.settings import read_settings
        from parkade.sim.whatif.change import BadChange, parse_change
        from parkade.sim.whatif.comparing import compare
        from parkade.sim.whatif.reading import read_journal
        from parkade.sim.whatif.report import page_of, proof_of, tables_of
    try:
        change = parse_change(changes or ())
    except BadChange as error:
        fail(str(error), exit_code=SIM_INVALID)
    with explained():
        settings = read_settings({"data_folder": data_folder, "database": database})
        store = open_to_read(settings)
        try:
            journal, digest = read_journal(store)
        finally:
            store.close()
    if not journal:
        fail(NONE_FOUND, exit_code=SIM_INVALID)
    tells = not as_json and sys.stderr.isatty()
    found = compare(
        journal,
        change,
        own_digest=digest,
        progress=lambda words: print(f"{words} …", file=sys.stderr) if tells else None,
    )
    if report is not None:
        write(report, page_of(found))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        return
    print(proof_of(found))
    for table in tables_of(found):
        show(table)
    if report is not None:
        print(f"\nthe report is in {report}")
