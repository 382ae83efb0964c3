"""The lines of a run's journal that belong to its last network.

A folder may have run several networks. A call that an earlier one made counts for the last one
where that has the same node, and is told with that node's number; a verdict where it has the
verifier (`described` has the rule). The others are left out. One pass, at a cost of the journal's
length.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias, TypeVar, cast

import msgspec

from parkade.compound.run.described import Described, RunUnreadable
from parkade.compound.run.lines import CallLine, FailedLine, VerdictLine
from parkade.compound.wrong_values import in_words

Recorded: TypeAlias = CallLine | FailedLine | VerdictLine
L = TypeVar("L", CallLine, VerdictLine)
_TAGS: dict[type, bytes] = {CallLine: b'{"is":"call"', VerdictLine: b'{"is":"verdict"'}


def recorded_lines(path: Path, kind: type[L], described: Described) -> Iterator[L]:
    """The lines of one kind, in their order; the other kinds are not decoded.

    Raises RunUnreadable where the journal is missing, or a whole line cannot be read.
    """
    decode = msgspec.json.Decoder(kind).decode
    tag = _TAGS[kind]
    place = 0
    with reading(path) as file:
        for line in file:
            began, place = place, place + len(line)
            if line.startswith(tag) and line.endswith(b"\n"):
                found = of_network(decode(line), began, described)
                if found is not None:
                    yield cast(L, found)


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """A file of a run's folder; RunUnreadable where it is missing, or a line is not decoded."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise RunUnreadable(f"{path} is missing") from None
    except msgspec.DecodeError as error:
        raise RunUnreadable(f"{path} cannot be read: {in_words(error)}") from None


def of_network(line: Recorded, place: int, described: Described) -> Recorded | None:
    """A line that begins at that byte, with the last network's node; None if it has none."""
    if isinstance(line, VerdictLine):
        return line if described.has_verdict(line.verifier, place) else None
    node = described.node_of(line.node, place)
    if node is None or node == line.node:
        return None if node is None else line
    return msgspec.structs.replace(line, node=node)
