"""What is said where a journal's file is damaged, whatever the driver or a decoder makes of it."""

import contextlib
from collections.abc import Iterator

from parkade.ports import AlreadyLed, StoreError
from parkade.service.settings import BadSettings


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """StoreError for whatever damage makes of a file: drivers and decoders have errors of many
    kinds for bytes that were never written so."""
    try:
        yield
    except (StoreError, AlreadyLed, BadSettings, OSError):
        raise
    except Exception as error:
        kind = type(error).__name__
        raise StoreError(
            f"the journal cannot be read, its file is damaged ({kind}: {str(error)[:200]}):"
            " `parkade admin verify` says where, as far as it can be told; restore a backup with"
            " `parkade admin restore`"
        ) from error
