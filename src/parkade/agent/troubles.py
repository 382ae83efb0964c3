"""Remembers why attempts are not started yet, so that it is told to people and logged once."""

from collections.abc import Collection

from parkade.core.workloads.observed import MOST_WORDS
from parkade.ports import MOST_TROUBLES, Observation, Trouble


class Troubles:
    """By attempt. What the engine knows of tells its own troubles."""

    def __init__(self) -> None:
        self._why: dict[str, str] = {}

    def failed(self, attempt: str, error: Exception) -> bool:
        """It was not started, and is tried again; whether these words are new."""
        why = str(error)[:MOST_WORDS]
        is_new = self._why.get(attempt) != why
        self._why[attempt] = why
        return is_new

    def started(self, attempt: str) -> None:
        """The engine has it."""
        self._why.pop(attempt, None)

    def beside(self, observation: Observation, desired: Collection[str]) -> tuple[Trouble, ...]:
        """The engine's own, and those of attempts that it does not know but should. What the engine
        knew once is its own to tell, also where it cannot be seen now; and while it does not answer
        at all, that is the cause, and no earlier one."""
        seen = {one.attempt for one in observation.attempts}
        self._why = {
            name: why for name, why in self._why.items() if name in desired and name not in seen
        }
        if any(one.since_us is not None for one in observation.troubles):
            return observation.troubles
        own = (Trouble(attempt=name, says=why) for name, why in sorted(self._why.items()))
        return (*observation.troubles, *own)[:MOST_TROUBLES]
