"""A trace as text for a terminal."""

from collections import Counter
from collections.abc import Iterator

from parkade.compound.models.answers import refusal_of
from parkade.compound.run.results import Result
from parkade.compound.show.trace import Trace, TracedCall, TracedNode, fault_of
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import counted

MAX_SHOWN = 20
MAX_WIDTH = 100
MAX_FAILURE = 500
MAX_CRITIQUE = 300
#: Operators whose calls say at their end what they decide.
JUDGING = ("judge", "rank", "knockout", "model verifier")
#: Columns of a line, and of a text in it even where the rest is long.
LINE, LEAST_TEXT = 80, 24


def as_text(trace: Trace) -> str:
    """The tree of nodes with their calls; long texts and long lists are shortened."""
    return "\n".join(_lines(trace))


def _lines(trace: Trace) -> Iterator[str]:
    yield f"question {trace.question}"
    if trace.prompt:
        yield f"asked    {_short(trace.prompt)}"
    result = trace.result
    if result is None:
        yield "failed; the next run asks it again" if trace.failures else "no answer yet"
    else:
        mark = "" if result.accepted is None else (" ✓" if result.accepted else " ✗ not accepted")
        yield f"answer   {_answer(result)}{mark}"
    if trace.origin:
        yield f"from     {trace.origin}"
    if result is not None:
        yield from (f"note     {note}" for note in result.notes)
    given = f"; {counted(trace.given, 'call')} of other questions" if trace.given else ""
    yield f"cost     {format_amount(trace.cost)} for {counted(trace.calls, 'call')}{given}"
    for failure, count in Counter(trace.failures).items():
        yield f"failure  {_short(failure, MAX_FAILURE)}{f' ({count} times)' if count > 1 else ''}"
    yield ""
    for part in trace.parts:
        yield from _part(part, trace)
    if trace.is_cut:
        yield "… the rest of a long trace is left out"


def _answer(result: Result) -> str:
    if result.answer is None:
        return "none: it abstained"
    if result.answer.strip():
        return _short(result.answer)
    return f"empty: {_short(result.refusal)}" if result.refusal else "empty"


def _part(part: TracedNode, trace: Trace) -> Iterator[str]:
    indent = "  " * part.depth
    cost = f"  ({counted(len(part.candidates), 'call')}, {format_amount(part.cost)})"
    yield f"{indent}{part.title}{cost if part.candidates else ''}"
    answer = "" if trace.result is None else trace.result.key
    ordered = sorted(part.candidates, key=lambda each: each.call.key != answer)
    for candidate in ordered[:MAX_SHOWN]:
        is_answer = bool(answer) and candidate.call.key == answer
        ends = part.label.startswith(JUDGING)
        line = _candidate(candidate, f"{indent}  ", is_answer=is_answer, from_end=ends)
        yield line
        critique = _short(candidate.call.text, MAX_CRITIQUE)
        if _is_critic(candidate, part) and critique not in line:
            yield f"{indent}      {critique}"
        yield from (
            f"{indent}      {_short(verdict.reason)}"
            for verdict in candidate.distinct_verdicts
            if verdict.reason
        )
    if len(ordered) > MAX_SHOWN:
        yield f"{indent}  … {len(ordered) - MAX_SHOWN:,} more"
    for failed in part.failed[:MAX_SHOWN]:
        yield f"{indent}  ! {failed.model}: {_short(failed.why)}"


def _is_critic(candidate: TracedCall, part: TracedNode) -> bool:
    return f"criticized by {candidate.call.model}" in part.label


def _candidate(candidate: TracedCall, indent: str, *, is_answer: bool, from_end: bool) -> str:
    call = candidate.call
    marks = (
        "".join("✓" if verdict.accepted else "✗" for verdict in candidate.distinct_verdicts) or "·"
    )
    arrow = "→" if is_answer else " "
    figures = f"{format_amount(call.cost)} {call.us / 1e6:.1f}s"
    if candidate.paid_by:
        figures = f"made for {candidate.paid_by}"
    mark = fault_of(call)
    mark = f"  {mark.upper()}" if mark else ""
    mark += "  the answer" if is_answer else ""
    before, after = f"{indent}{arrow}{marks} {candidate.name}  ", f"  [{figures}]{mark}"
    most = max(LEAST_TEXT, LINE - len(before) - len(after))
    words = call.text or refusal_of(call.message)
    text = _end(words, most) if from_end else _short(words, most)
    return f"{before}{text}{after}"


def _end(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"…{flat[1 - most :]}"


def _short(text: str, most: int = MAX_WIDTH) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
