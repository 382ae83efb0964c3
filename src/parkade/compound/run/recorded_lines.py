"""The lines of a run's journal that belong to its last network.

A folder may have run several networks. A call that an earlier one made counts for the last one
where that has the same node, and is told with that node's number; a verdict where it has the
verifier (`described` has the rule). The others are left out. One pass, at a cost of the journal's
length; three where questions share calls.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias, TypeVar, cast

import msgspec

from parkade.compound.run.described import Described, RunUnreadable
from parkade.compound.run.lines import CallLine, FailedLine, SharedLine, VerdictLine
from parkade.compound.values import KEY_BYTES
from parkade.compound.wrong_values import in_words

Recorded: TypeAlias = CallLine | SharedLine | FailedLine | VerdictLine
L = TypeVar("L", CallLine, VerdictLine)
_TAGS: dict[type, bytes] = {CallLine: b'{"is":"call"', VerdictLine: b'{"is":"verdict"'}
_SHARED = b'{"is":"shared"'
_CALL_KEY = b'{"is":"call","key":"'
KEY_LENGTH = 2 * KEY_BYTES


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


def asked_calls(path: Path, described: Described) -> Iterator[CallLine]:
    """Each call once for each question that has it: for the one that paid, and at no cost for each
    that was given it.

    Kept in memory is a little for each that was given. Raises as `recorded_lines`.
    """
    given = calls_given(path, described)
    decode = msgspec.json.Decoder(CallLine).decode
    place = 0
    with reading(path) as file:
        for line in file:
            began, place = place, place + len(line)
            if not line.startswith(_TAGS[CallLine]) or not line.endswith(b"\n"):
                continue
            call = decode(line)
            if (own := of_network(call, began, described)) is not None:
                yield cast(CallLine, own)
            for shared in given.get(began, ()):
                yield as_given(call, shared)


def as_given(call: CallLine, shared: SharedLine) -> CallLine:
    """A call as the question has it that was given it."""
    return msgspec.structs.replace(
        call, question=shared.question, node=shared.node, of=shared.of, cost=0, shared=0
    )


def calls_given(
    path: Path, described: Described, question: str | None = None
) -> dict[int, list[SharedLine]]:
    """By the place of a call's line: the questions that were given it, or that one question.

    A key may stand twice, where shards of a batch made the same call: what was given is the last
    before. A run that went on after a kill may say the same again.
    """
    decode = msgspec.json.Decoder(SharedLine).decode
    places: dict[str, list[tuple[int, SharedLine]]] = {}
    place = 0
    with reading(path) as file:
        for line in file:
            began, place = place, place + len(line)
            if line.startswith(_SHARED) and line.endswith(b"\n"):
                found = of_network(decode(line), began, described)
                if found is not None and question in (None, found.question):
                    places.setdefault(found.key, []).append((began, cast(SharedLine, found)))
    return _by_call(path, places) if places else {}


def _by_call(
    path: Path, shares: dict[str, list[tuple[int, SharedLine]]]
) -> dict[int, list[SharedLine]]:
    calls: dict[str, list[int]] = {}
    start = len(_CALL_KEY)
    place = 0
    with reading(path) as file:
        for line in file:
            began, place = place, place + len(line)
            key = line[start : start + KEY_LENGTH].decode("ascii", "replace")
            if line.startswith(_CALL_KEY) and key in shares:
                calls.setdefault(key, []).append(began)
    given: dict[int, dict[tuple[str, int], SharedLine]] = {}
    for key, its in shares.items():
        for at, shared in its:
            before = bisect_left(calls.get(key, []), at)
            if before:
                asked = (shared.question, shared.node)
                given.setdefault(calls[key][before - 1], {}).setdefault(asked, shared)
    return {at: list(by_asked.values()) for at, by_asked in given.items()}


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
