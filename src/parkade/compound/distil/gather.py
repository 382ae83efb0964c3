"""What a run says about its candidates: which were accepted, which rejected, with what score.

Two passes over the journal: verdicts first, then the texts they are about; what only an earlier
network of the folder asked is left out. Kept in memory are the
verdicts and the texts that were judged, at most `MAX_PER_QUESTION` of each kind for a question.
"""

from pathlib import Path

import msgspec

from parkade.compound.run.described import read_described
from parkade.compound.run.lines import VerdictLine
from parkade.compound.run.ownership import JOURNAL, RUN
from parkade.compound.run.recorded_lines import (
    asked_calls,
    decoded,
    recorded_lines,
    whole_lines,
)
from parkade.compound.run.recording import RESULTS
from parkade.compound.run.results import Result

MAX_PER_QUESTION = 64


class Judged(msgspec.Struct, frozen=True, gc=False):
    """A text and its score; None if nothing scored it."""

    text: str
    score: float | None
    model: str


class Kept(msgspec.Struct):
    """The candidates of one question."""

    accepted: list[Judged] = []
    rejected: list[Judged] = []
    #: The network's own answer, if it was accepted.
    answer: Judged | None = None


def gather(out: Path) -> dict[str, Kept]:
    """By question id. A candidate is accepted if all verdicts on it accept.

    Raises NoSuchRun and RunUnreadable.
    """
    verdicts: dict[tuple[str, str], tuple[bool, float | None]] = {}
    described = read_described(out / RUN)
    for line in recorded_lines(out / JOURNAL, VerdictLine, described):
        # Questions that share a call have verdicts of their own.
        judged_call = (line.question, line.of)
        was, _ = verdicts.get(judged_call, (True, None))
        verdicts[judged_call] = (was and line.accepted, line.score)
    kept: dict[str, Kept] = {}
    for call in asked_calls(out / JOURNAL, described):
        verdict = verdicts.get((call.question, call.key))
        if verdict is None:
            continue
        judged = Judged(call.text, verdict[1], call.model)
        of_question = kept.setdefault(call.question, Kept())
        side = of_question.accepted if verdict[0] else of_question.rejected
        if len(side) < MAX_PER_QUESTION:
            side.append(judged)
    _answers(out / RESULTS, kept, described.network)
    return kept


def _answers(path: Path, kept: dict[str, Kept], network: str) -> None:
    decode = msgspec.json.Decoder(Result).decode
    for place, line in whole_lines(path, b"{"):
        result = decoded(path, place, line, decode)
        if network not in ("", result.network):
            continue
        if result.accepted and result.answer is not None:
            answer = Judged(result.answer, result.score, result.model)
            kept.setdefault(result.id, Kept()).answer = answer
