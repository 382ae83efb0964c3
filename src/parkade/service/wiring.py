"""Puts the server together: store, plane, API, local agents. Nothing is started here."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog
from fastapi import FastAPI
from msgspec.structs import replace

from parkade.api import ApiSettings, create_app
from parkade.console import ConsoleSettings, ConsoleState, add_console
from parkade.control.clock import SteadyClock, SystemClock
from parkade.control.leadership import FileLeadership, JointLeadership
from parkade.control.plane import Plane
from parkade.control.recover import Recovering, recover
from parkade.control.rules import RULES
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Dependencies, LeadershipLost
from parkade.messages.receivers import Directory
from parkade.ports import Leadership, Store, StoreError
from parkade.service.agents import PROGRAM, Agents
from parkade.service.damage import damage_told
from parkade.service.engines import ENGINES
from parkade.service.first import OPERATOR
from parkade.service.identity import read_provider
from parkade.service.message_metrics import MessageCollector
from parkade.service.owner import claim, join, may_run_pools
from parkade.service.settings import ServiceSettings
from parkade.service.telling import Telling, read_messages_file
from parkade.store import (
    PostgresqlLeadership,
    SqlStore,
    open_postgresql,
    open_sqlite,
    open_sqlite_read_only,
    postgresql_engine,
)

_log = structlog.get_logger(__name__)

# The exit status of sysexits.h for a fault of the program itself.
EXIT_SOFTWARE = 70
# Written by `foreign.accept`, and gone once the epoch is opened, or a backup is put back.
MARK = "accept-agents"
# There from when a backup is put back until agents are accepted.
RESTORED = "restored"
# There where the folder's journal is in a database.
DATABASE_HEAD = "postgresql.head"


def journal_path(data_folder: Path) -> Path:
    """The journal's file in a data folder."""
    return data_folder / "parkade.sqlite3"


def file_journal(data_folder: Path) -> Path:
    """The same, of a folder whose journal is in that file. StoreError where it is in a database:
    what a server wrote to the file would be a second journal, which no agent obeys."""
    head = data_folder / DATABASE_HEAD
    if head.exists():
        raise StoreError(
            f"the journal of {data_folder} is in a PostgreSQL database: name it with --database, or"
            " PARKADE_SERVER_DATABASE. Only where that database is gone for good, and a backup in"
            f" a file is to take its place: move {head} away first"
        )
    return journal_path(data_folder)


def open_store(
    settings: ServiceSettings, *, crash_point: Callable[[str], None] | None = None
) -> SqlStore:
    """The journal's store, made where it is missing. StoreError where it is not what it was."""
    crash_point = crash_point or nothing
    if not settings.database:
        return open_sqlite(file_journal(settings.data_folder), crash_point=crash_point)
    head = head_path(settings)
    return open_postgresql(settings.database, head=head, crash_point=crash_point)


def open_to_read(settings: ServiceSettings) -> SqlStore:
    """The journal's store, also while a server writes to it. Nothing is changed."""
    if not settings.database:
        return open_sqlite_read_only(file_journal(settings.data_folder))
    return open_postgresql(settings.database, head=head_path(settings), is_read_only=True)


def what_if_program(data_folder: Path, database: str) -> tuple[str, ...]:
    """What plays the journal of this place under other terms, but for its `--set`."""
    return _on_journal(("sim", "what-if"), data_folder, database)


def verify_program(data_folder: Path, database: str) -> tuple[str, ...]:
    """What decides a clearing of this place again, but for its position."""
    return _on_journal(("market", "verify"), data_folder, database)


def _on_journal(words: tuple[str, ...], data_folder: Path, database: str) -> tuple[str, ...]:
    place = ("--data-folder", str(data_folder.absolute()))
    program = (sys.executable, "-m", "parkade.cli", *words, "--json", *place)
    return (*program, *(("--database", database) if database else ()))


def head_path(settings: ServiceSettings) -> Path:
    """The journal's head file."""
    if settings.database:
        return settings.data_folder / DATABASE_HEAD
    path = journal_path(settings.data_folder)
    return path.with_name(f"{path.name}.head")


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """The mark: agents obey the next epoch, of at least number `least`, of the journal that ends
    with entry `sequence` of this digest. The digest covers every entry, so it names one journal."""

    version: int = 1
    least: int
    sequence: int
    digest: str


def end_of(store: Store) -> tuple[int, str]:
    """The journal's last sequence and digest; 0 and nothing where it is empty."""
    last = store.last_sequence()
    entries = store.entries(after=last - 1, limit=1) if last else ()
    return (last, entries[0].digest) if entries else (0, "")


def accepted(store: Store, data_folder: Path) -> int | None:
    """The least number of the epoch that accepts agents; None where no operator said so of this
    journal as it stands."""
    try:
        mark = msgspec.json.decode((data_folder / MARK).read_bytes(), type=Acceptance)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        mark = None
    if mark is not None and (mark.sequence, mark.digest) == end_of(store):
        return mark.least
    _log.warning("acceptance_void", done="agents were accepted for another journal than this one")
    return None


def nothing(_name: str) -> None:
    """No test is watching."""


def end_process(error: BaseException) -> None:
    """Memory and journal may differ: nothing more may be answered, not even 'sorry'."""
    done = "see the reason" if isinstance(error, StoreError) else "start it again"
    _log.critical("process_ends", reason=str(error), done=done)
    os._exit(EXIT_SOFTWARE)


def file_leadership(path: Path) -> Leadership:
    """A lock on a file of this machine."""
    return FileLeadership(path, holder="Parkade server")


def whole_leadership(
    settings: ServiceSettings,
    make_leadership: Callable[[Path], Leadership],
    on_fatal: Callable[[BaseException], None] | None = None,
) -> Leadership:
    """All that the only server of a journal holds: the data folder's lock, and the database's.
    `on_fatal` hears that the database's was lost."""
    of_folder = make_leadership(settings.data_folder / "writer.lock")
    if not settings.database:
        return of_folder
    return JointLeadership((of_folder, database_leadership(settings, on_fatal)))


def database_leadership(
    settings: ServiceSettings, on_fatal: Callable[[BaseException], None] | None
) -> PostgresqlLeadership:
    """The database's lock alone."""

    def lost() -> None:
        if on_fatal is not None:
            on_fatal(LeadershipLost("the journal's lock is gone: another server may write"))

    return PostgresqlLeadership(settings.database, on_lost=lost)


def refuse_new_beside_pools(store: Store, data_folder: Path) -> None:
    """StoreError where a marketplace would begin beside the work of an earlier one."""
    pools = sorted(folder.name for folder in (data_folder / "pools").glob("*"))
    if pools and store.last_sequence() == 0:
        store.close()
        raise StoreError(
            f"{journal_path(data_folder)} is empty or missing, but {data_folder / 'pools'} holds"
            f" what agents of an earlier marketplace run ({', '.join(pools[:5])}); a new one would"
            " know nothing of it. Put the journal back with `parkade admin restore BACKUP"
            f" --data-folder {data_folder}`. To begin anew, end what runs with `parkade agent end"
            f" --data-folder {data_folder / 'pools'}/POOL`, and move that folder away"
        )


class Wires(msgspec.Struct, frozen=True, kw_only=True):
    """What a test may exchange."""

    clock: SteadyClock = SystemClock()
    agent_program: Sequence[str] = PROGRAM
    make_leadership: Callable[[Path], Leadership] = file_leadership
    on_fatal: Callable[[BaseException], None] = end_process
    crash_point: Callable[[str], None] = nothing


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that runs, not yet running."""

    store: Store
    plane: Plane
    app: FastAPI
    console: ConsoleState
    agents: Agents
    telling: Telling


def open_plane(
    settings: ServiceSettings,
    wires: Wires,
    leadership: Leadership,
    *,
    is_original_gone: bool,
    recovering: Recovering = recover,
) -> tuple[SqlStore, Dependencies, Plane]:
    """The journal and the world that it gives; StoreError where it is damaged."""
    with damage_told(), contextlib.ExitStack() as opened:
        store = open_store(settings, crash_point=wires.crash_point)
        opened.callback(store.close)
        refuse_new_beside_pools(store, settings.data_folder)
        if settings.standby:
            join(store, settings)
        if settings.database:
            claim(store, settings, is_original_gone=is_original_gone)
        store.begin_term(settings.url)
        dependencies = Dependencies(
            store=store,
            clock=wires.clock,
            rules=RULES,
            on_fatal=wires.on_fatal,
            crash_point=wires.crash_point,
            leadership=leadership,
            accepted=accepted(store, settings.data_folder),
            recover=recovering,
            archiving=store,
        )
        plane = Plane(
            dependencies,
            PlaneSettings(
                check_every=settings.check_every,
                archive_after_us=settings.archive_after_us,
                exec_sessions=settings.exec_sessions,
                exec_sessions_per_user=settings.exec_sessions_per_user,
                exec_held_bytes=settings.exec_held_bytes,
            ),
        )
        opened.pop_all()
    return store, dependencies, plane


def build(
    settings: ServiceSettings,
    wires: Wires,
    leadership: Leadership,
    *,
    is_original_gone: bool = False,
    recovering: Recovering = recover,
) -> Server:
    """A server over the data folder; the caller holds the leadership."""
    store, dependencies, plane = open_plane(
        settings,
        wires,
        leadership,
        is_original_gone=is_original_gone,
        recovering=recovering,
    )
    if not may_run_pools(settings):
        settings = replace(settings, local_sites=())
    (settings.data_folder / MARK).unlink(missing_ok=True)
    if dependencies.accepted is not None:
        (settings.data_folder / RESTORED).unlink(missing_ok=True)
    file = read_messages_file(settings.data_folder)
    people = None if file is None or file.people is None else file.people.rules()
    directory = Directory(store, people)
    database = settings.database
    telling = Telling(
        plane,
        file,
        settings.data_folder,
        directory,
        database=(lambda: postgresql_engine(database)) if database else None,
    )
    app = create_app(
        plane,
        ApiSettings(
            unit=settings.unit,
            engines=tuple(ENGINES),
            hosts=(*settings.hosts, *([settings.host] if settings.host else [])),
        ),
        collectors=(MessageCollector(telling),),
        provider=read_provider(settings.data_folder),
        directory=directory,
    )
    return Server(
        store=store,
        plane=plane,
        app=app,
        console=add_console(
            app,
            ConsoleSettings(
                unit=settings.unit,
                url=settings.url,
                folder=settings.data_folder,
                what_if=what_if_program(settings.data_folder, settings.database),
                verify=verify_program(settings.data_folder, settings.database),
            ),
        ),
        agents=Agents(plane, settings, program=wires.agent_program, operator=OPERATOR),
        telling=telling,
    )
