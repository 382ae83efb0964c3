"""Before a command of compound writes a file: what stands there already is not lost.

Refused are always an input of the same command and any place inside a run's folder; without
`--force` also a file that the command would not have written, known by how it begins.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

Force = Annotated[bool, typer.Option("--force", help="Replace whatever file is there.")]
#: Bytes that are read of a file to see what wrote it.
HEAD_BYTES = 1_024
#: How what each option writes begins.
OUTCOMES = rb'\{"kind":"outcomes"'
EXAMPLES = rb'\{"messages":\[|\{"custom_id":|\{"prompt":\[\{"role":'
PAGE = rb'<!doctype html><html lang="en"><head><meta charset="utf-8">'
PLOT = rb'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 |\x89PNG'


def may_write(
    path: Path, begins: bytes, inputs: Iterable[Path | None], *, force: bool, as_json: bool
) -> None:
    """End the command with 3 if the file may not be written; `begins` is a regular expression."""
    if why := _refusal(path, begins, inputs, force=force):
        from parkade.cli.compound.failing import fail
        from parkade.cli.exit_codes import COMPOUND_WRONG

        fail("invalid", f"{path} {why}", COMPOUND_WRONG, as_json=as_json)


def _refusal(
    path: Path, begins: bytes, inputs: Iterable[Path | None], *, force: bool
) -> str | None:
    place = path.resolve()
    if any(given is not None and place == given.resolve() for given in inputs):
        return "is what the command reads; give another name"
    if (folder := _run_folder(place)) is not None:
        return f"lies in {folder}, the folder of a run, whose files it could replace; give another"
    if place.is_dir():
        return "is a folder; give the name of a file"
    if force or not place.exists():
        return None
    with place.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head or re.match(begins, head):
        return None
    return "is there already, and this command did not write it; --force replaces it"


def _run_folder(path: Path) -> Path | None:
    from parkade.compound.run.ownership import BATCH, JOURNAL, RUN

    for folder in path.parents:
        if any((folder / name).is_file() for name in (RUN, JOURNAL, BATCH)):
            return folder
    return None
