"""What a proof found, kept in a folder for programs.

The folder is made before the proof begins, which may take hours, and what was found is printed
before it is kept: no story is lost for a folder.
"""

import tempfile
from pathlib import Path

from parkade.cli.calling import fail, warn
from parkade.wire.exits import EXIT_USAGE


def make_folder(folder: Path) -> None:
    """Makes the folder of the results; ends with 2 where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fail(_words(folder, error), exit_code=EXIT_USAGE)


def keep_results(folder: Path, name: str, report: bytes) -> bool:
    """Writes `name`.json there, in place of one before; says why not and gives False where that
    is refused."""
    try:
        (folder / f"{name}.json").write_bytes(report)
    except OSError as error:
        warn(_words(folder / f"{name}.json", error))
        return False
    return True


def _words(path: Path, error: OSError) -> str:
    return (
        f"--results: {path} cannot be written; name a folder that you may write to"
        f" ({error.strerror})"
    )
