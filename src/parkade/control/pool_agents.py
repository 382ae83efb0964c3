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
