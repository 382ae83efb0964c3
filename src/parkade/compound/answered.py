"""What `ask` gives: the answers, and how a person reads them in an interpreter or a notebook."""

from collections import Counter
from collections.abc import Iterator
from html import escape

from parkade.compound.run.results import VERSION, Result
from parkade.compound.run.running import Summary
from parkade.core.units.money import format_amount

#: Rows that are shown.
MAX_ROWS = 20
MAX_TEXT = 70
MAX_REASON = 300


#: What stands in the notes of a result that is none.
LEFT = "not answered: the budget left it"


class Answers:
    """A result for each question, in the order of the questions.

    One that the budget left has a result too, without an answer, and stands in `left`.
    """

    def __init__(self, results: tuple[Result, ...], left: tuple[str, ...], summary: Summary):
        self.results = results
        #: Ids of questions that the budget left: their results have no answer, and say so in notes.
        self.left = left
        self.summary = summary
        self._by_id = {result.id: result for result in results}

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __getitem__(self, which: int | str) -> Result:
        """By place, or by the id of its question."""
        return self._by_id[which] if isinstance(which, str) else self.results[which]

    @property
    def texts(self) -> list[str | None]:
        """The answers alone; None where a network abstained or failed, or the budget left it."""
        return [result.answer for result in self.results]

    @property
    def failed(self) -> tuple[Result, ...]:
        """Those without an answer because something failed; `failures` of each says what."""
        return tuple(result for result in self.results if result.has_failed)

    def __repr__(self) -> str:
        """How many were answered, and a line for each of the first."""
        rows = (f"  {result.id}  {_outcome(result)}" for result in self.results[:MAX_ROWS])
        more = len(self.results) - MAX_ROWS
        return "\n".join(
            (f"<{self._head()}>", *rows, *([f"  … {more:,} more"] if more > 0 else ()))
        )

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        rows = "".join(
            f"<tr><td>{escape(result.id)}</td><td>{escape(_outcome(result))}</td>"
            f"<td>{result.calls:,}</td><td>{format_amount(result.cost)}</td></tr>"
            for result in self.results[:MAX_ROWS]
        )
        more = len(self.results) - MAX_ROWS
        rest = f"<p>… {more:,} more</p>" if more > 0 else ""
        head = "<tr><th>id</th><th>answer</th><th>calls</th><th>cost</th></tr>"
        return f"<p>{escape(self._head())}</p><table>{head}{rows}</table>{rest}"

    def _head(self) -> str:
        answered = sum(result.answer is not None for result in self.results)
        failed, left = len(self.failed), len(self.left)
        abstained = len(self.results) - answered - failed - left
        parts = [f"Answers: {answered:,} of {len(self.results):,} answered"]
        for count, what in (
            (abstained, "abstained"),
            (failed, "failed"),
            (left, "left by the budget"),
        ):
            parts += [f"{count:,} {what}"] if count else []
        return ", ".join(parts)


def left_result(identity: str, question: str, network: str) -> Result:
    """What stands for a question that the budget left, by its id and the digests."""
    return Result(
        v=VERSION,
        id=identity,
        answer=None,
        accepted=None,
        calls=0,
        cached=0,
        cost=0,
        input=0,
        output=0,
        us=0,
        question=question,
        network=network,
        notes=(LEFT,),
    )


class AllFailed(Exception):
    """No question has an answer because something failed for each; the message says what."""

    def __init__(self, answers: Answers) -> None:
        #: Their `failures` say all of it.
        self.answers = answers
        reasons = Counter(result.failures[0] for result in answers.failed)
        (most, count), *others = reasons.most_common()
        more = f"; {len(others):,} more reasons" if others else ""
        reason = " ".join(most.split())
        if len(reason) > MAX_REASON:
            reason = reason[: MAX_REASON - 1] + "…"
        super().__init__(f"no question has an answer: {count:,} × {reason}{more}")


def _outcome(result: Result) -> str:
    """In one line: the answer with its verdict, or why there is none."""
    if result.answer is None:
        text = f"failed: {result.failures[0]}" if result.failures else "abstained"
        text = LEFT if LEFT in result.notes else text
    else:
        mark = "" if result.accepted is None else "✓ " if result.accepted else "✗ not accepted: "
        text = f"{mark}{result.answer}"
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_TEXT else flat[: MAX_TEXT - 1] + "…"
