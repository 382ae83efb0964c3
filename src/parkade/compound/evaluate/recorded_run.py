"""The outcomes of a run: each sample in its journal, right or not, accepted or not.

A sample is a call of a `generate` node. It was accepted if every verdict on its text accepts;
equal texts of one question share a verdict, since the journal keeps it once. A sample costs, and
takes, what its call and its verdicts do; votes of a model verifier have a price. Where labels are
given, a rule of `verify.exact` compares the text with the label of its question. Without labels the
run's verdicts stand for the truth: nothing is then known of the verifier, and no verdict is told.
What only an earlier network of the folder asked is left out. A call that several questions share is
a sample of each, and costs the one that paid for it.

Two passes over the journal; kept in memory are the verdict of each sample and of each text judged.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from parkade.compound.evaluate.outcomes import CandidateOutcome, OutcomesUnreadable
from parkade.compound.questions import IDS, read_rows
from parkade.compound.run.described import read_described
from parkade.compound.run.lines import CallLine, VerdictLine
from parkade.compound.run.ownership import JOURNAL, RUN
from parkade.compound.run.recorded_lines import asked_calls, recorded_lines
from parkade.compound.run.recording import RESULTS
from parkade.compound.run.results import SERVED, Result
from parkade.compound.values import KEY_BYTES, Question
from parkade.compound.verify import compare
from parkade.compound.verify.exact import (
    Exact,
    exact_json,
    exact_number,
    exact_text,
    multiple_choice,
)
from parkade.compound.verify.extract import after_marker

SAMPLES = "generate"
#: What a node's name ends with if it leaves samples out that would have come later.
STOPS = ("first accepted",)
RULES = ("auto", "exact", "number", "choice", "json")


#: Rules by the names of the verifiers of `verify.exact`.
OF_VERIFIERS = {"number": "number", "choice": "choice", "json": "json", "text": "exact"}


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """The reference of each question by its id, and the rule that compares (see RULES)."""

    references: Mapping[str, Any]
    rule: str


def read_labels(path: Path, field: str, rule: str = "auto") -> Labels:
    """The labels in a file of JSON lines, such as the file of questions; plain or gzipped.

    Raises OutcomesUnreadable, and QuestionError for a line that is no object.
    """
    if rule not in RULES:
        raise OutcomesUnreadable(f"there is no rule {rule!r}; there are: {', '.join(RULES)}")
    references = {
        str(next((row[name] for name in IDS if name in row), number)): row[field]
        for number, row in read_rows(path)
        if row.get(field) is not None
    }
    if not references:
        raise OutcomesUnreadable(f"{path}: no line has the field {field!r}; name it with --field")
    return Labels(references=references, rule=rule)


def with_rule_of_run(out: Path, labels: Labels) -> Labels:
    """The labels with the rule of the run's own exact verifier, where it has one and none is named.

    A run with verifiers of several rules leaves `auto`.
    """
    if labels.rule != "auto":
        return labels
    names = {name.partition("@")[0] for name in read_described(out / RUN).verifiers or ()}
    rules = {OF_VERIFIERS[name] for name in names if name in OF_VERIFIERS}
    return msgspec.structs.replace(labels, rule=rules.pop()) if len(rules) == 1 else labels


def rule_in_words(labels: Labels) -> str:
    """The rule in words; of `auto`, what it means for these labels."""
    if labels.rule != "auto":
        return labels.rule
    counts = Counter(_rule_name(labels.rule, each) for each in labels.references.values())
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} for {count:,} labels" for name, count in counts.most_common())


def is_right(labels: Labels, question: str, answer: str) -> bool:
    """Whether the label of this question, which must have one, says so."""
    reference = labels.references[question]
    asked = Question(id=question, prompt="", fields={"answer": reference})
    return _rule(labels.rule, reference).judge(asked, answer).is_accepted


def outcomes_of_run(out: Path, labels: Labels | None) -> Iterator[CandidateOutcome]:
    """One outcome a sample, in the journal's order.

    Raises OutcomesUnreadable, NoSuchRun and RunUnreadable.
    """
    samples = _Samples(out)
    verdicts = _Verdicts(samples)
    if verdicts.samples == 0:
        raise OutcomesUnreadable(f"{out} has no samples: no call of a generate node has ended")
    if labels is None and not verdicts.of_texts:
        raise OutcomesUnreadable(
            f"the network of {out} has no verifier, so nothing says which samples are right: "
            f"{_served(out) or 'give the answers with --labels FILE.jsonl --field NAME'}"
        )
    if labels is None:
        return _as_verified(samples, verdicts)
    return _as_labelled(out, samples, verdicts, labels)


def stops_early(out: Path) -> bool:
    """Whether the network stops drawing at the first accepted sample."""
    return any(label.endswith(STOPS) for label in read_described(out / RUN).nodes)


def _as_verified(samples: "_Samples", verdicts: "_Verdicts") -> Iterator[CandidateOutcome]:
    for call in samples.calls():
        yield _outcome(
            call,
            verdicts,
            is_correct=verdicts.of(call),
            is_accepted=None,
            answer=compare.plain_text(call.text),
        )


def _as_labelled(
    out: Path, samples: "_Samples", verdicts: "_Verdicts", labels: Labels
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
            verdicts,
            is_correct=is_correct,
            is_accepted=verdicts.of(call),
            answer=_normal(answer),
        )
    if not is_met:
        what = _served(out)
        raise OutcomesUnreadable(
            f"no label has the id of a question of {out}{f': {what}' if what else ''}"
        )


def _served(out: Path) -> str:
    """What to do where the questions are those of a server's clients; "" where they are not."""
    try:
        with (out / RESULTS).open("rb") as file:
            first = file.readline()
    except OSError:
        return ""
    if not first.endswith(b"\n") or not msgspec.json.decode(first, type=Result).id.startswith(
        SERVED
    ):
        return ""
    return (
        "it was served, and its questions have the ids of its answers (chatcmpl-…): give labels "
        "with these ids, or run the network over a file of questions"
    )


def _normal(answer: str) -> str:
    """Equal answers are equal texts, numbers too."""
    number = compare.number(answer)
    return compare.plain_text(answer) if number is None else str(number)


def _rule(name: str, reference: Any) -> Exact:
    return _RULES[_rule_name(name, reference)]


def _rule_name(name: str, reference: Any) -> str:
    """`auto`: a number if the reference is one or ends with `#### N`, its text otherwise."""
    if name != "auto":
        return name
    text = str(reference)
    marked = after_marker(text)
    is_number = any(compare.number(each) is not None for each in (text, marked) if each is not None)
    return "number" if is_number else "exact"


_RULES = {
    "exact": exact_text(),
    "number": exact_number(),
    "choice": multiple_choice(),
    "json": exact_json(),
}


def _outcome(
    call: CallLine,
    verdicts: "_Verdicts",
    *,
    is_correct: bool | None,
    is_accepted: bool | None,
    answer: str,
) -> CandidateOutcome:
    checked = verdicts.of_calls.get(_judged(call.question, call.key), UNCHECKED)
    return CandidateOutcome(
        question=call.question,
        is_correct=is_correct,
        is_accepted=is_accepted,
        answer=answer,
        cost_micros=call.cost + checked.cost_micros,
        latency_us=call.us + checked.us,
        shared_micros=call.shared,
    )


class _Samples:
    """The journal of a run, read as often as it is asked."""

    def __init__(self, out: Path) -> None:
        self._journal = out / JOURNAL
        self._described = read_described(out / RUN)
        labels = enumerate(self._described.nodes)
        self._nodes = {place for place, label in labels if label.split(":")[0] == SAMPLES}

    def calls(self) -> Iterator[CallLine]:
        """The samples."""
        calls = asked_calls(self._journal, self._described)
        return (call for call in calls if call.node in self._nodes)

    def verdicts(self) -> Iterator[VerdictLine]:
        """What was said of them, and of other candidates."""
        return recorded_lines(self._journal, VerdictLine, self._described)


class _Checked(NamedTuple):
    """All verdicts on one call's text together."""

    is_accepted: bool = True
    cost_micros: int = 0
    us: int = 0


UNCHECKED = _Checked()


class _Verdicts:
    """What was said of calls and of texts, and how many samples there are."""

    def __init__(self, samples: _Samples) -> None:
        #: By question and call: questions that share a call have verdicts of their own.
        self.of_calls: dict[bytes, _Checked] = {}
        self.of_texts: dict[bytes, bool] = {}
        self.samples = 0
        for line in samples.verdicts():
            judged = _judged(line.question, line.of)
            was = self.of_calls.get(judged, UNCHECKED)
            self.of_calls[judged] = _Checked(
                was.is_accepted and line.accepted, was.cost_micros + line.cost, was.us + line.us
            )
        for call in samples.calls():
            self.samples += 1
            checked = self.of_calls.get(_judged(call.question, call.key))
            if checked is not None:
                judged = _judged(call.question, call.text)
                self.of_texts[judged] = self.of_texts.get(judged, True) and checked.is_accepted

    def of(self, call: CallLine) -> bool | None:
        """Whether its text was accepted; None if nothing was said of it."""
        return self.of_texts.get(_judged(call.question, call.text))


def _judged(question: str, text: str) -> bytes:
    return blake2b(f"{len(question)}:{question}{text}".encode(), digest_size=KEY_BYTES).digest()
