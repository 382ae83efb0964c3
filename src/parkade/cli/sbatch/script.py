"""Reads a batch script: its interpreter, the options in its `#SBATCH` lines, and which lines
deserve a word before they run elsewhere than under Slurm.

As Slurm does it: a line counts if it begins with `#SBATCH`, before the first line that is neither
blank nor a comment. A script without `#!`, or with the line ends of Windows, is refused.
"""

import re
import shlex
from collections.abc import Iterable, Iterator

import msgspec

from parkade.cli.sbatch.options import Given, Wrong, read

DIRECTIVE = re.compile(r"#SBATCH(?=\s|$)")
ALMOST = re.compile(r"\s*#\s*SBATCH\s|#SBATCH(?=\S)")
CALLS = re.compile(r"^\s*(?:\w+=\$\(|if |\()?\s*(sbatch|salloc|squeue|scancel|sacct|sinfo)\b")
STARTS_MPI = re.compile(r"^[^#]*\bsrun\b.*--mpi[= ](?!none\b)(\w+)")
LAST = 1 << 30
OTHERS = ("#PBS", "#BSUB", "#$ ")


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is told, and about which line."""

    place: str
    text: str


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """`interpreter`: the words behind `#!`. `faults`: lines that cannot be submitted."""

    text: str
    interpreter: tuple[str, ...]
    given: tuple[Given, ...]
    remarks: tuple[Remark, ...]
    faults: tuple[Wrong, ...]


def parse(text: str) -> Script:
    """Raises Wrong where Slurm would take it for no batch script."""
    first, _, _ = text.partition("\n")
    if not first.startswith("#!") or not first[2:].strip():
        raise Wrong("line 1", "a batch script begins with #! and its shell, like #!/bin/bash")
    if "\r\n" in text:
        raise Wrong("line 1", "the lines end as those of Windows; dos2unix mends it")
    if "\0" in text:
        raise Wrong("line 1", "this is no text")
    given: list[Given] = []
    faults: list[Wrong] = []
    remarks: list[Remark] = []
    lines = list(enumerate(text.split("\n"), start=1))
    head = next((n for n, line in lines[1:] if line.strip() and not line.startswith("#")), None)
    for number, line in lines:
        place = f"line {number}"
        is_before = head is None or number < head
        if is_before and DIRECTIVE.match(line):
            try:
                given += _directive(line, place)
            except Wrong as wrong:
                faults.append(wrong)
        else:
            remarks += _remarks(line, place, is_before=is_before)
    return Script(
        text=text,
        interpreter=tuple(first[2:].strip().split(maxsplit=1)),
        given=tuple(given),
        remarks=tuple(remarks),
        faults=tuple(faults),
    )


def _directive(line: str, place: str) -> list[Given]:
    try:
        words = shlex.split(line.removeprefix("#SBATCH"), comments=True)
    except ValueError as error:
        raise Wrong(place, f"{error}".lower()) from None
    if words[:1] in (["hetjob"], ["packjob"]):
        message = "a job of several parts; submit each part, with --dependency where they wait"
        raise Wrong(place, message)
    found, rest = read(words, place)
    if rest:
        raise Wrong(place, f"{rest[0][:60]!r} is no option")
    return found


def _remarks(line: str, place: str, *, is_before: bool) -> Iterator[Remark]:
    if DIRECTIVE.match(line):
        yield Remark(place=place, text="#SBATCH after the first command; Slurm leaves it out too")
    elif is_before and ALMOST.match(line) and not line.startswith("##"):
        yield Remark(place=place, text="a comment to Slurm; it reads lines that begin with #SBATCH")
    elif is_before and line.startswith(OTHERS):
        yield Remark(
            place=place, text=f"options of another system ({line.split()[0]}) are not read"
        )
    elif found := STARTS_MPI.match(line):
        yield Remark(place=place, text=f"srun --mpi={found[1]} will fail; start MPI by mpirun")
    elif found := CALLS.match(line):
        yield Remark(
            place=place,
            text=f"calls {found[1]}: on the node that is Slurm's own, if there is one",
        )


def in_order(remarks: Iterable[Remark]) -> list[Remark]:
    """By line; what is of no line comes last."""
    return sorted(remarks, key=lambda one: _line(one.place))


def _line(place: str) -> int:
    word = place.removeprefix("line ")
    return int(word) if word.isdigit() else LAST
