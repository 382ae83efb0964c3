"""A journal in a database has one data folder: with the heads, pools and tokens that belong to it.
A standby's folder joins it: it may lead, and runs no pool of its own.

A mark is kept in both. A start from another folder would begin pools anew beside those that run,
and start the same attempts a second time: it is refused until the operator says that the earlier
folder is gone. A journal that has no mark yet takes the folder that is started on it.
"""

import secrets
import socket
from pathlib import Path

import msgspec
from msgspec.structs import replace

from parkade.ports import StoreError
from parkade.service.folders import write_owner_only
from parkade.service.settings import BadSettings, ServiceSettings
from parkade.store import SqlStore

FILE = "database.json"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` is random and the same for ever; `host` and `path` tell an operator where it was
    when it was marked. `is_standby`, in a folder's own mark: it joined the journal of another,
    whose `folder` this is."""

    version: int = 1
    folder: str
    host: str
    path: str
    is_standby: bool = False


def claim(store: SqlStore, settings: ServiceSettings, *, is_original_gone: bool) -> None:
    """BadSettings where the journal has another data folder, unless that is said to be gone; the
    store is closed then."""
    folder = settings.data_folder
    mine = _read(folder / FILE)
    kept = store.owner()
    owner = None if kept is None else _decode(kept.encode(), settings.database)
    if owner is not None and mine is not None and owner.folder == mine.folder:
        return
    if owner is not None and not is_original_gone:
        store.close()
        raise BadSettings(
            f"{settings.database} belongs to the data folder {owner.path} on {owner.host}, with its"
            f" pools and agents, and not to {folder}: a server here would start the same work a"
            " second time. Start with that folder; or, where it is gone for good and nothing of it"
            " runs any more, start this one with --original-is-gone, once"
        )
    mark = Mark(
        folder=mine.folder if mine is not None else secrets.token_hex(16),
        host=socket.gethostname(),
        path=str(folder.resolve()),
    )
    text = msgspec.json.encode(mark).decode()
    write_owner_only(folder / FILE, text)
    store.keep_owner(text)


def join(store: SqlStore, settings: ServiceSettings) -> None:
    """Marks a standby's folder as one that may lead this journal; twice is once. BadSettings where
    it is another journal's, or has pools of its own."""
    folder = settings.data_folder
    kept = store.owner()
    if kept is None:
        return
    owner, mine = _decode(kept.encode(), settings.database), _read(folder / FILE)
    if mine is not None:
        if mine.folder != owner.folder:
            raise BadSettings(
                f"{folder} belongs to another journal than {settings.database}; start the standby"
                " with an empty data folder"
            )
        return
    if any((folder / "pools").glob("*")):
        raise BadSettings(
            f"{folder} has pools of its own, whose agents obey another journal; start the standby"
            " with an empty data folder"
        )
    mark = replace(owner, host=socket.gethostname(), path=str(folder.resolve()), is_standby=True)
    write_owner_only(folder / FILE, msgspec.json.encode(mark).decode())


def may_run_pools(settings: ServiceSettings) -> bool:
    """Whether a server on this folder starts agents of its own: a standby's pools would be begun
    beside those that run."""
    mine = _read(settings.data_folder / FILE)
    return mine is None or not mine.is_standby


def _read(path: Path) -> Mark | None:
    try:
        return _decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None


def _decode(kept: bytes, where: str) -> Mark:
    try:
        return msgspec.json.decode(kept, type=Mark)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"{where}: the mark of the data folder cannot be read ({error}): it was changed. Put"
            f" back {FILE} of the data folder from a copy of it"
        ) from error
