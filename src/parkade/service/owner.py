"""A journal in a database has one data folder: with the heads, pools and tokens that belong to it.

A mark is kept in both. A start from another folder would begin pools anew beside those that run,
and start the same attempts a second time: it is refused until the operator says that the earlier
folder is gone. A journal that has no mark yet takes the folder that is started on it.
"""

import secrets
import socket
from pathlib import Path

import msgspec

from parkade.ports import StoreError
from parkade.service.folders import write_owner_only
from parkade.service.settings import BadSettings, ServiceSettings
from parkade.store import SqlStore

FILE = "database.json"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` is random and the same for ever; `host` and `path` tell an operator where it was
    when it was marked."""

    version: int = 1
    folder: str
    host: str
    path: str


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
