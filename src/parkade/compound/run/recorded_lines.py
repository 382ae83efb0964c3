"""The lines of a run's journal that belong to its last network.

A folder may have run several networks. A call that an earlier one made counts for the last one
where that has the same node, and is told with that node's number; a verdict where it has the
verifier (`described` has the rule). The others are left out. One pass, at a cost of the journal's
length; three where questions share calls.

A torn last line is left out: the run may be writing it. Any other line that is damaged stops the
reading with its place, as it stops a run: what stands on the rest would be a silent half.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import msgspec

from parkade.compound.run.described import Described, RunUnreadable
from parkade.compound.run.lines import CallLine, FailedLine, SharedLine, VerdictLine
from parkade.compound.values import KEY_BYTES
from parkade.compound.wrong_values import in_words

Recorded: TypeAlias = CallLine | SharedLine | FailedLine | VerdictLine
T = TypeVar("T")
L = TypeVar("L", CallLine, VerdictLine)
#: What every line of a journal begins with, and those of a kind.
LINE = b'{"is":"'
_TAGS: dict[type, bytes] = {CallLine: b'{"is":"call"', VerdictLine: b'{"is":"verdict"'}
_SHARED = b'{"is":"shared"'
_CALL_KEY = b'{"is":"call","key":"'
KEY_LENGTH = 2 * KEY_BYTES


def recorded_lines(path: Path, kind: type[L], described: Described) -> Iterator[L]:
    """The lines of one kind, in their order; the other kinds are not decoded.

    Raises RunUnreadable where the journal is missing, or a whole line is damaged.
    """
    decode = msgspec.json.Decoder(kind).decode
    for place, line in whole_lines(path, LINE):
        if line.startswith(_TAGS[kind]):
            found = of_network(decoded(path, place, line, decode), place, described)
            if found is not None:
                yield cast(L, found)


def asked_calls(path: Path, described: Described) -> Iterator[CallLine]:
    """Each call once for each question that has it: for the one that paid, and at no cost for each
    that was given it.

    Kept in memory is a little for each that was given. Raises as `recorded_lines`.
    """
    given = calls_given(path, described)
    decode = msgspec.json.Decoder(CallLine).decode
    for place, line in whole_lines(path, LINE):
        if not line.startswith(_TAGS[CallLine]):
            continue
        call = decoded(path, place, line, decode)
        if (own := of_network(call, place, described)) is not None:
            yield cast(CallLine, own)
        for shared in given.get(place, ()):
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
    for place, line in whole_lines(path, LINE):
        if line.startswith(_SHARED):
            found = of_network(decoded(path, place, line, decode), place, described)
            if found is not None and question in (None, found.question):
                places.setdefault(found.key, []).append((place, cast(SharedLine, found)))
    return _by_call(path, places) if places else {}


def _by_call(
    path: Path, shares: dict[str, list[tuple[int, SharedLine]]]
) -> dict[int, list[SharedLine]]:
    calls: dict[str, list[int]] = {}
    start = len(_CALL_KEY)
    for place, line in whole_lines(path, LINE):
        key = line[start : start + KEY_LENGTH].decode("ascii", "replace")
        if line.startswith(_CALL_KEY) and key in shares:
            calls.setdefault(key, []).append(place)
    given: dict[int, dict[tuple[str, int], SharedLine]] = {}
    for key, its in shares.items():
        for at, shared in its:
            before = bisect_left(calls.get(key, []), at)
            if before:
                asked = (shared.question, shared.node)
                given.setdefault(calls[key][before - 1], {}).setdefault(asked, shared)
    return {at: list(by_asked.values()) for at, by_asked in given.items()}


def whole_lines(path: Path, begin: bytes) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a file in a run's folder, each with the place of its first byte.

    RunUnreadable where the file is missing, or a line does not begin as all of its lines do.
    """
    place = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                if not line.startswith(begin):
                    raise damaged(path, place, "it does not begin as a line does")
                yield place, line
                place += len(line)
    except FileNotFoundError:
        raise RunUnreadable(f"{path} is missing") from None


def decoded(path: Path, place: int, line: bytes, decode: Callable[[bytes], T]) -> T:
    """A line's value; RunUnreadable with the line's place if it has none."""
    try:
        return decode(line)
    except msgspec.DecodeError as error:
        raise damaged(path, place, in_words(error)) from None


def damaged(path: Path, place: int, why: str) -> RunUnreadable:
    """What is raised for a line that cannot be read."""
    return RunUnreadable(
        f"{path} cannot be read: the line at byte {place:,} is damaged ({why}); restore the file "
        "from a copy"
    )


def of_network(line: Recorded, place: int, described: Described) -> Recorded | None:
    """A line that begins at that byte, with the last network's node; None if it has none."""
    if isinstance(line, VerdictLine):
        return line if described.has_verdict(line.verifier, place) else None
    node = described.node_of(line.node, place)
    if node is None or node == line.node:
        return None if node is None else line
    return msgspec.structs.replace(line, node=node)
