"""The trace of one question, read out of a run's folder.

The journal says which question and node each call was made for, and which other questions were
given it: it costs those nothing. Journals of an earlier version do not say the latter. One pass
over the journal, three where this question was given calls, each at a cost of its length; nothing
but this question's lines is kept.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from parkade.compound.models.answers import refusal_of
from parkade.compound.run.described import Described, NoSuchRun, read_described
from parkade.compound.run.failures import FAILURES, failed_question
from parkade.compound.run.lines import CallLine, FailedLine, Line, VerdictLine
from parkade.compound.run.ownership import JOURNAL, RUN
from parkade.compound.run.recorded_lines import (
    LINE,
    as_given,
    calls_given,
    decoded,
    of_network,
    whole_lines,
)
from parkade.compound.run.recording import RESULTS
from parkade.compound.run.results import Result
from parkade.compound.show.ways import PLUMBING, Ways

MAX_LINES = 20_000


class TracedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call and what was said about its text."""

    call: CallLine
    verdicts: tuple[VerdictLine, ...]
    #: The candidate that it judges or improves, as model#sample; "" if there is none.
    about: str = ""
    #: Which of the calls of its node that are alike in model, sample and candidate, as they came:
    #: the votes of a judge; 0 where it is the only one.
    vote: int = 0
    #: What such calls are: votes, rounds of a refine, or the repairs of an answer, which is not
    #: counted itself.
    alike: str = "vote"
    #: The question that made and paid for it; "" for this one.
    paid_by: str = ""

    @property
    def name(self) -> str:
        """What tells it from the others of its node."""
        about = f" on {self.about}" if self.about else ""
        vote = f" {self.alike} {self.vote}" if self.vote else ""
        return f"{self.call.model}#{self.call.sample}{about}{vote}"

    @property
    def distinct_verdicts(self) -> tuple[VerdictLine, ...]:
        """Its verdicts, each once: several operators may have asked the same verifier."""
        same = ((each.verifier, each.accepted, each.score, each.reason) for each in self.verdicts)
        return tuple(dict(zip(same, self.verdicts, strict=True)).values())


class TracedNode(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the network: what it asked for this question."""

    node: int
    label: str
    depth: int
    candidates: tuple[TracedCall, ...]
    failed: tuple[FailedLine, ...]
    #: The way of a route or the step of a cascade that begins here; "" if none does.
    way: str = ""

    @property
    def title(self) -> str:
        """Its label, behind the name of its way."""
        return f"{self.way}: {self.label}" if self.way else self.label

    @property
    def cost(self) -> int:
        """Micro-units of its calls."""
        return sum(each.call.cost for each in self.candidates)


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """All of one question."""

    question: str
    #: What was asked; "" where the file of questions is not at hand.
    prompt: str
    #: None if it has no answer yet.
    result: Result | None
    parts: tuple[TracedNode, ...]
    #: What went wrong, each "kind: message"; the reason where there is no answer.
    failures: tuple[str, ...]
    #: Lines beyond MAX_LINES were left out.
    is_cut: bool

    @property
    def calls(self) -> int:
        """Calls made for it."""
        return self._count(is_given=False)

    @property
    def given(self) -> int:
        """Calls that other questions had made."""
        return self._count(is_given=True)

    def _count(self, *, is_given: bool) -> int:
        return sum(bool(c.paid_by) is is_given for part in self.parts for c in part.candidates)

    @property
    def origin(self) -> str:
        """Which candidate is the answer; "" where there is none."""
        if self.result is None or self.result.answer is None:
            return ""
        if not self.result.key:
            return f"function {self.result.model}, without a call"
        for part in self.parts:
            for each in part.candidates:
                if each.call.key == self.result.key:
                    return f"{each.name}, {part.label}"
        return f"{self.result.model}, a call that another question made"

    @property
    def cost(self) -> int:
        """Micro-units."""
        return sum(part.cost for part in self.parts)


def read_trace(out: Path, question: str, prompt: str = "") -> Trace:
    """The trace of a question by its id.

    Raises NoSuchRun where there is no run or it does not know the question, and RunUnreadable.
    """
    described = read_described(out / RUN)
    result = _result(out / RESULTS, question, described.network)
    lines, is_cut = _lines(out / JOURNAL, question, described)
    given = _given(out / JOURNAL, question, described)
    lines += (call for call, _ in given)
    failed = None if result is not None else failed_question(out / FAILURES, question)
    if result is None and failed is None and not lines:
        raise NoSuchRun(f"the run in {out} has nothing of a question {question!r}")
    line = result or failed
    return Trace(
        question=question,
        prompt=prompt,
        result=result,
        parts=_parts(described, lines, {(call.key, call.node): payer for call, payer in given}),
        failures=() if line is None else line.failures,
        is_cut=is_cut,
    )


def _result(path: Path, question: str, network: str) -> Result | None:
    decode = msgspec.json.Decoder(Result).decode
    needle = msgspec.json.encode(question)
    found: Result | None = None
    for place, line in whole_lines(path, b"{"):
        # Most lines are another's: look before decoding.
        if needle in line:
            result = decoded(path, place, line, decode)
            if result.id == question and network in ("", result.network):
                found = result
    return found


def _lines(path: Path, question: str, described: Described) -> tuple[list[Any], bool]:
    decode = msgspec.json.Decoder(Line).decode
    needle = msgspec.json.encode(question)
    kept: list[Any] = []
    for place, line in whole_lines(path, LINE):
        if needle not in line:
            continue
        whole = decoded(path, place, line, decode)
        # What it was given is read where the call stands.
        if not isinstance(whole, (CallLine, FailedLine, VerdictLine)):
            continue
        found = of_network(whole, place, described)
        if found is not None and found.question == question:
            if len(kept) == MAX_LINES:
                return kept, True
            kept.append(found)
    return kept, False


def _given(path: Path, question: str, described: Described) -> list[tuple[CallLine, str]]:
    """What this question was given, and the question that paid for it."""
    shares = calls_given(path, described, question)
    if not shares:
        return []
    decode = msgspec.json.Decoder(CallLine).decode
    found = []
    with path.open("rb") as file:
        for place in sorted(shares)[:MAX_LINES]:
            file.seek(place)
            call = decode(file.readline())
            found += [(as_given(call, shared), call.question) for shared in shares[place]]
    return found


def _parts(
    described: Described, lines: list[Any], payers: dict[tuple[str, int], str]
) -> tuple[TracedNode, ...]:
    verdicts = _verdicts(lines)
    by_key = {line.key: line for line in lines if isinstance(line, CallLine)}
    parts = []
    ways = Ways(described, {line.node for line in lines if not isinstance(line, VerdictLine)})
    for node, label in enumerate(described.nodes):
        way = ways.begun_at(node)
        if (left := ways.left_out(node)) is not None:
            if left:
                depth = _depth(described, node)
                parts.append(
                    TracedNode(
                        node=node, label=left, depth=depth, candidates=(), failed=(), way=way
                    )
                )
            continue
        if label in PLUMBING:
            continue
        calls = sorted(
            (line for line in lines if isinstance(line, CallLine) and line.node == node),
            key=lambda line: (_place(by_key.get(line.of)), line.sample),
        )
        parts.append(
            TracedNode(
                node=node,
                label=label,
                depth=_depth(described, node),
                candidates=_numbered(
                    TracedCall(
                        call=call,
                        verdicts=tuple(verdicts.get(call.key, ())),
                        about=_about(by_key.get(call.of)),
                        alike=_alike(label),
                        paid_by=payers.get((call.key, call.node), ""),
                    )
                    for call in calls
                ),
                failed=tuple(
                    line for line in lines if isinstance(line, FailedLine) and line.node == node
                ),
                way=way,
            )
        )
    return tuple(parts)


def _numbered(traced: Iterable[TracedCall]) -> tuple[TracedCall, ...]:
    """Calls of one name get a number each."""
    calls = tuple(traced)
    alike = Counter(each.name for each in calls)
    seen: Counter[str] = Counter()
    numbered = []
    for each in calls:
        if alike[each.name] > 1:
            seen[each.name] += 1
            repaired = each.alike == "repair"
            each = msgspec.structs.replace(each, vote=seen[each.name] - repaired)
        numbered.append(each)
    return tuple(numbered)


def _alike(label: str) -> str:
    """What the calls of an operator are that are alike in model, sample and candidate."""
    if label.startswith("generate"):
        return "repair"
    return "round" if label.startswith("refine") else "vote"


def _place(of: CallLine | None) -> tuple[int, int]:
    """Calls about one candidate stand together, in the order of the candidates."""
    return (-1, 0) if of is None else (of.node, of.sample)


def _about(of: CallLine | None) -> str:
    return "" if of is None else f"{of.model}#{of.sample}"


def _verdicts(lines: list[Any]) -> dict[str, list[VerdictLine]]:
    """By call. Equal texts of a question share a verdict, which is told of the first of them."""
    found: dict[str, list[VerdictLine]] = {}
    for line in lines:
        if isinstance(line, VerdictLine):
            found.setdefault(line.of, []).append(line)
    calls = [line for line in lines if isinstance(line, CallLine)]
    of_texts = {(c.node, c.text): found[c.key] for c in calls if c.key in found}
    for call in calls:
        if call.key not in found and (call.node, call.text) in of_texts:
            found[call.key] = of_texts[call.node, call.text]
    return found


def fault_of(call: CallLine) -> str:
    """Why an answer is not whole, in a word or two; "" if it is."""
    match call.finish:
        case "length":
            return "cut at max_tokens"
        case "content_filter":
            return "filtered"
        case _:
            return "" if call.text else "refused" if refusal_of(call.message) else "empty"


def _depth(described: Described, node: int) -> int:
    """How many operators that are shown stand above it."""
    depth = 0
    above = described.parents[node]
    for _ in described.nodes:
        if above is None:
            break
        depth += described.nodes[above] not in PLUMBING
        above = described.parents[above]
    return depth
