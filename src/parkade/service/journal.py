"""Checks the journal of a data folder, or of a backup, without a server and without a change."""

import contextlib
from pathlib import Path

from parkade.control.rules import RULES
from parkade.control.whole import WholeJournal, check_whole
from parkade.service import logs
from parkade.service.damage import damage_told
from parkade.service.journal_place import file_journal, open_to_read
from parkade.service.settings import ServiceSettings
from parkade.store import open_sqlite_read_only


def check_database(settings: ServiceSettings) -> WholeJournal:
    """The journal of a server's settings, wherever it is. StoreError where it is not whole."""
    logs.configure("console")
    with damage_told(), contextlib.closing(open_to_read(settings)) as store:
        return check_whole(store, RULES)


def check_journal(place: Path) -> WholeJournal:
    """`place` is a data folder, or the journal's file itself. StoreError where it is not whole."""
    logs.configure("console")
    path = file_journal(place) if place.is_dir() else place
    with damage_told(), contextlib.closing(open_sqlite_read_only(path)) as store:
        return check_whole(store, RULES)
