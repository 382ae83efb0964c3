"""`parkade admin`: backups of a journal, on the server's machine, by its Unix user."""

import shlex
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import fail, server_extra
from parkade.cli.flags import when

if TYPE_CHECKING:
    from parkade.control.whole import WholeJournal
    from parkade.service.archiving import Archived
    from parkade.service.foreign import AgentsFound
    from parkade.service.settings import ServiceSettings
    from parkade.service.withdrawn import Withdrawn

admin = typer.Typer(
    help="Back up, restore, verify, archive and move the journal; write units and manual pages.",
    no_args_is_help=True,
)

Database = Annotated[
    str | None, typer.Option(help="As for `up`: postgresql://USER@SERVER/NAME.", metavar="ADDRESS")
]
DataFolder = Annotated[
    Path | None, typer.Option(help="The server's; default: as for `up`.", metavar="FOLDER")
]


@admin.command()
def backup(
    to: Annotated[Path, typer.Argument(help="A new file.", metavar="FILE")],
    data_folder: DataFolder = None,
    database: Database = None,
) -> None:
    """Copy the journal to a new file, also while the server runs, and verify the copy."""
    with explained():
        from parkade.service.backups import take_backup

        found = take_backup(_settings(data_folder, database), to)
    print(f"{to}: {_counted(found)}")


@admin.command()
def verify(
    place: Annotated[
        Path | None,
        typer.Argument(help="A data folder or a backup; default: as for `up`.", metavar="[PLACE]"),
    ] = None,
    data_folder: DataFolder = None,
    database: Database = None,
) -> None:
    """Read a whole journal, changing nothing, and say whether it is what was written."""
    if place is not None and data_folder is not None:
        fail("name PLACE or --data-folder, not both", exit_code=2)
    if place is not None and place.is_file() and database is not None:
        fail(f"{place} is a backup, which is whole in itself: leave --database out", exit_code=2)
    verify_place(place or data_folder, database)


@admin.command()
def restore(
    backup: Annotated[
        Path | None, typer.Argument(help="A file that `backup` made.", metavar="[FILE]")
    ] = None,
    data_folder: DataFolder = None,
    database: Database = None,
    accept_agents: Annotated[
        bool,
        typer.Option(
            "--accept-agents", help="Agents shall obey this journal; what it lacks is ended."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a backup back while the server is stopped, and say what agents run that it lacks."""
    if backup is None and not accept_agents:
        fail("name a backup, or --accept-agents for a journal that was put back", exit_code=2)
    with explained():
        from parkade.service.backups import put_back
        from parkade.service.foreign import accept, look, stopped

        settings = _settings(data_folder, database)
        folder = settings.data_folder
        if backup is not None:
            done = put_back(backup, settings)
            print(f"{folder}: restored from {backup}: {_counted(done.backup)}")
            if done.aside is not None:
                lost = "which cannot be read" if done.lost is None else f"{done.lost} entries more"
                print(f"The journal of before, with {lost}, is in {done.aside}.")
            _tell_withdrawn(done.withdrawn)
        if not accept_agents:
            found = look(settings)
            _tell(found)
            if found.refusing or found.foreign:
                command = _as_typed("restore --accept-agents", data_folder, database)
                print(f"Agents refuse this journal until `{command}`.")
            return
        with stopped(settings):
            found = look(settings)
            _tell(found)
            if found.foreign and not yes:
                typer.confirm("End these when the server starts, and let agents obey?", abort=True)
            accept(settings, found)
    print("The next start of the server is obeyed by agents of before.")


@admin.command()
def migrate(
    to: Annotated[str, typer.Argument(help="postgresql://USER@SERVER/NAME.", metavar="ADDRESS")],
    data_folder: DataFolder = None,
) -> None:
    """Move the journal from its file into a database, and verify it there; the server is stopped.

    What is moved has the digest of the file's last entry, or nothing is changed.
    """
    with explained():
        from parkade.service.migrating import migrate as move

        settings = _settings(data_folder, None)
        done = move(settings, to)
    print(f"{to}: {_counted(done.whole)}; verified, digest {done.digest[:16]}")
    print(f"The file of before is in {done.aside}.")
    if done.waiting:
        from parkade.core.units.phrases import counted

        waits = counted(done.waiting, "message")
        print(f"{waits} not sent yet: the start below takes what waits into the database.")
    place = shlex.quote(str(settings.data_folder))
    print(f"Start the server with --data-folder {place} --database {shlex.quote(to)}")


@admin.command()
def archive(
    before: Annotated[
        str | None,
        typer.Option(help="Entries of before; default: as `archive_after`.", metavar="DATE"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would save; the server may run.")
    ] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Give freed room of the file back to the disk.")
    ] = False,
    data_folder: DataFolder = None,
    database: Database = None,
) -> None:
    """Fold old entries of the journal into segments, while the server is stopped.

    They are read as before, in a tenth of the room. A running server folds by itself.
    """
    if dry_run and vacuum:
        fail("--vacuum does something, --dry-run nothing: leave one out", exit_code=2)
    with explained():
        from parkade.service import archiving

        settings = _settings(data_folder, database)
        where = settings.database or settings.data_folder
        before_us = _before_us(before, settings)
        if dry_run:
            found = archiving.would_archive(settings, before_us=before_us)
            print(f"{where}: {_saved(found, 'would hold')}")
            return
        found = archiving.archive(settings, before_us=before_us)
        print(f"{where}: {_saved(found, 'hold')}")
        if vacuum:
            from parkade.cli.screen import storage

            sizes = archiving.vacuum(settings)
            print(f"The file has {storage(sizes.after)}; it had {storage(sizes.before)}.")


def _before_us(before: str | None, settings: "ServiceSettings") -> int:
    instant = when(before, "--before")
    if instant is not None:
        return round(instant.timestamp() * 1_000_000)
    if settings.archive_after_us is None:
        fail("archive_after is off: name a time by --before, like -90d", exit_code=2)
    return time.time_ns() // 1000 - settings.archive_after_us


def _saved(found: "Archived", verb: str) -> str:
    if found.until_us is None:
        return "no segment to fold: too few entries are so old and before a snapshot"
    from parkade.cli.screen import storage

    until = datetime.fromtimestamp(found.until_us / 1_000_000, UTC)
    return (
        f"{found.segments} segments of {found.entries} entries until"
        f" {until:%Y-%m-%d %H:%M} UTC {verb} {storage(found.bytes)},"
        f" as rows {storage(found.row_bytes)}"
    )


@admin.command()
def upgrade(
    place: Annotated[
        Path | None,
        typer.Argument(help="A data folder or a backup; default: as for `up`.", metavar="[PLACE]"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Look only; without it there is nothing to do.")
    ] = False,
    data_folder: DataFolder = None,
) -> None:
    """Say whether this version can go on with a journal, while an earlier one runs on it.

    The upgrade itself is the start of the new version: what runs on the nodes goes on meanwhile.
    """
    if not check:
        fail("a start upgrades by itself; --check says before what it would do", exit_code=2)
    if place is not None and data_folder is not None:
        fail("name PLACE or --data-folder, not both", exit_code=2)
    with explained():
        from parkade import __version__
        from parkade.service.migrating import look_ahead

        where = place or _settings(data_folder, None).data_folder
        found = look_ahead(where)
    steps = found.to_schema - found.from_schema
    tables = f"tables {found.from_schema} → {found.to_schema}" if steps else "tables as they are"
    print(f"{where}: parkade {__version__} can go on: {_counted(found.whole)}; {tables}")
    print(f"Digest of the last entry: {found.digest[:16]}. Take a backup, then restart the server.")


@admin.command()
def man(
    to: Annotated[
        Path,
        typer.Option(help="Where `man` looks: like ~/.local/share/man/man1.", metavar="FOLDER"),
    ],
) -> None:
    """Write a manual page for each command, from its help."""
    from typer.main import get_command

    from parkade.cli.app import app
    from parkade.cli.manual import write

    try:
        made = write(get_command(app), to.expanduser())
    except OSError as error:
        fail(f"{to} cannot be written: {error.strerror}", exit_code=1)
    print(f"{len(made)} pages are in {to}; read one: man parkade-submit")


@admin.command()
def units(
    to: Annotated[Path, typer.Option(help="A folder of systemd's units.", metavar="FOLDER")] = Path(
        "/etc/systemd/system"
    ),
    replace: Annotated[
        bool, typer.Option("--replace", help="Write also over units that were changed.")
    ] = False,
) -> None:
    """Write systemd's units for the server, for agents and for Mars alone; start nothing."""
    with explained():
        from parkade.service.units import write_units

        try:
            written = write_units(to, bin_folder=_program().parent, replaces=replace)
        except FileExistsError as error:
            fail(str(error), exit_code=2)
    for path in written:
        print(path)
    print("How to go on: docs/operate.md, under systemd.")


def _program() -> Path:
    """The command `parkade` of this installation."""
    return Path(sysconfig.get_path("scripts")) / "parkade"


def verify_place(place: Path | None, database: str | None = None) -> None:
    """Of `admin verify`, and of `journal check`, its name of before."""
    started = time.monotonic()
    with explained():
        from parkade.ports import StoreError
        from parkade.service.journal import check_database, check_journal
        from parkade.store.postgresql import shown

        settings = _settings(place, database)
        is_database = database is not None or (bool(settings.database) and place is None)
        where = shown(settings.database) if is_database else str(settings.data_folder)
        try:
            found = check_database(settings) if is_database else check_journal(settings.data_folder)
        except StoreError as error:
            fail(f"{where}: {error}", exit_code=2)
    if found.torn:
        fail(
            f"{where}: {found.entries} entries and {found.transfers} transfers are whole, but the"
            f" snapshot at entry {found.torn[0]} is damaged. A start passes over it and takes"
            " longer, and nothing is lost; but look at the disk, and keep backups elsewhere",
            exit_code=2,
        )
    took = f"{time.monotonic() - started:.1f} s"
    answers = f"{found.answers} answers kept for repeated requests"
    print(f"{where}: whole; {_counted(found)}; {answers}; {took}")


@contextmanager
def explained() -> Iterator[None]:
    """Ends the program with what to do instead of a traceback."""
    with server_extra():
        from parkade.ports import AlreadyLed, StoreError
        from parkade.service.settings import BadSettings
    try:
        yield
    except (AlreadyLed, BadSettings, StoreError) as error:
        fail(str(error), exit_code=2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; choose another path", exit_code=2)


def _settings(data_folder: Path | None, database: str | None) -> "ServiceSettings":
    from parkade.service.settings import read_settings

    return read_settings({"data_folder": data_folder, "database": database})


def _as_typed(words: str, data_folder: Path | None, database: str | None) -> str:
    """A command on the place that this one was given; what the environment says holds for both."""
    options = [("--data-folder", data_folder), ("--database", database)]
    given = [f"{key} {shlex.quote(str(value))}" for key, value in options if value is not None]
    return " ".join(["parkade admin", words, *given])


def _counted(found: "WholeJournal") -> str:
    at = "no snapshot" if found.snapshot is None else f"the snapshot at entry {found.snapshot}"
    return f"{found.entries} entries, {found.transfers} transfers, {at}"


def _tell_withdrawn(found: "Withdrawn | None") -> None:
    """What was refused since the backup and is good again, as commands that refuse it anew."""
    if found is None:
        print("Tokens and users are as they were then: revoke and disable anew what was since.")
        return
    again = [
        *(f"parkade token revoke {shlex.quote(name)}" for name in found.tokens),
        *(f"parkade user disable {shlex.quote(name)}" for name in found.users),
        *(f"parkade org disable {shlex.quote(name)}" for name in found.orgs),
    ]
    if not again:
        print("No token was revoked, and no user or org disabled, since the backup.")
        return
    print("Good again, though refused since the backup. Run these once the server is up,")
    print("before others reach it:")
    for command in again:
        print(f"  {command}")


def _tell(found: "AgentsFound") -> None:
    from parkade.cli.screen import table

    if found.refusing:
        pools = ", ".join(found.refusing)
        print(f"Agents have obeyed orders that this journal lacks: {pools}.")
    if found.foreign:
        print("They run what this journal does not know:")
        rows = [(each.pool, each.org, each.attempt, each.name) for each in found.foreign]
        table(("POOL", "ORG", "ATTEMPT", "NAME"), rows, empty="")
