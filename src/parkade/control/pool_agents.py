"""Which agent runs a pool: one at a time, told apart by a random name that each folder keeps.

Two agents with different folders would start every attempt twice. The one that is heard keeps the
pool; another gets it once the first was silent for `silence_us`. An agent that says no name, as one
of before, is not told apart.
"""

import msgspec


class PoolAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it names itself; `place` is its machine and folder, for people."""

    agent: str
    place: str


class PoolAgents:
    """The agent that each pool was last heard from, and when."""

    def __init__(self, *, silence_us: int) -> None:
        self._silence_us = silence_us
        self._heard: dict[str, tuple[PoolAgent, int]] = {}

    def hear(self, pool: str, agent: PoolAgent, steady_us: int) -> PoolAgent | None:
        """None where the agent runs the pool from now on; else the one that does."""
        present, heard_us = self._heard.get(pool, (agent, steady_us))
        if present.agent != agent.agent and steady_us - heard_us < self._silence_us:
            return present
        self._heard[pool] = (agent, steady_us)
        return None


class RefusingAgents:
    """Why the agent of a pool does not obey this control plane: it says so itself, or the journal
    lacks what it has obeyed, as after a backup was put back. Of any thread."""

    def __init__(self) -> None:
        self._by_itself: dict[str, str] = {}
        self._by_journal: dict[str, str] = {}

    def says(self, pool: str, why: str | None) -> bool:
        """What the agent reported, None: it obeys; true where it refuses for a new reason."""
        is_new = why is not None and self._by_itself.get(pool) != why
        _put(self._by_itself, pool, why)
        return is_new

    def has_obeyed(self, pool: str, why: str | None) -> bool:
        """What this journal lacks of that, None: nothing; true where that is new."""
        is_new = why is not None and self._by_journal.get(pool) != why
        _put(self._by_journal, pool, why)
        return is_new

    def all(self) -> dict[str, str]:
        """Why, by pool."""
        return {**self._by_itself, **self._by_journal}


def _put(reasons: dict[str, str], pool: str, why: str | None) -> None:
    if why is None:
        reasons.pop(pool, None)
    else:
        reasons[pool] = why
