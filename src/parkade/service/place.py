"""A data folder knows where it lies, so that a copy never controls the work of the original.

`place.json` holds the machine's id (empty without /etc/machine-id), the folder's device, inode and
birth, its file system's id, and its path. `mv` keeps inode and birth: a folder that was moved
works, unless attempts run in it, whose keepers still write to the old path. A copy has another
inode, birth or machine: it is refused, until the operator says that the original is gone.

The root of a volume has the same inode in every file system of its kind, so birth decides there.
Where the kernel tells no birth, another file system id does, if the device differs too: both alone
may change when a machine starts again. What was not noted earlier is not compared.
"""

import ctypes
import os
import struct
from pathlib import Path

import msgspec

from parkade.service.folders import write_owner_only
from parkade.service.settings import BadSettings

FILE = "place.json"
_MACHINE_ID = Path("/etc/machine-id")
# Of linux/stat.h and linux/fcntl.h.
_AT_FDCWD = -100
_STATX_BTIME = 0x800
_STATX_BYTES = 256
_BTIME_AT = 80


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a folder lay when it was last used. `machine` is empty where the machine has no id."""

    version: int = 1
    machine: str
    device: int
    inode: int
    path: str
    birth_ns: int | None = None
    file_system: int | None = None


def settle(folder: Path, *, is_original_gone: bool = False) -> None:
    """Notes where the folder lies. BadSettings where it is a copy, unless the original is said to
    be gone, and where it was moved while attempts run in it."""
    found, kept = _here(folder), _read(folder)
    if kept is not None and _is_copy(kept, found):
        if not is_original_gone:
            raise BadSettings(
                f"{folder} is a copy: its original is {kept.path}, with the same journal and the"
                " same agents. Two servers would give orders for one marketplace. Start the"
                " original; or, where that is gone for good and nothing of it runs any more, start"
                " this one with --original-is-gone, once"
            )
        _let_go_of_attempts(folder)
    elif kept is not None and kept.path != found.path and _attempts(folder):
        names = ", ".join(sorted(path.name for path in _attempts(folder))[:5])
        raise BadSettings(
            f"{folder} was moved from {kept.path} while attempts in it run ({names}); their"
            f" keepers still write there. Move it back to {kept.path}, wait until nothing runs or"
            " end it with `parkade agent end` and that agent's --data-folder, and move it then"
        )
    if kept != found:
        write_owner_only(folder / FILE, msgspec.json.encode(found).decode())


def _is_copy(kept: Place, found: Place) -> bool:
    if (kept.machine, kept.inode) != (found.machine, found.inode):
        return True
    if kept.birth_ns is not None and found.birth_ns is not None:
        return kept.birth_ns != found.birth_ns
    systems = {kept.file_system, found.file_system}
    return None not in systems and len(systems) == 2 and kept.device != found.device


def _here(folder: Path) -> Place:
    at = folder.stat()
    try:
        machine = _MACHINE_ID.read_text().strip()
    except OSError:
        machine = ""
    path = str(folder.resolve())
    return Place(
        machine=machine,
        device=at.st_dev,
        inode=at.st_ino,
        path=path,
        birth_ns=_birth_ns(path),
        file_system=os.statvfs(folder).f_fsid or None,
    )


def _birth_ns(path: str) -> int | None:
    """When a folder was made, by statx(2), which Python lacks; None where that is not told."""
    statx = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if statx is None or statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, found) != 0:
        return None
    (mask,) = struct.unpack_from("=I", found, 0)
    seconds, nanoseconds = struct.unpack_from("=qI", found, _BTIME_AT)
    return seconds * 1_000_000_000 + nanoseconds if mask & _STATX_BTIME else None


def _read(folder: Path) -> Place | None:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Place)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BadSettings(
            f"{folder / FILE} cannot be read ({error}): it was changed. Where this folder is no"
            " copy, delete that file"
        ) from error


def _attempts(folder: Path) -> list[Path]:
    """The index entries of attempts that were not seen to end."""
    return [
        *folder.glob("pools/*/engine/live/*"),
        *folder.glob("engine/live/*"),
    ]


def _let_go_of_attempts(folder: Path) -> None:
    """Nothing that the original started is this folder's to watch or to end."""
    for entry in _attempts(folder):
        entry.rename(entry.parent.parent / "ended" / entry.name)
