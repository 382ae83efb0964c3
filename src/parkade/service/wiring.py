"""Puts the server together: store, plane, API, local agents. Nothing is started here."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog
from fastapi import FastAPI

from parkade.api import ApiSettings, create_app
from parkade.control.clock import SteadyClock, SystemClock
from parkade.control.leadership import FileLeadership
from parkade.control.plane import Plane
from parkade.control.rules import RULES
from parkade.control.settings import PlaneSettings
from parkade.control.writer import Dependencies
from parkade.ports import Leadership, Store
from parkade.service.agents import PROGRAM, Agents
from parkade.service.engines import ENGINES
from parkade.service.first import OPERATOR
from parkade.service.settings import ServiceSettings
from parkade.service.telling import Telling, read_messages_file
from parkade.store import open_sqlite

_log = structlog.get_logger(__name__)

# The exit status of sysexits.h for a fault of the program itself.
EXIT_SOFTWARE = 70


def journal_path(data_folder: Path) -> Path:
    """The journal's file in a data folder."""
    return data_folder / "parkade.sqlite3"


def nothing(_name: str) -> None:
    """No test is watching."""


def end_process(error: BaseException) -> None:
    """Memory and journal may differ: nothing more may be answered, not even 'sorry'."""
    _log.critical("process_ends", reason=str(error), done="start it again")
    os._exit(EXIT_SOFTWARE)


def file_leadership(path: Path) -> Leadership:
    """A lock on a file of this machine."""
    return FileLeadership(path, holder="Parkade server")


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
    agents: Agents
    telling: Telling


def build(settings: ServiceSettings, wires: Wires, leadership: Leadership) -> Server:
    """A server over the data folder; the caller holds the leadership."""
    store = open_sqlite(journal_path(settings.data_folder), crash_point=wires.crash_point)
    dependencies = Dependencies(
        store=store,
        clock=wires.clock,
        rules=RULES,
        on_fatal=wires.on_fatal,
        crash_point=wires.crash_point,
        leadership=leadership,
    )
    plane = Plane(dependencies, PlaneSettings(check_every=settings.check_every))
    return Server(
        store=store,
        plane=plane,
        app=create_app(plane, ApiSettings(unit=settings.unit, engines=tuple(ENGINES))),
        agents=Agents(plane, settings, program=wires.agent_program, operator=OPERATOR),
        telling=Telling(plane, read_messages_file(settings.data_folder), settings.data_folder),
    )
