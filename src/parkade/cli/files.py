"""Files that commands read, with `-` for stdin, and secrets that they write."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from parkade.cli.calling import fail
from parkade.core.units.bounds import MOST_DOCUMENT_BYTES
from parkade.wire.exits import EXIT_INVALID
from parkade.wire.yaml import Unreadable, parse

M = TypeVar("M", bound=BaseModel)


def read_text(file: Path, *, exit_code: int = EXIT_INVALID) -> str:
    """The text of a file; ends the program where it cannot be read."""
    try:
        if str(file) == "-":
            return sys.stdin.read(MOST_DOCUMENT_BYTES + 1)
        with file.open(encoding="utf-8") as handle:
            return handle.read(MOST_DOCUMENT_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        fail(f"{file} cannot be read: {why}", exit_code=exit_code)


def write_secret(file: Path, secret: str) -> None:
    """A new file that only its owner reads; ends the program where there is one already."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", exit_code=3)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secret + "\n")


def read(file: Path, model: type[M]) -> M:
    """The document as a model; raises Unreadable."""
    with named_in_faults(file):
        return parse(read_text(file), model)


@contextmanager
def named_in_faults(file: Path | None) -> Iterator[None]:
    """What is wrong with a document is told with the name of its file, if it is in one."""
    try:
        yield
    except Unreadable as error:
        if file is not None:
            error.source = "stdin" if str(file) == "-" else str(file)
        raise
