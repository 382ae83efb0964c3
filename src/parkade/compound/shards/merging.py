"""All shards as one ordinary run: results in the order of the questions, one journal.

Each question stands in one shard, and of a shard the latest generation counts, which holds all
that earlier ones left. So each answer is there once, however often the run was interrupted. The
same holds for questions that failed: a new generation asks them again and tells anew what failed.
An answer of an earlier network stands until the present one has answered its question. Files are
replaced whole; merging twice gives the same.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from parkade.compound.questions import read_questions
from parkade.compound.run.budget import NOTHING, Amounts
from parkade.compound.run.described import Described, NoSuchRun, read_described
from parkade.compound.run.failures import FAILURES, FailedQuestion, read_failures
from parkade.compound.run.lines import (
    FORMAT,
    SHARING,
    VERSION,
    CallLine,
    FailedLine,
    Header,
    SharedLine,
    VerdictLine,
)
from parkade.compound.run.ownership import JOURNAL, RUN, refuse_run
from parkade.compound.run.reasons import Reason, Reasons
from parkade.compound.run.recorded_lines import of_network
from parkade.compound.run.recording import RESULTS
from parkade.compound.shards.board import Board
from parkade.compound.shards.entries import Merged, Stopped
from parkade.compound.shards.folder import SharedFolder
from parkade.compound.values import question_digest


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge found; amounts over all shards and generations."""

    questions: int
    answered: int
    #: Questions whose latest try failed.
    failed: int
    shards: int
    #: Shards that are not done.
    left: int
    is_budget_spent: bool
    spent: Amounts
    doubtful: Amounts
    overrun: Amounts
    #: The first distinct reasons for which questions failed, and how many failed for others.
    reasons: tuple[Reason, ...] = ()
    other_reasons: int = 0
    #: What stopped workers since one got further, and whether the last of them gave the run up.
    stops: tuple[Stopped, ...] = ()
    is_given_up: bool = False
    #: Answers of an earlier network, which stand until the present one's have come.
    of_earlier: int = 0


class _Head(msgspec.Struct, frozen=True, gc=False):
    question: str
    network: str
    accepted: bool | None = None


_head = msgspec.json.Decoder(_Head).decode
_line = msgspec.json.Decoder(CallLine | SharedLine | FailedLine | VerdictLine).decode


def merge(folder: SharedFolder, board: Board, worker: str) -> Collected:
    """Put together what there is; complete if no shard is left. FolderError before another run's
    files would be replaced."""
    refuse_run(folder.root)
    state = board.refresh()
    shards = range(len(state.shards))
    found = {shard: path for shard in shards if (path := folder.latest(shard)) is not None}
    asked = answered = of_earlier = 0
    with _whole(folder.root / RESULTS, worker) as results:
        for shard in shards:
            digests = [question_digest(each) for each in read_questions(folder.questions(shard))]
            lines, earlier = _results(found[shard], state.network) if shard in found else ({}, {})
            known = earlier | lines
            results.writelines(known[digest] for digest in digests if digest in known)
            mine = sum(digest in lines for digest in digests)
            asked, answered = asked + len(digests), answered + mine
            of_earlier += sum(digest in known for digest in digests) - mine
    with _whole(folder.root / JOURNAL, worker) as journal:
        # Lines of shards that share calls are of the later version.
        for version in (VERSION, SHARING):
            journal.write(msgspec.json.encode(Header(format=FORMAT, version=version)) + b"\n")
        for path in found.values():
            journal.writelines(_journal(path))
    failures = [
        failed
        for path in found.values()
        for failed in read_failures(path / FAILURES)
        if failed.network == state.network
    ]
    reasons = _tell_failures(folder, failures, worker)
    _describe(folder, list(found.values()), state.network, worker)
    if not state.is_merged:
        board.change(lambda now: None if now.is_merged else Merged(worker=worker))
    doubtful = sum((each.doubtful + each.lost for each in state.shards), NOTHING)
    return Collected(
        questions=asked,
        answered=answered,
        # A shard of an earlier version told only how many failed.
        failed=max(len(failures), sum(shard.failed for shard in state.shards)),
        shards=len(state.shards),
        left=state.left(),
        is_budget_spent=state.is_starved(),
        spent=state.committed - doubtful,
        doubtful=doubtful,
        overrun=sum((shard.overrun for shard in state.shards), NOTHING),
        reasons=reasons.all(),
        other_reasons=reasons.others,
        stops=state.stops,
        is_given_up=state.is_given_up,
        of_earlier=of_earlier,
    )


def _tell_failures(folder: SharedFolder, failures: list[FailedQuestion], worker: str) -> Reasons:
    reasons = Reasons()
    with _whole(folder.root / FAILURES, worker) as file:
        for failed in failures:
            file.write(msgspec.json.encode(failed) + b"\n")
            reasons.add(failed.failures[0], failed.id)
    return reasons


def _describe(folder: SharedFolder, runs: list[Path], network: str, worker: str) -> None:
    """As the first shard that has run the network describes it; else as the first that has run."""
    first: Described | None = None
    for path in runs:
        with contextlib.suppress(NoSuchRun):
            described = read_described(path / RUN)
            first = first or described
            if described.network == network:
                first = described
                break
    if first is None:
        return
    # Places in a shard's journal mean nothing in the one of all shards.
    content = msgspec.json.encode(msgspec.structs.replace(first, starts=[]))
    with _whole(folder.root / RUN, worker) as file:
        file.write(msgspec.json.format(content, indent=2))


@contextlib.contextmanager
def _whole(path: Path, worker: str) -> Iterator[IO[bytes]]:
    """A file that is replaced when all is written."""
    draft = path.with_name(f".{path.name}-{worker}")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def accepted_of(run: Path, network: str) -> int | None:
    """Questions that this network answered in a run, and a verifier accepted; None where none
    looked."""
    found = {}
    for line in _lines(run / RESULTS):
        head = _head(line)
        if head.network == network:
            found[head.question] = head.accepted
    verdicts = [it for it in found.values() if it is not None]
    return sum(verdicts) if verdicts else None


def _results(run: Path, network: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The last line of each question: that this network answered, and that another did."""
    found: dict[str, bytes] = {}
    earlier: dict[str, bytes] = {}
    for line in _lines(run / RESULTS):
        head = _head(line)
        (found if head.network == network else earlier)[head.question] = line
    return found, earlier


def _journal(run: Path) -> Iterator[bytes]:
    """Calls, failures and verdicts of the last network; promises belong to their own file.

    What only an earlier network asked stays in the shard's journal.
    """
    try:
        described = read_described(run / RUN)
    except NoSuchRun:
        # Its worker was killed before its first call.
        return
    of_one = len(described.starts) < 2
    place = 0
    for line in _lines(run / JOURNAL):
        began, place = place, place + len(line)
        if line.startswith((b'{"is":"journal"', b'{"is":"promise"')):
            continue
        if of_one:
            yield line
        elif (found := of_network(_line(line), began, described)) is not None:
            yield msgspec.json.encode(found) + b"\n"


def _lines(path: Path) -> Iterator[bytes]:
    """Whole lines; none where there is no file, or where it goes while it is read."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
