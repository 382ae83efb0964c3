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
from parkade.control.forked import decide_in_child
from parkade.control.plane import Plane
from parkade.control.recover import Recovering, recover
from parkade.control.rules import RULES
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Dependencies
from parkade.messages.receivers import Directory
from parkade.ports import Leadership, Store, StoreError
from parkade.service.agents import PROGRAM, Agents
from parkade.service.damage import damage_told
from parkade.service.engines import ENGINES
from parkade.service.first import OPERATOR
from parkade.service.identity import read_provider
from parkade.service.journal_place import (
    MARK,
    RESTORED,
    accepted,
    file_leadership,
    journal_path,
    nothing,
    open_store,
)
from parkade.service.message_metrics import MessageCollector
from parkade.service.owner import claim, join, may_run_pools
from parkade.service.settings import ServiceSettings
from parkade.service.telling import Telling, read_messages_file
from parkade.store import (
    SqlStore,
    postgresql_engine,
)

_log = structlog.get_logger(__name__)

# The exit status of sysexits.h for a fault of the program itself.
EXIT_SOFTWARE = 70


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


def end_process(error: BaseException) -> None:
    """Memory and journal may differ: nothing more may be answered, not even 'sorry'."""
    done = "see the reason" if isinstance(error, StoreError) else "start it again"
    _log.critical("process_ends", reason=str(error), done=done)
    os._exit(EXIT_SOFTWARE)


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
            beside=decide_in_child if sys.platform == "linux" else None,
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
