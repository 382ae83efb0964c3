"""What is said where a journal's file is damaged, whatever the driver or a decoder makes of it."""

import contextlib
from collections.abc import Iterator

from parkade.control.recover import unreadable
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
        raise unreadable(error) from error
