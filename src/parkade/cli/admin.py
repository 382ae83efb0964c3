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
from parkade.cli.confirming import Yes, confirm_for_good
from parkade.cli.flags import when
from parkade.cli.restoring import tell_agents, tell_steps

if TYPE_CHECKING:
    from parkade.control.whole import WholeJournal
    from parkade.service.archiving import Archived
    from parkade.service.settings import ServiceSettings

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
    yes: Yes = False,
) -> None:
    """Put a backup back while the server is stopped, and print the steps until it is open again."""
    if backup is None and not accept_agents:
        fail("name a backup, or --accept-agents for a journal that was put back", exit_code=2)
    with explained():
        from parkade.service.backups import put_back
        from parkade.service.foreign import accept, look, stopped
        from parkade.service.later_folders import later_folders

        settings = _settings(data_folder, database)
        done = None if backup is None else put_back(backup, settings)
        if done is not None:
            print(f"{settings.data_folder}: restored from {backup}: {_counted(done.backup)}")
            if done.aside is not None:
                print(f"The replaced journal is in {done.aside}. {_lacks(done.lost)}")
        if accept_agents:
            with stopped(settings):
                found = look(settings)
                tell_agents(found)
                if found.foreign and not yes:
                    says = "these end when the server starts, and agents obey it"
                    confirm_for_good(says, yes=False)
                accept(settings, found)
            print("Agents obey the server again from its next start on.")
        else:
            found = look(settings)
            tell_agents(found)
        if done is None:
            return
        refuse = not accept_agents and bool(found.refusing or found.foreign)
        accept_it = _as_typed("admin restore --accept-agents", data_folder, database)
        aside = done.aside or settings.data_folder / "replaced"
        tell_steps(
            later=later_folders(settings.data_folder, done.backup.last_workload, aside),
            accept=accept_it if refuse else None,
            withdrawn=done.withdrawn,
            start=_as_typed("up", data_folder, database),
        )


def _lacks(entries: int | None) -> str:
    if entries is None:
        return "It cannot be read."
    has = f"{entries:,} entries" if entries != 1 else "1 entry"
    return f"It has {has} that the backup lacks."


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
    print(f"The replaced file is in {done.aside}.")
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
        typer.Option(
            help="Fold entries older than this; default: `archive_after`.", metavar="DATE"
        ),
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
    """Of `admin verify`, and of `journal check`, its old name."""
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
    return " ".join(["parkade", words, *given])


def _counted(found: "WholeJournal") -> str:
    at = "no snapshot" if found.snapshot is None else f"the snapshot at entry {found.snapshot}"
    return f"{found.entries} entries, {found.transfers} transfers, {at}"
