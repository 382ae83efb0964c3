"""Any Python function as a verifier: a check of one's own, a simulator, a trained classifier.

The function gets the question and the candidate, and gives True or False, a score, or a `Verdict`.
It may be asynchronous. What it raises is an error of the verifier and no rejection.
"""

import asyncio
import hashlib
import inspect
import math
from collections.abc import Awaitable, Callable

from parkade.compound.values import Candidate, Question, Verdict

Judged = bool | float | Verdict
Judge = Callable[[Question, Candidate], Judged | Awaitable[Judged]]


class FunctionVerifier:
    """Accepts what a function accepts."""

    def __init__(
        self,
        function: Judge,
        *,
        name: str | None = None,
        version: str | None = None,
        threshold: float | None = None,
        in_thread: bool = False,
    ) -> None:
        """`threshold` turns a score into a verdict: accepted from there on.

        `version` must change when the function's verdicts do; the default is a digest of its
        source, which knows nothing of what the function calls, nor of a model's weights.
        `in_thread` runs a slow synchronous function beside the event loop.
        """
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self._function = function
        self._threshold = threshold
        self._in_thread = in_thread
        self._version = f"{version or _source_digest(function)};{threshold!r}"

    def version(self) -> str:
        """As given, or of the function's source; and the threshold."""
        return self._version

    async def verify(self, question: Question, candidate: Candidate) -> Verdict:
        """The function's verdict; raises what it raises."""
        if self._in_thread:
            judged = await asyncio.to_thread(self._function, question, candidate)
        else:
            judged = self._function(question, candidate)
        if inspect.isawaitable(judged):
            judged = await judged
        return self._verdict(judged)

    def _verdict(self, judged: Judged) -> Verdict:
        if isinstance(judged, Verdict):
            return judged
        if isinstance(judged, bool):
            return Verdict(is_accepted=judged)
        if self._threshold is None:
            raise TypeError(
                f"verifier {self.name} gave a score of type {type(judged).__name__}; say from which"
                " threshold on it is accepted, or return True or False"
            )
        try:
            score = float(judged)
        except (TypeError, ValueError):
            raise TypeError(
                f"verifier {self.name} gave a value of type {type(judged).__name__}, which is no "
                "score; give a number, True, False or a Verdict"
            ) from None
        if math.isnan(score):
            return Verdict(is_accepted=False, reason="the score is not a number")
        return Verdict(is_accepted=score >= self._threshold, score=score)


def _source_digest(function: Judge) -> str:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise ValueError(
            "the source of this function cannot be read; give a version by hand"
        ) from error
    return hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
