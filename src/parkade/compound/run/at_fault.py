"""Calls whose server is well and gives them no answer: a prompt that hangs, or crashes its worker.

A call is at fault if it had no answer in time while another call of its model had one, or if its
question failed in the start before for want of an answer and its server is reached. Such a call
begins no silence of its model (`outages`). It is tried again until the patience is over since it
first began, and then fails its question only.

At most `FEW_FAILED` of a model at once: where more calls hang, it is the server.
"""

from collections import Counter
from pathlib import Path

import msgspec

from parkade.compound.models.protocol import Failure, FailureKind
from parkade.compound.run.failures import read_failures
from parkade.compound.run.lane import Flight, Lane
from parkade.compound.run.outages import FEW_FAILED, PATIENCE_S

WITHOUT_ANSWER = (FailureKind.TIMEOUT, FailureKind.UNAVAILABLE)


class AtFault:
    """The calls of a run that are at fault."""

    def __init__(
        self, patience_s: float = PATIENCE_S, questions: frozenset[str] = frozenset()
    ) -> None:
        self._patience_us = int(patience_s * 1e6)
        #: Ids of questions that the start before left without an answer.
        self._questions = questions
        self._counts: Counter[str] = Counter()

    def is_so(self, lane: Lane, flight: Flight, failure: Failure) -> bool:
        """Whether a call that failed is at fault; from then on it is."""
        if failure.kind not in WITHOUT_ANSWER or failure.is_unreached:
            return False
        if flight.at_fault_us is not None:
            return True
        is_late = failure.kind is FailureKind.TIMEOUT and lane.answered_us > flight.began_us
        if not is_late and flight.owner.machine.question.id not in self._questions:
            return False
        model = flight.call.model
        if self._counts[model] >= FEW_FAILED:
            return False
        self._counts[model] += 1
        flight.at_fault_us = flight.began_us
        return True

    def is_over(self, flight: Flight, now_us: int) -> bool:
        """Whether a call that is at fault has had its tries."""
        assert flight.at_fault_us is not None
        return now_us - flight.at_fault_us >= self._patience_us

    def ended(self, flight: Flight) -> None:
        """A call has come to its end."""
        if flight.at_fault_us is not None:
            self._counts[flight.call.model] -= 1


def left_without_answer(failures: Path) -> frozenset[str]:
    """Ids of the questions that the start before left so; none where they are many, or where the
    file is no such file."""
    kinds = tuple(f"{kind.value}:" for kind in WITHOUT_ANSWER)
    found: set[str] = set()
    try:
        for failed in read_failures(failures):
            if any(text.startswith(kinds) for text in failed.failures):
                found.add(failed.id)
            if len(found) > FEW_FAILED:
                return frozenset()
    except msgspec.DecodeError:
        return frozenset()
    return frozenset(found)
