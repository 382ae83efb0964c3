"""Files that `mars run` keeps beside its journal of drains: replaced whole, so that a crash leaves
the one before."""

from pathlib import Path

from parkade.whole_files import replace_whole


class KeptFileError(Exception):
    """The file cannot be read or written; the message says what to do."""


def text_of(path: Path) -> str | None:
    """The text of a kept file; None where there is none yet. Raises KeptFileError."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise KeptFileError(f"{path} cannot be read: {error}") from error


def replace_text(path: Path, text: str) -> None:
    """On disk before it returns. Raises KeptFileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, text.encode())
    except OSError as error:
        raise KeptFileError(f"{path} cannot be written: {error.strerror}") from error
