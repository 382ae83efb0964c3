"""The outcomes of a run: each sample in its journal, right or not, accepted or not.

A sample is a call of a `generate` node. It was accepted if every verdict on its text accepts;
equal texts of one question share a verdict, since the journal keeps it once. Where labels are
given, a rule of `verify.exact` compares the text with the label of its question. Without labels the
run's verdicts stand for the truth: nothing is then known of the verifier, and no verdict is told.
What only an earlier network of the folder asked is left out.

Two passes over the journal; kept in memory are a digest and a verdict for each text judged.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from parkade.compound.evaluate.outcomes import CandidateOutcome, OutcomesUnreadable
from parkade.compound.questions import IDS, MAX_LINE
from parkade.compound.run.described import Described, read_described
from parkade.compound.run.lines import CallLine, VerdictLine
from parkade.compound.run.recorded_lines import recorded_lines
from parkade.compound.run.running import JOURNAL, RUN
from parkade.compound.values import KEY_BYTES, Question
from parkade.compound.verify import compare
from parkade.compound.verify.exact import (
    Exact,
    exact_json,
    exact_number,
    exact_text,
    multiple_choice,
)

L = TypeVar("L", CallLine, VerdictLine)
SAMPLES = "generate"
#: What a node's name ends with if it leaves samples out that would have come later.
STOPS = ("first accepted",)
RULES = ("auto", "exact", "number", "choice", "json")


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """The reference of each question by its id, and the rule that compares (see RULES)."""

    references: Mapping[str, Any]
    rule: str


def read_labels(path: Path, field: str, rule: str = "auto") -> Labels:
    """The labels in a file of JSON lines, such as the file of questions."""
    if rule not in RULES:
        raise OutcomesUnreadable(f"there is no rule {rule!r}; there are: {', '.join(RULES)}")
    references: dict[str, Any] = {}
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            if not line.strip():
                continue
            try:
                row = decode(line)
            except msgspec.DecodeError as error:
                raise OutcomesUnreadable(f"{path}, line {number}: {error}") from None
            if row.get(field) is not None:
                identity = next((row[name] for name in IDS if name in row), number)
                references[str(identity)] = row[field]
    if not references:
        raise OutcomesUnreadable(f"{path}: no line has the field {field!r}; name it with --field")
    return Labels(references=references, rule=rule)


def outcomes_of_run(out: Path, labels: Labels | None) -> Iterator[CandidateOutcome]:
    """One outcome a sample, in the journal's order; raises `OutcomesUnreadable`."""
    samples = _Samples(out)
    verdicts, calls = _verdicts(samples)
    if calls == 0:
        raise OutcomesUnreadable(f"{out} has no samples: no call of a generate node has ended")
    if labels is None and not verdicts:
        raise OutcomesUnreadable(
            f"the network of {out} has no verifier, so nothing says which samples are right: "
            "give the answers with --labels FILE.jsonl --field NAME"
        )
    if labels is None:
        return _as_verified(samples, verdicts)
    return _as_labelled(out, samples, verdicts, labels)


def stops_early(out: Path) -> bool:
    """Whether the network stops drawing at the first accepted sample."""
    return any(label.endswith(STOPS) for label in _described(out).nodes)


def _as_verified(samples: "_Samples", verdicts: dict[bytes, bool]) -> Iterator[CandidateOutcome]:
    for call in samples.calls():
        yield _outcome(
            call,
            is_correct=verdicts.get(_judged(call.question, call.text)),
            is_accepted=None,
            answer=compare.plain_text(call.text),
        )


def _as_labelled(
    out: Path, samples: "_Samples", verdicts: dict[bytes, bool], labels: Labels
) -> Iterator[CandidateOutcome]:
    is_met = False
    for call in samples.calls():
        is_correct = None
        answer = call.text
        if call.question in labels.references:
            is_met = True
            reference = labels.references[call.question]
            rule = _rule(labels.rule, reference)
            question = Question(id=call.question, prompt="", fields={"answer": reference})
            is_correct = rule.judge(question, call.text).is_accepted
            answer = rule.answer(call.text) or answer
        yield _outcome(
            call,
            is_correct=is_correct,
            is_accepted=verdicts.get(_judged(call.question, call.text)),
            answer=_normal(answer),
        )
    if not is_met:
        raise OutcomesUnreadable(f"no label has the id of a question of {out}")


def _normal(answer: str) -> str:
    """Equal answers are equal texts, numbers too."""
    number = compare.number(answer)
    return compare.plain_text(answer) if number is None else str(number)


def _rule(name: str, reference: Any) -> Exact:
    """`auto`: a number if the reference is one, its text otherwise."""
    if name == "auto":
        name = "number" if compare.number(str(reference)) is not None else "exact"
    return _RULES[name]


_RULES = {
    "exact": exact_text(),
    "number": exact_number(),
    "choice": multiple_choice(),
    "json": exact_json(),
}


def _outcome(
    call: CallLine, *, is_correct: bool | None, is_accepted: bool | None, answer: str
) -> CandidateOutcome:
    return CandidateOutcome(
        question=call.question,
        is_correct=is_correct,
        is_accepted=is_accepted,
        answer=answer,
        cost_micros=call.cost,
        latency_us=call.us,
    )


def _described(out: Path) -> Described:
    try:
        return read_described(out / RUN)
    except FileNotFoundError:
        raise OutcomesUnreadable(f"{out} is no folder of a run: it has no {RUN}") from None
    except msgspec.DecodeError as error:
        raise OutcomesUnreadable(f"{out / RUN}: {error}") from None


class _Samples:
    """The journal of a run, read as often as it is asked."""

    def __init__(self, out: Path) -> None:
        self._journal = out / JOURNAL
        self._described = _described(out)
        labels = enumerate(self._described.nodes)
        self._nodes = {place for place, label in labels if label.split(":")[0] == SAMPLES}

    def calls(self) -> Iterator[CallLine]:
        """The samples."""
        return (call for call in self._lines(CallLine) if call.node in self._nodes)

    def verdicts(self) -> Iterator[VerdictLine]:
        """What was said of them, and of other candidates."""
        return self._lines(VerdictLine)

    def _lines(self, kind: type[L]) -> Iterator[L]:
        try:
            yield from recorded_lines(self._journal, kind, self._described)
        except FileNotFoundError:
            raise OutcomesUnreadable(f"{self._journal} is missing: there is no run") from None
        except msgspec.DecodeError as error:
            raise OutcomesUnreadable(f"{self._journal}: {error}") from None


def _verdicts(samples: _Samples) -> tuple[dict[bytes, bool], int]:
    """Whether each text of a question was accepted, and how many samples there are."""
    by_call: dict[str, bool] = {}
    for line in samples.verdicts():
        by_call[line.of] = by_call.get(line.of, True) and line.accepted
    found: dict[bytes, bool] = {}
    count = 0
    for call in samples.calls():
        count += 1
        accepted = by_call.get(call.key)
        if accepted is not None:
            judged = _judged(call.question, call.text)
            found[judged] = found.get(judged, True) and accepted
    return found, count


def _judged(question: str, text: str) -> bytes:
    return blake2b(f"{len(question)}:{question}{text}".encode(), digest_size=KEY_BYTES).digest()
