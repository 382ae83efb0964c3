"""Arrays as the bytes of an .npz file and back: the same arrays always give the same bytes.

`numpy.load` reads these files; they are written here because a zip's time stamps and order of
members are set by hand, which numpy does not promise.
"""

import hashlib
import io
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class Unreadable(Exception):
    """The bytes are no whole archive: torn, cut short or of another kind."""


def pack(arrays: dict[str, Array]) -> bytes:
    """Uncompressed .npz bytes, members in the order given."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=ZIP_EPOCH)
            archive.writestr(entry, member.getvalue())
    return whole.getvalue()


def unpack(content: bytes) -> dict[str, Array]:
    """The arrays by name; `Unreadable` unless every member is whole (checked by its CRC)."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(member))
            for name, member in members.items()
        }
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise Unreadable(str(error)) from error


def digest(arrays: dict[str, Array]) -> str:
    """SHA-256 over names, shapes and bytes of the arrays, in hexadecimal."""
    return hashlib.sha256(pack(arrays)).hexdigest()
