"""A folder belongs to one process, or to submitted workers, which share it.

A run or a server writes the files at the root of its folder. In the folder of a submitted run the
workers write shards, and `collect` replaces the files at the root by what all shards hold. Both in
one folder would ask the same questions twice, and `collect` would take the other's answers and its
bill away; so each refuses the folder of the other. A run tells in `run.json` at which byte of the
journal it began (`starts`), which a collected folder does not have.
"""

from pathlib import Path

from parkade.compound.run.described import NoSuchRun, read_described

#: Says that workers share the folder; `shards.folder` has its content.
BATCH = "batch.json"
JOURNAL = "journal.jsonl"
RUN = "run.json"
#: A journal with no more than its first lines holds nothing to lose.
HEADER_BYTES = 256


class FolderError(Exception):
    """The folder does not fit what is asked; the message says why and what to do."""


def refuse_submitted(out: Path) -> None:
    """Before a run or a server writes: FolderError if workers share the folder."""
    if (out / BATCH).exists():
        raise FolderError(
            f"{out} is the folder of a submitted run, whose workers answer the questions: "
            f"`parkade compound collect {out}` puts their answers together, `submit` with it goes "
            "on; for a run of your own choose another folder"
        )


def refuse_run(out: Path) -> None:
    """Before files at the root are replaced: FolderError if one process wrote them."""
    if _is_of_one_process(out):
        raise FolderError(
            f"{out} holds answers and a bill of `run`, `ask` or `serve`, which would be lost: move "
            f"{JOURNAL}, {RUN} and results.jsonl into a folder of their own, or choose another "
            "--out for what is submitted"
        )


def _is_of_one_process(out: Path) -> bool:
    journal = out / JOURNAL
    if not journal.exists() or journal.stat().st_size <= HEADER_BYTES:
        return False
    try:
        return bool(read_described(out / RUN).starts)
    except NoSuchRun:
        return True
